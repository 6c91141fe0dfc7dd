"""A run that grows ends as one that was asked for its whole budget at first."""

import json

import jax
import numpy as np
import pytest

import wrlso
from tests.builders import (
    all_queries,
    count_bits_on_host,
    host_task,
    logged_rounds,
    make_tiny_task,
    tiny_bo,
    tiny_run,
)  # fmt: skip
from wrlso import Result, methods, resume
from wrlso.runs import growing

METHOD = methods.weighted_retraining(k=1e-2, retrain_every=4)


def equal(one: Result, other: Result, task) -> None:
    assert one.queries() == other.queries()
    assert logged_rounds(one.folder.path) == logged_rounds(other.folder.path)
    assert one.summary["seeds"] == other.summary["seeds"]
    ours, theirs = (jax.tree.leaves(result.state(task=task)) for result in (one, other))
    for mine, other_leaf in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other_leaf)


@pytest.mark.parametrize(("first", "then"), [(8, 20), (10, 20), (3, 20)])
def test_a_run_that_grew_is_the_run_that_was_asked_for_at_once(tmp_path, first, then):
    """Also where the first budget cuts a round short, or is below r."""
    task = make_tiny_task()
    method = METHOD if first > 4 else methods.lso()
    at_once = tiny_run(tmp_path / "whole", task, method, budget=then, seeds=2)
    tiny_run(tmp_path / "run", task, method, budget=first, seeds=2)
    grown = resume(tmp_path / "run", task=task, budget=then, progress=False)
    equal(grown, at_once, task)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["budget"] == config["algorithm"]["budget"] == then
    with pytest.raises(ValueError, match=rf"budget = 5 is below {then}"):
        resume(tmp_path / "run", task=task, budget=5, progress=False)


def test_a_run_that_grows_evaluates_nothing_twice(tmp_path):
    evaluated = []

    def objective(thing):
        evaluated.append(bytes(thing))
        return count_bits_on_host(thing)

    task = host_task(objective)
    tiny_run(tmp_path / "run", task, METHOD, budget=10, seeds=1, proposer="prior")
    grown = resume(tmp_path / "run", task=task, budget=18, progress=False)
    assert len(evaluated) == len(set(evaluated)) == 18
    at_once = tiny_run(tmp_path / "whole", task, METHOD, budget=18, seeds=1, proposer="prior")
    assert grown.queries() == at_once.queries()
    assert grown.summary["seeds"] == at_once.summary["seeds"]


@pytest.mark.slow
@pytest.mark.parametrize("proposer", ["bo", "grid"])
def test_a_run_grown_from_100_to_300_is_bit_identical(tmp_path, proposer):
    task = make_tiny_task(bo=tiny_bo(candidates=60))
    method = methods.weighted_retraining(k=1e-2, retrain_every=50)
    settings = dict(proposer=proposer, seeds=1)
    at_once = tiny_run(tmp_path / "whole", task, method, budget=300, **settings)
    tiny_run(tmp_path / "run", task, method, budget=100, **settings)
    equal(resume(tmp_path / "run", task=task, budget=300, progress=False), at_once, task)


@pytest.mark.slow
def test_a_run_on_the_host_grown_from_100_to_300_is_bit_identical(tmp_path):
    """Also across a step of the capacity."""
    task = host_task(count_bits_on_host, bo=tiny_bo(candidates=60))
    method = methods.weighted_retraining(k=1e-2, retrain_every=50)
    settings = dict(proposer="bo", seeds=1, batch=10)
    at_once = tiny_run(tmp_path / "whole", task, method, budget=300, **settings)
    tiny_run(tmp_path / "run", task, method, budget=100, **settings)
    equal(resume(tmp_path / "run", task=task, budget=300, progress=False), at_once, task)
    assert at_once.summary["compilations"]["ask"] in (2, 3)  # a round may find no new objects


@pytest.mark.parametrize("first", [pytest.param(8, marks=pytest.mark.slow), 10])
def test_a_run_on_the_host_grows_over_steps_of_the_capacity(tmp_path, monkeypatch, first):
    monkeypatch.setattr(growing, "SMALLEST", 4)
    task = host_task(count_bits_on_host)
    settings = dict(proposer="prior", seeds=2)
    at_once = tiny_run(tmp_path / "whole", task, METHOD, budget=20, **settings)
    tiny_run(tmp_path / "run", task, METHOD, budget=first, **settings)
    equal(resume(tmp_path / "run", task=task, budget=20, progress=False), at_once, task)
    assert at_once.summary["compilations"]["retrain"] == 3  # 4, 16, 64


def test_an_accelerator_compiles_once_for_500_queries(monkeypatch):
    """A compilation takes minutes there; a CPU computes less in small histories."""
    method = methods.weighted_retraining(k=1e-2, retrain_every=50)
    algorithm = wrlso.algorithm(make_tiny_task(), method, budget=1000)
    capacities = lambda: [growing.capacity_of(algorithm, round) for round in (0, 1, 2, 9, 10)]  # noqa: E731
    assert capacities() == [128, 128, 512, 512, 2048]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert capacities() == [512, 512, 512, 512, 2048]


@pytest.mark.parametrize(("first", "then"), [(16, 4), (4, 16)])
def test_a_run_moves_between_an_accelerator_and_a_cpu(tmp_path, monkeypatch, first, then):
    """Their first capacities differ."""
    task = host_task(count_bits_on_host)
    settings = dict(proposer="prior", seeds=2)
    whole = tiny_run(tmp_path / "whole", task, METHOD, budget=24, **settings)
    monkeypatch.setattr(growing, "smallest", lambda: first)
    tiny_run(tmp_path / "run", task, METHOD, budget=8, **settings)
    monkeypatch.setattr(growing, "smallest", lambda: then)
    moved = resume(tmp_path / "run", task=task, budget=24, progress=False)
    assert moved.queries() == whole.queries()


def test_a_study_grows(tmp_path):
    people = host_task(None)
    with wrlso.open(tmp_path / "lab", people, METHOD, budget=4, proposer="prior") as study:
        study.tell({c.id: count_bits_on_host(c.object) for c in study.ask()})
        assert study.ask() == []
    assert Result(tmp_path / "lab").finished
    resume(tmp_path / "lab", task=people, budget=8, progress=False)
    with wrlso.open(tmp_path / "lab", people, progress=False) as study:
        study.tell({c.id: count_bits_on_host(c.object) for c in study.ask()})
    scored = host_task(count_bits_on_host)
    plain = tiny_run(tmp_path / "plain", scored, METHOD, budget=8, seeds=1, proposer="prior")
    assert all_queries(tmp_path / "lab") == plain.queries()


def test_a_new_run_starts_from_an_old_ones_queries(tmp_path):
    task = make_tiny_task()
    old = tiny_run(tmp_path / "old", task, METHOD, budget=8, seeds=2)
    new = tiny_run(tmp_path / "new", task, METHOD, budget=4, seeds=1, start_from=tmp_path / "old")
    known = {q.object for q in old.queries() if q.score is not None}
    assert not known & {q.object for q in new.queries()}
    assert new.folder.config.starting["count"] == 200 + len(known)
    assert new.folder.config.starting["best"] == max(old.best)
    assert f"{len(known)} measurements made elsewhere joined the data" in new.table()
    again = resume(tmp_path / "new", task=task, budget=8, progress=False)
    whole = tiny_run(tmp_path / "all", task, METHOD, budget=8, seeds=1, start_from=tmp_path / "old")
    assert again.queries() == whole.queries()
    with pytest.raises(ValueError, match=r"start_from = .* is a run of task 'bits'"):
        tiny_run(tmp_path / "no", make_tiny_task(name="x"), METHOD, start_from=tmp_path / "old")


def test_an_old_runs_score_of_a_starting_object_counts_and_is_warned_of(tmp_path):
    """It is in the data once."""
    people = host_task(None)
    with wrlso.open(tmp_path / "lab", people, METHOD, budget=4, proposer="prior") as study:
        thing, score = people.load_data().objects[0], float(people.load_data().scores[0])
        assert study.tell([(thing, score + 1)], replace=True).replaced == 1
    again = dict(budget=4, proposer="prior", start_from=tmp_path / "lab")
    warned = rf"start_from: 1 objects .* has {score + 1} in place of {score}"
    with pytest.warns(UserWarning, match=warned):
        other = wrlso.open(tmp_path / "other", people, METHOD, **again)
    assert other.folder.config.starting["count"] == len(people.load_data().scores)
    other.close()
