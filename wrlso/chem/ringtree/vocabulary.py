"""Symbols and their numbers.

A *whole* symbol is a node: its template, the site and order of the bond to its parent, and the uses
of its other sites. A node without a symbol of its own is *spelled*: its template, the site of entry
(none for the root), its uses from the last to the first, a closing symbol. So a string is made of

* 0, which ends it, and 1, which closes a spelled node;
* sites: (what for, number of the site, order of the bond);
* templates, and whole nodes.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from rdkit import Chem

from wrlso.chem.ringtree.compose import compose
from wrlso.chem.ringtree.graph import Graph, Unwritable, plain_smiles, read_graph
from wrlso.chem.ringtree.nodes import BRIDGE, CHILD, EXIT, ON, TO, Node, Use
from wrlso.chem.ringtree.pieces import cut
from wrlso.chem.ringtree.templates import template
from wrlso.chem.ringtree.tree import nodes_of

END, CLOSE = 0, 1
ENTRY = 5
"""A use of a site beside those of ``nodes``: the bond to the parent."""

Symbol = None | Use | str | Node
"""The meaning of a number; None: the end, or the closing symbol."""

Pair = tuple[str, int, str]
"""A kind of bond between pieces: kinds of the atoms in alphabetical order, the order between."""

_ORDERS = {CHILD: (1, 2, 3), ENTRY: (1, 2, 3), BRIDGE: (1, 2), TO: (1, 2), EXIT: (1, 2), ON: (1, 2)}
_FORMAT = 1


@dataclass(frozen=True)
class Vocabulary:
    """The symbols of a model.

    Attributes:
      templates: names of templates.
      nodes: nodes with a symbol of their own.
      pairs: kinds of bonds between pieces that may be written.
    """

    templates: tuple[str, ...]
    nodes: tuple[Node, ...]
    pairs: frozenset[Pair]

    @cached_property
    def known(self) -> frozenset[str]:
        """The templates, to look one up."""
        return frozenset(self.templates)

    @cached_property
    def sites(self) -> tuple[Use, ...]:
        """Symbols of sites: uses that some template has room for."""
        found = set()
        for name in self.templates:
            for site, most in enumerate(template(name).most):
                for what, orders in _ORDERS.items():
                    found |= {(what, site, order) for order in orders if order <= most}
        return tuple(sorted(found))

    @cached_property
    def symbols(self) -> tuple[Symbol, ...]:
        """The meaning of each number; the first two mean the end and the closing of a node."""
        return (None, None, *self.sites, *self.templates, *self.nodes)

    @cached_property
    def number(self) -> dict[Symbol, int]:
        """The number of each symbol but the first two."""
        return {symbol: i for i, symbol in enumerate(self.symbols) if i > CLOSE}

    def __len__(self) -> int:
        return len(self.symbols)

    def write(self, smiles: str, canonical: bool = False) -> list[int]:
        """The numbers of a molecule's string, without the end.

        Args:
          smiles: of the molecule; stereochemistry is dropped.
          canonical: the SMILES is that of ``graph.plain_smiles``.

        Raises:
          Unwritable: with the reason, if it has none.
        """
        text = smiles if canonical else plain_smiles(smiles)
        return self.write_graph(read_graph(text), text)

    def write_graph(self, graph: Graph, text: str) -> list[int]:
        """As :meth:`write`, from the graph of ``graph.plain_smiles``, which is the text."""
        nodes = nodes_of(cut(graph), self.known)
        self.check(nodes)
        if any(node.in_bridge for node in nodes) and not _is_of(nodes, text):
            raise Unwritable("ring system", "a ring system that is another one once assembled")
        return [number for node in nodes for number in self._spell(node)]

    def check(self, nodes: Sequence[Node]) -> None:
        """Raise Unwritable if nodes hang together in a way that is not written."""
        for node in nodes:
            if node.template not in self.known:
                raise Unwritable("piece", f"no template for {node.template}")
            if not has_room(node):
                raise Unwritable("double bonds", f"two double bonds on an atom of {node.template}")
        for pair in pairs_of(nodes):
            if pair not in self.pairs:
                raise Unwritable("bond", "a bond " + "-=#"[pair[1] - 1].join(pair[::2]))

    def _spell(self, node: Node) -> list[int]:
        whole = self.number.get(node)
        if whole is not None:
            return [whole]
        parts: list[Use | str] = [node.template]
        if node.entry[1]:
            parts.append((ENTRY, *node.entry))
        try:
            return [self.number[part] for part in [*parts, *emitted(node.uses)]] + [CLOSE]
        except KeyError as error:
            raise Unwritable("site", f"no symbol for {error}") from error

    def to_json(self) -> dict[str, Any]:
        """A form for JSON, to be stored with a model: nodes refer to templates by number."""
        place = {name: i for i, name in enumerate(self.templates)}
        return {
            "format": _FORMAT,
            "templates": list(self.templates),
            "nodes": [[place[n.template], n.entry, n.uses, n.in_bridge] for n in self.nodes],
            "pairs": sorted(self.pairs),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Vocabulary":
        """The vocabulary of :meth:`to_json`.

        Raises:
          ValueError: if it is of another version.
        """
        if stored.get("format") != _FORMAT:
            raise ValueError(
                f"this vocabulary has format {stored.get('format')}, this version of wrlso reads "
                f"{_FORMAT}: train the model again"
            )
        names = stored["templates"]
        nodes = [
            Node(names[i], (entry[0], entry[1]), tuple((a, b, c) for a, b, c in uses), bool(chain))
            for i, entry, uses, chain in stored["nodes"]
        ]
        pairs = frozenset((a, order, b) for a, order, b in stored["pairs"])
        return cls(tuple(names), tuple(nodes), pairs)


def _is_of(nodes: Sequence[Node], smiles: str) -> bool:
    """Whether the nodes are the molecule. A core that is aromatic alone and not in its system loses
    the places of its double bonds."""
    return Chem.CanonSmiles(compose(nodes)) == Chem.CanonSmiles(smiles)


def emitted(uses: Sequence[Use]) -> list[Use]:
    """The uses of a spelled node in the order of its symbols: from the last to the first, but the
    begin of a bridge before its end."""
    out: list[Use] = []
    for use in reversed(uses):
        if use[0] == BRIDGE:
            out.insert(len(out) - 1, use)
        else:
            out.append(use)
    return out


@lru_cache(100_000)
def has_room(node: Node) -> bool:
    """Whether the node's sites can bear its bonds: an atom bears one multiple bond, those of
    templates counted, unless it is phosphorus or sulfur."""
    piece = template(node.template)
    most = list(piece.most)
    bonds = [(site, order) for _, site, order in node.uses]
    if node.entry[1]:
        bonds.append(node.entry)
    for site, order in bonds:
        if order > most[site]:
            return False
        if order > 1 and not piece.hyper[site]:
            most[site] = 1
    return True


def pair(kind: str, order: int, other: str) -> Pair:
    """A kind of bond, whichever atom comes first."""
    return (kind, order, other) if kind <= other else (other, order, kind)


def starred(kind: str, single: bool, parent: str) -> str:
    """The kind of a node's atom towards its children: nitrogen or oxygen as a piece of its own
    that hangs on a heteroatom is of the kind that has one beside it."""
    hangs = single and kind in ("N", "O") and parent.rstrip("*") in _HETERO
    return kind + "*" * hangs


_HETERO = frozenset(("N", "O", "P", "S", "As", "Se"))


def pairs_of(nodes: Sequence[Node]) -> list[Pair]:
    """The kinds of the bonds between pieces, bonds of bridges left out."""
    found: list[Pair] = []
    waiting: list[tuple[str, int]] = [("", 0)]
    for node in nodes:
        parent, order = waiting.pop()
        piece = template(node.template)
        if parent:
            found.append(pair(parent, order, piece.kinds[node.entry[0]]))
        slots = []
        for what, site, order in node.uses:
            if what == CHILD:
                kind = starred(piece.kinds[site], len(piece.kinds) == 1, parent)
                slots.append((kind, order))
            elif what in (BRIDGE, ON):
                slots.append(("", 0))
        waiting += reversed(slots)
    return found


def count_templates(nodes: Iterable[Sequence[Node]]) -> Counter[str]:
    """Molecules that each template occurs in."""
    return Counter(name for molecule in nodes for name in {node.template for node in molecule})
