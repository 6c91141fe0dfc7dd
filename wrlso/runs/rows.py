"""The rows of the query log, and the tables that hold them. Each row carries a digest."""

import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from wrlso.evaluation.values import LONGEST_REASON, shorten
from wrlso.status import Status
from wrlso.storage.sealed import digest_of

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS about (
    name TEXT PRIMARY KEY,         -- run: the run's id, as in config.json
    value TEXT NOT NULL
) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS queries (
    seed INTEGER NOT NULL,
    round INTEGER NOT NULL,
    "index" INTEGER NOT NULL,      -- position within the round
    latent BLOB NOT NULL,          -- little-endian float32
    object BLOB NOT NULL,          -- the model's storage form, raw bytes
    score REAL,                    -- NULL unless status is OK
    status TEXT NOT NULL,          -- OK, INVALID, FAILED, TIMEOUT, DUPLICATE, REFUSED, PENDING
    reason TEXT,                   -- why it failed or was refused
    text TEXT,                     -- the object as a line of text, where it has one
    digest BLOB,                   -- of the row
    PRIMARY KEY (seed, round, "index")
) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS components (
    seed INTEGER NOT NULL,
    round INTEGER NOT NULL,
    "index" INTEGER NOT NULL,      -- these three name the query
    place INTEGER NOT NULL,        -- of the component in its objective
    name TEXT NOT NULL,
    value REAL,                    -- as measured
    desirability REAL,             -- what the objective made of it
    digest BLOB,
    PRIMARY KEY (seed, round, "index", place)
) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS predictions (
    seed INTEGER NOT NULL,
    round INTEGER NOT NULL,
    "index" INTEGER NOT NULL,      -- these three name the query
    mean REAL NOT NULL,            -- of the score, as the surrogate expected it at the ask
    deviation REAL NOT NULL,       -- its standard deviation, noise included
    digest BLOB,
    PRIMARY KEY (seed, round, "index")
) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS rounds (
    seed INTEGER NOT NULL,
    round INTEGER NOT NULL,
    steps INTEGER NOT NULL,        -- training steps of the retraining
    loss REAL,                     -- mean over those steps, nats per object
    effective_rows REAL,           -- effective sample size of the weights
    diverged INTEGER NOT NULL,     -- 1 if training was not finite and was undone
    uncharged INTEGER NOT NULL,    -- objective evaluations beyond the budget
    refused INTEGER NOT NULL,      -- points passed over as the task does not accept them
    fit_r2 REAL,                   -- surrogate on held-out base data: coefficient of determination
    fit_spearman REAL,             -- the same: rank correlation
    digest BLOB,
    PRIMARY KEY (seed, round)
) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS timings (
    phase TEXT NOT NULL,           -- compile, retrain, ask, score, tell, ...
    round INTEGER NOT NULL,        -- -1 outside any round
    seconds REAL NOT NULL,
    digest BLOB
)""",
    """CREATE TABLE IF NOT EXISTS results (
    number INTEGER PRIMARY KEY,    -- in the order in which people told them
    time TEXT NOT NULL,            -- UTC
    seed INTEGER,                  -- NULL: measured elsewhere, not asked for
    round INTEGER,
    "index" INTEGER,
    object BLOB NOT NULL,          -- the model's storage form, raw bytes
    text TEXT,
    score REAL,                    -- NULL for a failure
    reason TEXT,                   -- why it failed
    source TEXT,                   -- such as a file's name
    digest BLOB
)""",
)

KEY = 'seed = ? AND round = ? AND "index" = ?'
"""The condition of the rows of one query."""

COLUMNS = {
    "queries": (
        "seed", "round", "index", "latent", "object", "score", "status", "reason", "text",
    ),
    "components": ("seed", "round", "index", "place", "name", "value", "desirability"),
    "predictions": ("seed", "round", "index", "mean", "deviation"),
    "rounds": (
        "seed", "round", "steps", "loss", "effective_rows", "diverged", "uncharged", "refused",
        "fit_r2", "fit_spearman",
    ),
    "timings": ("phase", "round", "seconds"),
    "results": (
        "number", "time", "seed", "round", "index", "object", "text", "score", "reason", "source",
    ),
}  # fmt: skip
"""The columns of each table, but for the digest."""

_LONGEST_TEXT = 10_000
"""Maximum number of characters of an object's text; longer ones lose their middle."""

_TEXTS = {"reason": LONGEST_REASON, "source": LONGEST_REASON, "text": _LONGEST_TEXT}
"""Columns of texts that come from users' functions and files, and their maximum lengths."""

_REAL = frozenset(
    ("score", "value", "desirability", "mean", "deviation", "loss", "effective_rows", "fit_r2",
     "fit_spearman", "seconds")
)  # fmt: skip


@dataclass(frozen=True)
class Query:
    """A query, as a row of the log.

    Attributes:
      seed: the seed.
      round: number of the round, from 0.
      index: position within the round.
      latent: little-endian float32, see :func:`latent_of`.
      object: the object in the model's storage form, raw bytes.
      score: the score; None unless ``status`` is OK.
      status: the outcome.
      reason: the reason for a failure, or None.
      text: the object as a line of text, or None; the log fills it in.
    """

    seed: int
    round: int
    index: int
    latent: bytes
    object: bytes
    score: float | None
    status: Status
    reason: str | None = None
    text: str | None = None

    @property
    def id(self) -> str:
        """The name of a query within its seed, such as ``r0q7``."""
        return f"r{self.round}q{self.index}"


class PredictedScore(NamedTuple):
    """The score of a query as the surrogate expected it when it asked.

    Attributes:
      mean: in the task's units and sign.
      deviation: the standard deviation of an observed score, in the task's units.
    """

    mean: float
    deviation: float


@dataclass(frozen=True)
class Round:
    """The retraining of a seed before a round, and the uncharged evaluations of the round.

    Attributes:
      seed: the seed.
      round: number of the round, from 0.
      steps: number of training steps.
      loss: mean loss over these steps, in nats per object.
      effective_rows: effective sample size of the weights.
      diverged: 1 if training was not finite and was undone, else 0.
      uncharged: number of objective evaluations beyond the budget in this round.
      refused: number of points that were passed over in this round, as ``accept`` refused them
        before they became queries. Queries with status REFUSED come on top.
      fit_r2: coefficient of determination of the surrogate on held-out base data, at the last fit
        of the round; None: not measured.
      fit_spearman: its rank correlation there.
    """

    seed: int
    round: int
    steps: int
    loss: float
    effective_rows: float
    diverged: int
    uncharged: int
    refused: int = 0
    fit_r2: float | None = None
    fit_spearman: float | None = None


@dataclass(frozen=True)
class Told:
    """A result that somebody told, as a row of the log.

    Attributes:
      query: the seed, round and index of the query; None for a measurement made elsewhere.
      object: the object in the model's storage form, raw bytes.
      score: the score; None for a failure.
      reason: the reason for a failure, or None.
      source: its origin, such as the name of a file.
      text: the object as a line of text, or None.
    """

    query: tuple[int, int, int] | None
    object: bytes
    score: float | None
    reason: str | None = None
    source: str | None = None
    text: str | None = None


class Tally(NamedTuple):
    """Queries of a seed with one status, of one round or of all others.

    Attributes:
      seed: the seed.
      status: their status.
      of_round: whether they are of the round.
      number: of them.
      lowest, highest: of their scores; None if there is none.
    """

    seed: int
    status: Status
    of_round: bool
    number: int
    lowest: float | None
    highest: float | None


def latent_of(query: Query) -> np.ndarray:
    """The query's latent ``[d]`` float32."""
    return np.frombuffer(query.latent, "<f4")


def columns_of(table: str) -> str:
    """The columns of a table for SQL, but for the digest."""
    return ", ".join(f'"{name}"' for name in COLUMNS[table])


def values_of(row: Query | Round) -> tuple[Any, ...]:
    """The fields in order. ``dataclasses.astuple`` would copy each deeply, which takes longer than
    the digest and the insertion."""
    return tuple(vars(row).values())


def write_rows(db: sqlite3.Connection, table: str, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows with their digests, in place of rows with the same key."""
    marks = ", ".join("?" * (len(COLUMNS[table]) + 1))
    db.executemany(
        f"INSERT OR REPLACE INTO {table} ({columns_of(table)}, digest) VALUES ({marks})",
        (_sealed(table, row) for row in rows),
    )


def check_rows(db: sqlite3.Connection, table: str) -> None:
    """Raise sqlite3.DatabaseError if a row is not as it was written."""
    for *row, digest in db.execute(f"SELECT {columns_of(table)}, digest FROM {table}"):
        if digest not in (_digest(table, one) for one in _as_written(table, row)):
            raise sqlite3.DatabaseError(f"a row of {table} has another digest: {_shown(row)}")


def _as_written(table: str, row: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """A row as it is, then as an earlier version may have sealed it: with -0.0 where SQLite gives
    back 0.0."""
    signs = [
        (value, -value) if name in _REAL and value == 0 else (value,)
        for name, value in zip(COLUMNS[table], row, strict=True)
    ]
    return product(*signs)


def _sealed(table: str, row: Sequence[Any]) -> list[Any]:
    stored = [_stored(name, value) for name, value in zip(COLUMNS[table], row, strict=True)]
    return [*stored, _digest(table, stored)]


def _stored(name: str, value: Any) -> Any:
    """A value as SQLite gives it back: NaN is NULL there, -0.0 is 0.0, and no text has a lone
    surrogate."""
    if isinstance(value, str) and name in _TEXTS:
        return shorten(value, _TEXTS[name])
    if isinstance(value, np.integer):  # which SQLite would keep as bytes
        value = int(value)
    if value is None or name not in _REAL:
        return value
    return None if math.isnan(value) else float(value) + 0.0


def _digest(table: str, row: Sequence[Any]) -> bytes:
    return digest_of([table, *row], 8)


def _shown(row: Sequence[Any]) -> str:
    return ", ".join(str(value)[:20] for value in row[:3])
