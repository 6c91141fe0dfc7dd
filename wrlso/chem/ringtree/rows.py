"""Many molecules as rows of numbers, and back."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from wrlso.chem.ringtree.graph import Unwritable
from wrlso.chem.ringtree.text import to_smiles
from wrlso.chem.ringtree.vocabulary import Vocabulary

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""As the built-in ``map``; a pool's ``imap`` spreads the work over processes."""

_CHUNK = 500


class Rejection(NamedTuple):
    """A molecule without a string: its place, and why, in short and in full."""

    place: int
    kind: str
    reason: str


class Written(NamedTuple):
    """``rows [N, L] uint16`` of the molecules that have a string, their ``places`` among all, and
    those that were rejected."""

    rows: np.ndarray
    places: np.ndarray
    rejected: list[Rejection]


def write_rows(
    smiles: Sequence[str],
    vocabulary: Vocabulary,
    length: int,
    canonical: bool = False,
    over: Map = map,
) -> Written:
    """The rows of molecules.

    Args:
      smiles: of the molecules.
      vocabulary: of the symbols.
      length: L; molecules of more symbols are rejected.
      canonical: as in ``Vocabulary.write``.
      over: maps over some hundred molecules each, such as ``map`` or a pool's.
    """
    function = partial(_write, vocabulary=vocabulary, length=length, canonical=canonical)
    found = [one for part in over(function, _chunks(smiles)) for one in part]
    places = [i for i, one in enumerate(found) if isinstance(one, list)]
    rows = np.zeros((len(places), length), np.uint16)
    for row, place in zip(rows, places, strict=True):
        row[: len(found[place])] = found[place]
    rejected = [Rejection(i, *one) for i, one in enumerate(found) if isinstance(one, tuple)]
    return Written(rows, np.array(places, np.int64), rejected)


def read_rows(rows: np.ndarray, vocabulary: Vocabulary, over: Map = map) -> list[str]:
    """The canonical SMILES of rows ``[N, L]``.

    Raises:
      ValueError: if a row is no complete string.
    """
    function = partial(_read, vocabulary=vocabulary)
    return [one for part in over(function, _chunks(rows)) for one in part]


def _chunks(items: Any) -> list[Any]:
    return [items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK)]


def _write(
    smiles: Sequence[str], vocabulary: Vocabulary, length: int, canonical: bool
) -> list[list[int] | tuple[str, str]]:
    def one(text: str) -> list[int] | tuple[str, str]:
        try:
            numbers = vocabulary.write(text, canonical)
        except Unwritable as error:
            return error.kind, str(error)
        if len(numbers) > length:
            return "too long", f"{len(numbers)} symbols, more than {length}"
        return numbers

    return [one(text) for text in smiles]


def _read(rows: np.ndarray, vocabulary: Vocabulary) -> list[str]:
    return [to_smiles(row, vocabulary) for row in rows.tolist()]
