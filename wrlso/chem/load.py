"""Reading molecules from a user's files, with a report of what was left out; finding ZINC250k."""

import csv
import gzip
import hashlib
import io
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wrlso.chem.cache import kept_path, pack, read_arrays, unpack, write_arrays
from wrlso.chem.corpus import map_chunks
from wrlso.chem.molecule import canonical, heavy_atoms, parse
from wrlso.chem.tokens import Alphabet, split_as_written

ZINC_SHA256 = "df0aa677c770f15c9943684d6600cba8e7076c67be6a090c12f24da3aaa55b70"
"""Of ZINC250k's 249,455 SMILES, a line feed after each."""

_ZINC_NAMES = ("zinc250k.smi", "zinc250k.smi.gz", "250k_rndm_zinc_drugs_clean_3.csv",
               "250k_rndm_zinc_drugs_clean_3.csv.gz")  # fmt: skip


_FORMAT = 1
"""Of what is kept, part of its files' names."""


class Rejection(NamedTuple):
    """A line that was left out: its number from 1, its text, and why, in short and in full."""

    line: int
    text: str
    kind: str
    reason: str


class Molecules(NamedTuple):
    """What a file holds: N different molecules, in its order.

    ``smiles`` canonical; ``names``, empty where there is none; ``scores [N]``
    float64, or None if no column was asked for; ``lines [N]``: where each stood.
    """

    smiles: list[str]
    names: list[str]
    scores: np.ndarray | None
    lines: np.ndarray
    rejected: list[Rejection]


class _Entry(NamedTuple):
    line: int
    smiles: str
    name: str
    score: str


def load_molecules(
    path: Path | str,
    *,
    column: str = "smiles",
    score_column: str | None = None,
    alphabet: Alphabet | None = None,
    stereo: bool = False,
    max_tokens: int | None = None,
    max_heavy_atoms: int | None = None,
    workers: int | None = None,
    progress: bool = True,
    directory: Path | str | None = None,
) -> Molecules:
    """Read molecules from a file, plain or gzipped.

    A name in ``.csv`` or ``.tsv`` (before ``.gz``) makes it a table with a header,
    separated by commas, tabs or semicolons. All else has a SMILES on each line, with
    a name after white space if any. Empty lines do not count as rejected.

    Args:
      path: of the file.
      column: of a table's SMILES, in any case.
      score_column: of a table's scores, in any case; lines without a finite number
        there are rejected.
      alphabet: reject molecules with other tokens, and take ``stereo`` from it.
      stereo: keep the configuration of centres and double bonds. Molecules that
        differ in nothing else are duplicates otherwise.
      max_tokens: reject molecules of more SELFIES tokens.
      max_heavy_atoms: reject molecules of more atoms other than hydrogen.
      workers: processes for large files; None: one for each core.
      progress: show a bar.
      directory: of a cache, where what was found out about each line is kept for the next time;
        None: it is not.

    Raises:
      ValueError: naming the file and the remedy, if it is empty, is no text, lacks a
        column, or no line of it is left.
      FileNotFoundError: if there is none.
    """
    path = Path(path)
    text = _read_text(path)
    entries = list(_entries(path, text, column, score_column)) if text.strip() else []
    if not entries:
        raise ValueError(f"{path} is empty: give a file with a SMILES on each line, or a table")
    checks = _Checks(
        None if alphabet is None else alphabet.tokens,
        stereo if alphabet is None else alphabet.stereo,
        max_tokens,
        max_heavy_atoms,
    )
    label = f"reading {path.name}" if progress else None
    examined = _examine_all([entry.smiles for entry in entries], checks, directory, workers, label)
    molecules = _sort_out(entries, examined, score_column is not None)
    if not molecules.smiles:
        raise ValueError(f"no molecule in {path} can be used:\n{report(molecules.rejected)}")
    return molecules


def report(rejected: Sequence[Rejection], examples: int = 3) -> str:
    """What was left out and why: a line for each kind, then some examples of it."""
    text = [f"{len(rejected)} lines rejected" if rejected else "no line rejected"]
    for kind, count in Counter(rejection.kind for rejection in rejected).most_common():
        text.append(f"  {count} {kind}")
        some = [rejection for rejection in rejected if rejection.kind == kind][:examples]
        text += [f"    line {one.line}: {one.text[:60]}: {one.reason[:160]}" for one in some]
    return "\n".join(text)


def write_rejected(path: Path, rejected: Sequence[Rejection]) -> None:
    """Every line that was left out, as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(Rejection._fields)
        out.writerows(rejected)


def find_zinc(path: Path | str) -> list[str]:
    """ZINC250k's SMILES from a file that must be it, to the letter.

    Args:
      path: of the SMILES, one a line, or of the table they were published in
        (``250k_rndm_zinc_drugs_clean_3.csv``), plain or gzipped; or of a folder with
        such a file.

    Returns:
      249,455 SMILES in their published order.

    Raises:
      ValueError: if the file's content is another.
      FileNotFoundError: if there is none.
    """
    path = Path(path)
    if path.is_dir():
        path = next((path / name for name in _ZINC_NAMES if (path / name).exists()), path)
    if not path.is_file():
        raise FileNotFoundError(f"ZINC250k is not at {path}.")
    text = _read_text(path)
    smiles = [entry.smiles for entry in _entries(path, text, "smiles", None)]
    digest = hashlib.sha256("".join(f"{one}\n" for one in smiles).encode()).hexdigest()
    if digest != ZINC_SHA256:
        raise ValueError(
            f"{path} is not ZINC250k: the SHA-256 of its {len(smiles)} SMILES is {digest}, not "
            f"{ZINC_SHA256}"
        )
    return smiles


def _read_text(path: Path) -> str:
    content = path.read_bytes()
    try:
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is neither text in UTF-8 nor gzipped text: {error}") from error


def _entries(path: Path, text: str, column: str, score_column: str | None) -> Iterator[_Entry]:
    if path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv")):
        return _table(path, text, column, score_column)
    if score_column is not None:
        raise ValueError(
            f"{path} is read as SMILES, one a line, where there is no column {score_column!r}: "
            "scores can be read from a file whose name ends in .csv or .tsv"
        )
    return _lines(text)


def _lines(text: str) -> Iterator[_Entry]:
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        smiles, *name = line.split(maxsplit=1) or [""]
        if smiles:
            yield _Entry(number, smiles, "".join(name).strip(), "")


def _table(path: Path, text: str, column: str, score_column: str | None) -> Iterator[_Entry]:
    header = re.split(r"[\r\n]", text, maxsplit=1)[0]
    delimiter = max(",\t;", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    written = [name.strip() for name in next(reader, [])]
    names = [name.lower() for name in written]
    places = []
    for argument, wanted in (("column", column), ("score_column", score_column or column)):
        if wanted.lower() not in names:
            hint = "; the first line must name the columns" if _any_molecule(header) else ""
            raise ValueError(
                f"{path} has no column {wanted!r}: name one of {', '.join(written)} ({argument}, "
                f"--{argument.replace('_', '-')}){hint}"
            )
        places.append(names.index(wanted.lower()))
    before = reader.line_num
    try:
        for row in reader:
            line, before = before + 1, reader.line_num
            if any(field.strip() for field in row):
                smiles, score = (row[i].strip() if i < len(row) else "" for i in places)
                yield _Entry(line, smiles, "", score)
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}, is no row of a table: {error}"
        ) from error


def _any_molecule(header: str) -> bool:
    """Whether a line that should name columns holds a molecule."""
    for field in re.split(r"[,;\t]", header):
        with suppress(ValueError):
            parse(field.strip())
            return True
    return False


class _Checks(NamedTuple):
    """What a molecule must meet; None: anything goes."""

    tokens: tuple[str, ...] | None
    stereo: bool
    max_tokens: int | None
    max_heavy_atoms: int | None


_Examined = tuple[str, str]
"""``("", canonical SMILES)``, or the kind of and the reason for rejection."""


def _examine_all(
    smiles: list[str],
    checks: _Checks,
    directory: Path | str | None,
    workers: int | None,
    label: str | None,
) -> list[_Examined]:
    """All of them, read from the cache if they were examined before."""
    path = None
    if directory is not None:
        path = kept_path(directory, "examined", smiles, _FORMAT, checks)
        kept = read_arrays(path)
        if kept is not None:
            return list(zip(unpack(kept["kinds"]), unpack(kept["texts"]), strict=True))
    chunks = map_chunks(partial(_examine, checks=checks), smiles, workers, label)
    examined = [result for chunk in chunks for result in chunk]
    if path is not None:
        kinds, texts = ([one[i] for one in examined] for i in range(2))
        write_arrays(path, {"kinds": pack(kinds), "texts": pack(texts)})
    return examined


def _examine(chunk: list[str], checks: _Checks) -> list[_Examined]:
    known = None if checks.tokens is None else {*checks.tokens}

    def check(smiles: str) -> _Examined:
        try:
            mol = parse(smiles)
        except ValueError as error:
            return "no molecule", str(error)
        atoms, text = heavy_atoms(mol), canonical(mol, checks.stereo)
        if checks.max_heavy_atoms is not None and atoms > checks.max_heavy_atoms:
            return "too many heavy atoms", f"{atoms}, more than {checks.max_heavy_atoms}"
        try:
            tokens = split_as_written(text)
        except ValueError as error:
            return "not in SELFIES", str(error)
        if checks.max_tokens is not None and len(tokens) > checks.max_tokens:
            return "too many tokens", f"{len(tokens)}, more than {checks.max_tokens}"
        unknown = [] if known is None else sorted({*tokens} - known)
        if "." in unknown:
            return "outside the alphabet", "several molecules, with '.' between: keep one of them"
        if unknown:
            return "outside the alphabet", f"needs {', '.join(unknown)}"
        return "", text

    return [check(smiles) for smiles in chunk]


def _sort_out(entries: list[_Entry], examined: list[tuple[str, str]], scored: bool) -> Molecules:
    kept: dict[str, tuple[_Entry, float]] = {}
    rejected = []
    for entry, (kind, text) in zip(entries, examined, strict=True):
        score = _number(entry.score) if scored else math.nan
        reason = text
        if not kind and scored and not math.isfinite(score):
            kind, reason = "without a score", f"{entry.score!r} is not a finite number"
        if not kind and text in kept:
            kind, reason = "duplicates", f"the molecule of line {kept[text][0].line}"
        if kind:
            rejected.append(Rejection(entry.line, entry.smiles, kind, reason))
        else:
            kept[text] = (entry, score)
    return Molecules(
        smiles=list(kept),
        names=[entry.name for entry, _ in kept.values()],
        scores=np.array([score for _, score in kept.values()]) if scored else None,
        lines=np.array([entry.line for entry, _ in kept.values()], np.int64),
        rejected=rejected,
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
