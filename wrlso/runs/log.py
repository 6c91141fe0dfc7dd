"""The query log: one SQLite file that holds every query; each is committed once it is scored."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from wrlso.evaluation.components import ComponentValue
from wrlso.runs.schema import SCHEMA, TABLES
from wrlso.status import Status

_QUERY = 'seed, round, "index", latent, object, score, status, reason, text'

Describe = Callable[[bytes], str]
"""A function from an object in storage form to a line of text, empty if it has none."""


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


class QueryLog:
    """Reads and writes the log. Every write is one committed transaction.

    Args:
      path: the SQLite file.
      read_only: open it without write access; it must exist.
      describe: function that gives the text of new queries; None: they have none.
    """

    def __init__(
        self, path: Path, *, read_only: bool = False, describe: Describe | None = None
    ) -> None:
        self._describe = describe
        if read_only:
            self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        else:
            address = path.resolve().as_uri()
            self._db = sqlite3.connect(address, isolation_level=None, timeout=60, uri=True)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(SCHEMA)
            if "text" not in self._columns("queries"):  # an earlier version made the file
                self._db.execute("ALTER TABLE queries ADD COLUMN text TEXT")
        self._query = _QUERY
        if "text" not in self._columns("queries"):
            self._query = _QUERY.replace("text", "NULL")

    def forget_from(self, round: int) -> None:
        """Delete the queries of a round and of later rounds, before the round runs again."""
        with self._transaction():
            for table in ("queries", "components"):
                self._db.execute(f"DELETE FROM {table} WHERE round >= ?", (round,))

    def clear(self) -> None:
        """Delete everything."""
        with self._transaction():
            for table in TABLES:
                self._db.execute(f"DELETE FROM {table}")

    def absorb(self, path: Path, processes: int) -> None:
        """Add all of another log. The seconds of processes side by side count as their mean."""
        self._db.execute("ATTACH ? AS other", (f"{path.resolve().as_uri()}?mode=ro",))
        with self._transaction():
            for table in TABLES[:-1]:
                self._db.execute(f"INSERT INTO {table} SELECT * FROM other.{table}")
            self._db.execute(
                "INSERT INTO timings SELECT phase, round, seconds / ? FROM other.timings",
                (processes,),
            )
        self._db.execute("DETACH other")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def tidy(self) -> None:
        """Fold the write-ahead log into the file, so that a read-only file system can read it.

        Nothing happens if another process is reading, as a run must not fail for that.
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

    def add(self, queries: Iterable[Query], components: Iterable[ComponentValue] = ()) -> None:
        """Record queries; a query of a replayed round replaces the earlier record.

        Args:
          queries: the queries.
          components: the components of the score, of one query.
        """
        queries = list(queries)
        rows = [
            (q.seed, q.round, q.index, q.latent, q.object, q.score, q.status.name, q.reason,
             self._text(q))
            for q in queries
        ]  # fmt: skip
        with self._transaction():
            self._db.executemany(
                f"INSERT OR REPLACE INTO queries ({_QUERY}) VALUES (?,?,?,?,?,?,?,?,?)", rows
            )
            key = 'seed = ? AND round = ? AND "index" = ?'
            self._db.executemany(f"DELETE FROM components WHERE {key}", [r[:3] for r in rows])
            parts = [(*rows[0][:3], place, *part) for place, part in enumerate(components)]
            self._db.executemany("INSERT INTO components VALUES (?,?,?,?,?,?,?)", parts)

    def _text(self, query: Query) -> str | None:
        if query.text is not None or self._describe is None:
            return query.text
        return self._describe(query.object) or None

    def add_results(self, results: Iterable[Told]) -> None:
        """Record what people told: the outcome of each query that it names, and the telling."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._transaction():
            for told in results:
                seed, round, index = told.query or (None, None, None)
                self._db.execute(
                    'INSERT INTO results (time, seed, round, "index", object, text, score, reason, '
                    "source) VALUES (?,?,?,?,?,?,?,?,?)",
                    (now, seed, round, index, told.object, told.text, told.score, told.reason,
                     told.source),
                )  # fmt: skip
                status = Status.FAILED if told.score is None else Status.OK
                self._db.execute(
                    "UPDATE queries SET score = ?, status = ?, reason = ? "
                    'WHERE seed = ? AND round = ? AND "index" = ?',
                    (told.score, status.name, told.reason, seed, round, index),
                )

    def elsewhere(self) -> list[Told]:
        """The measurements that were made elsewhere, in the order in which they were told."""
        if not self._columns("results"):
            return []
        rows = self._db.execute(
            "SELECT object, score, reason, source, text FROM results WHERE seed IS NULL "
            "ORDER BY number"
        )
        return [Told(None, *row) for row in rows]

    def was_told(self) -> bool:
        """Whether people have told results of queries."""
        if not self._columns("results"):
            return False
        found = self._db.execute("SELECT 1 FROM results WHERE seed IS NOT NULL LIMIT 1")
        return found.fetchone() is not None

    def _columns(self, table: str) -> list[str]:
        return [row[1] for row in self._db.execute(f"PRAGMA table_info({table})")]

    def add_rounds(self, rounds: Iterable[Round]) -> None:
        """Record retrainings."""
        rows = [tuple(getattr(r, f.name) for f in fields(Round)) for r in rounds]
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO rounds VALUES (?,?,?,?,?,?,?,?,?,?)", rows)

    def add_time(self, phase: str, round: int, seconds: float) -> None:
        """Record the wall time of a phase."""
        with self._transaction():
            self._db.execute("INSERT INTO timings VALUES (?,?,?)", (phase, round, seconds))

    def find(self, seed: int, round: int, index: int) -> Query | None:
        """One query, or None."""
        rows = self._select('WHERE seed = ? AND round = ? AND "index" = ?', (seed, round, index))
        return rows[0] if rows else None

    def queries(self, seed: int | None = None) -> list[Query]:
        """All queries, or those of one seed, in the order in which they were made."""
        if seed is None:
            return self._select('ORDER BY seed, round, "index"', ())
        return self._select('WHERE seed = ? ORDER BY round, "index"', (seed,))

    def components(self) -> dict[tuple[int, int, int], tuple[ComponentValue, ...]]:
        """The components of scores, by seed, round and index of the query; in order.

        It is empty if the objective has no components, or the log is older than this table.
        """
        order = 'ORDER BY seed, round, "index", place'
        try:
            rows = self._db.execute(f"SELECT * FROM components {order}").fetchall()
        except sqlite3.OperationalError:  # no such table
            return {}
        found: dict[tuple[int, int, int], tuple[ComponentValue, ...]] = {}
        for *key, _, name, value, desirability in rows:
            known = found.get(tuple(key), ())
            found[tuple(key)] = (*known, ComponentValue(name, value, desirability))
        return found

    def rounds(self) -> list[Round]:
        """All retrainings in order."""
        rows = self._db.execute("SELECT * FROM rounds ORDER BY round, seed").fetchall()
        return [Round(*row) for row in rows]

    def seconds(self) -> dict[str, float]:
        """Wall seconds by phase, summed over all sessions of the run."""
        rows = self._db.execute("SELECT phase, SUM(seconds) FROM timings GROUP BY phase")
        return dict(rows.fetchall())

    def _select(self, where: str, values: tuple) -> list[Query]:
        rows = self._db.execute(f"SELECT {self._query} FROM queries {where}", values).fetchall()
        return [Query(*row[:6], Status[row[6]], *row[7:]) for row in rows]  # type: ignore[call-arg]


def latent_of(query: Query) -> np.ndarray:
    """The query's latent ``[d]`` float32."""
    return np.frombuffer(query.latent, "<f4")
