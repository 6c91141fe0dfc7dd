"""Scores of single molecules: penalised logP and QED.

Each is a function of a SMILES string or an RDKit molecule; higher is better. Explicit hydrogens,
atom maps, isotopes and Kekulé forms do not count. Unpaired electrons and wildcard atoms are
refused (:func:`wrlso.chem.molecule.scorable`). Worker processes (``wrlso.evaluation.workers``) can
call them.
"""

import os
import sys
from functools import cache
from types import ModuleType

import networkx
from rdkit import Chem, RDConfig
from rdkit.Chem import QED, Mol
from rdkit.Chem.rdMolDescriptors import CalcCrippenDescriptors

from wrlso.chem.molecule import scorable

_LOGP = (2.45777691, 1.43341767)
_SA = (3.05352042, 0.83460587)
_CYCLE = (0.04861121, 0.28746695)
"""Mean and standard deviation of each term over ZINC250k, as published."""


def penalized_logp(molecule: str | Mol) -> float:
    """Penalised logP, which is high for lipophilic, easily made molecules without large rings.

    ``(logP - 2.458) / 1.433 + (3.054 - SA) / 0.835 + (0.049 - cycle) / 0.287``

    Its terms are Crippen's logP, the synthetic accessibility SA, and the number of atoms by which
    the largest ring exceeds six, each standardised over ZINC250k. It grows with the molecule's size
    without bound: the alkane of 100 carbons has 26.1. A value is meaningful only with its size
    limit.

    The largest ring is taken from a cycle basis, which is not unique in bridged systems. There the
    value may depend on the order of atoms, so score canonical SMILES.

    Source: Kusner et al., Grammar Variational Autoencoder, ICML 2017; the constants are those of
    Tripp et al., NeurIPS 2020.

    Raises:
      ValueError: if it is not a molecule, has unpaired electrons, or wildcard atoms.
    """
    mol = scorable(molecule)
    logp = (CalcCrippenDescriptors(mol)[0] - _LOGP[0]) / _LOGP[1]
    sa = (_SA[0] - synthetic_accessibility(mol)) / _SA[1]
    return logp + sa + (_CYCLE[0] - ring_excess(mol)) / _CYCLE[1]


def qed(molecule: str | Mol) -> float:
    """Quantitative estimate of drug-likeness, in [0, 1].

    Source: Bickerton et al., Nature Chemistry 4, 90 (2012), with the weights of
    RDKit.

    Raises:
      ValueError: if it is not a molecule, has unpaired electrons, or wildcard atoms.
    """
    return float(QED.qed(scorable(molecule)))


def synthetic_accessibility(molecule: str | Mol) -> float:
    """The SA score, from 1 (easy to make) to 10, by RDKit's contributed module.

    Source: Ertl and Schuffenhauer, J. Cheminformatics 1, 8 (2009).

    Raises:
      ImportError: if this RDKit lacks its Contrib folder.
      ValueError: if it is not a molecule, has unpaired electrons, or wildcard atoms.
    """
    return float(_sascorer().calculateScore(scorable(molecule)))


def ring_excess(molecule: str | Mol) -> int:
    """Number of atoms by which the largest ring of a cycle basis exceeds six; at least 0.

    Raises:
      ValueError: if it is not a molecule, has unpaired electrons, or wildcard atoms.
    """
    graph = networkx.Graph(Chem.GetAdjacencyMatrix(scorable(molecule)))
    largest = max(map(len, networkx.cycle_basis(graph)), default=0)
    return max(0, largest - 6)


@cache
def _sascorer() -> ModuleType:
    folder = os.path.join(RDConfig.RDContribDir, "SA_Score")
    sys.path.insert(0, folder)
    try:
        import sascorer
    except ImportError as error:
        raise ImportError(
            f"this RDKit has no SA score in {folder}: install RDKit with its Contrib folder, "
            "as in the rdkit package on PyPI"
        ) from error
    finally:
        sys.path.remove(folder)
    return sascorer
