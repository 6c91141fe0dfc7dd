"""Reading and writing molecules: SMILES in, RDKit molecules and canonical SMILES out."""

from rdkit import Chem
from rdkit.Chem import Mol
from rdkit.rdBase import BlockLogs


def parse(molecule: str | Mol) -> Mol:
    """An RDKit molecule from a SMILES string; an RDKit molecule is returned unchanged.

    Raises:
      ValueError: with RDKit's reason, if the string is not the SMILES of a possible molecule, holds
        white space, or has no atoms.
    """
    if isinstance(molecule, Mol):
        if molecule.GetNumAtoms() == 0:
            raise ValueError("the molecule has no atoms")
        return molecule
    with BlockLogs():
        # RDKit would read the text after white space as a name.
        mol = Chem.MolFromSmiles(molecule) if molecule.split() == [molecule] else None
        if mol is None:
            raise ValueError(f"{molecule!r} is not a molecule: {_why_not(molecule)}")
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


def heavy_atoms(molecule: str | Mol) -> int:
    """Number of atoms other than hydrogen.

    Raises:
      ValueError: if it is not a molecule.
    """
    return parse(molecule).GetNumHeavyAtoms()


def _why_not(smiles: str) -> str:
    """The reason why a string is not a molecule."""
    if not smiles.strip():
        return "it is empty"
    if smiles.split() != [smiles]:
        return "it holds white space"
    mol = Chem.MolFromSmiles(smiles, sanitize=False)
    if mol is None:
        return "it cannot be read as SMILES"
    try:
        Chem.SanitizeMol(mol)
    except ValueError as error:  # RDKit's own errors are ValueErrors
        return str(error).strip()
    return "RDKit cannot read it"
