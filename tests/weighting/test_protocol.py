"""Every weighting, and one of a user's own, keeps the protocol ``Weighting``."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wrlso.weighting.registry import WEIGHTINGS, weighting_named

HYPER = {"k": 1e-2, "effective_rows": 12.0, "quantile": 0.6, "noise": 1.0, "alpha": 0.5}
PADDING = [np.nan, 1e6, -1e6]


def softmax(scores, mask, rounds, hyper):
    """A weighting of a user's own."""
    usable = mask & jnp.isfinite(scores)
    best = jnp.where(usable, scores, -jnp.inf).max()
    weights = jnp.where(usable, jnp.exp(hyper["alpha"] * (scores - best)), 0.0)
    return weights / jnp.maximum(weights.sum(), 1e-30)


@pytest.fixture(params=[*WEIGHTINGS, "own"])
def weighting(request):
    return softmax if request.param == "own" else weighting_named(request.param)


def data(seed=0, n=40):
    """Base rows, then three rounds; some scores are equal, some are missing."""
    rng = np.random.default_rng(seed)
    scores = np.round(3 * rng.normal(size=n)).astype(np.float32)
    scores[[5, 25]] = np.nan
    rounds = np.repeat([-1, 0, 1, 2], n // 4).astype(np.int32)
    return jnp.array(scores), jnp.array(rng.random(n) < 0.9), jnp.array(rounds)


def test_weights_sum_to_one_and_are_zero_where_a_row_does_not_count(weighting):
    scores, mask, rounds = data()
    weights = np.asarray(weighting(scores, mask, rounds, HYPER))
    assert weights.shape == scores.shape
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1, rel=1e-5)
    np.testing.assert_array_equal(weights[~(np.isfinite(scores) & mask)], 0)


@pytest.mark.parametrize("padding", PADDING)
def test_masked_rows_do_not_change_the_weights_of_others(weighting, padding):
    scores, mask, rounds = data()
    expected = weighting(scores, mask, rounds, HYPER)
    changed = jnp.where(mask, scores, padding)
    np.testing.assert_array_equal(weighting(changed, mask, rounds, HYPER), expected)
    longer = jnp.concatenate([scores, jnp.full(7, padding)])
    weights = weighting(
        longer,
        jnp.concatenate([mask, jnp.zeros(7, bool)]),
        jnp.concatenate([rounds, jnp.full(7, 2, jnp.int32)]),
        HYPER,
    )
    np.testing.assert_array_equal(weights[40:], 0)
    np.testing.assert_allclose(weights[:40], expected, rtol=1e-5, atol=1e-7)


def test_equal_scores_of_one_round_have_equal_weights(weighting):
    scores, mask, rounds = data()
    weights = np.asarray(weighting(scores, mask, rounds, HYPER))
    if weighting.__qualname__.startswith("feedback"):  # newer rows replace older ones
        weights = weights[30:]
        scores, mask, rounds = scores[30:], mask[30:], rounds[30:]
    groups = {}
    for weight, score, counts, round in zip(weights, scores, mask, rounds, strict=True):
        if counts and np.isfinite(score):
            groups.setdefault((float(score), int(round)), []).append(float(weight))
    assert any(len(group) > 1 for group in groups.values())
    for group in groups.values():
        np.testing.assert_allclose(group, group[0], rtol=1e-5)


def test_a_better_row_of_a_round_never_has_less_weight(weighting):
    scores, _, rounds = data()
    weights = np.asarray(weighting(scores, jnp.ones(40, bool), rounds, HYPER))
    last = np.arange(30, 40)  # the newest round is whole in every buffer
    ordered = last[np.argsort(np.asarray(scores)[last], kind="stable")]
    assert (np.diff(weights[ordered]) >= -1e-6).all()


def test_permuted_rows_of_a_round_have_permuted_weights(weighting):
    scores, mask, rounds = data()
    order = np.arange(40)
    rng = np.random.default_rng(1)
    for start in range(0, 40, 10):
        order[start : start + 10] = start + rng.permutation(10)
    whole = np.asarray(weighting(scores, mask, rounds, HYPER))
    permuted = np.asarray(weighting(scores[order], mask[order], rounds, HYPER))
    if weighting.__qualname__.startswith("feedback"):  # the oldest rows leave its buffer
        order, permuted = order[30:], permuted[30:]
    np.testing.assert_allclose(permuted, whole[order], rtol=1e-5)


def test_nothing_has_weight_where_no_row_counts(weighting):
    scores, mask, rounds = data()
    compiled = jax.jit(lambda s, m: weighting(s, m, rounds, HYPER))
    np.testing.assert_array_equal(compiled(scores, jnp.zeros_like(mask)), 0)
    np.testing.assert_array_equal(compiled(jnp.full(40, jnp.nan), mask), 0)


def test_jit_and_vmap_over_scores_and_numbers_give_the_same_weights(weighting):
    many = [data(seed) for seed in range(3)]
    scores, masks, rounds = (jnp.stack(parts) for parts in zip(*many, strict=True))
    hyper = {name: jnp.float32(value) * jnp.array([1.0, 0.9, 0.8]) for name, value in HYPER.items()}
    batched = jax.jit(jax.vmap(weighting))(scores, masks, rounds, hyper)
    for i, (s, m, r) in enumerate(many):
        alone = weighting(s, m, r, {name: value[i] for name, value in hyper.items()})
        np.testing.assert_allclose(batched[i], alone, rtol=1e-4, atol=1e-7)
