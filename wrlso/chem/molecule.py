"""Reading and writing molecules: SMILES in, RDKit molecules and canonical SMILES out."""

from rdkit import Chem
from rdkit.Chem import Mol
from rdkit.rdBase import BlockLogs


def parse(molecule: str | Mol) -> Mol:
    """An RDKit molecule from a SMILES string; a molecule is returned as it is.

    Raises:
      ValueError: with RDKit's reason if the string is no SMILES of a possible
        molecule, holds white space, or has no atoms.
    """
    if isinstance(molecule, Mol):
        if molecule.GetNumAtoms() == 0:
            raise ValueError("the molecule has no atoms")
        return molecule
    with BlockLogs():
        # RDKit would read what follows white space as a name.
        mol = Chem.MolFromSmiles(molecule) if molecule.split() == [molecule] else None
        if mol is None:
            raise ValueError(f"{molecule!r} is no molecule: {_why_not(molecule)}")
    return mol


def canonical(molecule: str | Mol, stereo: bool = True) -> str:
    """RDKit's canonical SMILES, isotopes included.

    Args:
      molecule: SMILES or RDKit molecule.
      stereo: keep the configuration of centres and double bonds, as far as it is
        given, or drop it.

    Raises:
      ValueError: if it is no molecule.
    """
    mol = parse(molecule)
    if not stereo:
        mol = Chem.Mol(mol)
        Chem.RemoveStereochemistry(mol)
    return Chem.MolToSmiles(mol)


def heavy_atoms(molecule: str | Mol) -> int:
    """Atoms other than hydrogen.

    Raises:
      ValueError: if it is no molecule.
    """
    return parse(molecule).GetNumHeavyAtoms()


def _why_not(smiles: str) -> str:
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
