"""Reading and writing molecules: SMILES in, RDKit molecules and canonical SMILES out."""

import re
from typing import Any

from rdkit import Chem
from rdkit.Chem import Mol
from rdkit.rdBase import BlockLogs

_HEAVY = re.compile(r"\[(?!\d*H[+\-\d:@\]])[^\]]*\]|Br|Cl|[BCNOPSFIbcnops*]")
"""An atom other than hydrogen in a SMILES."""

_EXTENSION = re.compile(r"(\S+) (\|.*\|)", re.DOTALL)
_MOST_CHARACTERS = 1000
_HYDROGEN = re.compile(r"\[\d*H")
_HYDROGENS_KEPT: Any = Chem.SmilesParserParams()
_HYDROGENS_KEPT.removeHs = False


def parse(molecule: str | Mol) -> Mol:
    """An RDKit molecule from a SMILES string, without explicit hydrogens and atom maps.

    A molecule of RDKit is changed in a copy, if it has any.

    Raises:
      ValueError: with RDKit's reason, if the string is not the SMILES of a possible molecule, holds
        white space, or has no atoms.
    """
    if isinstance(molecule, Mol):
        if molecule.GetNumAtoms() == 0:
            raise ValueError("the molecule has no atoms")
        return _plain(molecule)
    with BlockLogs():
        # RDKit would read the text after white space as a name.
        mol = Chem.MolFromSmiles(molecule) if _is_one_word(molecule) else None
        if mol is None:
            raise ValueError(f"{_short(molecule)} is not a molecule: {_why_not(molecule)}")
    return _plain(mol) if ":" in molecule else mol


def read_smiles(smiles: str) -> Mol | None:
    """RDKit's molecule of a SMILES without a name, hydrogens removed; None if it is not one.

    RDKit looks for hydrogens only where the SMILES has some, which saves a fifth of the time.
    """
    with BlockLogs():
        if _HYDROGEN.search(smiles):
            return Chem.MolFromSmiles(smiles)
        return Chem.MolFromSmiles(smiles, _HYDROGENS_KEPT)


def parse_extended(text: str) -> Mol:
    """An RDKit molecule from SMILES or CXSMILES (``CCO |$;;name$|``), atom maps and isotopes kept.

    Raises:
      ValueError: as :func:`parse`, and if the extension cannot be read.
    """
    extended = _EXTENSION.fullmatch(text) if " " in text else None
    if extended is None:
        mol = read_smiles(text) if _is_one_word(text) else None
        if mol is None:
            with BlockLogs():
                raise ValueError(f"{_short(text)} is not a molecule: {_why_not(text)}")
        return mol
    options: Any = Chem.SmilesParserParams()
    options.allowCXSMILES, options.strictCXSMILES, options.parseName = True, True, False
    with BlockLogs():
        try:
            mol = Chem.MolFromSmiles(text, options)
        except (ValueError, RuntimeError):
            mol = None
        if mol is None:
            whole = Chem.MolFromSmiles(extended[1])
            reason = _why_not(extended[1]) if whole is None else "its extension cannot be read"
            raise ValueError(f"{_short(text)} is not a molecule: {reason}")
    if mol.GetNumAtoms() == 0:
        raise ValueError(f"{_short(text)} is not a molecule: it has no atoms")
    return mol


def canonical(molecule: str | Mol, stereo: bool = True) -> str:
    """RDKit's canonical SMILES, isotopes included.

    Args:
      molecule: a SMILES or an RDKit molecule.
      stereo: keep the given configuration of centres and double bonds, or drop it.

    Raises:
      ValueError: if it is not a molecule.
    """
    mol = parse(molecule)
    if not stereo:
        mol = Chem.Mol(mol)
        Chem.RemoveStereochemistry(mol)
    return Chem.MolToSmiles(mol)


def scorable(molecule: str | Mol) -> Mol:
    """A molecule in the form in which built-in objectives score it.

    It has natural isotopes, no explicit hydrogens and no atom maps; a molecule of RDKit is
    sanitised in a copy, so that a Kekulé form scores as an aromatic one. Charges and salts stay as
    they are.

    Raises:
      ValueError: if it is not a molecule, has unpaired electrons, or wildcard atoms.
    """
    if isinstance(molecule, Mol) and molecule.GetNumAtoms():
        molecule = _sanitized(molecule)
    mol = parse(molecule)
    labelled = False
    for atom in mol.GetAtoms():
        if atom.GetNumRadicalElectrons():
            raise ValueError(
                f"{Chem.MolToSmiles(mol)} has unpaired electrons, so it has no score: give a "
                "molecule without"
            )
        if atom.GetAtomicNum() == 0:
            raise ValueError(f"{Chem.MolToSmiles(mol)} has no score: '*' stands for no element")
        labelled |= atom.GetIsotope() > 0
    if not labelled:
        return mol
    mol = Chem.Mol(mol)
    for atom in mol.GetAtoms():
        atom.SetIsotope(0)
    return _plain(mol)


def _sanitized(mol: Mol) -> Mol:
    mol = Chem.Mol(mol)
    with BlockLogs():
        try:
            Chem.SanitizeMol(mol)
        except ValueError as error:  # RDKit's own errors are ValueErrors
            raise ValueError(f"it is not a molecule: {str(error).strip()}") from None
    return mol


def is_polymer(mol: Mol) -> bool:
    """Whether a molecule stands for others: a polymer, a mixture, a formulation."""
    groups = Chem.GetMolSubstanceGroups(mol)
    if not len(groups):  # as iterating takes RDKit 30 µs
        return False
    kinds = (group.GetProp("TYPE") for group in groups)
    return any(kind not in ("DAT", "SUP", "GEN") for kind in kinds)


def heavy_atoms(molecule: str | Mol) -> int:
    """Number of atoms other than hydrogen.

    Raises:
      ValueError: if it is not a molecule.
    """
    return parse(molecule).GetNumHeavyAtoms()


def count_atoms(smiles: str) -> int:
    """Number of atoms other than hydrogen in a SMILES, counted in its text without reading it: what
    is no SMILES has a number, too."""
    return sum(1 for _ in _HEAVY.finditer(smiles))


def atoms_or_none(text: str) -> int | None:
    """Number of heavy atoms if a text of moderate length is a SMILES, else None."""
    if not text or len(text) > _MOST_CHARACTERS:
        return None
    with BlockLogs():
        mol = Chem.MolFromSmiles(text) if _is_one_word(text) else None
    return mol.GetNumHeavyAtoms() or None if mol is not None else None


def _plain(mol: Mol) -> Mol:
    """A molecule without explicit hydrogens and atom maps; the same one if it has none."""
    hydrogens = mapped = False
    for atom in mol.GetAtoms():
        hydrogens |= atom.GetAtomicNum() == 1
        mapped |= atom.GetAtomMapNum() > 0
    if mapped:
        mol = Chem.Mol(mol)
        for atom in mol.GetAtoms():
            atom.SetAtomMapNum(0)
    if hydrogens:
        with BlockLogs():
            mol = Chem.RemoveHs(mol)
    return mol


def _is_one_word(text: str) -> bool:
    return text.split() == [text] and "\0" not in text


def _short(text: str, most: int = 200) -> str:
    return repr(text) if len(text) <= most else f"{text[:most]!r}..."


def _why_not(smiles: str) -> str:
    """The reason why a string is not a molecule."""
    if not smiles.strip():
        return "it is empty"
    if smiles.split() != [smiles]:
        return "it holds white space"
    if "\0" in smiles:
        return "it holds a zero byte"
    mol = Chem.MolFromSmiles(smiles, sanitize=False)
    if mol is None:
        return "it cannot be read as SMILES"
    try:
        Chem.SanitizeMol(mol)
    except ValueError as error:  # RDKit's own errors are ValueErrors
        return str(error).strip()
    return "RDKit cannot read it"
