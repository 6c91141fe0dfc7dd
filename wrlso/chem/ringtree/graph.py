"""A molecule as plain lists: atoms, bonds in Kekulé form, ring systems."""

import re
from typing import NamedTuple

from rdkit import Chem
from rdkit.Chem import Mol

from wrlso.chem.molecule import read_smiles

_ORDER = {
    Chem.BondType.SINGLE: 1,
    Chem.BondType.DOUBLE: 2,
    Chem.BondType.TRIPLE: 3,
}

_ATOMS = re.compile(r"\[[^\]]*\]|Br|Cl|[BCNOPSFIbcnops]")
_VALENCES = {"C": (6, 4), "N": (7, 3), "O": (8, 2), "F": (9, 1), "Cl": (17, 1), "Br": (35, 1)}
"""Atomic numbers and valences of atoms that SMILES writes without brackets or hydrogens, neutral
and in natural isotopes."""

_VALENCES |= {"c": (6, 4), "n": (7, 3), "o": (8, 2)}
_ASK = (0, -1)
_NUMBERS = {1.0: 1, 2.0: 2, 3.0: 3}
_SPECIAL = re.compile(r"[<>~$.]")
"""Signs of bonds whose order is not what RDKit gives as a number, and of several molecules."""


class Graph(NamedTuple):
    """A molecule of n atoms other than hydrogen.

    Attributes:
      elements: ``[n]`` atomic numbers.
      charges: ``[n]`` formal charges.
      hydrogens: ``[n]`` hydrogens of each atom.
      bonds: ``[n]`` neighbours of each atom, with the order of the bond.
      rings: ring systems (rings that share an atom belong together), as sorted atom numbers.
      cycles: RDKit's rings (the symmetric smallest set), as sorted atom numbers.
    """

    elements: list[int]
    charges: list[int]
    hydrogens: list[int]
    bonds: list[dict[int, int]]
    rings: list[tuple[int, ...]]
    cycles: list[tuple[int, ...]]


class Unwritable(ValueError):
    """A molecule that has no string: ``kind`` is the reason in short."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def plain_smiles(smiles: str) -> str:
    """RDKit's canonical SMILES of a molecule without stereochemistry, which is dropped here.

    Raises:
      Unwritable: if it is no molecule.
    """
    mol = _parse(smiles)
    Chem.RemoveStereochemistry(mol)
    # Twice: some molecules change once more.
    return Chem.MolToSmiles(_parse(Chem.MolToSmiles(mol)))


def stable_smiles(smiles: str) -> tuple[str, Graph]:
    """The SMILES of :func:`plain_smiles`, and its graph.

    Args:
      smiles: RDKit's canonical SMILES of the molecule without stereochemistry.

    Raises:
      Unwritable: see :func:`read_graph`.
    """
    mol = _parse(smiles)
    text = Chem.MolToSmiles(mol)
    return text, graph_of(mol, text) if text == smiles else read_graph(text)


def read_graph(smiles: str) -> Graph:
    """The graph of a molecule, in the order of its SMILES.

    Raises:
      Unwritable: if it is no molecule, or one that no string stands for.
    """
    return graph_of(_parse(smiles), smiles)


def _parse(smiles: str) -> Mol:
    mol = read_smiles(smiles)
    if mol is None or mol.GetNumAtoms() == 0:
        raise Unwritable("no molecule", f"{smiles!r} is no molecule")
    return mol


def graph_of(mol: Mol, text: str = "") -> Graph:
    """The graph of a sanitised molecule, in the order of its atoms; the molecule becomes Kekulé.

    Args:
      mol: the molecule.
      text: the SMILES that it was read from, which saves asking RDKit for each atom; may be empty.

    Raises:
      Unwritable: see :func:`read_graph`.
    """
    cycles = [tuple(sorted(ring)) for ring in mol.GetRingInfo().AtomRings()]
    Chem.Kekulize(mol, True)
    tokens = _ATOMS.findall(text)
    known = len(tokens) == mol.GetNumAtoms() and not _SPECIAL.search(text)
    bonds = _bonds_by_number(mol) if known else None
    if bonds is None:
        atoms = [_atom(mol, i) for i in range(mol.GetNumAtoms())]
        bonds = _bonds(mol)
    else:
        atoms = []
        for i, token in enumerate(tokens):
            element, valence = _VALENCES.get(token, _ASK)
            free = valence - sum(bonds[i].values())
            atoms.append((element, 0, free) if free >= 0 else _atom(mol, i))
    elements, charges, hydrogens = map(list, zip(*atoms, strict=True))
    graph = Graph(elements, charges, hydrogens, bonds, _ring_systems(cycles), cycles)
    if not text or "." in text:
        _require_connected(graph)
    return graph


def _atom(mol: Mol, i: int) -> tuple[int, int, int]:
    """Element, charge and hydrogens of an atom."""
    atom = mol.GetAtomWithIdx(i)
    if atom.GetNumRadicalElectrons() or atom.GetIsotope():
        kind = "isotope" if atom.GetIsotope() else "unpaired electron"
        raise Unwritable(kind, f"atom {i}, {atom.GetSymbol()}: {kind}")
    return atom.GetAtomicNum(), atom.GetFormalCharge(), atom.GetTotalNumHs()


def _bonds(mol: Mol) -> list[dict[int, int]]:
    bonds: list[dict[int, int]] = [{} for _ in range(mol.GetNumAtoms())]
    # By number: RDKit's own iteration over atoms and bonds takes twice as long.
    for bond in map(mol.GetBondWithIdx, range(mol.GetNumBonds())):
        order = _ORDER.get(bond.GetBondType())
        if order is None:
            raise Unwritable("bond", f"a bond of type {bond.GetBondType()}")
        a, b = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        bonds[a][b] = bonds[b][a] = order
    return bonds


def _bonds_by_number(mol: Mol) -> list[dict[int, int]] | None:
    """As :func:`_bonds`, at half the time, if RDKit's number for each bond tells its order; else
    None."""
    bonds: list[dict[int, int]] = [{} for _ in range(mol.GetNumAtoms())]
    for bond in map(mol.GetBondWithIdx, range(mol.GetNumBonds())):
        order = _NUMBERS.get(bond.GetBondTypeAsDouble())
        if order is None:
            return None
        a, b = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        bonds[a][b] = bonds[b][a] = order
    return bonds


def _ring_systems(cycles: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    systems: list[set[int]] = []
    for ring in cycles:
        joined, apart = set(ring), []
        for system in systems:
            if joined.isdisjoint(system):
                apart.append(system)
            else:
                joined |= system
        systems = [*apart, joined]
    return [tuple(sorted(system)) for system in systems]


def _require_connected(graph: Graph) -> None:
    seen, todo = {0}, [0]
    while todo:
        for b in graph.bonds[todo.pop()]:
            if b not in seen:
                seen.add(b)
                todo.append(b)
    if len(seen) < len(graph.elements):
        raise Unwritable("several molecules", "several molecules, with '.' between: keep one")
