"""SQLite files: which errors mean that a file is damaged."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wrlso.storage.sealed import DamagedFile

_OF_THE_MACHINE = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
    )
)
"""Errors that come of other processes, full disks and permissions."""

_REMEDIES = {
    sqlite3.SQLITE_BUSY: "; another program has kept it locked for a minute: close that one",
    sqlite3.SQLITE_LOCKED: "; another program has it locked: close that one",
    sqlite3.SQLITE_FULL: "; make room on the disk",
    sqlite3.SQLITE_READONLY: "; allow writing to it and to its folder",
    sqlite3.SQLITE_CANTOPEN: "; allow reading and writing in its folder",
}


@contextmanager
def damage_is_told(path: Path, remedy: str) -> Iterator[None]:
    """Raise :class:`DamagedFile` where a file is not as it was written.

    An error of the machine, such as a full disk, keeps its type and names the file.

    Args:
      path: the file, for the error.
      remedy: what to do about it.
    """
    try:
        yield
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        io = code & 0xFF == sqlite3.SQLITE_IOERR and code != sqlite3.SQLITE_IOERR_SHORT_READ
        if code & 0xFF in _OF_THE_MACHINE or io:
            raise _named(path, error) from error
        raise DamagedFile(path, str(error), remedy) from error


@contextmanager
def errors_name(path: Path) -> Iterator[None]:
    """Name the file in the errors of SQLite, which keep their types."""
    try:
        yield
    except sqlite3.Error as error:
        if str(path) in str(error):
            raise
        raise _named(path, error) from error


def _named(path: Path, error: Exception) -> Exception:
    code = getattr(error, "sqlite_errorcode", None)
    why = _REMEDIES.get(0 if code is None else code & 0xFF, "")
    named = type(error)(f"{path}: {error}{why}")
    for name in ("sqlite_errorcode", "sqlite_errorname"):
        if hasattr(error, name):
            setattr(named, name, getattr(error, name))
    return named


def check_structure(db: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError if pages, cells or trees of a file are not whole."""
    problem = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if problem != "ok":
        raise sqlite3.DatabaseError(problem)
