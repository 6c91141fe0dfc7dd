"""Executors of several packages: the same answers, and a crash loses one object on each."""

import concurrent.futures
import multiprocessing
import os
from contextlib import contextmanager

import numpy as np
import pytest

from wrlso.evaluation.objective import HostEvaluator, HostObjective
from wrlso.evaluation.pools import evaluating, make_pool
from wrlso.evaluation.remote import end_idle


@contextmanager
def made(name, folder):
    if name == "threads":
        with concurrent.futures.ThreadPoolExecutor(2) as executor:
            yield executor
    elif name == "processes":
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, context) as executor:
            yield executor
    elif name == "loky":
        loky = pytest.importorskip("joblib.externals.loky")
        with loky.ProcessPoolExecutor(1) as executor:
            yield executor
    else:
        submitit = pytest.importorskip("submitit")
        executor = submitit.AutoExecutor(folder=folder, cluster="local")
        executor.update_parameters(timeout_min=5)
        yield executor


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("loky", "submitit")]


@pytest.mark.parametrize("name", ["threads", "processes", *SLOW])
def test_a_crash_loses_one_object_on_any_executor(name, tmp_path):
    def make():
        def score(thing):
            if thing[0] == 2:
                os._exit(3)
            return float(thing[0])

        return score

    with made(name, tmp_path / "jobs") as executor, evaluating(executor):
        evaluator = HostEvaluator(HostObjective(make(), workers=1, timeout=60))
        found = sorted(evaluator.outcomes("score", [np.array([n]) for n in range(4)]))
    end_idle()
    assert [o.value for o in found] == [0, 1, None, 3]
    assert found[2].reason == "the worker process exited with code 3"


@pytest.mark.parametrize(
    ("executor", "error", "message"),
    [
        ("slurm", ValueError, "give the address of a scheduler, such as dask://127.0.0.1:8786"),
        ("dask://", ValueError, "give the address"),
        (3, TypeError, "must be a concurrent.futures.Executor, or the address"),
    ],
)
def test_what_is_no_executor_is_refused(executor, error, message):
    with pytest.raises(error, match=message), evaluating(executor):
        pytest.fail("nothing is evaluated")


def test_the_choice_ends_with_its_block():
    with concurrent.futures.ThreadPoolExecutor(1) as executor, evaluating(executor):
        assert make_pool(float, 0, None) is not None
    assert make_pool(float, 0, None) is None
