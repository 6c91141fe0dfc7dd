"""The layout of a table: its preamble, its header, its delimiter, its columns."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from wrlso.chem.files.fields import WHITE, delimiter_of, separator_of, split
from wrlso.chem.files.records import Columns, place, require_one
from wrlso.chem.molecule import atoms_or_none

_DELIMITERS = (",", "\t", ";", "|", WHITE)
_NAMES = {"id", "name", "title", "molecule", "compound", "identifier", "molecule name"}
_SMILES = {"canonicalsmiles", "isomericsmiles", "cxsmiles", "smi", "smilesstring"}
_TABLES = (".csv", ".tsv", ".tab")
_PREAMBLE = 20
"""Number of lines of content in which the header of a table is searched for."""

_SAMPLE = 50


class Layout(NamedTuple):
    """The places of a table's cells.

    Attributes:
      delimiter: between columns, see :func:`wrlso.chem.files.fields.split`.
      first: the first line after the header, from 0.
      width: number of fields of a row; 0: any.
      smiles, score, name: places of columns, from 0; None: there is none.
      named: the name of the column of SMILES, for people.
    """

    delimiter: str
    first: int
    width: int
    smiles: int
    score: int | None
    name: int | None
    named: str


def find_layout(path: Path, name: str, lines: Sequence[str], columns: Columns) -> Layout | None:
    """The layout of a file; None if it is no table, but has one SMILES per line.

    A file is a table if its name says so, if the caller names a column or a delimiter, or if its
    first line has a column of SMILES.

    Args:
      path: the file, for errors.
      name: its name without the endings of compressions.
      lines: its lines.
      columns: what the caller has named.

    Raises:
      ValueError: naming file, columns and remedy, if a column is not there.
    """
    named = name.endswith(_TABLES)
    candidates, separator = _candidates(lines)
    if not candidates:
        return None
    chosen = separator if columns.delimiter is None else delimiter_of(columns.delimiter)
    found = None
    for at in candidates if named or columns.chosen else candidates[:1]:
        found = found or _header(lines, at, columns.column, chosen)
    if found is None and not (named or columns.chosen):
        return _unnamed_columns(lines, candidates[0])
    if found is None:
        return _by_number(path, lines, candidates[0], columns, chosen, named)
    at, delimiter, names, smiles = found
    for argument, one in (("column", columns.column), ("score_column", columns.score_column)):
        require_one(path, argument, one, names)
    first, width = at + 1, len(names)
    sample = _sample(lines, first, delimiter)
    if width == 1 and chosen is None:
        delimiter, sample = _of_rows(lines, first)
    score = _score_place(path, columns, names, width)
    ids = _id_place(names, {smiles, score})
    shift = _shift(sample, width, smiles)
    if shift:
        smiles, score, ids = smiles + 1, None if score is None else score + 1, 0
    usual = Counter(map(len, sample)).most_common(1)[0][0] if sample else 0
    if delimiter == "," and usual > width + shift and score is not None:
        _refuse_decimal_commas(path, sample, width + shift, score)
    width = max(width + shift, usual)
    return Layout(delimiter, first, width, smiles, score, ids, names[smiles - shift].strip())


def _candidates(lines: Sequence[str]) -> tuple[list[int], str | None]:
    """Lines that may be the header: the first ones with content; and Excel's ``sep=``.

    A comment may be the header (``#SMILES ID``).
    """
    found, separator, content = list[int](), None, 0
    for i, line in enumerate(lines):
        text = line.strip()
        if text and not content and (named := separator_of(line)):
            separator = named
            continue
        if text:
            found.append(i)
            content += text[0] != "#"
        if content == _PREAMBLE:
            break
    # Without a line of content there is no table; comments before it may still be its header.
    comments_last = sorted(found, key=lambda i: lines[i].lstrip().startswith("#"))
    return comments_last if content else [], separator


def _header(
    lines: Sequence[str], at: int, column: str, chosen: str | None
) -> tuple[int, str, list[str], int] | None:
    """The line, the delimiter, the names and the place of the SMILES, if a line or the comment
    before it is a header that names them."""
    if column.isdigit():
        return None
    best = None
    before = [at - 1] if at and lines[at - 1].lstrip().startswith("#") else []
    for line in (at, *before):
        text = lines[line].strip("\r\n ").lstrip("#") if line in before else lines[line]
        for delimiter in _DELIMITERS if chosen is None else (chosen,):
            if delimiter == WHITE and best is not None and best[0] == line and len(best[2]) > 1:
                continue  # names may hold blanks
            names = [one.strip() for one in split(text.strip(" "), delimiter)]
            i = _smiles_place(column, names)
            if i is not None and (best is None or len(names) > len(best[2])):
                best = line, delimiter, names, i
    return best


def _smiles_place(column: str, names: list[str]) -> int | None:
    found = place(column, names, 0)
    if found is None and column == "smiles":
        alike = [i for i, one in enumerate(names) if re.sub(r"[\W_]", "", one.lower()) in _SMILES]
        found = alike[0] if len(alike) == 1 else None
    return found


def _score_place(path: Path, columns: Columns, names: list[str], width: int) -> int | None:
    if columns.score_column is None:
        return None
    found = place(columns.score_column, names, width)
    if found is None:
        raise _missing(path, "score_column", columns.score_column, names, "")
    return found


def _missing(path: Path, argument: str, column: str, names: list[str], hint: str) -> ValueError:
    shown = ", ".join(name.strip() for name in names if name.strip())
    return ValueError(f"{path} has no column {column!r}: give one of {shown} as {argument}{hint}")


def _id_place(names: list[str], others: set[int | None]) -> int | None:
    for i, name in enumerate(names):
        lower = name.strip().lower()
        if i not in others and (lower in _NAMES or re.search(r"[_ ](id|name)$", lower)):
            return i
    return None


def _by_number(
    path: Path,
    lines: Sequence[str],
    at: int,
    columns: Columns,
    chosen: str | None,
    named_table: bool,
) -> Layout:
    """The layout of a table whose columns the caller gives by their numbers."""
    delimiter = chosen or max(_DELIMITERS[:-1], key=lines[at].count)
    if chosen is None and delimiter not in lines[at]:
        delimiter = WHITE
    names = split(lines[at], delimiter)
    width = len(names)
    smiles = place(columns.column, [], width)
    if smiles is None and columns.column == "smiles" and columns.score_column is not None:
        # Only the scores are named: lines begin with their SMILES, unless the file is a table.
        numbered = place(columns.score_column, [], width) is not None
        beginning = not named_table and bool(atoms_or_none(names[0].strip()))
        smiles = 0 if numbered or beginning else None
    if smiles is None:
        hint = ""
        if any(atoms_or_none(one.strip()) for one in names):
            hint = ("; the first line must name the columns, or their numbers must be given "
                    "(column 1 is the first)")  # fmt: skip
        raise _missing(path, "column", columns.column, names, hint)
    score = _score_place(path, columns, names, width)
    header = _looks_like_header(names, smiles, score)
    any_width = delimiter == WHITE
    named = names[smiles].strip() if header else f"column {smiles + 1}"
    ids = _id_place(names, {smiles, score}) if header else None
    return Layout(delimiter, at + header, 0 if any_width else width, smiles, score, ids, named)


def _looks_like_header(names: list[str], smiles: int, score: int | None) -> bool:
    word = names[smiles].strip().lower()
    if atoms_or_none(word) or atoms_or_none(names[smiles].strip()):
        return False
    return any(part in word for part in ("smi", "struct", "mol", "compound")) or (
        score is not None and names[score].strip().isidentifier()
    )


def _unnamed_columns(lines: Sequence[str], at: int) -> Layout | None:
    """The layout of lines of fields, as no SMILES holds a comma or a semicolon; or None."""
    sample = [line for line in lines[at : at + _SAMPLE] if line.strip()]
    for delimiter in (",", ";"):
        cells = [split(line, delimiter) for line in sample]
        width = Counter(map(len, cells)).most_common(1)[0][0]
        full = [row for row in cells if len(row) == width]
        if width < 2 or len(full) < 0.8 * len(cells) or any(" " in row[0].strip() for row in full):
            continue
        counts = [sum(bool(atoms_or_none(row[i].strip())) for row in full) for i in range(width)]
        best = max(range(width), key=counts.__getitem__)
        if counts[best] >= 0.5 * len(full):
            ids = next((i for i in range(width) if i != best), None)
            return Layout(delimiter, at, width, best, None, ids, f"column {best + 1}")
    return None


def _refuse_decimal_commas(path: Path, sample: list[list[str]], width: int, score: int) -> None:
    """Raise if a comma within the scores, of decimals or thousands, has divided them."""
    longer = [row for row in sample if len(row) > max(width, score + 1)]
    parts = [[cell.strip() for cell in row[score : score + 2]] for row in longer]
    divided = [(a, b) for a, b in parts if re.fullmatch(r"[-+]?\d+", a) and re.fullmatch(r"\d+", b)]
    if len(divided) > 0.5 * len(longer):
        whole, rest = divided[0]
        raise ValueError(
            f"{path}: rows have more fields than the {width} columns of the header, and the "
            f"score {whole!r} is followed by {rest!r}: write {whole}.{rest} or {whole}{rest}, "
            "as is meant, or separate columns by ';' for decimal commas"
        )


def _of_rows(lines: Sequence[str], first: int) -> tuple[str, list[list[str]]]:
    """The delimiter of rows whose header names one column."""
    text = next((line for line in lines[first:] if line.strip()), "")
    delimiter = next((one for one in (",", "\t", ";") if one in text), WHITE)
    return delimiter, _sample(lines, first, delimiter)


def _sample(lines: Sequence[str], first: int, delimiter: str) -> list[list[str]]:
    some = [line for line in lines[first : first + _SAMPLE] if line.strip()]
    return [split(line, delimiter) for line in some if not line.lstrip().startswith("#")]


def _shift(sample: list[list[str]], width: int, smiles: int) -> int:
    """1 if rows begin with a column that the header leaves out, as R writes them; else 0."""
    longer = [row for row in sample if len(row) == width + 1]
    if not longer or len(longer) < 0.8 * len(sample):
        return 0
    here, next_one = (
        sum(bool(atoms_or_none(row[i].strip())) for row in longer) for i in (smiles, smiles + 1)
    )
    return int(next_one > here)
