"""A molecule's pieces in canonical order, as a list of nodes: vocabulary and numbers come later.

The root is an end of the longest path through the tree, lengths counted in atoms. Children follow
their parent: the shallow before the deep, so that the longest path comes last.
"""

from collections.abc import Collection

from wrlso.chem.ringtree.ears import assemble
from wrlso.chem.ringtree.nodes import ROOT, Node, Subtree, join_children
from wrlso.chem.ringtree.pieces import Pieces


def nodes_of(pieces: Pieces, known: Collection[str] | None = None) -> tuple[Node, ...]:
    """The nodes of a molecule, parents first.

    Args:
      pieces: of the molecule.
      known: names of templates; a ring system of another is assembled from these. None: all are
        known.

    Raises:
      Unwritable: if a ring system can neither be named nor assembled.
    """
    done = dict[tuple[int, int], Subtree]()
    found = [_subtree(pieces, known, done, root, -1, -1, 0).nodes for root in _roots(pieces)]
    return min(found)


def _roots(pieces: Pieces) -> list[int]:
    """Ends of longest paths: of these the largest, and of those the first by name."""
    sizes = [len(piece.sites) for piece in pieces.pieces]
    beside = [[pieces.owner[other] for _, other, _ in links] for links in pieces.links]
    near = _distances(sizes, beside, 0)
    first = near.index(max(near))
    from_first = _distances(sizes, beside, first)
    last = from_first.index(max(from_first))
    from_last = _distances(sizes, beside, last)
    longest = from_first[last]
    ends = [p for p in range(len(near)) if max(from_first[p], from_last[p]) == longest]

    def rank(end: int) -> tuple[int, str]:
        piece = pieces.pieces[end]
        return -len(piece.sites), piece.template

    best = min(map(rank, ends))
    return [end for end in ends if rank(end) == best]


def _distances(sizes: list[int], beside: list[list[int]], start: int) -> list[int]:
    """Atoms on the path from a piece to each other, both included."""
    distance = [-1] * len(sizes)
    distance[start] = sizes[start]
    todo = [start]
    while todo:
        here = todo.pop()
        for there in beside[here]:
            if distance[there] < 0:
                distance[there] = distance[here] + sizes[there]
                todo.append(there)
    return distance


def _subtree(
    pieces: Pieces,
    known: Collection[str] | None,
    done: dict[tuple[int, int], Subtree],
    number: int,
    entered: int,
    came_from: int,
    order: int,
) -> Subtree:
    """The branch from a piece on, entered by its atom from an atom of another piece.

    ``done`` holds the branches by their bond: those of several roots have most in common.
    """
    found = done.get((entered, came_from))
    if found is not None and entered >= 0:
        return found
    piece = pieces.pieces[number]
    branches = []
    for atom, other, bond in pieces.links[number]:
        if other != came_from:
            inner = _subtree(pieces, known, done, pieces.owner[other], other, atom, bond)
            branches.append((inner, atom, bond))
    if known is not None and piece.template not in known and len(piece.sites) > 1:
        found = assemble(pieces, number, known, entered, order, branches)
    else:
        branches.sort()
        entry = ROOT if entered < 0 else (piece.sites[entered], order)
        children = [(inner, piece.sites[atom], bond) for inner, atom, bond in branches]
        found = join_children(piece.template, entry, children)
    done[entered, came_from] = found
    return found
