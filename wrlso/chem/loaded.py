"""The outcome of reading a file of molecules: those used, their scores, and all other lines."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wrlso.chem.files.records import Account, Rejection
from wrlso.replicates import Replicates
from wrlso.storage.files import write_text


class Duplicate(NamedTuple):
    """A line whose molecule is on an earlier line, too.

    Attributes:
      line: its number, from 1.
      text: the molecule as written.
      first: the number of the earlier line.
      stereo: the two differ in their configuration, which is dropped.
    """

    line: int
    text: str
    first: int
    stereo: bool


class Findings(NamedTuple):
    """Findings about a file beside its molecules.

    Attributes:
      account: the numbers of its lines.
      notes: how it was read.
      stereo: number of molecules whose configuration was dropped.
      changes: number of molecules by what their standard form changed.
      saved: number of rejected lines whose standard form would be accepted.
      differing: number of molecules with different scores on several lines.
      by_stereo: number of them whose lines differ in configuration.
      spread: largest difference between two scores of a molecule.
      replicates: what was done about them.
    """

    account: Account
    notes: list[str]
    stereo: int
    changes: dict[str, int]
    saved: int
    differing: int
    by_stereo: int
    spread: float
    replicates: Replicates


class Molecules(NamedTuple):
    """N different molecules of a file, in its order.

    Attributes:
      smiles: canonical SMILES, without the configuration of centres and double bonds.
      names: the file's names; empty for a molecule without one.
      scores: ``[N]`` float64; None unless a column of scores was named.
      lines: ``[N]``, the number of the first line of each molecule.
      rows: ``[N, L] uint16``, the molecules' own strings, ended by a 0 where shorter than the
        longest; None unless a vocabulary was given.
      rejected: the lines that were left out.
      duplicates: the lines of a molecule after its first.
      findings: what else was found out.
    """

    smiles: list[str]
    names: list[str]
    scores: np.ndarray | None
    lines: np.ndarray
    rows: np.ndarray | None
    rejected: list[Rejection]
    duplicates: list[Duplicate]
    findings: Findings


def write_rejected(path: Path, molecules: Molecules) -> None:
    """Write every line that is no molecule of its own to a CSV file: rejected and duplicates."""
    repeated = [
        Rejection(one.line, one.text, "duplicates", f"the molecule of line {one.first}")
        for one in molecules.duplicates
    ]
    _write(path, [Rejection._fields, *sorted([*molecules.rejected, *repeated])])


def write_used(path: Path, molecules: Molecules) -> None:
    """Write the molecules that a run uses to a CSV file."""
    scores = [""] * len(molecules.smiles) if molecules.scores is None else molecules.scores.tolist()
    rows = zip(molecules.lines.tolist(), molecules.names, molecules.smiles, scores, strict=True)
    _write(path, [("line", "name", "smiles", "score"), *rows])


def _write(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    with io.StringIO(newline="") as text:
        csv.writer(text).writerows(rows)
        write_text(path, text.getvalue())
