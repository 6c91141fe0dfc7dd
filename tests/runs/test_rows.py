"""Rows of the log: what SQLite gives back has the digest of what was written."""

import math
import sqlite3

import numpy as np
import pytest

import wrlso
from tests.builders import count_bits_on_host, host_task
from wrlso.runs.log import Query, QueryLog
from wrlso.runs.rows import COLUMNS, SCHEMA, check_rows, columns_of, write_rows
from wrlso.status import Status
from wrlso.storage.sealed import digest_of

REAL = {
    "queries": ("score",),
    "components": ("value", "desirability"),
    "predictions": ("mean", "deviation"),
    "rounds": ("loss", "effective_rows", "fit_r2", "fit_spearman"),
    "timings": ("seconds",),
    "results": ("score",),
}


@pytest.fixture
def database():
    db = sqlite3.connect(":memory:")
    for statement in SCHEMA:
        db.execute(statement)
    yield db
    db.close()


def row_of(table: str, number, real) -> list:
    texts = ("name", "status", "reason", "text", "phase", "time", "source")
    return [
        real if name in REAL[table] else "x" if name in texts else b"x"
        if name in ("latent", "object") else number
        for name in COLUMNS[table]
    ]  # fmt: skip


@pytest.mark.parametrize("table", COLUMNS)
@pytest.mark.parametrize("real", [-0.0, np.float32(-0.0), 0, -1.5, 1e300, -math.inf])
@pytest.mark.parametrize("number", [0, np.int64(3), np.uint8(3), True])
def test_every_row_is_found_as_it_was_written(database, table, number, real):
    write_rows(database, table, [row_of(table, number, real)])
    check_rows(database, table)
    (stored,) = database.execute(f"SELECT {columns_of(table)} FROM {table}")
    assert stored == tuple(row_of(table, int(number), float(real)))


@pytest.mark.parametrize("table", COLUMNS)
def test_rows_sealed_with_a_negative_zero_are_read(database, table):
    """As an earlier version wrote them; another change of the row is damage as before."""
    row = row_of(table, 3, -0.0)
    marks = ", ".join("?" * (len(row) + 1))
    sealed = [*row, digest_of([table, *row], 8)]
    database.execute(f"INSERT INTO {table} ({columns_of(table)}, digest) VALUES ({marks})", sealed)
    check_rows(database, table)
    database.execute(f"UPDATE {table} SET {REAL[table][0]} = 5e-324")
    with pytest.raises(sqlite3.DatabaseError, match="another digest"):
        check_rows(database, table)


def test_a_run_with_a_negative_zero_can_be_read_and_resumed(tmp_path):
    """As the negated distance from a target has it."""
    task = host_task(lambda thing: -abs(count_bits_on_host(thing) - 8))
    method = wrlso.methods.weighted_retraining(retrain_every=4)
    small = {"seeds": 1, "proposer": "prior", "progress": False}
    found = wrlso.run(task, method, out=tmp_path / "run", budget=4, **small)
    assert any(query.score == 0 for query in found.queries())
    more = wrlso.resume(tmp_path / "run", task=task, budget=8, progress=False)
    assert len(more.queries()) >= 8


def test_a_told_negative_zero_is_read_again(tmp_path):
    with_one = Query(0, 0, 0, b"latent", b"object", -0.0, Status.OK)
    log = QueryLog(tmp_path / "queries.sqlite", run="1")
    log.add([with_one])
    log.close()
    again = QueryLog(tmp_path / "queries.sqlite", run="1", read_only=True)
    assert again.queries() == [with_one]
    again.close()
