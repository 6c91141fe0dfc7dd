"""Functions of the user's that return something else than they should, or are no program of JAX."""

import functools
import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wrlso
from tests.builders import make_tiny_task, tiny_algorithm, tiny_data, tiny_run
from wrlso.loop.candidates import prepare_base
from wrlso.proposers.bo_config import acquisition_of_own
from wrlso.weighting.registry import weights_of

WRONG = {
    "a column": (lambda n: jnp.ones((n, 1)), r"\[\d+, 1\]"),
    "one number": (lambda n: jnp.ones(()), r"got (float32 )?\[\]"),
    "nothing": (lambda n: None, "got a NoneType"),
    "a tuple": (lambda n: (jnp.ones(n),), r"got a tuple of 1|got \[1, \d+\]"),
    "complex numbers": (lambda n: jnp.ones(n, complex), "got complex64"),
}
PLACES = ("objective", "soft_objective", "accept", "dedup_key", "weighting", "acquisition")


def call(place, function):
    """Trace ``function`` where users give one: in its settings, or in a whole simulation."""
    if place == "acquisition":
        return wrlso.BOConfig(acquisition=function)
    if place == "weighting":
        method = wrlso.Method("own", weighting=function)
        return wrlso.algorithm(make_tiny_task(), method, proposer="prior")
    task = make_tiny_task(**{place: function})
    soft = {"proposer": "generator", "gradient_of": "objective"}
    settings = soft if place == "soft_objective" else {"proposer": "prior"}
    algorithm = wrlso.algorithm(task, wrlso.methods.lso(), budget=4, **settings)
    base = prepare_base(tiny_data(), task.dedup_key)
    run = lambda seed: wrlso.simulate(algorithm, task.objective, seed, task.params, base)  # noqa: E731
    return jax.eval_shape(run, 0)


@pytest.mark.parametrize(
    ("place", "case"),
    [one for one in itertools.product(PLACES, WRONG) if one != ("dedup_key", "a column")],
)
def test_a_function_that_returns_something_else_is_named(place, case):
    returned, message = WRONG[case]
    with pytest.raises((ValueError, TypeError), match=message) as error:
        call(place, lambda rows, *_: returned(len(rows)))
    assert place in str(error.value)


@pytest.mark.parametrize("place", PLACES)
def test_a_function_that_reads_values_is_named_in_a_note(place):
    with pytest.raises(jax.errors.JAXTypeError) as error:
        call(place, lambda rows, *_: np.asarray(rows).sum(-1))
    (note,) = [note for note in error.value.__notes__ if "compiled program" in note]
    assert place in note
    assert "jax.numpy" in note
    assert ("host_objective" in note) == (place == "objective")


SCORES = jnp.array([3.0, 1.0, 2.0, 9.0])
MASK = jnp.array([True, True, True, False])


def own(function):
    return lambda scores, mask, rounds, hyper: function(scores)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda s: jnp.array([1.0, 1.0, 2.0, 0.0]), [0.25, 0.25, 0.5, 0]),
        (lambda s: jnp.array([1e38, 1e38, 2e38, 0.0]), [0.25, 0.25, 0.5, 0]),
        (lambda s: jnp.array([2e-38, 2e-38, 4e-38, 0.0]), [0.25, 0.25, 0.5, 0]),
        (lambda s: s, [0.5, 1 / 6, 1 / 3, 0]),  # the last row does not count
        (lambda s: s > 1, [0.5, 0, 0.5, 0]),
        (lambda s: jnp.array([1, 1, 2, 5]), [0.25, 0.25, 0.5, 0]),
        (lambda s: jnp.array([jnp.nan, -1.0, 2.0, 0.0]), [0, 0, 1, 0]),
        (lambda s: -s, [0, 0, 0, 0]),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_weights_of_ones_own_are_masked_and_scaled(function, expected, compiled):
    call = lambda s: weights_of(own(function), s, MASK, jnp.zeros(4, jnp.int32), {})  # noqa: E731
    found = (jax.jit(call) if compiled else call)(SCORES)
    assert found.dtype == SCORES.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("form", ["sample", "loss", "split"])
def test_weights_that_do_not_sum_to_one_train_as_those_that_do(form, tmp_path):
    def objects(name, scale):
        def weighting(scores, mask, rounds, hyper):
            return scale * jnp.where(mask, 1.0 + scores, 0.0) / 1024

        task = make_tiny_task()
        task = replace(task, retrain=replace(task.retrain, form=form))
        method = wrlso.Method("own", weighting=weighting, retrain_every=4)
        result = tiny_run(tmp_path / name, task, method, seeds=1, budget=8, proposer="prior")
        return [query.object for query in result.queries()]

    assert objects("one", 1.0) == objects("more", 256.0)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda s: s * jnp.nan, "200 of 200 such as nan"),
        (lambda s: s * 0, "got zeros only"),
        (lambda s: s - s.max(), "such as -"),
        (lambda s: 1 / (s.max() - s), "such as inf"),
    ],
)
def test_weights_that_train_nothing_are_refused_before_a_run(function, message, tmp_path):
    method = wrlso.Method("own", weighting=own(function), retrain_every=4)
    with pytest.raises(ValueError, match=f"the weighting must give the starting data .* {message}"):
        tiny_run(tmp_path / "run", make_tiny_task(), method, proposer="prior")
    assert not (tmp_path / "run").exists()


def test_points_where_an_acquisition_function_is_nan_come_last():
    mean, variance, best = jnp.array([0.0, 2.0, 1.0]), jnp.ones(3), jnp.zeros(())
    function = lambda mean, variance, best: jnp.where(mean > 1, jnp.nan, mean)  # noqa: E731
    found = acquisition_of_own(function, mean, variance, best)
    assert found.tolist() == [0.0, -np.inf, 1.0]
    assert acquisition_of_own(lambda m, v, b: m > b, mean, variance, best).dtype == mean.dtype


@pytest.mark.parametrize("made", [lambda rate: None, lambda rate: rate, lambda rate: (rate, rate)])
def test_an_optimizer_function_returns_a_transformation(made):
    task, algorithm = tiny_algorithm(proposer="prior")
    algorithm = replace(algorithm, retraining=replace(algorithm.retraining, optimizer=made))
    base = prepare_base(tiny_data())
    with pytest.raises(ValueError, match="optimizer must be a function from the learning rate"):
        jax.eval_shape(lambda: wrlso.simulate(algorithm, task.objective, 0, task.params, base))


def test_beside_an_infinite_weight_finite_ones_are_zero():
    """Inf / inf is NaN, which counts as zero: nothing was drawn, and nothing was said."""
    function = own(lambda s: jnp.exp(1e3 * (s - 1.5)))
    found = weights_of(function, SCORES, MASK, jnp.zeros(4, jnp.int32), {})
    assert found.tolist() == [0.5, 0.0, 0.5, 0.0]


def test_a_function_around_one_of_ours_is_ones_own():
    ours = wrlso.weightings.weighting_named("uniform")

    @functools.wraps(ours)
    def five_times(scores, mask, rounds, hyper):
        return 5 * ours(scores, mask, rounds, hyper)

    found = weights_of(five_times, SCORES, MASK, jnp.zeros(4, jnp.int32), {})
    np.testing.assert_allclose(found, [1 / 3, 1 / 3, 1 / 3, 0], rtol=1e-6)


@pytest.mark.parametrize("name", ["beta", "learning_rate"])
def test_a_number_of_a_weighting_has_a_name_of_its_own(name):
    """It would have been the training's as well."""
    method = wrlso.Method("own", weighting=own(lambda s: s), hyper={name: 30.0}, retrain_every=4)
    with pytest.raises(ValueError, match=f"hyper of method 'own' has {name} = 30.* another name"):
        wrlso.algorithm(make_tiny_task(), method, proposer="prior")
