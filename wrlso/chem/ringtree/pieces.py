"""Cutting a molecule into pieces: ring systems and atoms, each with its terminal groups."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from wrlso.chem.ringtree.graph import Graph
from wrlso.chem.ringtree.templates import recognise


class Piece(NamedTuple):
    """A connected part of a molecule: its template's name, and the site of each of its atoms."""

    template: str
    sites: dict[int, int]


class Pieces(NamedTuple):
    """A molecule as a tree of pieces.

    Attributes:
      graph: the molecule.
      pieces: P of them.
      owner: ``[n]`` the piece of each atom.
      links: ``[P]`` bonds to other pieces: (own atom, other atom, order).
      groups: ``[n]`` terminal atoms that belong to the piece of each atom.
    """

    graph: Graph
    pieces: list[Piece]
    owner: list[int]
    links: list[list[tuple[int, int, int]]]
    groups: dict[int, list[int]]


def cut(graph: Graph) -> Pieces:
    """The pieces of a molecule.

    Raises:
      Unwritable: if a piece alone is no possible molecule.
    """
    in_ring = {a for system in graph.rings for a in system}
    host = terminal_hosts(graph, in_ring)
    groups: dict[int, list[int]] = {}
    for atom, other in host.items():
        groups.setdefault(other, []).append(atom)
    cores: list[tuple[int, ...]] = list(graph.rings)
    cores += [(a,) for a in range(len(graph.elements)) if a not in in_ring and a not in host]
    pieces, owner = [], [0] * len(graph.elements)
    for number, core in enumerate(cores):
        if len(core) == 1 and core[0] not in groups:
            (a,) = core
            hydrogens = graph.hydrogens[a] + sum(graph.bonds[a].values())
            pieces.append(_atom(graph.elements[a], graph.charges[a], hydrogens, a))
            owner[a] = number
            continue
        piece = piece_of(graph, core, groups)
        pieces.append(piece)
        for atom in piece.sites:
            owner[atom] = number
    links: list[list[tuple[int, int, int]]] = [[] for _ in pieces]
    for atom, mine in enumerate(owner):
        for other, order in graph.bonds[atom].items():
            if owner[other] != mine:
                links[mine].append((atom, other, order))
    return Pieces(graph, pieces, owner, links, groups)


@lru_cache(100_000)
def _atom(element: int, charge: int, hydrogens: int, number: int) -> Piece:
    """The piece of an atom of some number in its molecule, cut bonds counted as hydrogens."""
    name, _ = recognise((((element, charge, hydrogens),), ()))
    return Piece(name, {number: 0})


def terminal_hosts(graph: Graph, in_ring: set[int]) -> dict[int, int]:
    """Terminal atoms that belong to their neighbour's piece, and that neighbour: =O, #N, O- on a
    cation, and the F of CF2 and CF3 outside rings."""
    host = {}
    for atom, bonds in enumerate(graph.bonds):
        if len(bonds) != 1 or atom in in_ring:
            continue
        ((other, order),) = bonds.items()
        if len(graph.bonds[other]) == 1 and other > atom:
            continue  # of two atoms alone, the first is the piece
        ionic = graph.charges[atom] < 0 < graph.charges[other]
        if order > 1 or ionic or _is_of_many(graph, atom, other, in_ring):
            host[atom] = other
    return host


def _is_of_many(graph: Graph, atom: int, other: int, in_ring: set[int]) -> bool:
    if graph.elements[atom] != 9 or graph.elements[other] != 6 or other in in_ring:
        return False
    return sum(graph.elements[b] == 9 for b in graph.bonds[other]) > 1


def piece_of(graph: Graph, core: Sequence[int], groups: dict[int, list[int]]) -> Piece:
    """The piece of connected atoms and the terminal groups on them; all other bonds are cut.

    Raises:
      Unwritable: if it alone is no possible molecule.
    """
    atoms = list(core)
    if groups:
        for a in core:
            atoms += groups.get(a, ())
    atoms.sort()
    place = {a: i for i, a in enumerate(atoms)}
    described, bonds = [], []
    for a in atoms:
        hydrogens = graph.hydrogens[a]
        for b, order in graph.bonds[a].items():
            if b not in place:
                hydrogens += order
            elif a < b:
                bonds.append((place[a], place[b], order))
        described.append((graph.elements[a], graph.charges[a], hydrogens))
    name, sites = recognise((tuple(described), tuple(bonds)))
    return Piece(name, dict(zip(atoms, sites, strict=True)))
