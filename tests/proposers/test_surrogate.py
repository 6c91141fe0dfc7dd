"""The surrogate: which data it sees, in which units, and what it learns."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.builders import make_tiny_task
from wrlso.data import NO_SCORE, Dataset, append, empty_history
from wrlso.fingerprint import fingerprint, first_occurrence
from wrlso.gp import exact, sparse
from wrlso.gp.fit import FitConfig
from wrlso.gp.kernels import Matern52
from wrlso.loop.candidates import prepare_base
from wrlso.proposers import surrogate
from wrlso.proposers.base import Observations, View
from wrlso.proposers.surrogate import (
    SurrogateConfig,
    _inducing,
    choose_rows,
    fit_surrogate,
    initial_memory,
)
from wrlso.status import Status

QUICK = FitConfig(restarts=1, evaluations=3)


def view_of(task, history=None):
    shared = prepare_base(task.load_data())
    history = history or empty_history(6, shared.dataset.objects[0], 2)
    return View(task.params, history, shared.dataset, shared.distinct)


def fitted(task, view, max_observations=5, **changes):
    config = SurrogateConfig(**({"best": 10, "random": 20, "inducing": 8, "fit": QUICK} | changes))
    memory = initial_memory(task.vae, config)
    return fit_surrogate(
        jax.random.key(0),
        view,
        memory,
        vae=task.vae,
        config=config,
        max_observations=max_observations,
    )[1]


def history_of(task, latents, status, scores):
    objects = task.vae.decode(task.params, latents)
    return append(
        empty_history(6, objects[0], 2), objects, latents,
        jnp.asarray(scores, jnp.float32), jnp.asarray(status), fingerprint(objects),
        fingerprint(objects), jnp.ones(len(latents), bool),
    )  # fmt: skip


def test_chosen_rows_are_the_best_and_distinct():
    base = make_tiny_task().load_data()
    distinct = first_occurrence(fingerprint(base.objects))
    rows, real = choose_rows(jax.random.key(0), base, distinct, 15, 40)
    rows, real = np.asarray(rows), np.asarray(real)
    assert real.all()
    objects = {bytes(o) for o in np.asarray(base.objects)[rows]}
    assert len(objects) == 55
    scores = np.asarray(base.scores)
    left_out = np.setdiff1d(np.flatnonzero(np.asarray(distinct)), rows[:15])
    assert scores[rows[:15]].min() >= scores[left_out].max()
    others = choose_rows(jax.random.key(1), base, distinct, 15, 40)[0]
    assert set(rows[:15]) == set(np.asarray(others)[:15])
    assert set(rows[15:]) != set(np.asarray(others)[15:])


def test_rows_beyond_the_distinct_objects_are_padding():
    objects = jnp.array([[1], [2], [1], [2], [3]], jnp.uint8)
    base = Dataset(objects, jnp.array([1.0, 2.0, 1.0, 2.0, 0.0]))
    distinct = first_occurrence(fingerprint(objects))
    rows, real = choose_rows(jax.random.key(0), base, distinct, 2, 100)
    assert len(rows) == 5
    assert sorted(np.asarray(rows)[np.asarray(real)].tolist()) == [0, 1, 4]


@pytest.mark.parametrize("kind", ["exact", pytest.param("sparse", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_predictions_equal_a_posterior_on_the_same_data_by_hand(kind):
    task = make_tiny_task()
    fit = fitted(task, view_of(task), kind=kind)
    keep = np.asarray(fit.mask)
    x, y = fit.latents[keep], fit.scores[keep]
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(0), 1, rtol=1e-4)
    np.testing.assert_allclose([y.mean(), y.std()], [0, 1], atol=1e-5)
    query = jax.random.normal(jax.random.key(1), (5, 2))
    if kind == "exact":
        plain = exact.condition(fit.gp.kernel, fit.gp.noise, x, y)
        expected = exact.predict(plain, query)
    else:
        plain = sparse.condition(fit.gp.kernel, fit.gp.noise, x, y, fit.gp.inducing)
        expected = sparse.predict(plain, query)
    for ours, theirs in zip(surrogate.predict(fit, query), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4)
    mean, covariance = surrogate.predict_joint(fit, query)
    np.testing.assert_allclose(mean, expected[0], atol=2e-4)
    np.testing.assert_allclose(jnp.diagonal(covariance), expected[1], atol=2e-4)


def test_failed_queries_enter_as_the_penalty_where_there_is_one():
    task = make_tiny_task()
    latents = jnp.array([[0.5, 0.5], [1.0, -1.0], [-2.0, 0.1], [0.3, 2.0]])
    status = [Status.OK, Status.FAILED, Status.INVALID, Status.TIMEOUT]
    history = history_of(task, latents, status, [9.0, NO_SCORE, NO_SCORE, NO_SCORE])
    without = fitted(task, view_of(task, history))
    assert without.mask[:6].tolist() == [True] + [False] * 5
    punished = fitted(task, view_of(task, history), penalty=-4.0)
    assert punished.mask[:6].tolist() == [True] * 4 + [False] * 2
    own = punished.score_units.invert(punished.scores[:4])
    np.testing.assert_allclose(own, [9.0, -4.0, -4.0, -4.0], rtol=1e-5)
    # An invalid object cannot be encoded: it goes once its point decodes to something else.
    task = dataclasses.replace(task, params={**task.params, "decoder": -task.params["decoder"]})
    later = fitted(task, view_of(task, history), penalty=-4.0)
    assert later.mask[:6].tolist() == [True, True, False, True, False, False]


def test_latents_are_those_proposed_while_they_still_decode_to_the_object():
    task = make_tiny_task()
    latents = jnp.array([[0.5, 0.5], [1.0, -1.0]])
    history = history_of(task, latents, [Status.OK] * 2, [1.0, 2.0])
    same, aligned = surrogate.current_latents(task.vae, task.params, history)
    np.testing.assert_array_equal(same[:2], latents)
    assert aligned[:2].all()
    other = {**task.params, "decoder": -task.params["decoder"]}
    moved, aligned = surrogate.current_latents(task.vae, other, history)
    assert not aligned[:2].any()
    encoded, _ = task.vae.encode(other, history.objects)
    np.testing.assert_allclose(moved[:2], encoded[:2], rtol=1e-6)
    assert not np.allclose(moved[:2], latents)


def test_an_object_that_its_point_no_longer_decodes_to_moves_to_a_likelier_point():
    task = make_tiny_task()
    latents = jnp.array([[0.5, 0.5], [1.0, -1.0], [2.0, 1.0]])
    history = history_of(task, latents, [Status.OK, Status.FAILED, Status.INVALID], [1.0] * 3)
    other = {**task.params, "decoder": -task.params["decoder"]}
    encoded, _ = surrogate.current_latents(task.vae, other, history)
    inverted, aligned = surrogate.current_latents(task.vae, other, history, 100)
    assert not aligned[:3].any()

    before, after = (
        task.vae.log_likelihood(other, z, history.objects)[:2] for z in (encoded, inverted)
    )
    assert (after > before).all()
    # An invalid decode is no object, and beyond the queries there is none.
    np.testing.assert_array_equal(inverted[2:], encoded[2:])
    # What still decodes to its object stays, whatever the steps.
    same, _ = surrogate.current_latents(task.vae, task.params, history, 100)
    np.testing.assert_array_equal(same[:3], latents)


@pytest.mark.parametrize("kind", ["exact", pytest.param("sparse", marks=pytest.mark.slow)])
def test_observing_is_conditioning_on_more(kind):
    task = make_tiny_task()
    fit = fitted(task, view_of(task), kind=kind)
    latents = jnp.array([[1.0, 0.2], [0.0, 0.0], [-1.0, 2.0]])
    scores = jnp.array([20.0, jnp.nan, 3.0])
    told = jax.jit(surrogate.observe)(
        fit, Observations(latents, scores, *2 * (jnp.zeros(3, bool),))
    )
    assert int(told.next - fit.next) == 2
    assert float(told.scores.max()) == float(told.best)  # so that climbs can start there
    x = jnp.concatenate([fit.latents, fit.latent_units.apply(latents[::2])])
    y = jnp.concatenate([fit.scores, fit.score_units.apply(scores[::2])])
    mask = jnp.concatenate([fit.mask, jnp.ones(2, bool)])
    gp = fit.gp
    again = (
        exact.condition(gp.kernel, gp.noise, x, y, mask)
        if kind == "exact"
        else sparse.condition(gp.kernel, gp.noise, x, y, gp.inducing, mask)
    )
    module = exact if kind == "exact" else sparse
    query = jax.random.normal(jax.random.key(1), (5, 2))
    for ours, theirs in zip(
        surrogate.predict(told, query), module.predict(again, query), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=3e-4)
    np.testing.assert_allclose(told.best, y[-2], rtol=1e-5)


def test_observations_beyond_the_maximum_change_nothing():
    task = make_tiny_task()
    fit = fitted(task, view_of(task), max_observations=1)
    one = Observations(jnp.ones((1, 2)), jnp.array([5.0]), *2 * (jnp.zeros(1, bool),))
    first = surrogate.observe(fit, one)
    second = surrogate.observe(first, one._replace(scores=jnp.array([50.0])))
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_a_failure_is_observed_as_the_penalty():
    task = make_tiny_task()
    fit = fitted(task, view_of(task))
    failed = Observations(
        jnp.ones((1, 2)), jnp.array([NO_SCORE]), jnp.ones(1, bool), jnp.zeros(1, bool)
    )
    jax.tree.map(np.testing.assert_array_equal, surrogate.observe(fit, failed), fit)
    punished = surrogate.observe(fit, failed, penalty=-50.0)
    at = fit.latent_units.apply(jnp.ones((1, 2)))
    assert surrogate.predict(punished, at)[0][0] < surrogate.predict(fit, at)[0][0] - 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "dense"}, "kind must be"),
        ({"kernel": "linear"}, "unknown kernel 'linear'; there are: matern52"),
        ({"best": 0}, "best = 0"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SurrogateConfig(**changes)


def test_a_collapsed_dimension_keeps_the_box_small():
    """Encodings that hardly spread do not make the prior endless in their units."""
    task = make_tiny_task()
    squeezed = task.params["encoder"].at[:, 1].multiply(1e-4)
    task = dataclasses.replace(task, params={**task.params, "encoder": squeezed})
    units = fitted(task, view_of(task)).latent_units
    assert 0.1 <= float(units.deviation[1]) < 0.11
    assert float(units.deviation[0]) > 0.2


def test_a_fantasy_lowers_the_variance_and_keeps_the_mean():
    task = make_tiny_task()
    fit = fitted(task, view_of(task))
    x = jnp.array([0.3, 1.5])
    fantasy = surrogate.fantasize(fit, x)
    (mean, variance), (was, uncertain) = (surrogate.predict(s, x[None]) for s in (fantasy, fit))
    np.testing.assert_allclose(mean, was, atol=1e-3)
    assert variance[0] < 0.9 * uncertain[0]
    assert fantasy.best == fit.best
    np.testing.assert_array_equal(fantasy.scores, fit.scores)


def test_equal_scores_give_finite_predictions():
    task = dataclasses.replace(
        make_tiny_task(),
        load_data=lambda: Dataset(make_tiny_task().load_data().objects, jnp.full(200, 3.0)),
    )
    fit = fitted(task, view_of(task))
    mean, variance = surrogate.predict(fit, jnp.zeros((1, 2)))
    assert np.isfinite([mean[0], variance[0]]).all()


def test_a_lone_peak_is_not_smoothed_away():
    """One point of 2,000 far above the others, which 40 centres of clusters would not show."""
    x = jax.random.normal(jax.random.key(0), (2000, 6))
    y = (0.1 * jnp.sin(x[:, 0])).at[7].set(6.0)
    mask = jnp.arange(2000) < 1900
    inducing = _inducing(jax.random.key(1), x, y, mask, 40)
    assert inducing.shape == (40, 6)
    best = np.argsort(-np.asarray(y[:1900]))[:10]
    np.testing.assert_array_equal(inducing[:10], x[best])
    kernel = Matern52(jnp.full(6, 0.7), jnp.asarray(1.0))
    at_peak = sparse.predict(sparse.condition(kernel, 0.01, x, y, inducing, mask), x[7:8])[0]
    centres = sparse.k_means(jax.random.key(1), x, 40, mask)
    smoothed = sparse.predict(sparse.condition(kernel, 0.01, x, y, centres, mask), x[7:8])[0]
    assert at_peak[0] > 2.5 > 0.3 > smoothed[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_base_scores_that_are_not_finite_are_left_out(bad):
    task = make_tiny_task()
    view = view_of(task)
    scores = view.base.scores.at[jnp.array([3, 7])].set(bad)
    view = view._replace(base=view.base._replace(scores=scores))
    known = fitted(task, view)
    assert np.isfinite(known.best)
    mean, variance = surrogate.predict(known, jnp.zeros((3, 2)))
    assert np.isfinite(mean).all()
    assert np.isfinite(variance).all()


def test_predicted_scores_follow_the_units_of_the_scores():
    """Scores of another scale and origin, with the same posterior of standard units."""
    task = make_tiny_task()
    known = fitted(task, view_of(task))
    points = jnp.array([[0.3, -1.0], [0.0, 0.0], [2.0, 2.0]])
    units = known.score_units
    scaled = known._replace(
        score_units=units._replace(mean=100 * units.mean + 7, deviation=100 * units.deviation)
    )
    near, far = (surrogate.predict_scores(one, points) for one in (known, scaled))
    np.testing.assert_allclose(far.mean, 100 * near.mean + 7, rtol=1e-5)
    np.testing.assert_allclose(far.deviation, 100 * near.deviation, rtol=1e-5)


@pytest.mark.parametrize("kind", ["exact", "sparse"])
def test_predicted_scores_are_those_of_regression_with_noise(kind):
    """Against the textbook: k^T (K + noise I)^-1 y, and the variance of an observation. The sparse
    process has its inducing points at all data, where it is exact."""
    task = make_tiny_task()
    known = fitted(task, view_of(task), kind=kind, inducing=30)
    kernel, noise = known.gp.kernel, float(known.gp.noise)
    rows = np.asarray(known.mask)
    x, y = np.asarray(known.latents, float)[rows], np.asarray(known.scores, float)[rows]
    points = np.array([[0.3, -1.0], [0.0, 0.0], [2.0, 2.0]], np.float32)
    at = known.latent_units.apply(jnp.asarray(points))
    matrix = np.asarray(kernel(x, x), float) + noise * np.eye(len(x))
    cross = np.asarray(kernel(at, x), float)
    mean = cross @ np.linalg.solve(matrix, y)
    variance = np.diag(kernel(at, at)) - (cross * np.linalg.solve(matrix, cross.T).T).sum(1)
    found = surrogate.predict_scores(known, jnp.asarray(points))
    scale, shift = float(known.score_units.deviation), float(known.score_units.mean)
    tolerance = dict(rtol=2e-2, atol=2e-2 * scale)
    np.testing.assert_allclose(found.mean, shift + scale * mean, **tolerance)
    np.testing.assert_allclose(found.deviation, scale * np.sqrt(variance + noise), **tolerance)
