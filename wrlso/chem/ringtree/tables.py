"""A vocabulary's grammar in tables, from which masks are computed inside jit.

Categories are what may come next: the root; a slot, by the kind of its atom and the order of its
bond; a bridge, by the orders of the bonds at its ends; a loop, which is a bridge back to its own
site; and the stages of spelling a node.
"""

from typing import NamedTuple

import numpy as np

from wrlso.chem.ringtree.nodes import BRIDGE, CHILD, EXIT, ON, TO, Node
from wrlso.chem.ringtree.templates import template
from wrlso.chem.ringtree.vocabulary import CLOSE, END, ENTRY, Vocabulary, pair, starred

ROOT, ENTER, ENTER_BRIDGE, LEAVE, OPEN, REACH = range(1, 7)
"""Categories of spelling: an entry is next; an entry, then an exit; an exit; any other site or the
closing symbol; the end of a bridge. Slots, bridges and loops follow."""

_FIRST = REACH + 1
_PARENTS = ("", "N", "", "", "")
_AT_ROOT, _IN_BRIDGE = 2, 3
_BRIDGES = [(1, 1), (1, 2), (2, 1), (2, 2)]


class Tables(NamedTuple):
    """C categories, S symbols, T templates (row 0: none), at most M sites, K slots, U site symbols.

    Attributes:
      allowed: ``[2, C, S]`` booleans, sites' room left out of account; ``[1]``: only templates
        whose node can end a bridge at once, so that the steps that are needed are known.
      pushed: ``[5, S, K]`` categories that a symbol leaves; those of site symbols lack the slot
        or bridge, which depends on the template.
      variant: ``[C]`` which of them: 0 for a slot, 1 for one on a heteroatom, 2 for the root, 3
        and 4 for a bridge whose last bond is single or double.
      template: ``[S]`` the row of the template that the symbol begins to spell, else 0.
      free, most: ``[T, M]`` as in ``Template``.
      single: ``[T]`` whether the template is one atom.
      slot: ``[2, T, M, 4]`` the category of a child at a site by the bond's order, 0 if there is
        none; ``[1]``: where the node hangs on a heteroatom.
      enters: ``[2, C, T, M]`` booleans: may a node be entered there from the category? The first
        axis as of ``allowed``.
      bridge: ``[2, 3, 3]`` the category of a bridge by the orders of its bonds; ``[1]``: of a loop.
      loop: ``[C]`` whether the category is a loop.
      order: ``[C]`` the order of the bond to a node of that category; ``last [C]`` that of the
        last bond of a bridge.
      hyper: ``[T, M]`` whether a site may bear several multiple bonds.
      uses: ``[U, 3]`` symbols of sites, from number 2 on.
    """

    allowed: np.ndarray
    pushed: np.ndarray
    variant: np.ndarray
    template: np.ndarray
    free: np.ndarray
    most: np.ndarray
    single: np.ndarray
    slot: np.ndarray
    enters: np.ndarray
    bridge: np.ndarray
    loop: np.ndarray
    order: np.ndarray
    last: np.ndarray
    hyper: np.ndarray
    uses: np.ndarray


def atoms_of_symbols(vocabulary: Vocabulary) -> np.ndarray:
    """``[S]`` atoms other than hydrogen that each symbol adds to a molecule."""
    names = [s.template if isinstance(s, Node) else s for s in vocabulary.symbols]
    counts = [len(template(name).free) if isinstance(name, str) else 0 for name in names]
    return np.array(counts, np.int32)


class _Categories(NamedTuple):
    slots: list[tuple[str, int]]
    number: dict[tuple[str, int], int]
    bridges: dict[tuple[int, int], int]
    loops: dict[tuple[int, int], int]
    size: int


def make_tables(vocabulary: Vocabulary) -> Tables:
    """The tables of a vocabulary."""
    cats = _categories(vocabulary)
    pieces = [template(name) for name in vocabulary.templates]
    rows, width = len(pieces) + 1, max(len(piece.free) for piece in pieces)
    free, most = np.zeros((2, rows, width), np.int32)
    hyper = np.zeros((rows, width), bool)
    single = np.zeros(rows, bool)
    slot = np.zeros((2, rows, width, 4), np.int32)
    for row, piece in enumerate(pieces, 1):
        n = len(piece.free)
        free[row, :n], most[row, :n] = piece.free, piece.most
        hyper[row, :n] = piece.hyper
        single[row] = n == 1
        for site, kind in enumerate(piece.kinds):
            for bond in range(1, piece.most[site] + 1):
                for v, parent in enumerate(_PARENTS[:2]):
                    used = starred(kind, n == 1, parent)
                    slot[v, row, site, bond] = cats.number.get((used, bond), 0)
    order, last, variant = _of_categories(cats)
    enters = _enters(vocabulary, cats, free, most, hyper)
    allowed, pushed = _rules(vocabulary, cats, enters)
    starts = np.zeros(len(vocabulary), np.int32)
    first = 2 + len(vocabulary.sites)
    starts[first : first + len(pieces)] = np.arange(1, rows)
    bridge = np.zeros((2, 3, 3), np.int32)
    loop = np.zeros(cats.size, bool)
    for ends, category in cats.bridges.items():
        bridge[0][ends], bridge[1][ends] = category, cats.loops[ends]
        loop[cats.loops[ends]] = True
    uses = np.array(vocabulary.sites, np.int32)
    return Tables(
        allowed, pushed, variant, starts, free, most, single, slot, enters, bridge, loop, order,
        last, hyper, uses,
    )  # fmt: skip


def _categories(vocabulary: Vocabulary) -> _Categories:
    """Slots from which the vocabulary's bonds lead on."""
    slots = {(k, o) for a, o, b in vocabulary.pairs for k in (a, b)}
    ordered = sorted(slots)
    number = {slot: _FIRST + i for i, slot in enumerate(ordered)}
    first = _FIRST + len(ordered)
    bridges = {ends: first + i for i, ends in enumerate(_BRIDGES)}
    loops = {ends: len(_BRIDGES) + at for ends, at in bridges.items()}
    return _Categories(ordered, number, bridges, loops, first + 2 * len(_BRIDGES))


def _of_categories(cats: _Categories) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    order, last, variant = (np.zeros(cats.size, np.int32) for _ in range(3))
    variant[ROOT], variant[ENTER_BRIDGE] = _AT_ROOT, _IN_BRIDGE
    for (kind, bond), number in cats.number.items():
        order[number] = bond
        variant[number] = kind.rstrip("*") in ("N", "O", "P", "S", "As", "Se")
    for (begin, end), number in (*cats.bridges.items(), *cats.loops.items()):
        order[number], last[number], variant[number] = begin, end, _IN_BRIDGE + end - 1
    return order, last, variant


def _enters(
    vocabulary: Vocabulary,
    cats: _Categories,
    free: np.ndarray,
    most: np.ndarray,
    hyper: np.ndarray,
) -> np.ndarray:
    enters = np.zeros((2, cats.size, *free.shape), bool)
    sites: dict[str, list[tuple[int, int]]] = {}
    for row, name in enumerate(vocabulary.templates, 1):
        for site, kind in enumerate(template(name).kinds):
            sites.setdefault(kind, []).append((row, site))
    for (kind, order), number in cats.number.items():
        for other, places in sites.items():
            if pair(kind, order, other) in vocabulary.pairs:
                for row, site in places:
                    enters[:, number, row, site] = most[row, site] >= order
    for (begin, end), number in (*cats.bridges.items(), *cats.loops.items()):
        still = np.where((begin > 1) & ~hyper, 1, most)
        for way, last in enumerate((1, end)):
            can_leave = most >= last
            elsewhere = can_leave.sum(1, keepdims=True) - can_leave > 0
            same = (free - begin >= last) & (still >= last)
            if number in cats.loops.values() and way:
                same[:] = False  # the last bond of a loop is on another site than its first
            enters[way, number] = (most >= begin) & (elsewhere | same)
    return enters


def _rules(
    vocabulary: Vocabulary, cats: _Categories, enters: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The symbols that expand each category, and the categories that they leave."""
    size = len(vocabulary)
    arity = max([2, *(len(node.uses) for node in vocabulary.nodes)])
    allowed = np.zeros((2, cats.size, size), bool)
    pushed = np.zeros((len(_PARENTS), size, arity), np.int32)
    allowed[:, 0, END] = allowed[:, OPEN, CLOSE] = True
    stage = {ENTRY: [ENTER, ENTER_BRIDGE], CHILD: [OPEN], BRIDGE: [OPEN], TO: [REACH],
             EXIT: [LEAVE], ON: [LEAVE]}  # fmt: skip
    for number, (what, _, _) in enumerate(vocabulary.sites, 2):
        allowed[:, stage[what], number] = True
        pushed[:, number, 0] = REACH if what == BRIDGE else OPEN
        if what == ENTRY:
            pushed[_IN_BRIDGE:, number, 0] = LEAVE
    first = 2 + len(vocabulary.sites)
    after = slice(first, first + len(vocabulary.templates))
    allowed[:, _FIRST:, after] = enters[:, _FIRST:, 1:].any(-1)
    allowed[:, ROOT, after] = True
    pushed[:, after, 0] = np.array([ENTER, ENTER, OPEN, ENTER_BRIDGE, ENTER_BRIDGE])[:, None]
    rows = {name: row for row, name in enumerate(vocabulary.templates, 1)}
    for number, node in enumerate(vocabulary.nodes, after.stop):
        possible, left = _whole(node, rows[node.template], cats, enters)
        allowed[:, possible, number] = True
        for v, categories in enumerate(left):
            if 0 in categories:
                allowed[:, :, number] = False
            pushed[v, number, : len(categories)] = categories
    return allowed, pushed


def _whole(
    node: Node, row: int, cats: _Categories, enters: np.ndarray
) -> tuple[list[int], list[list[int]]]:
    """The categories that a whole symbol expands, and what it leaves, in each variant."""
    piece = template(node.template)
    site, order = node.entry
    end = next((bond for what, _, bond in node.uses if what == EXIT), None)
    if order == 0:
        possible = [ROOT]
    elif node.in_bridge:
        ends = [(order, e) for e in (1, 2) if end in (None, e) and (order, e) in cats.bridges]
        possible = [cats.bridges[both] for both in ends]
        if not any(what == EXIT and at == site for what, at, _ in node.uses):
            possible += [cats.loops[both] for both in ends]
    else:
        slots = [number for (_, bond), number in cats.number.items() if bond == order]
        possible = [number for number in slots if enters[0, number, row, site]]
    left: list[list[int]] = []
    for v, parent in enumerate(_PARENTS):
        categories, start, begun = [], 0, -1
        for what, at, bond in node.uses:
            if what == CHILD:
                kind = starred(piece.kinds[at], len(piece.kinds) == 1, parent)
                categories.append(cats.number.get((kind, bond), 0))
            elif what == BRIDGE:
                start, begun = bond, at
            elif what == TO:
                kind_of = cats.loops if at == begun else cats.bridges
                categories.append(kind_of[start, bond])
            elif what == ON:
                categories.append(cats.bridges[bond, 2 if v > _IN_BRIDGE else 1])
        left.append(categories)
    return possible, left
