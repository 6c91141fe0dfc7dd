"""Kept scores of molecules: a file of SQLite per objective."""

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

import rdkit

from wrlso.chem.objective import Objective

_FORMAT = 3
"""Version of the files, part of their names."""


def score_file(directory: Path | str, objective: Objective) -> Path:
    """The file that keeps the scores of an objective."""
    recipe = repr((_FORMAT, objective.key, rdkit.__version__))
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:24]
    return Path(directory) / f"scores-{digest}.sqlite"


def open_scores(path: Path) -> sqlite3.Connection:
    """Open a file of kept scores, or make it; several processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cache = sqlite3.connect(path, isolation_level=None, timeout=60)
    cache.execute("BEGIN IMMEDIATE")  # unlike other statements, it waits for other processes
    cache.execute(
        "CREATE TABLE IF NOT EXISTS scores (smiles TEXT PRIMARY KEY, score REAL NOT NULL) "
        "WITHOUT ROWID"
    )
    cache.execute("COMMIT")
    return cache


def read_scores(cache: sqlite3.Connection, smiles: Iterable[str]) -> dict[str, float]:
    """The kept scores of some molecules, in their order."""
    kept = dict(cache.execute("SELECT smiles, score FROM scores"))
    return {text: kept[text] for text in smiles if text in kept}


def keep_scores(cache: sqlite3.Connection, scores: Mapping[str, float]) -> None:
    """Keep scores, in place of earlier ones of the same molecules."""
    cache.execute("BEGIN IMMEDIATE")
    cache.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", scores.items())
    cache.execute("COMMIT")


def forget_scores(cache: sqlite3.Connection) -> None:
    """Forget all kept scores of the objective."""
    cache.execute("DELETE FROM scores")
