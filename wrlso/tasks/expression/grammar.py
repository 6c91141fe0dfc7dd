"""The grammar of arithmetic expressions, and derivations as arrays of productions.

    S -> S + T | S * T | S / T | T        T -> (S) | sin(S) | exp(S) | x | 1 | 2 | 3

An expression is stored as its left-most derivation: the productions in the order in which
they expand the left-most nonterminal, that is the parse tree in prefix order. The tree knows no
precedence of operators; :mod:`wrlso.tasks.expression.evaluate` does, so an expression means what
it means everywhere.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

MAX_STEPS = 15
"""Longest derivation."""

NOTHING = 11
"""The production that pads a derivation."""


class Production(NamedTuple):
    """``left -> right``; ``right`` is tokens, among them nonterminals."""

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
"""The eleven productions, and the one that pads."""

_NUMBER = {p: i for i, p in enumerate(PRODUCTIONS)}
_TERM = _NUMBER[Production("S", ("T",))]
_OPERATORS = {p.right[1]: i for i, p in enumerate(PRODUCTIONS) if p.right[:1] == ("S",)}
_LEAVES = {p.right[0]: i for i, p in enumerate(PRODUCTIONS) if p.left == "T" and len(p.right) == 1}
_CALLS = {p.right[0]: i for i, p in enumerate(PRODUCTIONS) if p.left == "T" and len(p.right) > 1}
_TOKEN = re.compile(r"\s*(sin\s*\(|exp\s*\(|\S)")


class GrammarError(ValueError):
    """A string that is not an expression: ``line`` and ``column`` count from one."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.line, self.column = line, column


def parse(text: str, line: int = 1) -> list[int]:
    """The left-most derivation of an expression, of any length.

    Args:
      text: an expression; blanks between tokens do not matter.
      line: the number to give in errors.

    Raises:
      GrammarError: if the grammar does not produce the text.
    """
    found = _TOKEN.finditer(text)
    tokens = [("".join(match[1].split()), match.start(1) + 1) for match in found]
    tokens.append(("", len(text) + 1))
    place = 0

    def fail(expected: str) -> GrammarError:
        token, column = tokens[place]
        instead = f"found {token!r}" if token else "the expression ends"
        return GrammarError(f"expected {expected}, but {instead}", line, column)

    def sum_() -> list[int]:
        """S, without recursion to the left: its operators from the last to the first, then
        its terms from the first to the last."""
        nonlocal place
        operators, terms = [_TERM], term()
        while (operator := _OPERATORS.get(tokens[place][0])) is not None:
            place += 1
            operators.append(operator)
            terms += term()
        operators.reverse()
        return operators + terms

    def term() -> list[int]:
        nonlocal place
        token = tokens[place][0]
        if (leaf := _LEAVES.get(token)) is not None:
            place += 1
            return [leaf]
        if (call := _CALLS.get(token)) is None:
            raise fail("one of " + ", ".join([*_LEAVES, *_CALLS]))
        for expected in PRODUCTIONS[call].right:
            if expected == "S":
                inner = sum_()
            elif tokens[place][0] != expected:
                raise fail(repr(expected))
            else:
                place += 1
        return [call, *inner]

    try:
        derivation = sum_()
    except RecursionError:
        raise GrammarError("the expression is nested too deeply", line, 1) from None
    if tokens[place][0]:
        raise fail("one of " + ", ".join(_OPERATORS) + " or the end")
    return derivation


def encode(expressions: Sequence[str], first_line: int = 1) -> np.ndarray:
    """Derivations ``[N, 15] uint8`` of expressions, padded with ``NOTHING``.

    Args:
      expressions: the strings.
      first_line: the number of the first, for errors.

    Raises:
      GrammarError: naming line and column, if a string is outside the grammar or takes more
        than 15 productions.
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
    """The expression that a derivation produces, tokens separated by blanks.

    Raises:
      ValueError: if it is not a complete left-most derivation.
    """
    rest: list[str] = ["S"]
    tokens: list[str] = []
    steps = iter(derivation)
    while rest:
        symbol = rest.pop()
        if symbol not in "ST":
            tokens.append(symbol)
            continue
        production = PRODUCTIONS[next(steps, NOTHING)]
        if production.left != symbol:
            raise ValueError(
                f"{list(map(int, derivation))} is not a complete derivation: after "
                f"{' '.join(tokens) or 'the start'}, {symbol} is not expanded"
            )
        rest.extend(reversed(production.right))
    if any(step != NOTHING for step in steps):
        raise ValueError(f"{list(map(int, derivation))} goes on after its expression is complete")
    return " ".join(tokens)
