"""Results in a CSV file, as a laboratory writes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wrlso.chem.files.fields import rows, separator_of, split
from wrlso.chem.files.numbers import read_numbers
from wrlso.runs.telling import Entry
from wrlso.storage.text import read_lines, read_text

_FAILURES = ("failed", "fail", "failure", "error", "nan", "timeout")
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


@dataclass(frozen=True)
class _Cells:
    """The cells of a line that count, as written."""

    where: str
    id: str
    text: str
    score: str
    reason: str


def read_results(path: Path, column: str | None = None, score_column: str = "score") -> list[Row]:
    """Read the rows of a CSV file that have a score; comma, semicolon and tab separate.

    Args:
      path: the file.
      column: the column of the objects; None: 'object', else 'smiles', where there is one.
      score_column: the column of the scores, numbers as in files of molecules.

    Raises:
      ValueError: naming all lines that cannot be read, or a column that is missing or is there
        twice.
      OSError: if the file cannot be read.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a CSV file in it")
    try:
        lines = read_lines(read_text(path).text)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}: name the CSV file of results") from None
    first = next((i for i, line in enumerate(lines) if line.strip()), len(lines))
    delimiter = separator_of(lines[first]) if first < len(lines) else None
    first += delimiter is not None
    header = "".join(lines[first : first + 1])
    delimiter = delimiter or max(",;\t", key=header.count)
    names = [name.strip() for name in split(header, delimiter)]
    objects = _object_column(path, names, column, score_column)
    for one in ("id", objects, score_column, "reason"):
        if names.count(one or "") > 1:
            raise ValueError(
                f"{path} has {names.count(one or '')} columns {one!r}: rename or drop all but one"
            )
    used = (names, objects, score_column)
    faults = list[str]()
    found = list(_cells(path, lines, first + 1, delimiter, used, faults))
    results = _with_numbers(found, faults)
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise ValueError(f"nothing was recorded: {'; '.join(faults[:_SHOWN])}{more}")
    return results


def _object_column(
    path: Path, names: list[str], column: str | None, score_column: str
) -> str | None:
    """The name of the column of objects; None: there is none, and none is needed."""
    for option, one in (("--column", column), ("--score-column", score_column)):
        if one is not None and one not in names:
            has = ", ".join(filter(None, names)) or "none"
            raise ValueError(f"{path} has no column {one!r}; it has: {has}. Name one by {option}")
    objects = column or next((one for one in _OBJECT_COLUMNS if one in names), None)
    if "id" not in names and objects is None:
        raise ValueError(
            f"{path} has neither a column 'id' nor 'object': add one of them, or name the column "
            "of objects by --column"
        )
    return objects


def _cells(
    path: Path,
    lines: Sequence[str],
    first: int,
    delimiter: str,
    used: tuple[list[str], str | None, str],
    faults: list[str],
) -> Iterator[_Cells]:
    """The rows from a line on that say something about a score; faults join ``faults``."""
    names, objects, score_column = used

    def is_row(fields: list[str]) -> bool:
        return len(fields) == len(names)

    for line, _, fields in rows(lines, first, delimiter, is_row, is_row):
        where = f"{path.name}, line {line + 1}"
        held = dict(zip(names, map(str.strip, fields), strict=False))
        cells = _Cells(
            where,
            id=held.get("id", ""),
            text=held.get(objects, "") if objects else "",
            score=held.get(score_column, ""),
            reason=" ".join(held.get("reason", "").split()),  # in one line
        )
        if any(map(str.strip, fields[len(names) :])):
            faults.append(
                f"{where}: {len(fields)} fields, the header has {len(names)}: quote text that "
                f"holds {delimiter!r}"
            )
        elif not (cells.score or cells.reason):  # not known yet
            continue
        elif not (cells.id or cells.text):
            faults.append(f"{where}: neither an id nor an object")
        else:
            yield cells


def _with_numbers(found: Sequence[_Cells], faults: list[str]) -> list[Row]:
    """The rows with their scores as numbers."""
    results = [
        Row(one.where, one.id or None, one.text or None, None, one.reason or one.score.lower())
        for one in found
    ]
    scored = [i for i, one in enumerate(found) if one.score.lower() not in ("", *_FAILURES)]
    values, why_not = read_numbers([found[i].score for i in scored])
    for place, i in enumerate(scored):
        if place in why_not:
            faults.append(
                f"{found[i].where}: the score {why_not[place]}; a failure is written 'failed'"
            )
        results[i] = replace(results[i], score=float(values[place]), reason=None)
    return results
