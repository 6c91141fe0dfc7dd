"""A run that was killed goes on as if nothing had happened."""

import numpy as np
import pytest

from tests.builders import (
    Killed,
    all_queries,
    count_bits_on_host,
    host_task,
    make_tiny_task,
    tiny_run,
)
from wrlso import Result, resume
from wrlso.evaluation.components import ComponentScore
from wrlso.runs.folder import RunFolder
from wrlso.runs.session import Session
from wrlso.status import Status


@pytest.mark.parametrize("asks_before", [0, 1, 2])
def test_resume_ends_with_the_queries_of_the_uninterrupted_run(tmp_path, monkeypatch, asks_before):
    whole = tiny_run(tmp_path / "whole")
    original = Session._search_in_jax
    calls = []

    def dies(self, fit, check_interrupt):
        if len(calls) == asks_before:
            raise Killed
        calls.append(fit)
        return original(self, fit, check_interrupt)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "_search_in_jax", dies)
        with pytest.raises(Killed):
            tiny_run(tmp_path / "run")
    assert "not finished (stopped, " in Result(tmp_path / "run").table()
    assert len(all_queries(tmp_path / "run")) == asks_before * 12
    resumed = resume(tmp_path / "run", task=make_tiny_task(), progress=False)
    assert resumed.queries() == whole.queries()
    assert resumed.summary["seeds"] == whole.summary["seeds"]
    assert resumed.summary["uncharged_evaluations"] == whole.summary["uncharged_evaluations"]


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    tiny_run(tmp_path / "run")
    before = (tmp_path / "run" / "summary.json").read_text()
    resume(tmp_path / "run", task=make_tiny_task(), progress=False)
    assert (tmp_path / "run" / "summary.json").read_text() == before


def test_resume_on_another_number_of_devices(tmp_path, monkeypatch):
    whole = tiny_run(tmp_path / "whole", devices=3)
    original = RunFolder.save_checkpoint

    def dies_after_one(self, done, *args, **kwargs):
        original(self, done, *args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save_checkpoint", dies_after_one)
        with pytest.raises(Killed):
            tiny_run(tmp_path / "run", devices=2)
    resumed = resume(tmp_path / "run", task=make_tiny_task(), devices=1, progress=False)
    assert resumed.queries() == whole.queries()


def test_no_object_is_evaluated_twice_over_a_kill(tmp_path):
    """Killed between two objects of a batch: each is scored once over both processes."""
    scored, kills = [], [1]

    def objective(thing):
        if len(scored) == 17 and kills:
            kills.clear()
            raise Killed
        scored.append(bytes(thing))
        return ComponentScore(np.unpackbits(thing).sum(), [("first byte", thing[0])])

    with pytest.raises(Killed):
        tiny_run(tmp_path / "run", host_task(objective), proposer="prior", seeds=2)
    assert len(all_queries(tmp_path / "run")) == 17
    resumed = resume(tmp_path / "run", task=host_task(objective), progress=False)
    whole = tiny_run(tmp_path / "whole", proposer="prior", seeds=2)
    assert resumed.queries() == whole.queries()
    assert len(scored) == sum(q.status == Status.OK for q in whole.queries())
    assert resumed.components() == {
        (q.seed, q.round, q.index): (("first byte", q.object[0], None),)
        for q in whole.queries()
        if q.status == Status.OK
    }


@pytest.mark.parametrize("left", ["no log", "an empty log", "a log"])
def test_a_run_that_was_killed_while_its_folder_was_made_goes_on(tmp_path, left):
    """`make torture` found the second: the log's file was there, its tables were not."""
    task = host_task(count_bits_on_host)
    whole = tiny_run(tmp_path / "whole", task, seeds=1, proposer="prior")
    folder = RunFolder.create(tmp_path / "run", whole.folder.config)
    if left == "an empty log":
        (folder.path / "queries.sqlite").touch()
    if left == "a log":
        folder.open_log().close()
    resumed = resume(folder.path, task=task, progress=False)
    assert resumed.queries() == whole.queries()
