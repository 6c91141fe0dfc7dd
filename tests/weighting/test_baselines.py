"""The baselines' weights against their definitions in NumPy and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from wrlso.weighting.baselines import (
    BASE,
    cem_pi_reference_weights,
    cem_pi_weights,
    dbas_reference_weights,
    dbas_weights,
    feedback_weights,
    masked_quantile,
    rwr_weights,
)
from wrlso.weighting.registry import weighting_named


@st.composite
def histories(draw):
    """Base rows, then rounds of queries; some rows of each do not count."""
    n = draw(st.sampled_from([4, 12, 40]))  # each length compiles anew
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.normal(size=n) * draw(st.sampled_from([0.0, 1.0, 100.0]))
    if draw(st.booleans()):
        scores = np.round(scores)  # ties
    bad = rng.random(n) < 0.3
    scores[bad] = rng.choice([np.nan, np.inf, -np.inf], bad.sum())
    rounds = np.sort(rng.integers(-1, draw(st.integers(0, 5)), n))
    return scores.astype(np.float32), rng.random(n) < 0.8, rounds.astype(np.int32)


def uniform(rows):
    return rows / max(rows.sum(), 1)


def oracle(name, scores, mask, rounds, q, noise, alpha):
    """One row and one round after the other, in float64."""
    valid = mask & np.isfinite(scores)
    if not valid.any():
        return np.zeros(len(scores))
    f = np.where(valid, scores, 0.0).astype(np.float64)
    if name == "rwr":
        w = np.where(valid, np.exp(alpha * (f - f[valid].max())), 0.0)
        return w / w.sum()
    threshold, rows = np.quantile(f[valid], q), valid
    if name.endswith("reference"):
        threshold, rows = -np.inf, np.zeros(len(scores), bool)
        for r in range(rounds.max() + 1):
            now = valid & (rounds == r)
            if now.any():
                threshold, rows = max(threshold, np.quantile(f[now], q)), now
    if name.startswith("cem_pi"):
        # Float32's quantile may be a rounding off.
        return uniform(rows & (f >= threshold - 1e-6 * max(1, abs(threshold))))
    if name == "dbas_reference":
        chance = np.where(rows, scipy.stats.norm.cdf((f - threshold) / noise), 0.0)
        chance[chance < 1e-6] = 0
        return chance / max(chance.sum(), 1e-30)
    if name.startswith("dbas"):
        log_w = np.where(rows, scipy.stats.norm.logcdf((f - threshold) / noise), -np.inf)
        w = np.exp(log_w - log_w.max())
        return w / w.sum()
    buffer = list(np.flatnonzero(valid & (rounds == BASE)))
    size = len(buffer)
    for r in range(rounds.max() + 1):
        now = valid & (rounds == r)
        if now.any():
            threshold = np.quantile(f[now], q)
            threshold -= 1e-6 * max(1, abs(threshold))
            buffer += list(np.flatnonzero(now & (f >= threshold)))
    kept = np.zeros(len(scores), bool)
    kept[buffer[len(buffer) - size :]] = True
    return uniform(kept)


NAMES = ("dbas", "cem_pi", "rwr", "feedback", "dbas_reference", "cem_pi_reference")
JITTED = {name: jax.jit(weighting_named(name)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(histories(), st.sampled_from([0.0, 0.5, 0.8, 0.95, 1.0]), st.sampled_from([0.1, 10.0]))
def test_weights_are_those_of_the_definition(name, history, quantile, noise):
    scores, mask, rounds = history
    hyper = {"quantile": quantile, "noise": noise, "alpha": 0.1}
    got = np.asarray(JITTED[name](scores, mask, rounds, hyper), np.float64)
    expected = oracle(name, scores, mask, rounds, quantile, noise, 0.1)
    np.testing.assert_allclose(got, expected, rtol=2e-2, atol=1e-4)
    assert got.sum() == pytest.approx(float(expected.sum() > 0), abs=1e-5)


@given(st.lists(st.floats(-100, 100, width=32), max_size=20), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_quantile_is_numpys(values, q):
    scores = np.zeros(20, np.float32)
    scores[: len(values)] = values
    got = masked_quantile(jnp.asarray(scores), jnp.arange(20) < len(values), q)
    expected = np.quantile(np.float64(values), q) if values else np.inf
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_feedback_takes_the_best_of_each_round_whatever_the_base_data_score():
    """Base scores 0 to 99, 20 new ones 10 to 29: the best fifth of the new ones enters."""
    scores = jnp.concatenate([jnp.arange(100.0), jnp.arange(10.0, 30.0)])
    rounds = jnp.repeat(jnp.array([BASE, 0]), jnp.array([100, 20]))
    weights = np.asarray(feedback_weights(scores, rounds, 0.8))
    assert list(np.flatnonzero(weights == 0)) == [0, 1, 2, 3, *range(100, 116)]


@pytest.mark.parametrize("score", [2.0, 0.1])
def test_all_scores_equal_weigh_the_same(score):
    scores, rounds = jnp.full(6, score), jnp.array([-1, -1, -1, 0, 0, 1])
    for weights in (
        dbas_weights(scores, 0.95, 0.1),
        cem_pi_weights(scores, 0.95),
        rwr_weights(scores, 1000.0),
    ):
        np.testing.assert_allclose(weights, 1 / 6, rtol=1e-6)
    for weights in (
        dbas_reference_weights(scores, rounds, 0.95, 0.1),
        cem_pi_reference_weights(scores, rounds, 0.95),
    ):
        np.testing.assert_allclose(weights, [0, 0, 0, 0, 0, 1])
    # Three new rows reach the threshold: they take the places of all old ones.
    newest = feedback_weights(scores, rounds, 0.95)
    np.testing.assert_allclose(newest, [0, 0, 0, 1 / 3, 1 / 3, 1 / 3], rtol=1e-6)


def test_large_rewards_do_not_overflow():
    np.testing.assert_array_equal(rwr_weights(jnp.array([1e38, 3.0, -1e38]), 10.0), [1, 0, 0])


@pytest.mark.parametrize("reference", [cem_pi_reference_weights, dbas_reference_weights])
def test_base_data_do_not_count_in_the_reference_form(reference):
    """However good they are: before the first round there is nothing to train on, and after it no
    threshold of theirs."""
    rest = (0.5, 0.1) if reference is dbas_reference_weights else (0.5,)
    scores = jnp.array([100.0, 101.0, 5.0, 6.0, 9.0])
    begun = reference(scores, jnp.array([-1, -1, 0, 0, 0]), *rest)
    np.testing.assert_array_equal(np.asarray(begun) > 0, [False, False, False, True, True])
    np.testing.assert_array_equal(reference(scores, jnp.full(5, BASE), *rest), 0)


def test_rows_far_below_the_threshold_have_no_weight():
    """A round far below the threshold: all its rows had weight in the pooled form."""
    scores, rounds = jnp.array([9.0, 9.0, 1.0, 2.0]), jnp.array([0, 0, 1, 1])
    np.testing.assert_array_equal(dbas_reference_weights(scores, rounds, 0.5, 0.1), 0)
    within = dbas_reference_weights(scores, rounds, 0.5, 4.0)
    assert 0 < float(within[2]) < float(within[3])


def test_an_empty_round_leaves_the_last_one_that_counts():
    """All queries of round 1 failed: the reference methods go on with round 0."""
    scores = jnp.array([0.0, 1.0, 5.0, 6.0, jnp.nan])
    rounds = jnp.array([-1, -1, 0, 0, 1])
    weights = cem_pi_reference_weights(scores, rounds, 0.5)
    np.testing.assert_allclose(weights, [0, 0, 0, 1, 0])


def test_the_reference_threshold_never_falls():
    """Nothing of the last round reaches it: no weight at all."""
    scores, rounds = jnp.array([0.0, 9.0, 1.0, 2.0]), jnp.array([0, 0, 1, 1])
    np.testing.assert_array_equal(cem_pi_reference_weights(scores, rounds, 1.0), 0)
    pooled = cem_pi_weights(scores[2:], 1.0)
    np.testing.assert_allclose(pooled, [0, 1])


@pytest.mark.parametrize("bad", [[], [np.nan, np.inf]])
def test_scores_that_cannot_be_weighted_are_refused(bad):
    for call in (
        lambda s: dbas_weights(s, 0.9, 1.0),
        lambda s: cem_pi_weights(s, 0.9),
        lambda s: rwr_weights(s, 1.0),
    ):
        with pytest.raises(ValueError, match="scores"):
            call(np.array(bad))


def test_an_infinite_alpha_takes_the_best():
    for alpha in (np.inf, 1e39):
        weights = rwr_weights(jnp.array([1.0, 3.0, 3.0, 2.0]), alpha)
        assert weights.tolist() == [0, 0.5, 0.5, 0]


@pytest.mark.parametrize("scores", [[np.nan] * 4, [0.0, 1.0, np.nan, np.inf]])
def test_derivatives_are_zero_where_no_row_counts(scores):
    scores, none = jnp.array(scores), jnp.zeros(4, bool)
    rounds = jnp.array([BASE, 0, 0, 1])
    for name, weights in {
        "dbas": lambda s, q, n: dbas_weights(s, q, n, none),
        "dbas_reference": lambda s, q, n: dbas_reference_weights(s, rounds, q, n, none),
    }.items():
        run = jax.jit(jax.jacobian(weights, (0, 1, 2)))
        for slope in run(scores, 0.5, 0.1):
            np.testing.assert_array_equal(slope, np.zeros(slope.shape), name)
