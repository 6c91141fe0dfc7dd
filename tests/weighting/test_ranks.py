import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wrlso.weighting import baselines
from wrlso.weighting.ranks import (
    cumulative_weight,
    effective_sample_size,
    k_of_effective_rows,
    rank_weight_share,
    rank_weights,
    ranks,
    uniform_weights,
)


def oracle_ranks(scores, valid):
    """The definition, one row at a time."""
    return np.array([np.sum(valid & (scores > s)) for s in scores])


def oracle_weights(scores, k, mask=None):
    scores = np.asarray(scores, np.float64)
    valid = np.isfinite(scores) & (True if mask is None else np.asarray(mask))
    weights = np.zeros(len(scores))
    rank = oracle_ranks(np.where(valid, scores, -np.inf), valid)
    n = valid.sum()
    weights[valid] = 1.0 if np.isinf(k) else 1.0 / (k * n + rank[valid])
    return weights / weights.sum()


scores_with_rubbish = hnp.arrays(
    np.float32,
    st.sampled_from([1, 2, 3, 8, 40]),  # each length compiles anew
    elements=st.one_of(
        st.sampled_from([0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf]),
        st.floats(-1e6, 1e6, width=32),
    ),
)


@settings(max_examples=60, deadline=None)
@given(scores_with_rubbish, st.sampled_from([1e-5, 1e-3, 0.1, 1.0, np.inf]))
def test_weights_are_those_of_the_definition(scores, k):
    if not np.isfinite(scores).any():
        with pytest.raises(ValueError, match="no usable row"):
            rank_weights(scores, k)
        return
    weights = np.asarray(rank_weights(scores, k))
    np.testing.assert_allclose(weights, oracle_weights(scores, k), rtol=2e-5, atol=1e-8)
    assert weights.sum() == pytest.approx(1.0, rel=1e-5)
    assert (weights[~np.isfinite(scores)] == 0).all()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16, jnp.int32])
def test_scores_of_any_number_type_are_ranked(dtype):
    scores = jnp.array([3, 1, 3, -2], dtype)
    np.testing.assert_allclose(
        rank_weights(scores, 0.5), oracle_weights([3, 1, 3, -2], 0.5), rtol=2e-3
    )


def test_float64_keeps_its_precision():
    with jax.enable_x64(True):
        scores = jnp.array([1.0, 1.0 + 1e-12, 1.0 - 1e-12, np.nan])
        weights = rank_weights(scores, 0.01)
        assert weights.dtype == jnp.float64
        np.testing.assert_allclose(weights, oracle_weights(scores, 0.01), rtol=1e-14)


def test_ties_share_a_rank_and_zeros_of_both_signs_tie():
    scores = jnp.array([2.0, 0.0, 2.0, -0.0, 2.0])
    assert ranks(scores, jnp.ones(5, bool)).tolist() == [0, 3, 0, 3, 0]


def test_permuted_scores_have_permuted_weights():
    scores = np.random.default_rng(0).normal(size=100).round(1)
    order = np.random.default_rng(1).permutation(100)
    np.testing.assert_allclose(
        rank_weights(scores[order], 0.01), np.asarray(rank_weights(scores, 0.01))[order], rtol=1e-6
    )


@pytest.mark.parametrize("padding", [np.nan, 1e9, -1e9])
def test_padding_is_invisible(padding):
    scores = np.random.default_rng(0).normal(size=30).astype(np.float32)
    padded = np.concatenate([scores, np.full(13, padding, np.float32)])
    mask = np.arange(43) < 30
    weights = np.asarray(rank_weights(padded, 0.01, mask))
    np.testing.assert_array_equal(weights[30:], 0)
    np.testing.assert_allclose(weights[:30], rank_weights(scores, 0.01), rtol=1e-6)


def test_k_goes_from_the_best_row_to_equal_weights():
    scores = jnp.array([5.0, 4.0, 4.0, 1.0])
    np.testing.assert_allclose(rank_weights(scores, jnp.inf), 0.25)
    np.testing.assert_allclose(rank_weights(scores, jnp.inf), uniform_weights(scores))
    np.testing.assert_allclose(rank_weights(scores, 1e-9), [1, 0, 0, 0], atol=1e-7)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"mask must have the shape of scores, \(2,\), got \(1,\)"):
        rank_weights(jnp.array([1.0, 2.0]), 0.1, jnp.array([True]))


def test_shares_at_large_k_are_those_of_equal_weights():
    assert float(rank_weight_share(np.inf, 0.25, 0.75)) == pytest.approx(0.5)
    assert float(rank_weight_share(1e6, 0.25, 0.75)) == pytest.approx(0.5, rel=1e-2)
    np.testing.assert_allclose(rank_weight_share(1e-3, 0.0, jnp.array([0.0, 1.0])), [0, 1])


def test_k_is_traced_batched_and_differentiable():
    scores = jnp.array([5.0, 4.0, 4.0, 1.0, np.nan])
    ks = jnp.array([1e-3, 0.1, jnp.inf])
    batched = jax.jit(jax.vmap(lambda k: rank_weights(scores, k)))(ks)
    for k, row in zip(ks, batched, strict=True):
        np.testing.assert_allclose(row, oracle_weights(scores, float(k)), rtol=1e-5)
    first = lambda k: rank_weights(scores, k)[0]  # noqa: E731
    step = 1e-3
    finite_difference = (first(0.1 + step) - first(0.1 - step)) / (2 * step)
    assert jax.grad(first)(0.1) == pytest.approx(float(finite_difference), rel=1e-2)
    assert jax.grad(first)(jnp.inf) == 0


def test_cumulative_weight_does_not_depend_on_the_number_of_rows():
    """Fig. 6: for kN > 1 the curve is that of the closed form, whatever N."""
    k, quantiles = 1e-2, np.linspace(0.02, 1, 50)
    expected = rank_weight_share(k, 0.0, quantiles)
    for n, tolerance in ((2_000, 0.01), (20_000, 0.002), (100_000, 0.001)):
        scores = np.random.default_rng(n).permutation(n).astype(np.float32)
        curve = cumulative_weight(rank_weights(scores, k), quantiles)
        np.testing.assert_allclose(curve, expected, atol=tolerance)


def test_cumulative_weight_is_interpolated_between_rows():
    weights = np.array([0.1, 0.6, 0.3], np.float32)
    quantiles = np.array([0, 1 / 3, 0.5, 2 / 3, 1])
    held = cumulative_weight(weights, quantiles)
    np.testing.assert_allclose(held, [0, 0.6, 0.75, 0.9, 1], rtol=1e-6)


def test_effective_sample_size_counts_rows_of_equal_weight():
    assert effective_sample_size(jnp.full(8, 1 / 8)) == pytest.approx(8)
    assert effective_sample_size(jnp.array([0.0, 1.0, 0.0])) == 1
    assert effective_sample_size(jnp.zeros(3)) == 0


@pytest.mark.parametrize(
    ("scores", "k", "message"),
    [
        ([1.0, 2.0], 0.0, "k must be positive"),
        ([1.0, 2.0], -1.0, "got -1"),
        ([1.0, 2.0], np.nan, "k must be positive"),
        ([], 0.1, "non-empty"),
        ([[1.0]], 0.1, "vmap"),
        ([np.nan, np.inf], 0.1, "no usable row"),
        ([1.0, 2.0], np.array([0.1, 0.2]), "k must be a single number, got shape"),
    ],
)
def test_arguments_that_cannot_be_ranked_are_refused(scores, k, message):
    with pytest.raises(ValueError, match=message):
        rank_weights(jnp.array(scores), k)


@pytest.mark.parametrize("k", [1e-38, 1e-50])
def test_a_k_that_underflows_keeps_the_best_rows(k):
    scores = jnp.array([3.0, 2.0, 3.0, 1.0])
    np.testing.assert_allclose(rank_weights(scores, k), [0.5, 0, 0.5, 0])
    traced = jax.jit(lambda k: rank_weights(scores, k))(jnp.float32(k))
    np.testing.assert_allclose(traced, [0.5, 0, 0.5, 0])


def test_half_precision_scores_are_ranked_in_float32():
    scores = jnp.linspace(0, 1, 100_000).astype(jnp.float16)
    weights = rank_weights(scores, 1e-3)
    assert weights.dtype == jnp.float32
    assert float(weights.sum()) == pytest.approx(1, rel=1e-4)


def test_the_examples_in_docstrings_hold():
    import doctest

    from wrlso.weighting import ranks as weighting

    failed, tried = doctest.testmod(weighting, extraglobs={"jnp": jnp})
    assert (failed, tried) == (0, 2)


@pytest.mark.parametrize("k", [1e-6, 1e3, 1e7, 1e20, np.inf])
def test_the_limit_of_shares_is_a_share_at_any_k(k):
    shares = rank_weight_share(k, jnp.array([0.0, 0.5, 0.0]), jnp.array([0.5, 1.0, 1.0]))
    assert shares[0] + shares[1] == pytest.approx(1)
    assert shares[2] == pytest.approx(1)
    assert k < 1 or shares[0] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("n", [30, 247_617])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_k_gives_the_effective_sample_size_that_was_asked_for(n, share):
    k = k_of_effective_rows(n, share * n)
    weights = rank_weights(jnp.arange(n, dtype=jnp.float32), k)
    assert float(effective_sample_size(weights)) == pytest.approx(share * n, rel=1e-3)


def test_an_impossible_effective_sample_size_gives_the_nearest_k():
    assert float(k_of_effective_rows(7, 0.5)) == pytest.approx(1e-9, rel=1e-3)
    assert float(k_of_effective_rows(7, 100.0)) == pytest.approx(1e3, rel=1e-3)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i2", "i4", "i8"])
def test_arrays_in_another_byte_order_are_the_same_numbers(kind):
    """As files of other machines, and FITS, have them."""
    scores = np.array([3, 1, 3, 2], kind)
    k, rounds = np.array(0.5, "f4"), np.array([-1, 0, 0, 1], "i4")
    other = lambda a: a.astype(a.dtype.newbyteorder("S"))  # noqa: E731
    for weigh in (
        lambda s, k, r: rank_weights(s, k, r),
        lambda s, k, r: uniform_weights(s),
        lambda s, k, r: effective_sample_size(s),
        lambda s, k, r: cumulative_weight(s, k),
        lambda s, k, r: rank_weight_share(k, k, k),
        lambda s, k, r: k_of_effective_rows(s.max(), k * 3),
        lambda s, k, r: baselines.dbas_weights(s, k, k),
        lambda s, k, r: baselines.cem_pi_weights(s, k),
        lambda s, k, r: baselines.rwr_weights(s, k),
        lambda s, k, r: baselines.feedback_weights(s, r, k),
        lambda s, k, r: baselines.dbas_reference_weights(s, r, k, k),
        lambda s, k, r: baselines.cem_pi_reference_weights(s, r, k),
    ):
        found = weigh(other(scores), other(k), other(rounds))
        np.testing.assert_array_equal(found, weigh(scores, k, rounds))


@pytest.mark.parametrize("large", [1e39, -1e39])
def test_a_score_beyond_float32_is_refused(large):
    """It would be infinite, and not count: the best row had weight zero."""
    with pytest.raises(ValueError, match=r"scores must be within float32's range, but row 2 is"):
        rank_weights(np.array([1.0, 2.0, large]), 1e-3)
