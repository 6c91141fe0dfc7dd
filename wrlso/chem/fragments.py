"""Byte pair encoding of SELFIES tokens: a frequent sequence of tokens becomes one symbol.

The most frequent pair of neighbours becomes a new symbol, repeatedly (Gage 1994; Sennrich et al.
2016). A ring or a functional group then takes a model one step instead of about eight, and every
sequence of symbols is still a sequence of SELFIES tokens.

A row ends at its first 0, as everywhere in this package.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from wrlso.chem.tokens import Alphabet

SYMBOLS = 256
"""Maximum number of symbols: the number of values of a uint8, including 0."""


@dataclass(frozen=True)
class Fragments:
    """The symbols of a model: the tokens of an alphabet, then pairs of earlier symbols.

    Attributes:
      alphabet: A SELFIES tokens; they are symbols 0 to A - 1.
      pairs: symbol ``A + i`` is the pair ``pairs[i]`` of two earlier symbols.

    Raises:
      ValueError: if there are more than 256 symbols, or a pair does not consist of earlier symbols.
    """

    alphabet: Alphabet
    pairs: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if len(self) > SYMBOLS:
            raise ValueError(f"at most {SYMBOLS} symbols are possible, not {len(self)}")
        for number, pair in enumerate(self.pairs, len(self.alphabet)):
            if len(pair) != 2 or not all(0 < part < number for part in pair):
                raise ValueError(f"symbol {number} must be a pair of earlier symbols, got {pair}")

    def __len__(self) -> int:
        return len(self.alphabet) + len(self.pairs)

    @cached_property
    def tokens(self) -> tuple[tuple[int, ...], ...]:
        """The tokens of each symbol; symbol 0 has no tokens."""
        parts: list[tuple[int, ...]] = [(), *((i,) for i in range(1, len(self.alphabet)))]
        for first, second in self.pairs:
            parts.append(parts[first] + parts[second])
        return tuple(parts)

    @cached_property
    def sizes(self) -> np.ndarray:
        """``[len(self)]`` int32: number of tokens of each symbol."""
        return np.array([len(tokens) for tokens in self.tokens], np.int32)

    def merge(self, rows: np.ndarray) -> np.ndarray:
        """Translate rows of tokens ``[N, L]`` to rows of symbols ``[N, longest]`` uint8."""
        string = _string(np.asarray(rows))
        for number, pair in enumerate(self.pairs, len(self.alphabet)):
            string = _merge(string, pair, number)
        return _rows(string)

    def expand(self, row: np.ndarray) -> np.ndarray:
        """The tokens of one row of symbols, up to its first 0."""
        numbers = np.asarray(row).tolist()
        end = numbers.index(0) if 0 in numbers else len(numbers)
        tokens = [token for symbol in numbers[:end] for token in self.tokens[symbol]]
        return np.array(tokens, np.uint8)

    def to_json(self) -> dict[str, Any]:
        """A form for JSON, in which a model file stores the symbols."""
        return {"alphabet": self.alphabet.to_json(), "pairs": [list(pair) for pair in self.pairs]}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Fragments":
        """The inverse of :meth:`to_json`; it raises as ``Alphabet.from_json``."""
        pairs = tuple((int(a), int(b)) for a, b in stored["pairs"])
        return cls(Alphabet.from_json(stored["alphabet"]), pairs)


def learn_fragments(rows: np.ndarray, alphabet: Alphabet, symbols: int = SYMBOLS) -> Fragments:
    """Learn symbols from rows of tokens ``[N, L]``, the most frequent pair first.

    Among equally frequent pairs, the pair of the largest numbers comes first. Learning stops early
    if no pair occurs twice.
    """
    string, pairs = _string(np.asarray(rows)), list[tuple[int, int]]()
    while len(alphabet) + len(pairs) < symbols:
        inside = (string[:-1] > 0) & (string[1:] > 0)
        codes = string[:-1][inside].astype(np.int64) * SYMBOLS + string[1:][inside]
        counts = np.bincount(codes, minlength=SYMBOLS**2)
        best = len(counts) - 1 - int(np.argmax(counts[::-1]))
        if counts[best] < 2:
            break
        pair = divmod(best, SYMBOLS)
        string = _merge(string, pair, len(alphabet) + len(pairs))
        pairs.append(pair)
    return Fragments(alphabet, tuple(pairs))


def _string(rows: np.ndarray) -> np.ndarray:
    """All rows in one array, each followed by one 0."""
    closed = np.pad(rows, [(0, 0), (0, 1)])
    first = np.argmax(closed == 0, axis=1)
    return closed[np.arange(closed.shape[1]) <= first[:, None]].astype(np.uint8)


def _merge(string: np.ndarray, pair: Sequence[int], number: int) -> np.ndarray:
    """Replace every occurrence of a pair by a symbol."""
    positions = np.flatnonzero((string[:-1] == pair[0]) & (string[1:] == pair[1]))
    if pair[0] == pair[1]:
        positions = positions[_every_second(positions)]
    merged = string.copy()
    merged[positions] = number
    return np.delete(merged, positions + 1)


def _every_second(positions: np.ndarray) -> np.ndarray:
    """A mask of the first, third, fifth ... position of each run of consecutive positions."""
    begins = np.diff(positions, prepend=-2) != 1
    begin = np.maximum.accumulate(np.where(begins, np.arange(len(positions)), 0))
    return (np.arange(len(positions)) - begin) % 2 == 0


def _rows(string: np.ndarray) -> np.ndarray:
    """The inverse of :func:`_string`: rows padded with 0."""
    lengths = np.diff(np.flatnonzero(string == 0), prepend=-1) - 1
    rows = np.zeros((len(lengths), lengths.max(initial=0)), np.uint8)
    rows[np.arange(rows.shape[1]) < lengths[:, None]] = string[string > 0]
    return rows
