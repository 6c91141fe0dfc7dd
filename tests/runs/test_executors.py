"""Runs whose objective is evaluated on an executor: threads, a Dask cluster that is killed."""

import concurrent.futures
import dataclasses
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.builders import host_task, tiny_data, tiny_run
from wrlso import resume
from wrlso.evaluation.objective import HostObjective
from wrlso.evaluation.values import EvaluationError
from wrlso.runs.base_data import base_of


def make_slow(folder):
    """The tiny task's objective, which notes each process that calls it."""

    def slow(thing):
        Path(folder, str(os.getpid())).touch()
        time.sleep(0.1)
        return float(np.unpackbits(thing).sum())

    return slow


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The run without an executor, whose queries every other one must have."""
    folder = tmp_path_factory.mktemp("plain")
    task = host_task(HostObjective(make_slow(folder), workers=1))
    return tiny_run(folder / "run", task, proposer="prior")


@pytest.fixture
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=3, threads_per_worker=1, dashboard_address=None
    ) as started:
        yield started


def kill_two(cluster, notes, killed):
    """Kill two of Dask's worker processes, each while an object is evaluated there."""
    seen = set()
    while len(killed) < 2:
        for note in set(notes.glob("[0-9]*")) - seen:
            seen.add(note)
            try:
                stat = Path(f"/proc/{note.name}/stat").read_text()
            except OSError:
                continue
            parent = int(stat.rsplit(")", 1)[1].split()[1])  # the Dask worker
            if parent not in killed and len(killed) < 2:
                os.kill(parent, signal.SIGKILL)
                killed.append(parent)
        time.sleep(0.05)


@pytest.mark.slow
def test_a_dask_cluster_of_which_two_workers_are_killed(cluster, plain, tmp_path):
    notes, killed = tmp_path / "notes", []
    notes.mkdir()
    killer = threading.Thread(target=kill_two, args=(cluster, notes, killed), daemon=True)
    killer.start()
    task = host_task(HostObjective(make_slow(notes), workers=1))
    address = cluster.scheduler_address.replace("tcp://", "dask://")
    result = tiny_run(tmp_path / "run", task, proposer="prior", executor=address)
    killer.join(1)
    assert len(set(killed)) == 2
    assert result.queries() == plain.queries()


def test_an_executor_of_threads_gives_the_run_of_own_workers(plain, tmp_path):
    task = host_task(HostObjective(make_slow(tmp_path), workers=0))
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        result = tiny_run(tmp_path / "run", task, proposer="prior", executor=executor)
    assert result.queries() == plain.queries()


def test_an_executor_that_has_ended_loses_nothing(tmp_path):
    loads = []
    task = host_task(HostObjective(make_slow(tmp_path), workers=1))
    task = dataclasses.replace(task, load_data=lambda: loads.append(1) or tiny_data())
    executor = concurrent.futures.ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(EvaluationError, match="the executor takes no tasks"):
        tiny_run(tmp_path / "run", task, proposer="prior", executor=executor, seeds=1)
    result = resume(tmp_path / "run", task=task, progress=False)
    assert len(result.queries()) >= 12
    assert len(loads) == 1  # starting data that were paid for are in the folder
    base = base_of(result.folder, task)
    np.testing.assert_array_equal(base.objects, tiny_data().objects)
    np.testing.assert_array_equal(base.scores, tiny_data().scores)
    result.folder.base_file.write_bytes(b"{}")
    with pytest.raises(ValueError, match=r"base\.safetensors is damaged"):
        base_of(result.folder, task)


def test_an_executor_for_an_objective_in_jax_is_refused(tmp_path):
    with (
        concurrent.futures.ThreadPoolExecutor(1) as executor,
        pytest.raises(ValueError, match="that of task 'bits' is in JAX"),
    ):
        tiny_run(tmp_path / "run", executor=executor)
    assert not (tmp_path / "run").exists()
