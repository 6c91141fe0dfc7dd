"""Nodes: the pieces of a molecule with the sites of their bonds, and branches of them."""

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from wrlso.chem.ringtree.graph import Unwritable
from wrlso.chem.ringtree.templates import template

CHILD, BRIDGE, TO, EXIT, ON = range(5)
"""Purposes of a site: a child; the begin and the end of a bridge, which is a chain of nodes; in a
chain, the end of the bridge, or its next node."""

Use = tuple[int, int, int]
"""The purpose, the site, the order of the bond."""


class Node(NamedTuple):
    """A piece within a molecule.

    Attributes:
      template: its name.
      entry: ``(site, order)`` of the bond to the node before it; ``(-1, 0)`` of the root.
      uses: of its other sites: children, then bridges, then the exit or next node of a chain.
        The branches on them follow in this order.
      in_bridge: whether it is a node of a bridge.
    """

    template: str
    entry: tuple[int, int]
    uses: tuple[Use, ...]
    in_bridge: bool = False


class Subtree(NamedTuple):
    """``nodes`` of a branch, parents first; its ``depth`` and ``size`` in atoms."""

    depth: int
    size: int
    nodes: tuple[Node, ...]


ROOT = (-1, 0)


class Arm(NamedTuple):
    """A branch of a node, and its sites' uses: two for a bridge. The branch is None at an exit."""

    branch: Subtree | None
    uses: tuple[Use, ...]


def join(name: str, entry: tuple[int, int], arms: list[Arm], in_bridge: bool = False) -> Subtree:
    """A node with its arms, in order, on the least of equivalent sites.

    Args:
      name: the node's template.
      entry: as in :class:`Node`.
      arms: children, ascending, then bridges, then the end or next node of a chain.
      in_bridge: as in :class:`Node`.
    """
    uses = tuple(use for arm in arms for use in arm.uses)
    children = [arm.branch for arm in arms if arm.uses[0][0] == CHILD]
    ties = tuple(a == b for a, b in pairwise(children))
    entry, least = _least(name, entry, uses, ties)
    own = len(template(name).elements)
    branches = [arm.branch for arm in arms if arm.branch is not None]
    depth = own + max((branch.depth for branch in branches), default=0)
    size = own + sum(branch.size for branch in branches)
    nodes = [Node(name, entry, least, in_bridge)]
    for branch in branches:
        nodes += branch.nodes
    return Subtree(depth, size, tuple(nodes))


def join_children(
    name: str, entry: tuple[int, int], children: list[tuple[Subtree, int, int]]
) -> Subtree:
    """As :func:`join`, for a node with nothing but children.

    Args:
      name: the node's template.
      entry: as in :class:`Node`.
      children: branches with the site and the order of their bonds, ascending.
    """
    if not children:
        return _leaf(name, entry)
    own = len(template(name).elements)
    uses = tuple([(CHILD, site, order) for _, site, order in children])
    if own > 1:
        ties = tuple([a[0] == b[0] for a, b in pairwise(children)])
        entry, uses = _least(name, entry, uses, ties)
    nodes, depth, size = [Node(name, entry, uses)], 0, own
    for branch, _, _ in children:
        nodes += branch.nodes
        size += branch.size
        if branch.depth > depth:
            depth = branch.depth
    return Subtree(own + depth, size, tuple(nodes))


@lru_cache(100_000)
def _leaf(name: str, entry: tuple[int, int]) -> Subtree:
    entry, _ = _least(name, entry, (), ())
    own = len(template(name).elements)
    return Subtree(own, own, (Node(name, entry, ()),))


@lru_cache(500_000)
def _least(
    name: str, entry: tuple[int, int], uses: tuple[Use, ...], ties: tuple[bool, ...]
) -> tuple[tuple[int, int], tuple[Use, ...]]:
    """The entry and uses on equivalent sites whose numbers are least. Children's sites may be
    exchanged where the children are equal (``ties``: a child and the one before)."""
    best = None
    for symmetry in template(name).symmetries:
        there = entry if entry[0] < 0 else (symmetry[entry[0]], entry[1])
        moved = [(what, symmetry[site], order) for what, site, order in uses]
        start = 0
        for i, tie in enumerate((*ties, False), 1):
            if not tie:
                moved[start:i] = sorted(moved[start:i])
                start = i
        candidate = (there, tuple(moved))
        if best is None or candidate < best:
            best = candidate
    if best is None:
        raise Unwritable("piece", f"{name!r} is not equivalent to itself")
    return best
