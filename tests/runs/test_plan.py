"""The plan of a run, its direction, and what is warned of before anything is spent."""

import warnings

import numpy as np
import pytest

from tests.builders import (
    METHOD,
    count_bits,
    count_bits_on_host,
    host_task,
    make_tiny_task,
    tiny_data,
    tiny_run,
)  # fmt: skip
from wrlso import RunSettings, methods
from wrlso.data import Dataset
from wrlso.resolve import algorithm
from wrlso.runs.config import plan_run
from wrlso.runs.plan import describe_plan, warn_of_collapse


def test_a_plan_says_what_will_be_evaluated():
    task = host_task(count_bits_on_host, starting="scored molecules of mine.csv")
    settings = RunSettings(budget=100, batch=4, proposer="bo").for_task(task)
    resolved, config = plan_run(task, METHOD, settings)
    assert describe_plan(task, settings, config, resolved) == (
        "plan: starting data: scored molecules of mine.csv; then 1 seed x 100 queries, in batches "
        "of 4"
    )


def test_a_plan_is_said_before_the_first_evaluation(tmp_path, capsys):
    def objective(thing):
        assert "plan: starting data: scored objects; then 1 seed x 4 queries" in said[0]
        return count_bits_on_host(thing)

    said = []

    def load_data():
        said.append(capsys.readouterr().err)
        return tiny_data()

    task = host_task(objective, load_data=load_data)
    tiny_run(tmp_path / "run", task, budget=4, seeds=None, proposer="prior", progress=True)
    assert len(said) == 1


@pytest.mark.parametrize(("in_jax", "seeds"), [(True, 5), (False, 1)])
def test_an_expensive_objective_gets_one_seed_unless_asked(in_jax, seeds):
    task = make_tiny_task() if in_jax else host_task(count_bits_on_host)
    assert RunSettings().for_task(task).seed_count == seeds
    assert RunSettings(seeds=3).for_task(task).seed_count == 3


@pytest.mark.parametrize("in_jax", [True, False])
def test_minimising_is_maximising_the_negated_scores(tmp_path, in_jax):
    """The same objects are asked for, and everything speaks in the user's sign."""
    data = tiny_data()
    changes = {"load_data": lambda: Dataset(data.objects, -data.scores), "minimize": True}
    if in_jax:
        up, down = make_tiny_task(), make_tiny_task(objective=lambda x: -count_bits(x), **changes)
    else:
        up = host_task(count_bits_on_host)
        down = host_task(lambda thing: -count_bits_on_host(thing), **changes)
    settings = dict(seeds=1, budget=8, proposer="prior")
    ours = tiny_run(tmp_path / "up", up, **settings)
    theirs = tiny_run(tmp_path / "down", down, **settings)
    assert [q.object for q in ours.queries()] == [q.object for q in theirs.queries()]
    assert [q.score for q in ours.queries()] == [-(q.score) for q in theirs.queries()]
    assert theirs.best.tolist() == [-best for best in ours.best]
    assert [c.tolist() for c in theirs.curves()] == [(-c).tolist() for c in ours.curves()]
    assert theirs.summary["starting"]["best"] == -float(np.max(data.scores))
    assert "lower is better" in theirs.table()


def test_weights_that_collapse_are_warned_of_with_what_to_do():
    data = tiny_data()
    seven = Dataset(data.objects[:7], np.arange(7, dtype=np.float32))
    task = make_tiny_task()
    few = algorithm(task, methods.weighted_retraining(k=1e-3, retrain_every=4), proposer="prior")
    with pytest.warns(UserWarning, match=r"98% of the training weight .* 7 objects .*with k = "):
        warn_of_collapse(few, seven)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_collapse(few, Dataset(np.zeros((10_000, 2)), np.arange(10_000.0)))
