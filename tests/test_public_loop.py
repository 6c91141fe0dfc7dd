"""A user's JAX program from public names only, beside what ``wrlso.run`` does."""

import dataclasses
import typing

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import wrlso
from tests.builders import (
    METHOD,
    logged_rounds,
    loop_by_hand,
    make_tiny_task,
    tiny_bo,
    tiny_run,
)
from wrlso.loop.retraining import RetrainConfig
from wrlso.runs.settings import SettingsArguments
from wrlso.status import Status


def queries(result, seed):
    """Objects, latents and scores of a seed's charged queries."""
    charged = [q for q in result.queries() if q.seed == seed and q.status != Status.DUPLICATE]
    objects = np.array([np.frombuffer(q.object, np.uint8) for q in charged])
    latents = np.array([np.frombuffer(q.latent, "<f4") for q in charged])
    return objects, latents, np.array([q.score for q in charged], np.float32)


def check_equal(history, result, seed):
    n = int(history.used)
    objects, latents, scores = queries(result, seed)
    assert n == len(scores) > 0
    np.testing.assert_array_equal(history.objects[:n], objects)
    np.testing.assert_array_equal(history.scores[:n], scores)
    np.testing.assert_allclose(history.latents[:n], latents, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("proposer", ["grid", "prior"])
def test_simulate_gives_the_queries_of_run(tmp_path, proposer):
    task = make_tiny_task()
    result = tiny_run(tmp_path / "run", task, proposer=proposer, seeds=2)
    algorithm = wrlso.algorithm(task, METHOD, budget=12, proposer=proposer)
    params, base = wrlso.pretrained(task, progress=False), wrlso.base_data(task)
    simulate = jax.jit(lambda seed: wrlso.simulate(algorithm, task.objective, seed, params, base))
    logged = logged_rounds(tmp_path / "run")
    for seed in range(2):
        state, rounds = simulate(seed)
        check_equal(state.history, result, seed)
        expected = [round for round in logged if round.seed == seed]
        for name in ("steps", "loss", "effective_rows", "diverged", "uncharged", "refused"):
            found = [getattr(round, name) for round in expected]
            np.testing.assert_allclose(getattr(rounds, name), found, rtol=1e-5)
        assert rounds.asks.tolist() == [1, 1, 1]


def test_a_loop_of_ones_own_gives_the_queries_of_run(tmp_path):
    task = make_tiny_task()
    result = tiny_run(tmp_path / "run", task, proposer="prior", seeds=1, first_seed=3)
    algorithm = wrlso.algorithm(task, METHOD, budget=12, proposer="prior")
    check_equal(loop_by_hand(task, algorithm, 3).history, result, 3)


@pytest.mark.parametrize(
    ("proposer", "budget", "compared"), [("prior", 12, 12), ("bo", 4, 1)], ids=["prior", "bo"]
)
def test_a_task_that_minimises_gives_the_queries_of_run(tmp_path, proposer, budget, compared):
    """``run`` logs the task's own scores; in a program's histories higher is better."""
    task = dataclasses.replace(make_tiny_task(), minimize=True)
    result = tiny_run(tmp_path / "run", task, proposer=proposer, seeds=1, budget=budget)
    algorithm = wrlso.algorithm(task, METHOD, budget=budget, proposer=proposer)
    params, base = wrlso.pretrained(task, progress=False), wrlso.base_data(task)
    simulate = jax.jit(lambda seed: wrlso.simulate(algorithm, task.objective, seed, params, base))
    histories = [simulate(0)[0].history]
    if proposer == "prior":
        histories.append(loop_by_hand(task, algorithm, 0).history)
    objects, latents, scores = (rows[:compared] for rows in queries(result, 0))
    assert len(scores) == compared
    for history in histories:
        np.testing.assert_array_equal(history.objects[:compared], objects)
        np.testing.assert_array_equal(-history.scores[:compared], scores)
        np.testing.assert_allclose(history.latents[:compared], latents, rtol=1e-4, atol=0.05)


def test_base_data_of_the_other_direction_than_the_algorithms_are_refused():
    low, high = dataclasses.replace(make_tiny_task(), minimize=True), make_tiny_task()
    made = wrlso.prepare_base(low.load_data(), minimize=True)
    jax.tree.map(np.testing.assert_array_equal, made, wrlso.base_data(low))
    assert jax.tree.structure(made) == jax.tree.structure(wrlso.base_data(low))
    for task, base in ((low, wrlso.base_data(high)), (high, made)):
        algorithm = wrlso.algorithm(task, METHOD, budget=4, proposer="prior")
        with pytest.raises(ValueError, match="make both from one task"):
            jax.eval_shape(
                lambda base, a=algorithm: wrlso.simulate(a, high.objective, 0, high.params, base),
                base,
            )


@pytest.mark.slow
def test_bo_in_a_program_of_ones_own_begins_as_in_run(tmp_path):
    """Up to rounding, which a climb may make visible later."""
    task = make_tiny_task()
    result = tiny_run(tmp_path / "run", task, proposer="bo", budget=4, seeds=1)
    algorithm = wrlso.algorithm(task, METHOD, budget=4, proposer="bo")
    params, base = wrlso.pretrained(task, progress=False), wrlso.base_data(task)
    history = jax.jit(lambda seed: wrlso.simulate(algorithm, task.objective, seed, params, base))(
        0
    )[0].history
    first = next(q for q in result.queries() if q.index == 0)
    np.testing.assert_allclose(history.latents[0], np.frombuffer(first.latent, "<f4"), atol=0.05)


@pytest.mark.slow
def test_a_weighting_function_gives_the_queries_of_the_named_one(tmp_path):
    def mine(scores, mask, rounds, hyper):
        return wrlso.rank_weights(scores, hyper["k"], mask)

    own = wrlso.Method("mine", weighting=mine, hyper={"k": 1e-2}, retrain_every=4)
    made = wrlso.Method(
        "made", weighting=wrlso.weightings.rank(), hyper={"k": 1e-2}, retrain_every=4
    )
    flat = wrlso.Method(
        "flat", weighting=lambda s, m, r, h: wrlso.uniform_weights(s, m), retrain_every=4
    )
    named, by_own, by_made, by_flat = (
        tiny_run(tmp_path / method.name, method=method, proposer="prior", seeds=1)
        for method in (METHOD, own, made, flat)
    )
    assert by_own.queries() == named.queries() == by_made.queries()
    assert by_flat.queries() != named.queries()
    assert by_own.folder.config.weighting.split(" ")[0].endswith("mine")
    assert by_made.folder.config.weighting == "rank"
    assert "mine" in by_own.table()
    assert by_own.save_figures(make_tiny_task(), method=own)


def test_a_proposer_of_ones_own_gives_the_queries_of_the_one_it_repeats(tmp_path):
    task = make_tiny_task()

    def propose(key, view, surrogate):
        latents = jax.random.normal(key, (16, 2), jnp.float32)
        return wrlso.proposers.Pool(latents, task.vae.decode(view.params, latents))

    own = wrlso.Proposer("mine", propose, batch=4)
    ours = tiny_run(tmp_path / "own", task, proposer=own, seeds=2)
    assert ours.queries() == tiny_run(tmp_path / "prior", task, proposer="prior", seeds=2).queries()
    assert ours.summary["proposer"] == ours.folder.config.proposer == "mine"


@pytest.mark.slow
def test_an_acquisition_function_of_ones_own_gives_the_queries_of_the_one_it_repeats(tmp_path):
    """Through whole runs: EI as a function, as a name, and another one."""

    def expected_improvement(mean, variance, best):
        return wrlso.acquisition.expected_improvement(mean, variance, best)

    found = {}
    for name, acquisition in {
        "own": expected_improvement,
        "ei": "ei",
        "mean": lambda mean, variance, best: mean,
    }.items():
        task = make_tiny_task(bo=tiny_bo(acquisition=acquisition))
        found[name] = tiny_run(tmp_path / name, task, proposer="bo", budget=4, seeds=1)
    assert found["own"].queries() == found["ei"].queries()
    assert found["mean"].queries() != found["ei"].queries()
    recorded = found["own"].folder.config.algorithm["proposer"]["settings"]["acquisition"]
    assert "expected_improvement" in recorded


def moved(optimizer, learning_rate=1e-2, steps=1):
    """How far one retraining moves the parameters."""
    config = RetrainConfig(1.0, 0.5, 16, learning_rate, 1.0, optimizer=optimizer)
    task = make_tiny_task(retrain=config)
    algorithm = wrlso.algorithm(task, METHOD, budget=12)
    base = wrlso.base_data(task)
    state = wrlso.loop.init(algorithm, task.params, base.dataset)
    after, info = wrlso.loop.retrain(algorithm, jax.random.key(0), state, base, steps)
    assert bool(info.finite)
    return jax.tree.map(lambda new, old: np.asarray(new - old), after.params, task.params)


def test_retraining_takes_any_optax_transformation():
    """One step: SGD's is linear in its own rate; Adam's is the rate times a sign, AdamW's decays
    besides; momentum changes the second step only."""
    params = make_tiny_task().params
    sgd, twice = moved(optax.sgd(1e-3)), moved(optax.sgd(2e-3))
    for once, two in zip(jax.tree.leaves(sgd), jax.tree.leaves(twice), strict=True):
        np.testing.assert_allclose(2 * once, two, rtol=1e-2, atol=1e-6)
    assert max(np.abs(a).max() for a in jax.tree.leaves(sgd)) > 1e-3
    adam = moved(optax.adam)
    for ours, theirs in zip(jax.tree.leaves(adam), jax.tree.leaves(sgd), strict=True):
        visible = np.abs(theirs) > 1e-4
        np.testing.assert_allclose(ours[visible], 1e-2 * np.sign(theirs[visible]), rtol=1e-3)
    adamw = moved(lambda rate: optax.adamw(rate, weight_decay=0.5))
    expected = jax.tree.map(lambda a, p: a - 1e-2 * 0.5 * np.asarray(p), adam, params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), adamw, expected)
    jax.tree.map(np.testing.assert_array_equal, moved(optax.adam(1e-2)), adam)
    plain, momentum = (moved(optax.sgd(1e-3, m), steps=2) for m in (None, 0.9))
    assert not np.allclose(plain["decoder"], momentum["decoder"], atol=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [pytest.param(optax.sgd(1e-3), marks=pytest.mark.slow), optax.adamw],
    ids=["sgd", "adamw"],
)
def test_a_run_retrains_with_the_optimizer_of_its_task(tmp_path, optimizer):
    retrain = dataclasses.replace(make_tiny_task().retrain, optimizer=optimizer)
    result = tiny_run(
        tmp_path / "run", make_tiny_task(retrain=retrain), proposer="prior", seeds=1, budget=8
    )
    usual = tiny_run(tmp_path / "usual", proposer="prior", seeds=1, budget=8)
    task = make_tiny_task(retrain=retrain)
    ours, theirs = (one.state(task=task).params["decoder"] for one in (result, usual))
    assert not np.array_equal(ours, theirs)
    algorithm = wrlso.algorithm(task, METHOD, budget=8, proposer="prior")
    state, _ = wrlso.simulate(algorithm, task.objective, 0, task.params, wrlso.base_data(task))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[0], b, rtol=1e-4, atol=1e-6),
        result.state(task=task).params,
        state.params,
    )


def test_whole_numbers_booleans_and_keys_among_the_parameters_stay():
    task, extra = make_tiny_task(), {"calls": jnp.int32(3), "on": jnp.bool_(True)}
    init = task.vae.init
    for more in (extra, {**extra, "key": jax.random.key(1)}):
        vae = dataclasses.replace(task.vae, init=lambda key, more=more: {**init(key), **more})
        params = {**task.params, **more}
        other = make_tiny_task(vae=vae, params=params)
        base = wrlso.base_data(other)
        ends = []
        for one, given in ((other, params), (task, task.params)):
            algorithm = wrlso.algorithm(one, METHOD, budget=8, proposer="prior")
            ends.append(wrlso.simulate(algorithm, one.objective, 0, given, base)[0])
        after = {name: ends[0].params.pop(name) for name in more}
        jax.tree.map(np.testing.assert_array_equal, ends[0].params, ends[1].params)
        assert after["calls"] == 3
        assert after["on"]
        np.testing.assert_array_equal(ends[0].history.scores, ends[1].history.scores)


def test_a_run_keeps_whole_numbers_among_the_parameters(tmp_path):
    task, more = make_tiny_task(), {"calls": jnp.int32(3)}
    init = task.vae.init
    vae = dataclasses.replace(task.vae, init=lambda key: {**init(key), **more})
    other = make_tiny_task(vae=vae, params={**task.params, **more})
    ours = tiny_run(tmp_path / "run", other, proposer="prior", seeds=1, budget=8)
    usual = tiny_run(tmp_path / "usual", proposer="prior", seeds=1, budget=8)
    assert [q.score for q in ours.queries()] == [q.score for q in usual.queries()]
    assert ours.state(task=other).params["calls"].tolist() == [3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(batch_size=0), "batch_size must be at least 1"),
        (dict(learning_rate=-1.0), "learning_rate must be at least 0 and finite"),
        (dict(learning_rate=np.nan), "learning_rate must be"),
        (dict(beta=-1.0), "beta must be"),
        (dict(epochs=-1.0), "epochs must be"),
        (dict(first_epochs=np.inf), "first_epochs must be"),
        (dict(first_steps=-3), "first_steps must be"),
    ],
)
def test_a_retraining_without_a_meaning_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        RetrainConfig(**changes)


def test_a_rate_without_a_meaning_is_refused_where_it_is_known():
    task = make_tiny_task()
    algorithm = wrlso.algorithm(task, METHOD, budget=8, proposer="prior")
    with pytest.raises(ValueError, match="learning_rate must be at least 0 and finite, got -1"):
        algorithm.numbers({"learning_rate": -1.0})


def test_a_weighting_of_another_shape_is_refused_when_traced():
    task = make_tiny_task()
    base = wrlso.base_data(task)
    method = dataclasses.replace(METHOD, weighting=lambda scores, *_: scores[:3] * 0 + 1 / 3)
    algorithm = wrlso.algorithm(task, method, budget=8, proposer="prior")
    simulate = lambda seed: wrlso.simulate(algorithm, task.objective, seed, task.params, base)  # noqa: E731
    with pytest.raises(ValueError, match="a weight for each of"):
        jax.eval_shape(simulate, jnp.int32(0))


def test_the_arguments_of_run_are_the_settings():
    """One source: same names, same types; and an unknown name is refused with the list of them."""
    arguments = typing.get_type_hints(SettingsArguments)
    settings = typing.get_type_hints(wrlso.RunSettings)
    assert arguments == settings
    assert list(arguments) == [field.name for field in dataclasses.fields(wrlso.RunSettings)]
    with pytest.raises(TypeError, match="no setting 'sedes'; there are: budget, seeds, first_seed"):
        wrlso.run(make_tiny_task(), METHOD, out="nowhere", sedes=3)
