"""Properties, filters and similarity of molecules, for worker processes."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from rdkit.Chem.QED import qed
from rdkit.DataStructs import BulkTanimotoSimilarity, TanimotoSimilarity

from wrlso.chem.filters import alerts_of
from wrlso.chem.scores import penalized_logp, synthetic_accessibility

_ODD = (
    "[*]=[#6,#7;X2;+0]=[*]",  # cumulenes
    "[#7;+0;X3,X2;!$(*=*);!a]-[#7;+0;!a]-[#7;+0;!a]",
    "[#8;X2]-[#8;X2]",
    "C1=[C,N]*1",
    "[F,Cl,Br,I]-[#7,#8,#16;X2,X3]",
)
"""Odd groups: cumulenes, chains of three nitrogens, peroxides, three-rings with a double bond,
halogens on N, O and S."""

_LARGEST = 7
"""Atoms of a ring in an ordinary molecule, at most."""

FIGURES = ("plogp", "qed", "sa", "large_ring", "sane", "passes", "closed_shell", "atoms")
Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


class Figures(NamedTuple):
    """Properties of N molecules, each ``[N]``: penalised logP, QED, SA score; a ring of more than 7
    atoms; no odd group; no alert of Brenk or PAINS besides, no large ring and an SA
    score below 4.5; no unpaired electron; heavy atoms."""

    plogp: np.ndarray
    qed: np.ndarray
    sa: np.ndarray
    large_ring: np.ndarray
    sane: np.ndarray
    passes: np.ndarray
    closed_shell: np.ndarray
    atoms: np.ndarray


def figures(smiles: Sequence[str], over: Map = map) -> Figures:
    """The figures of molecules."""
    return Figures(*np.array(list(over(figures_of, smiles))).T)


def figures_of(smiles: str) -> tuple[float, ...]:
    """The figures of one molecule."""
    mol = Chem.MolFromSmiles(smiles)
    sa = synthetic_accessibility(mol)
    large = max(map(len, mol.GetRingInfo().AtomRings()), default=0) > _LARGEST
    sane = not any(mol.HasSubstructMatch(pattern) for pattern in _odd_patterns())
    passes = (
        sane and not large and sa < 4.5 and not (alerts_of(mol, "brenk") or alerts_of(mol, "pains"))
    )
    electrons = sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
    values = (penalized_logp(mol), qed(mol), sa, large, sane, passes, electrons == 0)
    return (*map(float, values), float(mol.GetNumHeavyAtoms()))


@cache
def _odd_patterns() -> list[Chem.Mol]:
    return [Chem.MolFromSmarts(smarts) for smarts in _ODD]


def similarity(smiles: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """``[N]`` Tanimoto similarities of pairs: Morgan fingerprints of radius 2, 2,048 bits."""
    pairs = zip(_fingerprints(smiles), _fingerprints(others), strict=True)
    return np.array([TanimotoSimilarity(a, b) for a, b in pairs])


def diversity(smiles: Sequence[str]) -> float:
    """1 less the mean similarity of different pairs."""
    prints = _fingerprints(smiles)
    sums = sum(sum(BulkTanimotoSimilarity(a, prints[:i])) for i, a in enumerate(prints))
    return 1 - sums / (len(prints) * (len(prints) - 1) / 2)


def _fingerprints(smiles: Sequence[str]) -> list[Any]:
    make = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    return [make.GetFingerprint(Chem.MolFromSmiles(one)) for one in smiles]
