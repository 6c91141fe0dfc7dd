"""Lines of a table as fields. A lone quotation mark never swallows other lines."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

WHITE = " "
"""Stands for any white space between columns."""

_NAMES = {"tab": "\t", "\\t": "\t", "space": WHITE, "whitespace": WHITE, "comma": ",",
          "semicolon": ";", "pipe": "|"}  # fmt: skip
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_TOKEN = re.compile(r"\S+")
_EXTENSION = re.compile(r"[ \t]+(\|[^|\t]*\|)(?=[ \t]|$)")
_HELD = "\ue000"
"""Holds a CXSMILES extension at its molecule while white space separates columns."""

_LONGEST = 100
"""Maximum number of lines of a quoted field."""


class Row(NamedTuple):
    """A row: the number of its first line from 0, the number of its lines, its fields."""

    line: int
    lines: int
    fields: list[str]


def delimiter_of(text: str) -> str:
    """The delimiter that a caller names.

    Raises:
      ValueError: if it is neither a character nor one of the names.
    """
    found = _NAMES.get(text.lower(), text)
    if len(found) != 1 or found in '"\n\r' or found.isalnum():
        raise ValueError(
            f"delimiter = {text!r} separates no columns: give a character such as ';', or one of "
            f"{', '.join(sorted(set(_NAMES) - {chr(92) + 't'}))}"
        )
    return found


def separator_of(line: str) -> str | None:
    """The delimiter that Excel's first line ``sep=;`` names; None: it is another line."""
    found = _SEPARATOR.fullmatch(line.strip(" "))
    return found[1] if found else None


def split(line: str, delimiter: str) -> list[str]:
    """The fields of a line, quoted or not; marks that do not match are taken literally."""
    if '"' in line:
        found = _quoted(line, delimiter)
        if found is not None:
            return found
    return _plain(line, delimiter)


def rows(
    lines: Sequence[str],
    first: int,
    delimiter: str,
    width: Callable[[list[str]], bool],
    begins: Callable[[list[str]], bool],
) -> Iterator[tuple[int, int, list[str]]]:
    """The rows of lines from ``first`` on, as in :class:`Row`; plain tuples, which cost less.

    A field in quotation marks may go on in the next lines, unless one of these is a row of its own.

    Args:
      lines: the lines of a file.
      first: the first line, from 0.
      delimiter: a character, or :data:`WHITE`.
      width: whether fields are as many as those of a row.
      begins: whether the fields of a line are a row by themselves.
    """
    i, white = first, delimiter == WHITE
    while i < len(lines):
        line = lines[i]
        if '"' not in line:
            yield i, 1, _plain(line, delimiter) if white else line.split(delimiter)
            i += 1
            continue
        row = _row(lines, i, delimiter, width, begins)
        yield row
        i += row.lines


def _row(
    lines: Sequence[str],
    i: int,
    delimiter: str,
    width: Callable[[list[str]], bool],
    begins: Callable[[list[str]], bool],
) -> Row:
    text = lines[i]
    found = _quoted(text, delimiter)
    if found is not None:
        return Row(i, 1, found)
    for n, line in enumerate(lines[i + 1 : i + _LONGEST], 2):
        fields = split(line, delimiter)
        if begins(fields) and '"' not in fields[0]:  # else it may end the text in quotes
            break
        text += "\n" + line
        if '"' not in line:
            continue
        found = _quoted(text, delimiter)
        if found is not None and width(found):
            return Row(i, n, found)
    return Row(i, 1, _plain(lines[i], delimiter))


def _plain(line: str, delimiter: str) -> list[str]:
    if delimiter != WHITE:
        return line.split(delimiter)
    if "|" in line:
        held = _EXTENSION.sub(lambda found: _HELD + found[1].replace(" ", _HELD), line)
        return [one.replace(_HELD, " ") for one in held.split()]
    return line.split()


def _quoted(text: str, delimiter: str) -> list[str] | None:
    """The fields of a row, or None if its quotation marks do not match."""
    if delimiter == WHITE:
        text = " ".join(_TOKEN.findall(text))
    try:
        found = list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return found[0] if len(found) == 1 else None
