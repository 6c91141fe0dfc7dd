"""Faulty objectives: one object lost each, no wrong score, nothing left behind."""

import os
import random
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.faults import KINDS, make_faulty
from wrlso.evaluation.objective import HostEvaluator, HostObjective
from wrlso.evaluation.pools import evaluating
from wrlso.evaluation.worker_main import TOKEN

HANDFUL = 12
"""Number of kinds in the default suite; which ones, a seed decides."""


@pytest.fixture(autouse=True)
def mark(monkeypatch):
    """Tells this test's processes from those of tests that run beside it."""
    monkeypatch.setenv("WRLSO_TEST", f"{os.getpid()}")


def marked_processes() -> list[str]:
    """Processes that a worker is or has started, but for those that nobody has waited for."""
    marks = f"{TOKEN}=".encode(), f"WRLSO_TEST={os.getpid()}\0".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
            content = (folder / "environ").read_bytes()
            if all(one in content for one in marks) and state != "Z":
                found.append((folder / "cmdline").read_bytes().decode())
        except OSError:
            pass
    return found


def left_behind(seconds: float = 10.0) -> list[str]:
    end = time.monotonic() + seconds
    while (found := marked_processes()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def check_faults(kinds, workers, timeout):
    """Every kind once, each between good objects, in an order that a seed decides."""
    assert left_behind() == []
    code = {100 + i: kind for i, kind in enumerate(kinds)}
    faulty = make_faulty()

    def score(thing):
        return faulty(code.get(int(thing[0]), int(thing[0])))

    items = [*code, *(i % 100 for i in range(len(kinds)))]
    random.Random(0).shuffle(items)
    objective = HostObjective(score, workers=workers, timeout=timeout)
    with HostEvaluator(objective) as evaluator:
        found = list(evaluator.outcomes("score", [np.array([item]) for item in items]))
    assert sorted(outcome.position for outcome in found) == list(range(len(items)))
    scores = {items[o.position]: o.value for o in found if o.kind == "ok"}
    assert scores == {item: float(item) for item in items if item < 100}
    reasons = [outcome.reason for outcome in found if outcome.kind != "ok"]
    assert all(reason and len(reason.encode()) <= 1000 for reason in reasons)
    return {code[items[o.position]]: o.reason for o in found if o.kind != "ok"}


def test_a_handful_of_faults_in_own_workers():
    kinds = random.Random(1).sample(KINDS, HANDFUL)
    kinds = list(dict.fromkeys([*kinds, "a fork that answers", "a daemon", "half an answer"]))
    check_faults(kinds, 2, timeout=2.0)
    assert left_behind() == []


@contextmanager
def dask_cluster(workers):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address.replace("tcp://", "dask://")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("place", ["own", "dask"])
def test_sixty_faults(place, workers):
    assert len(KINDS) >= 60
    if place == "own":
        check_faults(KINDS, workers, timeout=5.0)
    else:
        with dask_cluster(workers) as address, evaluating(address):
            check_faults(KINDS, workers, timeout=5.0)
    assert left_behind() == []
