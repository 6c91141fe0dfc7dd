"""One form for what chemists write in several: parents of salts, neutral, without labels.

The steps are those of RDKit's ``rdMolStandardize``.
"""

from functools import cache
from typing import Any

import numpy as np
from rdkit import Chem
from rdkit.Chem import Mol
from rdkit.Chem.MolStandardize import rdMolStandardize
from rdkit.rdBase import BlockLogs

CHANGES = ("salts", "charges", "atom maps", "isotopes", "metal bonds and functional groups")
"""Kinds of changes that :func:`standardize` makes, in the order of the bits that it returns."""

_SALT_METALS = frozenset((3, 11, 19, 37, 55, 12, 20, 38, 56, 13, 30))
"""Metals that salts are written with: alkali, alkaline earth, aluminium, zinc."""

_METALS = frozenset((*range(21, 33), *range(39, 52), *range(57, 85), *range(89, 104)))


_SULFOXIDE = Chem.MolFromSmarts("[S+;X3;!a]-[O-;X1]")


def standardize(mol: Mol) -> tuple[Mol, int]:
    """The standard form of a molecule: its largest organic fragment, neutral where possible,
    without atom maps and isotopes.

    Metals of salts are disconnected, functional groups are written in RDKit's form (such as nitro
    groups), but sulfoxides as S=O. Complexes of other metals, unpaired electrons and tautomers stay
    as they are.

    Returns:
      The molecule, and a bit for each of :data:`CHANGES` that was made.
    """
    changed = 0
    mol = Chem.Mol(mol)
    for atom in mol.GetAtoms():
        changed |= 4 * (atom.GetAtomMapNum() > 0) | 8 * (atom.GetIsotope() > 0)
        atom.SetAtomMapNum(0)
        atom.SetIsotope(0)
    with BlockLogs():
        try:
            mol = Chem.RemoveHs(mol)
            if not _is_complex(mol):
                mol, more = _in_rdkits_form(mol)
                changed |= more
        except (ValueError, RuntimeError):  # RDKit cannot; the molecule is judged as it is
            return mol, changed
    return mol, changed


def can_change(mol: Mol) -> bool:
    """Whether :func:`standardize` may change more than the notation of a molecule."""
    if len(Chem.GetMolFrags(mol)) > 1:
        return True
    return any(
        atom.GetFormalCharge()
        or atom.GetIsotope()
        or atom.GetAtomMapNum()
        or atom.GetAtomicNum() in _SALT_METALS
        or atom.GetTotalValence() > 4
        for atom in mol.GetAtoms()
    )


def described(bits: np.ndarray) -> dict[str, int]:
    """How many of some molecules have each of :data:`CHANGES`, where any has; ``bits [N]``."""
    counts = {name: int(np.count_nonzero(bits >> i & 1)) for i, name in enumerate(CHANGES)}
    return {name: count for name, count in counts.items() if count}


def _in_rdkits_form(mol: Mol) -> tuple[Mol, int]:
    before = Chem.MolToSmiles(mol)
    whole = _neutral_sulfoxides(rdMolStandardize.Cleanup(mol))
    changed = 16 * (Chem.MolToSmiles(whole) != before)
    parent = rdMolStandardize.FragmentParent(whole, _parameters(), skipStandardize=True)
    changed |= 1 * (parent.GetNumAtoms() < whole.GetNumAtoms())
    charges = [atom.GetFormalCharge() for atom in parent.GetAtoms()]
    parent = _uncharger().uncharge(parent)
    changed |= 2 * (charges != [atom.GetFormalCharge() for atom in parent.GetAtoms()])
    # As read from its SMILES: some of RDKit's steps leave flags behind.
    return Chem.MolFromSmiles(Chem.MolToSmiles(parent)) or parent, changed


def _neutral_sulfoxides(mol: Mol) -> Mol:
    """S=O in place of each S+ and its O-, which is RDKit's form: data sets write S=O."""
    mol = Chem.RWMol(mol)
    for sulfur, oxygen in mol.GetSubstructMatches(_SULFOXIDE):
        for place in (sulfur, oxygen):
            mol.GetAtomWithIdx(place).SetFormalCharge(0)
        mol.GetBondBetweenAtoms(sulfur, oxygen).SetBondType(Chem.BondType.DOUBLE)
    mol = mol.GetMol()
    Chem.SanitizeMol(mol)
    return mol


def _is_complex(mol: Mol) -> bool:
    """Whether a metal that no salt is written with has bonds."""
    return any(
        atom.GetAtomicNum() in _METALS - _SALT_METALS and atom.GetDegree() > 0
        for atom in mol.GetAtoms()
    )


@cache
def _parameters() -> Any:
    parameters: Any = rdMolStandardize.CleanupParameters()
    parameters.preferOrganic = True
    return parameters


@cache
def _uncharger() -> Any:
    return rdMolStandardize.Uncharger()
