"""A vocabulary from molecules."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from wrlso.chem.ringtree.graph import Unwritable, read_graph
from wrlso.chem.ringtree.nodes import Node
from wrlso.chem.ringtree.pieces import cut
from wrlso.chem.ringtree.tree import nodes_of
from wrlso.chem.ringtree.vocabulary import Pair, Vocabulary, count_templates, has_room, pairs_of

BOND_TEMPLATES = (
    *("CC", "C=C", "CN", "C=N", "CO", "CS", "NN", "N=N", "NO", "NS"),
    *("C[NH3+]", "C=[NH2+]"),
)
"""Two atoms of a bond that rings share: with these, fused rings are assembled from bridges."""

_RARE = 3e-5
"""Share of the molecules below which a template or a kind of bond is not learnt: 8 of ZINC250k."""

_LEAST = 2
"""Minimum number of molecules that a template occurs in, however few there are."""

_WHOLE = 1000
"""Maximum number of nodes with a symbol of their own."""

_CHUNK = 1000

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""As the built-in ``map``; a pool's ``imap`` spreads the work over processes."""


def read_nodes(smiles: Sequence[str], known: frozenset[str] | None = None) -> list["Nodes | None"]:
    """The nodes of each molecule, given in canonical SMILES; None if it cannot be written."""

    def one(text: str) -> tuple[Node, ...] | None:
        try:
            return nodes_of(cut(read_graph(text)), known)
        except Unwritable:
            return None

    return [one(text) for text in smiles]


def learn_vocabulary(smiles: Sequence[str], whole: int = _WHOLE, over: Map = map) -> Vocabulary:
    """The vocabulary of some molecules: their frequent templates, those that cannot be assembled
    from these, frequent bonds and nodes.

    Args:
      smiles: of ``graph.plain_smiles``.
      whole: nodes that get a symbol of their own, at most.
      over: maps over a thousand molecules each, such as ``map`` or a pool's.

    Raises:
      ValueError: if there are no molecules that can be written.
    """
    nodes = _over(over, read_nodes, smiles)
    least = max(_LEAST, math.ceil(_RARE * len(smiles)))
    known = frequent_templates(nodes, least)
    found = assembled(smiles, nodes, known, over)
    if needed := needed_templates(nodes, found, known):
        known |= needed
        found = assembled(smiles, nodes, known, over)
    return count_symbols(found, known, least, whole)


Nodes = tuple[Node, ...]


def frequent_templates(nodes: Sequence[Nodes | None], least: int) -> frozenset[str]:
    """Names of templates in at least so many molecules, and :data:`BOND_TEMPLATES`."""
    counts = count_templates(found for found in nodes if found is not None)
    return frozenset({name for name, n in counts.items() if n >= least} | {*BOND_TEMPLATES})


def assembled(
    smiles: Sequence[str], nodes: Sequence[Nodes | None], known: frozenset[str], over: Map = map
) -> list[Nodes | None]:
    """The nodes, read anew with known templates only where a molecule has others."""
    found = list(nodes)
    rare = [
        i
        for i, molecule in enumerate(nodes)
        if molecule is not None and not known.issuperset(node.template for node in molecule)
    ]
    again = _over(over, partial(read_nodes, known=known), [smiles[i] for i in rare])
    for i, molecule in zip(rare, again, strict=True):
        found[i] = molecule
    return found


def needed_templates(
    nodes: Sequence[Nodes | None], found: Sequence[Nodes | None], known: frozenset[str]
) -> frozenset[str]:
    """The rare templates of molecules that cannot be assembled from others."""
    lost = [before for before, after in zip(nodes, found, strict=True) if before and not after]
    return frozenset(node.template for molecule in lost for node in molecule) - known


def count_symbols(
    nodes: Sequence[Nodes | None], known: frozenset[str], least: int, whole: int
) -> Vocabulary:
    """The vocabulary of molecules' nodes: the most frequent of these, and all frequent bonds.

    Raises:
      ValueError: if there are no molecules.
    """
    written = [found for found in nodes if found is not None and all(map(has_room, found))]
    if not written:
        raise ValueError(f"none of the {len(nodes)} molecules can be written")
    pairs: Counter[Pair] = Counter(p for found in written for p in {*pairs_of(found)})
    frequent = Counter(node for found in written for node in found).most_common(whole)
    return Vocabulary(
        tuple(sorted(known)),
        tuple(sorted(node for node, n in frequent if n >= _LEAST)),
        frozenset(p for p, n in pairs.items() if n >= least),
    )


def _over(over: Map, function: Callable[[Any], list[Any]], smiles: Sequence[str]) -> list[Any]:
    chunks = [smiles[i : i + _CHUNK] for i in range(0, len(smiles), _CHUNK)]
    return [one for part in over(function, chunks) for one in part]
