"""Reading molecules from a user's files, with a report of the rejected lines; finding ZINC250k."""

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
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wrlso.chem.checks import Checks, Verdict, check_all
from wrlso.chem.molecule import parse
from wrlso.chem.ringtree.vocabulary import Vocabulary

ZINC_SHA256 = "df0aa677c770f15c9943684d6600cba8e7076c67be6a090c12f24da3aaa55b70"
"""Digest of ZINC250k's 249,455 SMILES, with a line feed after each."""

_ZINC_NAMES = ("zinc250k.smi", "zinc250k.smi.gz", "250k_rndm_zinc_drugs_clean_3.csv",
               "250k_rndm_zinc_drugs_clean_3.csv.gz")  # fmt: skip


class Rejection(NamedTuple):
    """A line that was left out.

    Attributes:
      line: its number, from 1.
      text: the SMILES as written.
      kind: the reason in few words.
      reason: the reason in full.
    """

    line: int
    text: str
    kind: str
    reason: str


class Molecules(NamedTuple):
    """N different molecules of a file, in its order.

    Attributes:
      smiles: canonical SMILES, without the configuration of centres and double bonds.
      names: the file's names; empty for a molecule without one.
      scores: ``[N]`` float64; None unless a column of scores was named.
      lines: ``[N]``, the number of each molecule's line.
      rows: ``[N, L] uint16``, the molecules' own strings, ended by a 0 where shorter than the
        longest; None unless a vocabulary was given.
      rejected: the lines that were left out.
    """

    smiles: list[str]
    names: list[str]
    scores: np.ndarray | None
    lines: np.ndarray
    rows: np.ndarray | None
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
    vocabulary: Vocabulary | None = None,
    max_symbols: int | None = None,
    max_heavy_atoms: int | None = None,
    workers: int | None = None,
    progress: bool = True,
    directory: Path | str | None = None,
) -> Molecules:
    """Read molecules from a file, plain or gzipped.

    A file whose name ends in ``.csv`` or ``.tsv`` (before ``.gz``) is a table with a header,
    separated by commas, tabs or semicolons. Any other file has one SMILES per line, optionally
    followed by white space and a name. Empty lines do not count as rejected. The configuration of
    centres and double bonds is dropped: molecules that differ in nothing else are duplicates.

    Args:
      path: the file.
      column: name of the column that holds the SMILES of a table; case does not matter.
      score_column: name of the column that holds the scores; case does not matter. A line without a
        finite number there is rejected.
      vocabulary: symbols; a molecule that they cannot write is rejected. None: only molecules that
        no vocabulary could write are.
      max_symbols: maximum number of symbols of a molecule; None: no limit.
      max_heavy_atoms: maximum number of atoms other than hydrogen; None: no limit.
      workers: number of processes for large files; None: one per core.
      progress: show a bar.
      directory: the cache in which the results of all checks are kept; None: no cache.

    Raises:
      ValueError: naming the file and the remedy, if the file is empty, is not text, lacks a column,
        or has no usable line.
      FileNotFoundError: if the file does not exist.
    """
    path = Path(path)
    text = _read_text(path)
    entries = list(_read_entries(path, text, column, score_column)) if text.strip() else []
    if not entries:
        raise ValueError(f"{path} is empty: give a file with a SMILES on each line, or a table")
    checks = Checks(vocabulary, max_symbols, max_heavy_atoms)
    label = f"reading {path.name}" if progress else None
    verdicts = check_all([entry.smiles for entry in entries], checks, directory, workers, label)
    molecules = _accept(entries, verdicts, score_column is not None, vocabulary is not None)
    if not molecules.smiles:
        raise ValueError(f"no molecule in {path} can be used:\n{report(molecules.rejected)}")
    return molecules


def report(rejected: Sequence[Rejection], examples: int = 3) -> str:
    """The rejected lines in words: one line per kind, then some examples of it."""
    text = [f"{len(rejected)} lines rejected" if rejected else "no line rejected"]
    for kind, count in Counter(rejection.kind for rejection in rejected).most_common():
        text.append(f"  {count} {kind}")
        shown = [rejection for rejection in rejected if rejection.kind == kind][:examples]
        text += [f"    line {r.line}: {r.text[:60]}: {r.reason[:160]}" for r in shown]
    return "\n".join(text)


def write_rejected(path: Path, rejected: Sequence[Rejection]) -> None:
    """Write every rejected line to a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Rejection._fields)
        writer.writerows(rejected)


def find_zinc(path: Path | str) -> list[str]:
    """ZINC250k's SMILES, from a file that must hold exactly these.

    Args:
      path: a file with one SMILES per line, or the published table
        (``250k_rndm_zinc_drugs_clean_3.csv``), plain or gzipped; or a folder that holds such a
        file.

    Returns:
      249,455 SMILES in their published order.

    Raises:
      ValueError: if the file has another content.
      FileNotFoundError: if there is no such file.
    """
    path = Path(path)
    if path.is_dir():
        path = next((path / name for name in _ZINC_NAMES if (path / name).exists()), path)
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no ZINC250k at {path}: give its file, or a folder that holds one of "
            f"{', '.join(_ZINC_NAMES)}"
        )
    text = _read_text(path)
    smiles = [entry.smiles for entry in _read_entries(path, text, "smiles", None)]
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


def _read_entries(path: Path, text: str, column: str, score_column: str | None) -> Iterator[_Entry]:
    if path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv")):
        return _read_table(path, text, column, score_column)
    if score_column is not None:
        raise ValueError(
            f"{path} is read as SMILES, one per line, and has no column {score_column!r}: give the "
            "scores in a file whose name ends in .csv or .tsv"
        )
    return _read_lines(text)


def _read_lines(text: str) -> Iterator[_Entry]:
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        smiles, *name = line.split(maxsplit=1) or [""]
        if smiles:
            yield _Entry(number, smiles, "".join(name).strip(), "")


def _read_table(path: Path, text: str, column: str, score_column: str | None) -> Iterator[_Entry]:
    header = re.split(r"[\r\n]", text, maxsplit=1)[0]
    delimiter = max(",\t;", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = [name.strip() for name in next(reader, [])]
    lower = [name.lower() for name in names]
    columns = []
    for argument, name in (("column", column), ("score_column", score_column or column)):
        if name.lower() not in lower:
            hint = "; the first line must name the columns" if _holds_molecule(header) else ""
            raise ValueError(
                f"{path} has no column {name!r}: give one of {', '.join(names)} as {argument}{hint}"
            )
        columns.append(lower.index(name.lower()))
    before = reader.line_num
    try:
        for row in reader:
            line, before = before + 1, reader.line_num
            if any(field.strip() for field in row):
                smiles, score = (row[i].strip() if i < len(row) else "" for i in columns)
                yield _Entry(line, smiles, "", score)
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}, is not a row of a table: {error}"
        ) from error


def _holds_molecule(header: str) -> bool:
    """Whether a line that should name columns holds a molecule."""
    for field in re.split(r"[,;\t]", header):
        with suppress(ValueError):
            parse(field.strip())
            return True
    return False


def _accept(
    entries: list[_Entry], verdicts: list[Verdict], scored: bool, written: bool
) -> Molecules:
    """Separate the accepted molecules from the rejected lines."""
    accepted: dict[str, tuple[_Entry, float, list[int]]] = {}
    rejected = []
    for entry, (kind, text, row) in zip(entries, verdicts, strict=True):
        score = _number(entry.score) if scored else math.nan
        reason = text
        if not kind and scored and not math.isfinite(score):
            kind, reason = "without a score", f"{entry.score!r} is not a finite number"
        if not kind and text in accepted:
            kind, reason = "duplicates", f"the molecule of line {accepted[text][0].line}"
        if kind:
            rejected.append(Rejection(entry.line, entry.smiles, kind, reason))
        else:
            accepted[text] = (entry, score, row)
    kept = list(accepted.values())
    return Molecules(
        smiles=list(accepted),
        names=[entry.name for entry, _, _ in kept],
        scores=np.array([score for _, score, _ in kept]) if scored else None,
        lines=np.array([entry.line for entry, _, _ in kept], np.int64),
        rows=_stack([row for _, _, row in kept]) if written else None,
        rejected=rejected,
    )


def _stack(rows: list[list[int]]) -> np.ndarray:
    """``[N, L] uint16``: rows, ended by zeros where shorter than the longest."""
    stacked = np.zeros((len(rows), max(map(len, rows), default=0)), np.uint16)
    for filled, row in zip(stacked, rows, strict=True):
        filled[: len(row)] = row
    return stacked


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
