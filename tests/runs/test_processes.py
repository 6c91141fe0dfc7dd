"""One run of two processes over loopback."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest

from tests.builders import ROOT, all_queries, make_tiny_task, tiny_run
from wrlso import Result, resume
from wrlso.cli.main import main
from wrlso.results.export import write_csv
from wrlso.runs import processes
from wrlso.runs.folder import RunFolder
from wrlso.runs.log import QueryLog
from wrlso.runs.plan import queries_of_runs

PROGRAM = """
import sys

import jax

from wrlso.runs.processes import join_processes

join_processes()
jax.config.update("jax_num_cpu_devices", 2)

from tests.builders import tiny_run

result = tiny_run(sys.argv[1], seeds=int(sys.argv[2]), proposer="prior")
print(len(result.queries()))
"""


def started(*arguments, count=2):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    return [
        subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=ROOT,
            env={
                **os.environ,
                "JAX_COORDINATOR_ADDRESS": address,
                "JAX_NUM_PROCESSES": str(count),
                "JAX_PROCESS_ID": str(number),
                "PYTHONPATH": str(ROOT),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]


def finished(started):
    outputs = [one.communicate(timeout=500) for one in started]
    for one, (_, error) in zip(started, outputs, strict=True):
        assert one.returncode == 0, error[-3000:]
    # Gloo, which connects the processes, says so on standard output.
    return ["".join(line for line in output.splitlines(True) if not line.startswith("[Gloo]"))
            for output, _ in outputs]  # fmt: skip


def keyed(queries):
    return {
        (q.seed, q.round, q.index): (q.object, q.latent, q.score, q.status, q.reason)
        for q in queries
    }


@pytest.mark.slow
def test_two_processes_give_the_queries_of_one(tmp_path):
    """Each logs its own seeds; the result, the report and the states are those of one process."""
    counts = finished(started("-c", PROGRAM, tmp_path / "two", 3))
    alone = tiny_run(tmp_path / "one", seeds=3, proposer="prior")
    together = Result(tmp_path / "two")
    assert keyed(together.queries()) == keyed(alone.queries())
    assert [int(count) for count in counts] == [len(alone.queries())] * 2
    logged = [all_queries(share.path) for share in processes.shares(tmp_path / "two")]
    assert [sorted({q.seed for q in queries}) for queries in logged] == [[0, 1], [2]]
    assert together.summary["seeds"] == alone.summary["seeds"]
    assert together.checkpoints == alone.checkpoints
    task = make_tiny_task()
    for ours, theirs in zip(
        together.state(task=task).history, alone.state(task=task).history, strict=True
    ):
        if isinstance(ours, np.ndarray):
            np.testing.assert_array_equal(ours, theirs)
    write_csv([together], tmp_path / "queries.csv")
    assert len((tmp_path / "queries.csv").read_text().splitlines()) == 1 + len(alone.queries())


@pytest.mark.slow
def test_the_command_line_runs_in_two_processes(tmp_path):
    """With more processes than seeds: one has nothing to do."""
    options = "--budget 4 --retrain-every 2 --seeds 1 --epochs 0.01 --no-figures --no-progress"
    outputs = finished(
        started("-m", "wrlso", "run", "shapes", "--out", tmp_path / "run", "--distributed",
                *options.split())
    )  # fmt: skip
    assert re.search(r"\| seed +\|", outputs[0])
    assert not outputs[1].strip()
    assert Result(tmp_path / "run").summary["seeds"][0]["charged"] == 4


def split_run(tmp_path):
    """A run of two shares, as two processes leave it that were killed before they were joined."""
    whole = tiny_run(tmp_path / "whole", seeds=3, proposer="prior")
    folder = RunFolder.create(tmp_path / "split", whole.folder.config)
    for number, share in enumerate(processes._split(folder.config, 2)):
        path = folder.path / "processes" / f"{number:05d}"
        RunFolder.create(path, share)
        resume(path, task=make_tiny_task(), progress=False)
    (folder.path / "processes" / "all").touch()
    return whole, folder


def test_one_process_joins_what_several_began(tmp_path):
    whole, folder = split_run(tmp_path)
    joined = resume(folder.path, task=make_tiny_task(), progress=False)
    assert keyed(joined.queries()) == keyed(whole.queries())
    assert joined.summary["seeds"] == whole.summary["seeds"]
    assert joined.summary["compilations"] == whole.summary["compilations"]
    state, expected = (one.state(task=make_tiny_task()) for one in (joined, whole))
    np.testing.assert_array_equal(state.history.objects, expected.history.objects)
    rounds = QueryLog(folder.path / "queries.sqlite", read_only=True).rounds()
    assert len(rounds) == 9
    # Again, as after a kill while they were joined.
    (folder.path / "summary.json").unlink()
    again = resume(folder.path, task=make_tiny_task(), progress=False)
    assert keyed(again.queries()) == keyed(whole.queries())
    assert (
        json.loads((folder.path / "summary.json").read_text())["seeds"] == joined.summary["seeds"]
    )


def test_what_shares_have_logged_is_read_before_they_are_joined(tmp_path, capsys):
    """As after a kill: in tables, pages, files, the best objects, and as another run's start."""
    whole, folder = split_run(tmp_path)
    part = folder.path / "processes" / "00001"
    (part / "summary.json").unlink()
    with closing(RunFolder(part).open_log()) as log:
        log.forget_from(2)
    (part / "checkpoints" / "round00003.safetensors").unlink()
    known = {q for q in whole.queries() if q.seed < 2 or q.round < 2}
    found = Result(folder.path)
    assert keyed(found.queries()) == keyed(known)
    assert found.summary["state"] == "stopped"
    assert [seed["charged"] for seed in found.summary["seeds"]] == [12, 12, 8]
    assert found.best_objects(1, task=make_tiny_task())[0].score == max(q.score for q in known)
    table, page = tmp_path / "all.csv", tmp_path / "page.html"
    words = ["report", str(folder.path), "--csv", str(table), "--html", str(page)]
    assert main(words) == 0
    assert "stopped, 32 of 36 queries" in capsys.readouterr().out
    assert len(table.read_text().splitlines()) == 1 + len(known)
    assert "under way: 32 of 36 queries" in page.read_text()
    more = queries_of_runs(folder.path, make_tiny_task())
    assert {one.object for one in more} == {q.object for q in known if q.score is not None}
    with RunFolder(part).locked():  # whichever process has a share
        assert Result(folder.path).summary["state"] == "running"
    joined = resume(folder.path, task=make_tiny_task(), progress=False)
    assert keyed(joined.queries()) == keyed(whole.queries())


@pytest.mark.slow
def test_a_run_of_two_processes_is_seen_while_it_runs_and_after_a_kill(tmp_path):
    both = started("-c", PROGRAM, tmp_path / "run", 2)
    try:
        deadline, seen = time.monotonic() + 300, None
        while seen is None or not seen.queries():
            assert time.monotonic() < deadline
            time.sleep(0.1)
            if (tmp_path / "run" / "processes" / "all").exists():
                seen = Result(tmp_path / "run")
        assert seen.finished or seen.summary["state"] == "running"
    finally:
        for one in both:
            one.kill()
            one.communicate()
    killed = Result(tmp_path / "run")
    assert killed.finished or killed.summary["state"] == "stopped"
    assert len(killed.queries()) > 0


def test_shares_that_are_not_as_they_were_left_are_refused(tmp_path):
    """Nothing of what they hold is evaluated again, or left out, without a word."""
    _, folder = split_run(tmp_path)
    shares, away = folder.path / "processes", tmp_path / "away"
    (shares / "all").unlink()  # the shares have queries, so they had all been made
    assert processes.has_shares(folder.path)
    (shares / "00001").rename(away)
    with pytest.raises(ValueError, match=r"processes is damaged: .*seeds \[0, 1\], and the run"):
        resume(folder.path, task=make_tiny_task(), progress=False)
    tiny_run(shares / "00001", seeds=1, first_seed=2, proposer="prior")
    with pytest.raises(ValueError, match="00001 is damaged: it belongs to run"):
        resume(folder.path, task=make_tiny_task(), progress=False)
    assert not folder.summary_file.exists()
    shutil.rmtree(shares / "00001")
    away.rename(shares / "00001")
    joined = resume(folder.path, task=make_tiny_task(), progress=False)
    assert len({query.seed for query in joined.queries()}) == 3
