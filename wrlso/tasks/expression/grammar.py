"""The grammar of arithmetic expressions, and derivations as arrays of productions.

    S -> S + T | S * T | S / T | T        T -> (S) | sin(S) | exp(S) | x | 1 | 2 | 3

An expression is stored as its left-most derivation: the productions in the order in which they
expand the left-most nonterminal, which is the parse tree in prefix order. The tree ignores the
precedence of operators; :mod:`wrlso.tasks.expression.evaluate` respects it.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

MAX_STEPS = 15
"""Maximum number of productions of a derivation."""

NOTHING = 11
"""The production that pads a derivation."""


class Production(NamedTuple):
    """A production ``left -> right``.

    Attributes:
      left: the nonterminal that it expands.
      right: tokens, including nonterminals.
    """

    left: str
    right: tuple[str, ...]


PRODUCTIONS = (
    Production("S", ("S", "+", "T")),
    Production("S", ("S", "*", "T")),
    Production("S", ("S", "/", "T")),
    Production("S", ("T",)),
    Production("T", ("(", "S", ")")),
    Production("T", ("sin(", "S", ")")),
    Production("T", ("exp(", "S", ")")),
    Production("T", ("x",)),
    Production("T", ("1",)),
    Production("T", ("2",)),
    Production("T", ("3",)),
    Production("", ()),
)
"""The eleven productions, and the padding production."""

_NUMBER = {p: i for i, p in enumerate(PRODUCTIONS)}
_TERM = _NUMBER[Production("S", ("T",))]
_OPERATORS = {p.right[1]: i for i, p in enumerate(PRODUCTIONS) if p.right[:1] == ("S",)}
_LEAVES = {p.right[0]: i for i, p in enumerate(PRODUCTIONS) if p.left == "T" and len(p.right) == 1}
_CALLS = {p.right[0]: i for i, p in enumerate(PRODUCTIONS) if p.left == "T" and len(p.right) > 1}
_TOKEN = re.compile(r"\s*(sin\s*\(|exp\s*\(|\S)")


class GrammarError(ValueError):
    """The error for a string that is not an expression.

    Attributes:
      line: number of its line, from 1.
      column: number of the column, from 1.
    """

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.line, self.column = line, column


def parse(text: str, line: int = 1) -> list[int]:
    """The left-most derivation of an expression, of any length.

    Args:
      text: an expression; blanks between tokens are ignored.
      line: number of the line, for errors.

    Raises:
      GrammarError: if the grammar does not produce the text.
    """
    matches = _TOKEN.finditer(text)
    tokens = [("".join(match[1].split()), match.start(1) + 1) for match in matches]
    tokens.append(("", len(text) + 1))
    position = 0

    def fail(expected: str) -> GrammarError:
        token, column = tokens[position]
        instead = f"found {token!r}" if token else "the expression ends"
        return GrammarError(f"expected {expected}, but {instead}", line, column)

    def sum_() -> list[int]:
        """Parse S without left recursion.

        The derivation has the operators from last to first, then the terms from first to last.
        """
        nonlocal position
        operators, terms = [_TERM], term()
        while (operator := _OPERATORS.get(tokens[position][0])) is not None:
            position += 1
            operators.append(operator)
            terms += term()
        operators.reverse()
        return operators + terms

    def term() -> list[int]:
        """Parse T."""
        nonlocal position
        token = tokens[position][0]
        if (leaf := _LEAVES.get(token)) is not None:
            position += 1
            return [leaf]
        if (call := _CALLS.get(token)) is None:
            raise fail("one of " + ", ".join([*_LEAVES, *_CALLS]))
        for expected in PRODUCTIONS[call].right:
            if expected == "S":
                inner = sum_()
            elif tokens[position][0] != expected:
                raise fail(repr(expected))
            else:
                position += 1
        return [call, *inner]

    try:
        derivation = sum_()
    except RecursionError:
        raise GrammarError("the expression is nested too deeply", line, 1) from None
    if tokens[position][0]:
        raise fail("one of " + ", ".join(_OPERATORS) + " or the end")
    return derivation


def encode(expressions: Sequence[str], first_line: int = 1) -> np.ndarray:
    """Derivations ``[N, 15] uint8`` of expressions, padded with ``NOTHING``.

    Args:
      expressions: the strings.
      first_line: number of the first string's line, for errors.

    Raises:
      GrammarError: naming line and column, if a string is outside the grammar or takes more than 15
        productions.
    """
    out = np.full((len(expressions), MAX_STEPS), NOTHING, np.uint8)
    for row, text in enumerate(expressions):
        derivation = parse(text, first_line + row)
        if len(derivation) > MAX_STEPS:
            raise GrammarError(
                f"the expression takes {len(derivation)} productions, more than {MAX_STEPS}",
                first_line + row,
                1,
            )
        out[row, : len(derivation)] = derivation
    return out


def decode(derivation: Sequence[int] | np.ndarray) -> str:
    """The expression that a derivation produces; blanks separate its tokens.

    Raises:
      ValueError: if it is not a complete left-most derivation.
    """
    stack: list[str] = ["S"]
    tokens: list[str] = []
    steps = iter(derivation)
    while stack:
        symbol = stack.pop()
        if symbol not in "ST":
            tokens.append(symbol)
            continue
        production = PRODUCTIONS[next(steps, NOTHING)]
        if production.left != symbol:
            raise ValueError(
                f"{list(map(int, derivation))} is not a complete derivation: after "
                f"{' '.join(tokens) or 'the start'}, {symbol} is not expanded"
            )
        stack.extend(reversed(production.right))
    if any(step != NOTHING for step in steps):
        raise ValueError(
            f"{list(map(int, derivation))} has productions after its expression is complete"
        )
    return " ".join(tokens)
