"""Kept scores of molecules: a file of SQLite per objective, each row with a digest."""

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import rdkit

from wrlso.chem.objective import Objective
from wrlso.storage.sealed import digest_of
from wrlso.storage.sqlite import check_structure, damage_is_told

_FORMAT = 4
"""Version of the files, part of their names."""


def score_file(directory: Path | str, objective: Objective) -> Path:
    """The file that keeps the scores of an objective."""
    recipe = repr((_FORMAT, objective.key, rdkit.__version__))
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:24]
    return Path(directory) / f"scores-{digest}.sqlite"


class ScoreCache:
    """The kept scores of an objective; several processes may open them at once.

    Args:
      path: the file; it is made if it does not exist.

    Raises:
      DamagedFile: if it cannot be read, or was kept under another name. So do all methods.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._name = path, path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._reading():
            self._db = sqlite3.connect(path, isolation_level=None, timeout=60)
            try:
                self._make_table()
            except BaseException:
                self._db.close()  # else the file stays locked
                raise

    def _make_table(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")  # unlike other statements, it waits for others
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS scores (smiles TEXT PRIMARY KEY, score REAL NOT NULL, "
            "digest BLOB NOT NULL) WITHOUT ROWID"
        )
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def read(self, smiles: Iterable[str]) -> dict[str, float]:
        """The kept scores of some molecules, in their order."""
        kept = dict[str, float]()
        with self._reading():
            check_structure(self._db)
            for text, score, digest in self._db.execute("SELECT * FROM scores"):
                if digest not in (self._digest(text, score), self._digest(text, score, -0.0)):
                    raise sqlite3.DatabaseError(f"the score of {text!r} has another digest")
                kept[text] = score
        return {text: kept[text] for text in smiles if text in kept}

    def keep(self, scores: Mapping[str, float]) -> None:
        """Keep scores, in place of earlier ones of the same molecules."""
        rows = [(text, score, self._digest(text, score)) for text, score in scores.items()]
        with self._reading():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?)", rows)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def forget(self) -> None:
        """Forget all kept scores of the objective."""
        with self._reading():
            self._db.execute("DELETE FROM scores")

    def _digest(self, text: str, score: float, zero: float = 0.0) -> bytes:
        """The digest of a row and the file's name, as files of other objectives look alike. SQLite
        gives back 0.0 for -0.0, which an earlier version sealed as ``zero``."""
        return digest_of([self._name, text, float(score) or zero], 8)

    def _reading(self) -> AbstractContextManager[None]:
        return damage_is_told(
            self._path, "delete it, and the scores are computed again; or restore it"
        )
