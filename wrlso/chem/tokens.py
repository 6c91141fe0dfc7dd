"""Molecules as arrays of SELFIES tokens, and back: every array is a molecule.

A row holds numbers of tokens and ends at its first 0. Numbers after it are ignored.

SELFIES (Krenn et al., Mach. Learn.: Sci. Technol. 1, 045024, 2020) reads any sequence of its tokens
as a molecule, as it omits a bond for which an atom is saturated. The ``selfies`` library holds the
maximum number of bonds per atom in one table for the whole process. Its own table changes with its
version, and allows eight bonds to an atom that it does not list, such as a fluoride; RDKit rejects
the molecule. The table here is that of selfies 2.2, with RDKit's largest valence for five more
elements. All other atoms have no bonds, so they are bare ions: RDKit cannot always read the SMILES
that it writes for bonds to metals. With this table, RDKit reads every sequence over every alphabet.

Only a sequence without an atom spells no molecule, such as one that begins with 0. From the 100th
token for a ring on, such tokens are skipped: ``selfies`` would write ``%100`` for ring 100, which
means rings 10 and 0.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import selfies

from wrlso.chem.molecule import canonical

PADDING = "[nop]"
"""The SELFIES token without effect. It is number 0 of every alphabet and ends a row."""

BOND_LIMITS = {
    "H": 1, "F": 1, "Cl": 1, "Br": 1, "I": 1,
    "B": 3, "B+1": 2, "B-1": 4, "C": 4, "C+1": 3, "C-1": 3,
    "N": 3, "N+1": 4, "N-1": 2, "O": 2, "O+1": 3, "O-1": 1,
    "P": 5, "P+1": 4, "P-1": 6, "S": 6, "S+1": 5, "S-1": 5,
    "Si": 4, "Ge": 4, "As": 5, "Se": 6, "Te": 6,
    "?": 0,
}  # fmt: skip
"""Maximum number of bonds of an atom, by element and charge; ``?`` is any other atom."""

_MAX_RING_TOKENS = 99

_RULES = 1
"""Version of the tokens' meaning: change it with :data:`BOND_LIMITS` and the limit of rings."""


@dataclass(frozen=True)
class Alphabet:
    """The tokens of a model; a token's number is its index.

    Attributes:
      tokens: at most 256 SELFIES tokens; the first is :data:`PADDING`.
      stereo: whether the configuration of centres and double bonds is kept.

    Raises:
      ValueError: if the first token is not the padding, a token occurs twice, a token is not a
        SELFIES token, or there are too many.
    """

    tokens: tuple[str, ...]
    stereo: bool = False

    def __post_init__(self) -> None:
        if not self.tokens or self.tokens[0] != PADDING:
            raise ValueError(f"the first token of an alphabet must be {PADDING!r}")
        if len(set(self.tokens)) < len(self.tokens):
            repeated = next(t for i, t in enumerate(self.tokens) if t in self.tokens[:i])
            raise ValueError(f"token {repeated!r} occurs twice in the alphabet")
        if len(self.tokens) > 256:
            raise ValueError(f"an alphabet has at most 256 tokens, not {len(self.tokens)}")
        _apply_bond_limits()
        for token in self.tokens[1:]:
            try:
                valid = token == "." or list(selfies.split_selfies(token)) == [token]
                selfies.decoder(token)
            except (selfies.DecoderError, ValueError):
                valid = False
            if not valid:
                raise ValueError(f"{token!r} is not a SELFIES token")

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def number(self) -> dict[str, int]:
        """The number of each token."""
        return {token: i for i, token in enumerate(self.tokens)}

    def to_json(self) -> dict[str, Any]:
        """A form for JSON, in which a model file stores the alphabet."""
        return {"tokens": list(self.tokens), "stereo": self.stereo, "rules": _RULES}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Alphabet":
        """The inverse of :meth:`to_json`.

        Raises:
          ValueError: if the tokens have another meaning in this version.
        """
        if stored.get("rules") != _RULES:
            raise ValueError(
                f"the alphabet has rules {stored.get('rules')}, and this version of wrlso has "
                f"rules {_RULES}: its molecules would decode differently; make the model again"
            )
        return cls(tuple(stored["tokens"]), bool(stored["stereo"]))


def make_alphabet(molecules: Iterable[Sequence[str]], stereo: bool = False) -> Alphabet:
    """The alphabet of all tokens of some molecules (:func:`split`), in alphabetical order."""
    tokens = {token for molecule in molecules for token in molecule}
    return Alphabet((PADDING, *sorted(tokens - {PADDING})), stereo)


def split(smiles: str, stereo: bool = False) -> list[str]:
    """The SELFIES tokens of a molecule, from its canonical SMILES.

    Raises:
      ValueError: if it is not a molecule, SELFIES cannot express it under :data:`BOND_LIMITS`, or
        it needs more than 99 tokens for rings.
    """
    return split_as_written(canonical(smiles, stereo))


def split_as_written(smiles: str) -> list[str]:
    """As :func:`split`, for a SMILES that is already canonical.

    Raises:
      ValueError: as :func:`split`.
    """
    _apply_bond_limits()
    try:
        tokens = list(selfies.split_selfies(selfies.encoder(smiles)))
    except selfies.EncoderError as error:
        raise ValueError(f"{smiles!r} has no SELFIES: {_in_short(error)}") from error
    if sum(map(_is_ring, tokens)) > _MAX_RING_TOKENS:
        raise ValueError(f"{smiles!r} needs more than {_MAX_RING_TOKENS} tokens for rings")
    return tokens


def tokenize(smiles: Sequence[str], alphabet: Alphabet, length: int | None = None) -> np.ndarray:
    """Rows of token numbers; different SMILES of one molecule have equal rows.

    Args:
      smiles: SMILES of N molecules.
      alphabet: the alphabet; it also decides whether the configuration is kept.
      length: length of the rows; None: that of the longest.

    Returns:
      ``[N, length]`` uint8, padded with 0.

    Raises:
      ValueError: naming the molecule, if SELFIES cannot express it, it needs a token that the
        alphabet lacks, or it is longer than ``length``.
    """
    molecules = [split(text, alphabet.stereo) for text in smiles]
    for text, tokens in zip(smiles, molecules, strict=True):
        unknown = [token for token in tokens if token not in alphabet.number]
        if unknown:
            raise ValueError(f"{text!r} needs {unknown[0]}, which is not in the alphabet")
        if length is not None and len(tokens) > length:
            raise ValueError(f"{text!r} has {len(tokens)} tokens, more than {length}")
    return pack([[alphabet.number[token] for token in tokens] for tokens in molecules], length)


def pack(rows: Sequence[Sequence[int]], length: int | None = None) -> np.ndarray:
    """Rows of numbers below 256 as ``[N, length]`` uint8, padded with 0."""
    if length is None:
        length = max(map(len, rows), default=0)
    packed = np.zeros((len(rows), length), np.uint8)
    for target, row in zip(packed, rows, strict=True):
        target[: len(row)] = row
    return packed


def to_selfies(row: np.ndarray, alphabet: Alphabet) -> str:
    """The SELFIES string of a row ``[L]`` up to its first 0, with at most 99 tokens for rings.

    Raises:
      ValueError: if a number is not in the alphabet.
    """
    numbers = np.asarray(row).tolist()
    if not all(0 <= i < len(alphabet) for i in numbers):
        raise ValueError(f"token numbers must be in [0, {len(alphabet)}), got {max(numbers)}")
    end = numbers.index(0) if 0 in numbers else len(numbers)
    tokens = [alphabet.tokens[i] for i in numbers[:end]]
    if len(tokens) > _MAX_RING_TOKENS:
        rings = np.cumsum([_is_ring(token) for token in tokens])
        counted = zip(tokens, rings <= _MAX_RING_TOKENS, strict=True)
        tokens = [token for token, within in counted if within or not _is_ring(token)]
    return "".join(tokens)


def to_smiles(row: np.ndarray, alphabet: Alphabet) -> str:
    """The canonical SMILES of a row of tokens ``[L]``; ``""`` if it has no atoms.

    Different rows can spell the same molecule. :func:`tokenize` of the result gives the molecule's
    canonical row.

    Raises:
      ValueError: if a number is not in the alphabet.
    """
    return join(to_selfies(row, alphabet), alphabet.stereo)


def join(text: str, stereo: bool = False) -> str:
    """The canonical SMILES of a SELFIES string; ``""`` if it has no atoms."""
    _apply_bond_limits()
    smiles = selfies.decoder(text)
    return canonical(smiles, stereo) if smiles else ""


def _is_ring(token: str) -> bool:
    return "Ring" in token


def _apply_bond_limits() -> None:
    if selfies.get_semantic_constraints() != BOND_LIMITS:
        selfies.set_semantic_constraints(BOND_LIMITS)


def _in_short(error: Exception) -> str:
    """The error's message in one line, without the molecule."""
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines if line and not line.startswith("SMILES:"))
