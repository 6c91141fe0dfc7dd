"""Writing a ring system that has no template: from smaller ones, and bridges between their sites.

A core, which is a known template, stands in the system. The rest of the system hangs on the
core by two bonds each: it is a bridge, written as a chain of nodes from one site of the core to
another, or to the same where nothing else helps. A bridge closes whatever it holds, so that any
chain gives a molecule.
"""

from collections.abc import Collection, Iterator
from itertools import combinations
from typing import NamedTuple

from wrlso.chem.ringtree.graph import Unwritable
from wrlso.chem.ringtree.nodes import BRIDGE, CHILD, EXIT, ON, ROOT, TO, Arm, Subtree, Use, join
from wrlso.chem.ringtree.pieces import Piece, Pieces, piece_of

_MOST_RINGS = 6
"""Maximum number of rings of a core."""

_MOST_TRIES = 500
"""Maximum number of cores that are tried for a ring system."""

Branch = tuple[Subtree, int, int]
"""A branch outside the system: the atom that it hangs on, and the order of the bond."""

End = tuple[int, int] | None
"""An atom and the order of its bond to what lies outside."""


class _Context(NamedTuple):
    pieces: Pieces
    known: Collection[str]
    branches: dict[int, list[tuple[Subtree, int]]]
    tried: list[int]
    loops: bool


def assemble(
    pieces: Pieces,
    number: int,
    known: Collection[str],
    entered: int,
    order: int,
    branches: list[Branch],
) -> Subtree:
    """The branch from a piece without a template on; arguments as in ``nodes``.

    Raises:
      Unwritable: if the piece cannot be assembled from known templates.
    """
    hanging: dict[int, list[tuple[Subtree, int]]] = {}
    for inner, atom, bond in branches:
        hanging.setdefault(atom, []).append((inner, bond))
    rings = pieces.graph.rings
    terminal = {t for group in pieces.groups.values() for t in group}
    own = rings[number] if number < len(rings) else sorted(pieces.pieces[number].sites)
    atoms = frozenset(own) - terminal
    entry = None if entered < 0 else (entered, order)
    try:
        return _write(_Context(pieces, known, hanging, [0], False), atoms, entry, None)
    except Unwritable:
        return _write(_Context(pieces, known, hanging, [0], True), atoms, entry, None)


def _write(context: _Context, atoms: frozenset[int], entry: End, leave: End) -> Subtree:
    """Atoms of a system as a node and its branches: a chain to ``leave``, if that is given."""
    for core in _cores(context, atoms, None if entry is None else entry[0]):
        context.tried[0] += 1
        if context.tried[0] > _MOST_TRIES:
            break
        try:
            return _around(context, atoms, core, entry, leave)
        except Unwritable:
            continue
    name = context.pieces.pieces[context.pieces.owner[min(atoms)]].template
    raise Unwritable("ring system", f"{name} has no template and cannot be assembled")


def _cores(
    context: _Context, atoms: frozenset[int], anchor: int | None
) -> Iterator[frozenset[int]]:
    """Candidates for a core among the atoms, with the anchor in it.

    They are connected unions of rings, the large first; an atom; two neighbours, which hold the two
    ends of a fused ring; the large ring of a bridged system.
    """
    bonds = context.pieces.graph.bonds
    cycles = [frozenset(c) for c in context.pieces.graph.cycles if atoms.issuperset(c)]
    yield from _unions(cycles, anchor)
    for first in sorted(atoms) if anchor is None else [anchor]:
        yield frozenset((first,))
        for second in sorted(atoms.intersection(bonds[first])):
            yield frozenset((first, second))
    for a, b in combinations(cycles, 2):
        shared = a & b
        inner = {x for x in shared if shared.issuperset((a | b).intersection(bonds[x]))}
        if inner and (anchor is None or anchor in (a | b) - inner):
            yield (a | b) - inner


def _unions(cycles: list[frozenset[int]], anchor: int | None) -> list[frozenset[int]]:
    grown = {c for c in cycles if anchor is None or anchor in c}
    found = set(grown)
    for _ in range(_MOST_RINGS - 1):
        grown = {a | c for a in grown for c in cycles if a & c and not c <= a} - found
        found |= grown
    return sorted(found, key=lambda core: (-len(core), sorted(core)))


def _around(
    context: _Context, atoms: frozenset[int], core: frozenset[int], entry: End, leave: End
) -> Subtree:
    """A core and the branches that hang on it."""
    piece, extra = _known_piece(context, core)
    bridges: list[tuple[Subtree, Use, Use]] = []
    last: Arm | None = None
    if leave is not None and leave[0] in core:
        last = Arm(None, ((EXIT, piece.sites[leave[0]], leave[1]),))
    for part in _parts(context, atoms - core):
        bonds = _bonds(context, part, core)
        if leave is not None and leave[0] in part:
            (here, there, order), *more = bonds
            if more:
                raise Unwritable("ring system", "a chain that returns to its node")
            chain = _write(context, part, (there, order), leave)
            last = Arm(chain, ((ON, piece.sites[here], order),))
        else:
            bridges.append(_bridge(context, piece, part, bonds))
    children = [
        (*branch, piece.sites[a]) for a in core for branch in context.branches.get(a, ())
    ] + extra
    arms = [Arm(branch, ((CHILD, site, order),)) for branch, order, site in sorted(children)]
    arms += [Arm(chain, (start, end)) for chain, start, end in sorted(bridges)]
    if last is not None:
        arms.append(last)
    at = ROOT if entry is None else (piece.sites[entry[0]], entry[1])
    return join(piece.template, at, arms, leave is not None)


def _bridge(
    context: _Context, piece: Piece, part: frozenset[int], bonds: list[tuple[int, int, int]]
) -> tuple[Subtree, Use, Use]:
    """A part as a chain between two sites, in the direction that comes first."""
    if len(bonds) != 2:
        raise Unwritable("ring system", f"a part that hangs on {len(bonds)} bonds")
    if bonds[0][0] == bonds[1][0] and not context.loops:
        raise Unwritable("ring system", "a part that hangs on one atom")
    ways = []
    for (a, b, order), (c, d, other) in (bonds, bonds[::-1]):
        chain = _write(context, part, (b, order), (d, other))
        ways.append((chain, (BRIDGE, piece.sites[a], order), (TO, piece.sites[c], other)))
    return min(ways)


def _known_piece(
    context: _Context, core: frozenset[int]
) -> tuple[Piece, list[tuple[Subtree, int, int]]]:
    """The core's piece with its terminal groups, or without them and these as branches."""
    graph, groups = context.pieces.graph, context.pieces.groups
    whole = piece_of(graph, sorted(core), groups)
    if whole.template in context.known:
        return whole, []
    bare = piece_of(graph, sorted(core), {})
    if bare.template not in context.known:
        raise Unwritable("ring system", f"no template for {whole.template}")
    leaves = []
    for atom in sorted(core):
        for terminal in groups.get(atom, ()):
            leaf = piece_of(graph, [terminal], {})
            if leaf.template not in context.known:
                raise Unwritable("ring system", f"no template for {leaf.template}")
            order = graph.bonds[atom][terminal]
            branch = join(leaf.template, (leaf.sites[terminal], order), [])
            leaves.append((branch, order, bare.sites[atom]))
    return bare, leaves


def _parts(context: _Context, atoms: frozenset[int]) -> list[frozenset[int]]:
    """The connected parts of some atoms."""
    left, parts = set(atoms), []
    while left:
        part, todo = set(), [min(left)]
        while todo:
            a = todo.pop()
            if a in left:
                left.discard(a)
                part.add(a)
                todo += context.pieces.graph.bonds[a]
        parts.append(frozenset(part))
    return parts


def _bonds(
    context: _Context, part: frozenset[int], core: frozenset[int]
) -> list[tuple[int, int, int]]:
    """Bonds between a part and the core: (atom of the core, atom of the part, order)."""
    bonds = context.pieces.graph.bonds
    return [(a, b, order) for b in sorted(part) for a, order in bonds[b].items() if a in core]
