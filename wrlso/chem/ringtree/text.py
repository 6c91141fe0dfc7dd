"""The molecule of a string of symbols."""

from collections.abc import Iterator, Sequence

from rdkit import Chem

from wrlso.chem.ringtree.compose import compose
from wrlso.chem.ringtree.nodes import BRIDGE, EXIT, ON, Node, Use
from wrlso.chem.ringtree.vocabulary import CLOSE, END, ENTRY, Symbol, Vocabulary


def to_smiles(numbers: Sequence[int], vocabulary: Vocabulary) -> str:
    """The canonical SMILES of a string, up to its first 0.

    Raises:
      ValueError: if it is no complete string of the grammar.
    """
    mol = Chem.MolFromSmiles(compose(to_nodes(numbers, vocabulary)))
    if mol is None:
        raise ValueError(f"{list(map(int, numbers))} is no string of a molecule")
    return Chem.MolToSmiles(mol)


def to_nodes(numbers: Sequence[int], vocabulary: Vocabulary) -> list[Node]:
    """The nodes of a string.

    Raises:
      ValueError: if a node is spelled incompletely.
    """
    nodes, symbols = [], vocabulary.symbols
    rest = iter([int(i) for i in numbers])
    for number in rest:
        if number == END:
            break
        symbol = symbols[number]
        nodes.append(symbol if isinstance(symbol, Node) else _spelled(symbol, rest, symbols))
    return nodes


def _spelled(name: Symbol, rest: Iterator[int], symbols: Sequence[Symbol]) -> Node:
    if not isinstance(name, str):
        raise ValueError(f"a string goes on with {name}, where a node is wanted")
    entry, uses = (-1, 0), list[Use]()
    for number in rest:
        if number == CLOSE:
            chain = any(use[0] in (EXIT, ON) for use in uses)
            return Node(name, entry, tuple(_uses(uses)), chain)
        use = symbols[number]
        if not isinstance(use, tuple) or isinstance(use, Node):
            break
        if use[0] == ENTRY:
            entry = use[1:]
        else:
            uses.append(use)
    raise ValueError(f"the node {name} is spelled incompletely")


def _uses(symbols: list[Use]) -> list[Use]:
    """Uses in the order of ``nodes`` from that of symbols: the inverse of ``emitted``."""
    out: list[Use] = []
    for use in reversed(symbols):
        if use[0] == BRIDGE:
            out.insert(len(out) - 1, use)
        else:
            out.append(use)
    return out
