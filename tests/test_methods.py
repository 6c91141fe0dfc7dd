"""Methods by name, and the numbers that each has."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wrlso
from tests.builders import make_tiny_task, tiny_algorithm
from wrlso import loop, methods
from wrlso.loop.candidates import prepare_base
from wrlso.methods import METHODS, get_method
from wrlso.results.tables import title
from wrlso.weighting.ranks import effective_sample_size
from wrlso.weighting.registry import weighting_named

pytestmark = pytest.mark.usefixtures("strict_modes")


def test_an_unknown_method_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="unknown method 'nope'; there are: lso"):
        get_method("nope")


@pytest.mark.parametrize(("method", "change"), [("lso", {"k": 0.1}), ("retrain_only", {"k": 0.1}),
                                               ("weight_only", {"retrain_every": 5})])  # fmt: skip
def test_a_method_refuses_what_it_fixes(method, change):
    with pytest.raises(ValueError, match=method):
        METHODS[method].with_options(**change)


def test_a_method_names_who_has_a_number():
    with pytest.raises(ValueError, match="no alpha, got alpha = 2; leave it out, or choose rwr"):
        methods.dbas().with_options(alpha=2.0)
    with pytest.raises(ValueError, match="'rwr' has no k, got k = 1"):
        methods.rwr().with_options(k=1.0)


@pytest.mark.parametrize(
    "method",
    [
        methods.dbas_reference(0.8, noise=1.0, retrain_every=10),
        methods.fb_vae(0.8, retrain_every=10),
        methods.rwr(0.1, retrain_every=10),
        methods.random_search(),
    ],
    ids=lambda method: method.name,
)
@pytest.mark.slow
def test_all_baselines_but_random_search_move_the_model(method, tmp_path):
    """They sample the prior; all but random search move the tiny model's."""
    task = make_tiny_task()
    result = wrlso.run(task, method, out=tmp_path / "run", budget=30, seeds=2, progress=False)
    assert result.summary["proposer"] == "prior"
    assert [seed["charged"] for seed in result.summary["seeds"]] == [30, 30]
    retrained = jax.tree.leaves(result.state(task=task).params)
    moved = [
        (np.asarray(new) != np.asarray(old)).reshape(2, -1).any(1)
        for new, old in zip(retrained, jax.tree.leaves(task.params), strict=True)
    ]
    assert np.any(moved, 0).tolist() == [method.name != "random_search"] * 2
    assert result.save_figures(task)


def steps_of(result):
    log = result.folder.open_log()
    steps = [r.steps for r in log.rounds()]
    log.close()
    return steps


def test_epochs_of_a_method_stand_for_the_tasks_own(tmp_path):
    """200 rows in batches of 16, then 205: 25 and 26 steps make two passes."""
    method = methods.cem_pi(0.8, retrain_every=5).with_options(epochs=2.0)
    task = make_tiny_task()
    result = wrlso.run(task, method, out=tmp_path / "run", budget=10, seeds=1, progress=False)
    assert steps_of(result) == [25, 26]
    with pytest.raises(ValueError, match="never trains, got epochs = 1"):
        methods.random_search().with_options(epochs=1.0)
    for wrong in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="epochs must be 0 or more"):
            wrlso.run(task, method.with_options(epochs=wrong), out=tmp_path / "none", budget=10)


@pytest.mark.slow
def test_beta_of_a_method_stands_for_the_tasks_own(tmp_path):
    """As numbers of one program, side by side, and as the task's own they give the same queries."""
    task, plain = make_tiny_task(), methods.cem_pi(0.8, retrain_every=5)
    asked = {"usual": plain, "strong": plain.with_options(beta=50.0)}
    both = wrlso.sweep(task, asked, out=tmp_path, budget=10, seeds=2, progress=False)
    strong = dataclasses.replace(task, retrain=dataclasses.replace(task.retrain, beta=50.0))
    alone = wrlso.run(strong, plain, out=tmp_path / "alone", budget=10, seeds=2, progress=False)
    queries = {name: [q.latent for q in result.queries()] for name, result in both.items()}
    models = {name: jax.tree.leaves(both[name].state(task=task).params) for name in asked}
    pairs = zip(models["strong"], models["usual"], strict=True)
    assert any(not np.array_equal(a, b) for a, b in pairs)
    assert queries["strong"] == [q.latent for q in alone.queries()]
    assert both["strong"].summary["beta"] == 50.0
    assert both["usual"].summary["compilations"] == both["strong"].summary["compilations"]
    assert "beta = 50" in title(both["strong"].summary)
    with pytest.raises(ValueError, match="never trains, got beta = 1"):
        methods.random_search().with_options(beta=1.0)
    for wrong in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="beta must be 0 or more"):
            wrlso.run(task, plain.with_options(beta=wrong), out=tmp_path / "none", budget=10)


def test_a_pass_of_the_reference_form_is_over_the_last_round(tmp_path):
    """20 rows ten times in batches of 16; nothing before there are any."""
    method = methods.dbas_reference(0.8, noise=1.0, retrain_every=20)
    task = make_tiny_task()
    result = wrlso.run(task, method, out=tmp_path / "run", budget=60, seeds=1, progress=False)
    assert steps_of(result) == [0, 13, 13]
    assert result.summary["seeds"][0]["retrainings"] == 2


def test_an_effective_sample_size_takes_the_place_of_k():
    task, algorithm = tiny_algorithm()
    base = prepare_base(task.load_data())
    method = methods.weighted_retraining(effective_rows=30.0, retrain_every=4)
    algorithm = wrlso.algorithm(task, method, budget=8)
    state = loop.init(algorithm, task.params, base.dataset)
    _, info = loop.retrain(algorithm, jax.random.key(0), state, base, 1)
    assert float(info.effective_rows) == pytest.approx(30.0, rel=0.2)  # scores are tied
    with pytest.raises(ValueError, match="leave one out"):
        methods.weight_only(k=0.1, effective_rows=30.0)
    with pytest.raises(ValueError, match="method 'lso' has no rank weights"):
        methods.lso().with_options(effective_rows=30.0)


def test_a_task_chooses_k_unless_k_is_named():
    task = make_tiny_task(effective_rows=20.0)

    def chosen(method):
        algorithm = wrlso.algorithm(task, method, budget=8)
        return algorithm.hyper

    plain = methods.weighted_retraining(retrain_every=4)
    assert chosen(plain) == {"effective_rows": 20.0}
    assert chosen(plain.with_options(k=1e-3)) == {"k": 1e-3}
    assert chosen(dataclasses.replace(plain, adaptive_k=False)) == {"k": 1e-3}
    assert chosen(methods.lso()) == {"k": np.inf}


@pytest.mark.parametrize(("rows", "expected"), [(20_000, 2000), (5000, 1000), (100, 50), (7, 7)])
def test_effective_rows_of_small_data_are_a_share_and_no_less_than_fifty(rows, expected):
    weighting = weighting_named("rank_adaptive")
    hyper = {"effective_rows": 2000.0}
    scores = jnp.arange(float(rows))
    weights = weighting(scores, jnp.ones(rows, bool), jnp.zeros(rows, jnp.int32), hyper)
    assert float(effective_sample_size(weights)) == pytest.approx(expected, rel=0.02)


def test_named_effective_rows_are_those_of_any_data():
    weighting, scores = weighting_named("rank_effective"), jnp.arange(1000.0)
    rounds = jnp.zeros(1000, jnp.int32)
    for rows in (20.0, 500.0):
        weights = weighting(scores, jnp.ones(1000, bool), rounds, {"effective_rows": rows})
        assert float(effective_sample_size(weights)) == pytest.approx(rows, rel=0.02)
