"""A SMILES of nodes.

Pieces are written one by one, with a dot between them, and the bonds between them as rings that
are closed between pieces. RDKit reads and canonicalises the whole.
"""

from collections.abc import Sequence

from wrlso.chem.ringtree.nodes import BRIDGE, CHILD, EXIT, ON, TO, Node
from wrlso.chem.ringtree.templates import Template, atom_text, template

_BOND = ("", "", "=", "#")
_FIRST_CLOSURE = 40
_LAST_CLOSURE = 99
"""Numbers of rings between pieces; those below are for rings within a piece."""

Atom = tuple[int, int]
"""A node and a site of it."""

Slot = tuple[Atom | None, int, Atom | None, int]
"""The bonds of a node: an atom and the order; in a bridge also the atom at its end, and the order
there."""


def compose(nodes: Sequence[Node]) -> str:
    """A SMILES of nodes, not canonical.

    Raises:
      ValueError: if the nodes are not a whole molecule.
    """
    bonds: list[tuple[Atom, Atom, int]] = []
    waiting: list[Slot] = [(None, 0, None, 0)]
    for number, node in enumerate(nodes):
        if not waiting:
            raise ValueError("a string goes on after its molecule is complete")
        before, order, end, end_order = waiting.pop()
        if before is not None:
            bonds.append((before, (number, node.entry[0]), order))
        slots: list[Slot] = []
        start: tuple[Atom, int] | None = None
        for what, site, bond in node.uses:
            atom = (number, site)
            if what == CHILD:
                slots.append((atom, bond, None, 0))
            elif what == BRIDGE:
                start = atom, bond
            elif what == TO and start is not None:
                slots.append((*start, atom, bond))
            elif what == ON:
                slots.append((atom, bond, end, end_order))
            elif what == EXIT and end is not None:
                bonds.append((atom, end, bond))
        waiting += reversed(slots)
    if waiting:
        raise ValueError(f"a string ends with {len(waiting)} slots open")
    return _text([template(node.template) for node in nodes], bonds)


def _text(pieces: list[Template], bonds: list[tuple[Atom, Atom, int]]) -> str:
    at: dict[Atom, list[int]] = {}
    for number, (a, b, _) in enumerate(bonds):
        at.setdefault(a, []).append(number)
        at.setdefault(b, []).append(number)
    open_: dict[int, int] = {}
    free = list(range(_LAST_CLOSURE, _FIRST_CLOSURE - 1, -1))
    parts = []
    for place, piece in enumerate(pieces):
        if place:
            parts.append(".")
        for between, site in zip(piece.text, piece.written, strict=False):
            here = at.get((place, site), ())
            hydrogens = piece.free[site]
            closures = ""
            closed = []
            for number in here:
                order = bonds[number][2]
                hydrogens -= order
                if number in open_:
                    closed.append(open_[number])
                elif not free:
                    raise ValueError("more bonds between pieces are open than SMILES can close")
                else:
                    open_[number] = free.pop()
                closures += f"{_BOND[order]}%{open_[number]}"
            free += closed
            parts.append(between)
            parts.append(atom_text(piece.elements[site], piece.charges[site], hydrogens))
            parts.append(closures)
        parts.append(piece.text[-1])
    return "".join(parts)
