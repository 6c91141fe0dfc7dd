"""Results in a CSV file, as a laboratory writes them."""

import csv
from dataclasses import dataclass
from pathlib import Path

from wrlso.runs.telling import Entry, as_result
from wrlso.storage.text import read_lines, read_text

_FAILURES = ("failed", "fail", "failure", "error", "nan", "timeout", "inf", "-inf")
"""Words for a failure in the column of scores."""

_OBJECT_COLUMNS = ("object", "smiles")
_SHOWN = 5


@dataclass(frozen=True)
class Row:
    """A line of a file that holds a result.

    Attributes:
      where: its place, for messages.
      id: of a candidate; None: the object was measured elsewhere.
      text: the object as a line of text, or None.
      score: the score; None for a failure.
      reason: the reason for a failure, or None.
    """

    where: str
    id: str | None
    text: str | None
    score: float | None
    reason: str | None

    def entry(self, stored: bytes | None = None) -> Entry:
        """The row as an entry; ``stored`` is its object in storage form."""
        return Entry(self.where, self.id, self.score, stored, self.text, self.reason)


def read_results(path: Path, column: str = "object", score_column: str = "score") -> list[Row]:
    """Read the rows of a CSV file that have a score; comma, semicolon and tab separate.

    Raises:
      ValueError: naming all lines that cannot be read, or a column that is missing.
      FileNotFoundError: if there is no such file.
    """
    lines = read_lines(read_text(path).text)
    delimiter = max(",;\t", key="".join(lines[:1]).count)
    try:
        return _read(path, csv.DictReader(lines, delimiter=delimiter), column, score_column)
    except csv.Error as error:
        raise ValueError(f"{path} is no table: {error}") from error


def _read(path: Path, reader: "csv.DictReader[str]", column: str, score_column: str) -> list[Row]:
    names = [(name or "").strip() for name in reader.fieldnames or []]
    reader.fieldnames = names
    if score_column not in names:
        raise ValueError(
            f"{path} has no column {score_column!r}; it has: {', '.join(names) or 'none'}. Name "
            "the column of scores"
        )
    objects = next((one for one in (column, *_OBJECT_COLUMNS) if one in names), None)
    if "id" not in names and objects is None:
        raise ValueError(f"{path} has neither a column 'id' nor {column!r}: add one of them")
    rows, faults = [], []
    for record in reader:
        where = f"{path.name}, line {reader.line_num}"
        try:
            row = _row(where, record, objects, score_column)
        except ValueError as error:
            faults.append(str(error))
            continue
        rows += [row] if row is not None else []
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise ValueError(f"nothing was recorded: {'; '.join(faults[:_SHOWN])}{more}")
    return rows


def _row(
    where: str, record: dict[str, str | None], objects: str | None, score_column: str
) -> Row | None:
    """One line; None if its score is not known yet."""

    def cell(name: str | None) -> str:
        value = record.get(name) if name else None
        return value.strip() if isinstance(value, str) else ""

    score, reason = cell(score_column), cell("reason") or None
    if not score and reason is None:
        return None
    number: float | None = None
    if score.lower() in _FAILURES or not score:
        reason = reason or score.lower()
    else:
        number, reason = as_result(where, score, reason)
    identity, text = cell("id") or None, cell(objects) or None
    if identity is None and text is None:
        raise ValueError(f"{where}: neither an id nor an object")
    return Row(where, identity, text, number, reason)
