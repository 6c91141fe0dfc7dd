"""Templates: ring systems and single atoms with their terminal groups, cut bonds as hydrogens."""

import re
from functools import lru_cache
from typing import NamedTuple

from rdkit import Chem
from rdkit.rdBase import BlockLogs

from wrlso.chem.ringtree.graph import Graph, Unwritable, graph_of

_SYMMETRIES = 64
"""Maximum number of automorphisms of a template. A more symmetric template leaves some out, so that
a molecule with such a piece may have several strings."""

_HETERO = frozenset((7, 8, 15, 16, 33, 34))
_HYPERVALENT = frozenset((15, 16, 33, 34))
_ATOM = re.compile(r"\[[^\]]*\]")
_TYPES = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}


class Template(NamedTuple):
    """A piece of a molecule with hydrogens where bonds were cut; its atoms are its sites.

    Attributes:
      smiles: canonical, the template's name; atoms have the order of this SMILES.
      elements, charges: ``[n]`` of its atoms.
      free: ``[n]`` hydrogens, which is what bonds to other pieces can take.
      most: ``[n]`` largest order of a bond to another piece: 1 beside a multiple bond.
      hyper: ``[n]`` whether the atom may bear several multiple bonds.
      kinds: ``[n]`` kinds of atoms, see :func:`_kind`.
      symmetries: permutations of the sites that leave the template as it is; the identity first.
      text: what stands before each atom in a Kekulé SMILES, and at its end.
      written: the atoms' order in ``text``.
      ring: whether it is a ring system.
    """

    smiles: str
    elements: tuple[int, ...]
    charges: tuple[int, ...]
    free: tuple[int, ...]
    most: tuple[int, ...]
    hyper: tuple[bool, ...]
    kinds: tuple[str, ...]
    symmetries: tuple[tuple[int, ...], ...]
    text: tuple[str, ...]
    written: tuple[int, ...]
    ring: bool


Key = tuple[tuple[tuple[int, int, int], ...], tuple[tuple[int, int, int], ...]]
"""A piece as cut: atoms (element, charge, hydrogens) and bonds (atom, atom, order)."""


@lru_cache(200_000)
def recognise(key: Key) -> tuple[str, tuple[int, ...]]:
    """The name of a cut piece's template, and the site of each of its atoms.

    Raises:
      Unwritable: if the piece alone is no possible molecule.
    """
    atoms, bonds = key
    mol = Chem.RWMol()
    for element, charge, hydrogens in atoms:
        atom = Chem.Atom(element)
        atom.SetFormalCharge(charge)
        atom.SetNumExplicitHs(hydrogens)
        atom.SetNoImplicit(True)
        mol.AddAtom(atom)
    for a, b, order in bonds:
        mol.AddBond(a, b, _TYPES[order])
    try:
        with BlockLogs():
            Chem.SanitizeMol(mol)
            # Through a string, so that the name is a fixed point.
            first = Chem.MolToSmiles(mol)
            written = _output_order(mol)
            again = Chem.MolFromSmiles(first)
            name = Chem.MolToSmiles(again)
            written = [written[i] for i in _output_order(again)]
    except ValueError as error:
        raise Unwritable("piece", f"a piece alone is no molecule: {error}") from error
    site = [0] * len(written)
    for place, number in enumerate(written):
        site[number] = place
    return name, tuple(site)


@lru_cache(100_000)
def template(smiles: str) -> Template:
    """The template of a name.

    Raises:
      Unwritable: if it is no molecule.
    """
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise Unwritable("piece", f"{smiles!r} is no molecule")
    with BlockLogs():
        found = mol.GetSubstructMatches(mol, uniquify=False, maxMatches=2000)
    graph = graph_of(mol)
    n = range(len(graph.elements))
    kept = [
        match
        for match in found
        if all(
            graph.hydrogens[a] == graph.hydrogens[b] and graph.charges[a] == graph.charges[b]
            for a, b in enumerate(match)
        )
    ]
    kept.sort()
    text, written = _text(mol)
    return Template(
        smiles,
        tuple(graph.elements),
        tuple(graph.charges),
        tuple(graph.hydrogens),
        tuple(_most(graph, a) for a in n),
        tuple(element in _HYPERVALENT for element in graph.elements),
        tuple(_kind(a, graph.elements, graph.bonds) for a in n),
        tuple(kept[:_SYMMETRIES]),
        text,
        written,
        bool(graph.rings),
    )


def _most(graph: Graph, atom: int) -> int:
    element, hydrogens = graph.elements[atom], graph.hydrogens[atom]
    # Two multiple bonds: sulfones and the like, azides and diazo groups.
    several = element in _HYPERVALENT or (element == 7 and graph.charges[atom] == 1)
    multiple = any(order > 1 for order in graph.bonds[atom].values())
    return min(1 if multiple and not several else 3, hydrogens)


def _kind(atom: int, elements: list[int], bonds: list[dict[int, int]]) -> str:
    """The element; nitrogen and oxygen with a heteroatom beside them are kinds of their own."""
    symbol = Chem.GetPeriodicTable().GetElementSymbol(elements[atom])
    beside = any(elements[b] in _HETERO for b in bonds[atom])
    return symbol + "*" * (symbol in ("N", "O") and beside)


def _text(mol: Chem.Mol) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The parts between atoms of a Kekulé SMILES, and the order of the atoms in it."""
    written = Chem.MolToSmiles(mol, canonical=False, allHsExplicit=True, kekuleSmiles=True)
    return tuple(_ATOM.split(written)), tuple(_output_order(mol))


def _output_order(mol: Chem.Mol) -> list[int]:
    """The atoms in the order of the SMILES that was written last."""
    return list(mol.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"])


@lru_cache(10_000)
def atom_text(element: int, charge: int, hydrogens: int) -> str:
    """An atom in SMILES, its hydrogens written out."""
    symbol = Chem.GetPeriodicTable().GetElementSymbol(element)
    h = "" if hydrogens == 0 else "H" if hydrogens == 1 else f"H{hydrogens}"
    sign = "" if charge == 0 else f"{charge:+d}"
    return f"[{symbol}{h}{sign}]"
