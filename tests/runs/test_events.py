"""Callbacks: one call per round, with what a user would plot."""

import math
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from tests.builders import (
    ROOT,
    all_queries,
    make_tiny_task,
    tiny_run,
    tiny_sweep,
)  # fmt: skip
from wrlso import resume


def test_a_callback_is_called_once_per_round(tmp_path):
    events = []
    result = tiny_run(tmp_path / "run", seeds=2, proposer="bo", callback=events.append)
    assert [event.round for event in events] == [0, 1, 2]
    assert [event.charged for event in events] == [8, 16, 24]
    last = events[-1]
    assert last.folder == result.folder.path
    assert last.budget == 24
    assert last.metrics["best"] == result.best.mean()
    assert {seed: own["best"] for seed, own in last.seeds.items()} == dict(enumerate(result.best))
    for name in ("loss", "effective_rows", "log_likelihood", "kl", "duplicates"):
        assert math.isfinite(last.metrics[name]), name
    assert last.metrics["log_likelihood"] < 0 < last.metrics["kl"]


def test_every_run_of_a_sweep_calls_back(tmp_path):
    events = []
    results = tiny_sweep(tmp_path / "sweep", callback=events.append)
    for result in results.values():
        own = [event for event in events if event.folder == result.folder.path]
        assert own[-1].charged == 36
        assert own[-1].metrics["best"] == result.best.mean()


def test_a_callback_that_raises_stops_a_run_that_can_be_resumed(tmp_path):
    def raises(event):
        if event.round == 1:
            raise RuntimeError("no connection")

    whole = tiny_run(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="no connection"):
        tiny_run(tmp_path / "run", callback=raises)
    assert len(all_queries(tmp_path / "run")) == 24
    rounds = []
    again = resume(
        tmp_path / "run", task=make_tiny_task(), progress=False,
        callback=lambda event: rounds.append(event.round),
    )  # fmt: skip
    assert rounds == [2]
    assert again.queries() == whole.queries()


def test_tensorboard_reads_what_a_run_tells(tmp_path):
    summary = pytest.importorskip("tensorboard.summary")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events, writer = [], summary.Writer(str(tmp_path / "log"))

    def to_tensorboard(event):
        events.append(event)
        for name, value in event.metrics.items():
            writer.add_scalar(name, value, step=event.charged)

    tiny_run(tmp_path / "run", seeds=1, callback=to_tensorboard)
    writer.close()
    read = EventAccumulator(str(tmp_path / "log"))
    read.Reload()
    best = [(e.step, float(make_ndarray(e.tensor_proto))) for e in read.Tensors("best")]
    assert best == [(e.charged, pytest.approx(e.metrics["best"])) for e in events]
    assert {"loss", "kl", "effective_rows"} <= set(read.Tags()["tensors"])


PROGRAM = """
    import sys, time
    from tests.builders import count_bits_on_host, host_task, tiny_run
    asked = []
    def objective(thing):
        asked.append(1)
        if len(asked) == 6:
            print("waiting", flush=True)
            time.sleep(60)
        return count_bits_on_host(thing)
    try:
        tiny_run(sys.argv[1], host_task(objective), proposer="prior", seeds=1)
    except KeyboardInterrupt as error:
        sys.exit(type(error).__name__)
"""


def test_sigterm_stops_a_run_as_ctrl_c_does(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path / "run")], cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGTERM)
    assert "Terminated" in process.communicate(timeout=120)[1]
    assert len(all_queries(tmp_path / "run")) == 5


def test_a_callback_that_is_no_function_is_refused_before_any_work(tmp_path):
    for call in (tiny_run, tiny_sweep, resume):
        with pytest.raises(TypeError, match="callback must be a function, got 3"):
            call(tmp_path / "run", callback=3)
    assert list(tmp_path.iterdir()) == []
