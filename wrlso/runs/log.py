"""The query log: one SQLite file that holds every query, committed as scored."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wrlso.status import Status

_SCHEMA = """
CREATE TABLE IF NOT EXISTS queries (
    seed INTEGER NOT NULL,
    round INTEGER NOT NULL,
    "index" INTEGER NOT NULL,      -- place within the round
    latent BLOB NOT NULL,          -- little-endian float32
    object BLOB NOT NULL,          -- the model's storage form, raw bytes
    score REAL,                    -- higher is better; NULL unless status is OK
    status TEXT NOT NULL,          -- OK, INVALID, FAILED, TIMEOUT, DUPLICATE
    reason TEXT,                   -- why it failed
    PRIMARY KEY (seed, round, "index")
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rounds (
    seed INTEGER NOT NULL,
    round INTEGER NOT NULL,
    steps INTEGER NOT NULL,        -- training steps of the retraining
    loss REAL,                     -- mean over those steps, nats an object
    effective_rows REAL,           -- effective sample size of the weights
    diverged INTEGER NOT NULL,     -- 1 if training was not finite and undone
    uncharged INTEGER NOT NULL,    -- objective evaluations beyond the budget
    PRIMARY KEY (seed, round)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS timings (
    phase TEXT NOT NULL,           -- compile, retrain, ask, score, tell, ...
    round INTEGER NOT NULL,        -- -1 outside any round
    seconds REAL NOT NULL
);
"""


@dataclass(frozen=True)
class Query:
    """A row of the log. ``score`` is None unless ``status`` is OK."""

    seed: int
    round: int
    index: int
    latent: bytes
    object: bytes
    score: float | None
    status: Status
    reason: str | None = None


@dataclass(frozen=True)
class Round:
    """A seed's retraining before a round, and what the round's asks cost beyond the budget.

    ``diverged`` is 1 if training was not finite and undone, else 0.
    """

    seed: int
    round: int
    steps: int
    loss: float
    effective_rows: float
    diverged: int
    uncharged: int


class QueryLog:
    """Reads and writes the log. Every write is one committed transaction."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        if read_only:
            self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            return
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(_SCHEMA)

    def forget_from(self, round: int) -> None:
        """Remove what a round that is about to be run again left behind."""
        with self._transaction():
            self._db.execute("DELETE FROM queries WHERE round >= ?", (round,))

    def close(self) -> None:
        """Close the file; nothing is pending."""
        self._db.close()

    def tidy(self) -> None:
        """Fold the write-ahead log into the one file, which can then be read from anywhere.

        Left as it is while another process reads: that is no reason for a run to fail.
        """
        with suppress(sqlite3.OperationalError):
            self._db.execute("PRAGMA journal_mode = DELETE")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def add(self, queries: Iterable[Query]) -> None:
        """Record queries; one that stands there already (a replayed round) is replaced."""
        rows = [
            (q.seed, q.round, q.index, q.latent, q.object, q.score, q.status.name, q.reason)
            for q in queries
        ]
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO queries VALUES (?,?,?,?,?,?,?,?)", rows)

    def add_rounds(self, rounds: Iterable[Round]) -> None:
        """Record retrainings."""
        rows = [
            (r.seed, r.round, r.steps, r.loss, r.effective_rows, r.diverged, r.uncharged)
            for r in rounds
        ]
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO rounds VALUES (?,?,?,?,?,?,?)", rows)

    def add_time(self, phase: str, round: int, seconds: float) -> None:
        """Record the wall time of a phase."""
        with self._transaction():
            self._db.execute("INSERT INTO timings VALUES (?,?,?)", (phase, round, seconds))

    def find(self, seed: int, round: int, index: int) -> Query | None:
        """One query, or None."""
        rows = self._select('WHERE seed = ? AND round = ? AND "index" = ?', (seed, round, index))
        return rows[0] if rows else None

    def queries(self, seed: int | None = None) -> list[Query]:
        """All queries, or a seed's, in the order they were made."""
        if seed is None:
            return self._select('ORDER BY seed, round, "index"', ())
        return self._select('WHERE seed = ? ORDER BY round, "index"', (seed,))

    def rounds(self) -> list[Round]:
        """All retrainings in order."""
        found = self._db.execute("SELECT * FROM rounds ORDER BY round, seed").fetchall()
        return [Round(*row) for row in found]

    def seconds(self) -> dict[str, float]:
        """Wall seconds by phase, over all sessions of the run."""
        found = self._db.execute("SELECT phase, SUM(seconds) FROM timings GROUP BY phase")
        return dict(found.fetchall())

    def _select(self, where: str, values: tuple) -> list[Query]:
        columns = 'seed, round, "index", latent, object, score, status, reason'
        found = self._db.execute(f"SELECT {columns} FROM queries {where}", values).fetchall()
        return [Query(*row[:6], Status[row[6]], row[7]) for row in found]  # type: ignore[call-arg]


def latent_of(query: Query) -> np.ndarray:
    """``[d]`` float32."""
    return np.frombuffer(query.latent, "<f4")
