"""A molecule as plain lists: atoms, bonds in Kekulé form, ring systems."""

from typing import NamedTuple

from rdkit import Chem
from rdkit.Chem import Mol
from rdkit.rdBase import BlockLogs

_ORDER = {
    Chem.BondType.SINGLE: 1,
    Chem.BondType.DOUBLE: 2,
    Chem.BondType.TRIPLE: 3,
}


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
    return text, graph_of(mol) if text == smiles else read_graph(text)


def read_graph(smiles: str) -> Graph:
    """The graph of a molecule, in the order of its SMILES.

    Raises:
      Unwritable: if it is no molecule, or one that no string stands for.
    """
    return graph_of(_parse(smiles))


def _parse(smiles: str) -> Mol:
    with BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None or mol.GetNumAtoms() == 0:
        raise Unwritable("no molecule", f"{smiles!r} is no molecule")
    return mol


def graph_of(mol: Mol) -> Graph:
    """The graph of a sanitised molecule, in the order of its atoms; the molecule becomes Kekulé.

    Raises:
      Unwritable: see :func:`read_graph`.
    """
    cycles = [tuple(sorted(ring)) for ring in mol.GetRingInfo().AtomRings()]
    Chem.Kekulize(mol, True)
    elements, charges, hydrogens = [], [], []
    # By number: RDKit's own iteration over atoms and bonds takes twice as long.
    for atom in map(mol.GetAtomWithIdx, range(mol.GetNumAtoms())):
        elements.append(atom.GetAtomicNum())
        charges.append(atom.GetFormalCharge())
        hydrogens.append(atom.GetTotalNumHs())
        if atom.GetNumRadicalElectrons() or atom.GetIsotope():
            kind = "isotope" if atom.GetIsotope() else "unpaired electron"
            raise Unwritable(kind, f"atom {atom.GetIdx()}, {atom.GetSymbol()}: {kind}")
    bonds: list[dict[int, int]] = [{} for _ in elements]
    for bond in map(mol.GetBondWithIdx, range(mol.GetNumBonds())):
        order = _ORDER.get(bond.GetBondType())
        if order is None:
            raise Unwritable("bond", f"a bond of type {bond.GetBondType()}")
        a, b = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        bonds[a][b] = bonds[b][a] = order
    graph = Graph(elements, charges, hydrogens, bonds, _ring_systems(cycles), cycles)
    _require_connected(graph)
    return graph


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
