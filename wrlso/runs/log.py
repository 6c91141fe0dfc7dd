"""The query log: one SQLite file that holds every query; each is committed once it is scored.

Every row has a digest, and the file has the run's id. Both are checked when it is opened. Commits
go to a write-ahead log beside the file. It is folded into the file after a round, at most once a
second, and with the first commit a second after the last time: a copy of the file alone has all but
the last answers.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from wrlso.evaluation.components import ComponentValue
from wrlso.runs.interrupt import shielded
from wrlso.runs.rows import (
    COLUMNS,
    KEY,
    SCHEMA,
    PredictedScore,
    Query,
    Round,
    Tally,
    Told,
    check_rows,
    columns_of,
    latent_of,
    values_of,
    write_rows,
)
from wrlso.status import Status
from wrlso.storage.sqlite import check_structure, damage_is_told, errors_name

__all__ = ["Describe", "Query", "QueryLog", "Round", "Told", "latent_of"]

Describe = Callable[[bytes], str]
"""A function from an object in storage form to a line of text, empty if it has none."""

_FOLD = 1.0
"""Number of seconds after which the next commit is folded into the file."""

REMEDY = (
    "restore it, with queries.sqlite-wal if there is one: it cannot be made again without "
    "evaluating its objects again"
)


class QueryLog:
    """Reads and writes the log. Every write is one committed transaction.

    Args:
      path: the SQLite file.
      read_only: open it without write access; it must exist.
      describe: function that gives the text of new queries; None: they have none.
      run: the id of the run that must have written it; None: whichever has.
      fresh: the file may be new, or empty.
      durable: whether a commit survives a power failure at once. Otherwise it does once the file is
        folded.

    Attributes:
      path: the SQLite file.

    Raises:
      DamagedFile: if the file is not as it was written, or is another run's.
    """

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        describe: Describe | None = None,
        run: str | None = None,
        fresh: bool = True,
        durable: bool = True,
    ) -> None:
        self._describe, self.path = describe, path
        self._times: dict[tuple[str, int], float] = {}
        self._folded, self._read_only = time.monotonic(), read_only
        with damage_is_told(path, REMEDY):
            if read_only:
                self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            else:
                self._db = sqlite3.connect(path, isolation_level=None, timeout=60)
            try:
                if not read_only:
                    self._prepare(run if fresh else None, durable)
                if run is not None:
                    self._check(run, fresh)
            except BaseException:
                self._db.close()
                raise

    def _prepare(self, run: str | None, durable: bool) -> None:
        """Make what the file lacks; a new one gets the run's id."""
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        new = not self._columns("queries")
        with self.transaction():
            for statement in SCHEMA:
                self._db.execute(statement)
            for table in COLUMNS:  # an earlier version made the file
                if "digest" not in self._columns(table):
                    self._db.execute(f"ALTER TABLE {table} ADD COLUMN digest BLOB")
            if "text" not in self._columns("queries"):
                self._db.execute("ALTER TABLE queries ADD COLUMN text TEXT")
            if new and run is not None:
                self._db.execute("INSERT OR IGNORE INTO about VALUES ('run', ?)", (run,))

    def _check(self, run: str, fresh: bool) -> None:
        """Raise sqlite3.DatabaseError unless the file is whole and the run's."""
        check_structure(self._db)
        if self._read_only and fresh and not self._columns("queries"):
            return  # the file has been made, its tables have not
        found = self._db.execute("SELECT value FROM about WHERE name = 'run'").fetchone()
        if found is None:
            raise sqlite3.DatabaseError("it is empty")
        if found[0] != run:
            raise sqlite3.DatabaseError(f"it belongs to run {found[0]}, config.json to {run}")
        for table in COLUMNS:
            if table != "predictions" or self._columns(table):  # an earlier version made the file
                check_rows(self._db, table)

    @property
    def begun(self) -> bool:
        """Whether the file has its tables."""
        return bool(self._columns("queries"))

    def forget_from(self, round: int) -> None:
        """Delete the queries of a round and of later rounds, before the round runs again."""
        with self.transaction():
            for table in ("queries", "components", "predictions"):
                self._db.execute(f"DELETE FROM {table} WHERE round >= ?", (round,))

    def replace_by(self, others: Sequence["QueryLog"]) -> None:
        """Hold the rows of other logs in place of all that a run records by itself. The seconds of
        processes side by side count as their mean."""
        with self.transaction():
            for table in COLUMNS:
                if table == "results":  # people told them to this log
                    continue
                self._db.execute(f"DELETE FROM {table}")
                for other in others:
                    rows = other._rows(table)
                    if table == "timings":
                        rows = [(*key, seconds / len(others)) for *key, seconds in rows]
                    write_rows(self._db, table, rows)

    def close(self) -> None:
        """Record the last times, and close the file."""
        try:
            self._record_times()
        finally:
            self._db.close()

    def fold(self) -> None:
        """Fold the write-ahead log into the file; a reader may put off a part of it."""
        with suppress(sqlite3.OperationalError):
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self._folded = time.monotonic()

    def tidy(self) -> None:
        """Fold the write-ahead log into the file, so that a read-only file system can read it.

        Nothing happens if another process is reading, as a run must not fail for that.
        """
        self._record_times()
        with suppress(sqlite3.OperationalError):
            self._db.execute("PRAGMA journal_mode = DELETE")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction that is whole or not there; Ctrl-C waits until its end. What is read in it
        stays as it is. One within another is a part of it."""
        if self._db.in_transaction:
            yield
            return
        with shielded(), errors_name(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            if time.monotonic() - self._folded > _FOLD:
                self.fold()

    def add(
        self,
        queries: Iterable[Query],
        components: Iterable[ComponentValue] = (),
        predictions: Iterable[PredictedScore | None] = (),
    ) -> None:
        """Record queries; a query of a replayed round replaces the earlier record.

        Args:
          queries: the queries.
          components: the components of the score, of one query.
          predictions: of each query, or none at all.
        """
        queries = list(queries)
        stated = list(predictions) or [None] * len(queries)
        keys = [(q.seed, q.round, q.index) for q in queries]
        rows = (  # one at a time, as texts may be long
            (*values_of(q)[:6], q.status.name, q.reason, self._text(q)) for q in queries
        )
        with self.transaction():
            write_rows(self._db, "queries", rows)
            for table in ("components", "predictions"):
                self._db.executemany(f"DELETE FROM {table} WHERE {KEY}", keys)
            expected = [(*k, *p) for k, p in zip(keys, stated, strict=True) if p is not None]
            write_rows(self._db, "predictions", expected)
            parts = [(*keys[0], place, *part) for place, part in enumerate(components)]
            write_rows(self._db, "components", parts)

    def _text(self, query: Query) -> str | None:
        if query.text is not None or self._describe is None:
            return query.text
        return self._describe(query.object) or None

    def add_results(self, results: Iterable[Told]) -> None:
        """Record what people told: the outcome of each query that it names, and the telling."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self.transaction():
            last = self._db.execute("SELECT max(number) FROM results").fetchone()[0] or 0
            for number, told in enumerate(results, last + 1):
                key = told.query or (None, None, None)
                row = (number, now, *key, told.object, told.text, told.score, told.reason,
                       told.source)  # fmt: skip
                write_rows(self._db, "results", [row])
                known = None if told.query is None else self.find(*told.query)
                if known is not None:
                    self._db.execute(f"DELETE FROM components WHERE {KEY}", key)
                    status = Status.FAILED if told.score is None else Status.OK
                    settled = (*values_of(known)[:5], told.score, status.name, told.reason)
                    write_rows(self._db, "queries", [(*settled, known.text)])

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
        return bool(self.told())

    def told(self) -> set[tuple[int, int, int]]:
        """Seed, round and index of the queries that people have told results of."""
        if not self._columns("results"):
            return set()
        where = "WHERE seed IS NOT NULL"
        return set(self._db.execute(f'SELECT seed, round, "index" FROM results {where}'))

    def _columns(self, table: str) -> list[str]:
        return [row[1] for row in self._db.execute(f"PRAGMA table_info({table})")]

    def add_rounds(self, rounds: Iterable[Round]) -> None:
        """Record retrainings, and the times since the last call."""
        with self.transaction():
            write_rows(self._db, "rounds", [values_of(r) for r in rounds])
            self._write_times()

    def add_time(self, phase: str, round: int, seconds: float) -> None:
        """Count the wall time of a phase; it is recorded with the round, or at the end."""
        self._times[phase, round] = self._times.get((phase, round), 0.0) + seconds

    def _record_times(self) -> None:
        if self._times and not self._read_only:
            with self.transaction():
                self._write_times()

    def _write_times(self) -> None:
        write_rows(self._db, "timings", [(*key, spent) for key, spent in self._times.items()])
        self._times.clear()

    def find(self, seed: int, round: int, index: int) -> Query | None:
        """One query, or None."""
        rows = self._select(f"WHERE {KEY}", (seed, round, index))
        return rows[0] if rows else None

    def queries(self, seed: int | None = None) -> list[Query]:
        """All queries, or those of one seed, in the order in which they were made."""
        if seed is None:
            return self._select('ORDER BY seed, round, "index"', ())
        return self._select('WHERE seed = ? ORDER BY round, "index"', (seed,))

    def tallies(self, round: int) -> list[Tally]:
        """The numbers of queries by seed and status, those of a round apart."""
        rows = self._db.execute(
            "SELECT seed, status, round = ?, COUNT(*), MIN(score), MAX(score) FROM queries "
            "GROUP BY 1, 2, 3",
            (round,),
        )
        return [Tally(seed, Status[name], bool(own), *rest) for seed, name, own, *rest in rows]

    def components(self) -> dict[tuple[int, int, int], tuple[ComponentValue, ...]]:
        """The components of scores, by seed, round and index of the query; in order.

        It is empty if the objective has no components, or the log is older than this table.
        """
        found: dict[tuple[int, int, int], tuple[ComponentValue, ...]] = {}
        rows = self._rows("components", 'ORDER BY seed, round, "index", place')
        for *key, _, name, value, desirability in rows:
            known = found.get(tuple(key), ())
            found[tuple(key)] = (*known, ComponentValue(name, value, desirability))
        return found

    def predictions(self) -> dict[tuple[int, int, int], PredictedScore]:
        """The scores that the surrogate expected, by seed, round and index of the query.

        It is empty if the proposer has no surrogate, or the log is older than this table.
        """
        rows = self._rows("predictions")
        return {(seed, round, i): PredictedScore(*found) for seed, round, i, *found in rows}

    def _rows(self, table: str, order: str = "") -> list[tuple]:
        """The rows of a table, none if an earlier version made the file without it."""
        if not self._columns(table):
            return []
        return self._db.execute(f"SELECT {columns_of(table)} FROM {table} {order}").fetchall()

    def rounds(self) -> list[Round]:
        """All retrainings in order."""
        columns = columns_of("rounds")
        rows = self._db.execute(f"SELECT {columns} FROM rounds ORDER BY round, seed").fetchall()
        return [Round(*row) for row in rows]

    def seconds(self) -> dict[str, float]:
        """Wall seconds by phase, summed over all sessions of the run."""
        self._record_times()
        rows = self._db.execute("SELECT phase, SUM(seconds) FROM timings GROUP BY phase")
        return dict(rows.fetchall())

    def _select(self, where: str, values: tuple) -> list[Query]:
        columns = columns_of("queries")
        if "text" not in self._columns("queries"):  # an earlier version made the file
            columns = columns.replace('"text"', "NULL")
        rows = self._db.execute(f"SELECT {columns} FROM queries {where}", values).fetchall()
        return [Query(*row[:6], Status[row[6]], *row[7:]) for row in rows]  # type: ignore[call-arg]
