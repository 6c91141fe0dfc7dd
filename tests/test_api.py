"""Arguments are checked before any work."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from tests.builders import METHOD, bits_of, count_bits, host_task, make_tiny_task, tiny_run
from wrlso import methods, run, sweep
from wrlso.data import Dataset
from wrlso.tasks import shapes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 1e2}, "budget must be a whole number, got 100.0"),
        ({"budget": True}, "budget must be a whole number, got True"),
        ({"seeds": [3, 4]}, r"seeds must be a whole number, got \[3, 4\]"),
        ({"first_seed": "0"}, "first_seed must be a whole number"),
        ({"batch": 2.0, "proposer": "bo"}, "batch must be a whole number"),
    ],
)
def test_numbers_that_are_not_whole_are_refused_before_any_work(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_run(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_whole_numbers_of_numpy_are_taken(tmp_path):
    result = tiny_run(tmp_path / "run", budget=np.int64(4), seeds=np.int32(1))
    assert result.summary["budget"] == 4


def test_an_argument_that_is_not_a_task_or_method_is_named(tmp_path):
    task, out = make_tiny_task(), tmp_path / "run"
    with pytest.raises(TypeError, match="task must be a Task, such as"):
        run("shapes", METHOD, out=out)
    with pytest.raises(TypeError, match=r"got <function shapes.* \(it has to be called\)"):
        run(shapes, METHOD, out=out)
    with pytest.raises(TypeError, match="method must be a Method, such as"):
        run(task, "lso", out=out)
    with pytest.raises(TypeError, match="it has to be called"):
        sweep(task, {"a": METHOD, "b": methods.lso}, out=out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 0}, "budget must be at least 1 query, got 0"),
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"first_seed": -1}, "first_seed must not be negative"),
        ({"budget": 3}, "retrain_every = 4 is above budget = 3"),
        ({"proposer": "magic"}, "unknown proposer 'magic'; there are: grid, prior"),
        ({"devices": 99}, "devices must be between"),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_run(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_a_k_that_is_not_positive_is_refused(tmp_path):
    for k in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="k must be positive"):
            run(
                make_tiny_task(),
                methods.weighted_retraining(k=k),
                out=tmp_path / "r",
                progress=False,
            )


def test_nan_in_the_base_data_is_refused(tmp_path):
    task = make_tiny_task()
    data = task.load_data()
    bad = data._replace(scores=data.scores.at[7].set(jnp.nan))
    with pytest.raises(ValueError, match="first in row 7"):
        tiny_run(tmp_path / "run", make_tiny_task(load_data=lambda: bad))
    assert not (tmp_path / "run").exists()


def test_a_model_that_decodes_to_another_form_than_the_data_is_refused(tmp_path):
    data = make_tiny_task().load_data()
    wide = data._replace(objects=data.objects.astype(jnp.int32))
    with pytest.raises(ValueError, match=r"decodes to uint8\[2\], but .* int32\[2\]"):
        tiny_run(tmp_path / "run", make_tiny_task(load_data=lambda: wide))


def test_an_objective_that_does_not_give_one_score_per_object_is_refused(tmp_path):
    method = methods.weighted_retraining(retrain_every=4)
    for wrong in (lambda objects: count_bits(objects).sum(), bits_of):
        task = make_tiny_task(objective=wrong)
        with pytest.raises(ValueError, match=r"must map objects \[2, 2\] to scores \[2\], got"):
            run(task, method, out=tmp_path / "run", budget=4, seeds=1, progress=False)
    assert not (tmp_path / "run").exists()


def test_grid_needs_an_objective_in_jax(tmp_path):
    with pytest.raises(ValueError, match="is a Python function: choose 'bo' or 'prior'"):
        tiny_run(tmp_path / "run", host_task(lambda thing: 0.0))


def test_base_data_of_equal_scores_are_warned_about(tmp_path):
    data = make_tiny_task().load_data()
    task = make_tiny_task(load_data=lambda: Dataset(data.objects, jnp.full(200, -7.0)))
    with pytest.warns(UserWarning, match="all 200 base objects of task 'bits' score -7"):
        tiny_run(tmp_path / "run", task, budget=4, seeds=1)
