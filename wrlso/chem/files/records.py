"""The findings of a reader: records, rows that are none, and an account of all lines."""

from pathlib import Path
from typing import NamedTuple


class Rejection(NamedTuple):
    """A line that was left out.

    Attributes:
      line: its number, from 1.
      text: the molecule as written.
      kind: the reason in few words.
      reason: the reason in full.
    """

    line: int
    text: str
    kind: str
    reason: str


class Account(NamedTuple):
    """Numbers of lines: each line of a file is in one of the last four.

    Attributes:
      lines: lines of the file; rows of a Parquet table.
      blank: lines without any content.
      comments: header, preamble, and lines that begin with '#'.
      continued: further lines of records that take several.
      records: lines on which a record begins.
    """

    lines: int
    blank: int
    comments: int
    continued: int
    records: int

    def check(self) -> None:
        """Raise AssertionError unless the numbers add up."""
        if self.lines != self.blank + self.comments + self.continued + self.records:
            raise AssertionError(f"lines were lost while a file was read: {self}")


class Records(NamedTuple):
    """The N records of a file, in its order.

    Attributes:
      smiles: the molecules as written; a CXSMILES extension follows after a blank.
      names: empty for a molecule without one.
      scores: the scores as written; None unless a column of them was named.
      lines: the number of each record's first line, from 1.
      rejected: records whose molecule could not be found.
      account: N + the number of rejected records is its ``records``.
      notes: how the file was read, for people.
    """

    smiles: list[str]
    names: list[str]
    scores: list[str] | None
    lines: list[int]
    rejected: list[Rejection]
    account: Account
    notes: list[str]

    def check(self) -> None:
        """Raise AssertionError unless every line is accounted for."""
        self.account.check()
        if len(self.smiles) + len(self.rejected) != self.account.records:
            raise AssertionError(f"records were lost while a file was read: {self.account}")


class Columns(NamedTuple):
    """The columns of molecules and scores.

    Attributes:
      column: the name of the column of SMILES, or its number from 1; case does not matter.
      score_column: the same for scores; None: there are none.
      delimiter: what separates columns: a character, 'tab' or 'space' (any white space); None: it
        is recognised.
    """

    column: str = "smiles"
    score_column: str | None = None
    delimiter: str | None = None

    @property
    def chosen(self) -> bool:
        """Whether the caller has named a column or a delimiter."""
        return self != Columns()


def place(name: str, names: list[str], width: int) -> int | None:
    """The place of a column, from 0: by its name, or by its number from 1; None: there is none.

    A name in the same case goes before others.
    """
    found = places(name, names)
    if found:
        return found[0]
    if name.isascii() and name.isdigit() and 1 <= int(name) <= width:
        return int(name) - 1
    return None


def places(name: str, names: list[str]) -> list[int]:
    """The places of columns of a name, from 0: in the same case, or if there is none, in any."""
    stripped = [one.strip() for one in names]
    exact = [i for i, one in enumerate(stripped) if one == name.strip()]
    return exact or [i for i, one in enumerate(stripped) if one.lower() == name.strip().lower()]


def require_one(path: Path, argument: str, name: str | None, names: list[str]) -> None:
    """Raise ValueError if several columns have a name."""
    if name is not None and len(found := places(name, names)) > 1:
        numbers = " and ".join(str(i + 1) for i in found)
        raise ValueError(
            f"{path} has {len(found)} columns {name!r}, which are numbers {numbers}: give the "
            f"number of one as {argument}"
        )
