"""Off contract: what is concrete and means nothing is refused, wherever a number is taken."""

import warnings
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wrlso.weighting import baselines, ranks

SCORES, ROUNDS = np.array([0.3, 1.2, -0.4, 0.9]), np.array([-1, -1, 0, 1])
REFUSED = {
    "quantile above one": lambda: baselines.dbas_weights(SCORES, 2.0, 0.3),
    "quantile NaN": lambda: baselines.cem_pi_weights(SCORES, np.nan),
    "quantile below zero": lambda: baselines.feedback_weights(SCORES, ROUNDS, -0.1),
    "quantile of a round": lambda: baselines.cem_pi_reference_weights(SCORES, ROUNDS, 1.1),
    "noise below zero": lambda: baselines.dbas_weights(SCORES, 0.5, -0.3),
    "noise zero": lambda: baselines.dbas_reference_weights(SCORES, ROUNDS, 0.5, 0.0),
    "alpha below zero": lambda: baselines.rwr_weights(SCORES, -1.0),
    "alpha NaN": lambda: baselines.rwr_weights(SCORES, np.nan),
    "alpha, several": lambda: baselines.rwr_weights(SCORES, np.ones(4)),
    "weights below zero": lambda: ranks.effective_sample_size(np.array([0.5, -0.5])),
    "weights NaN": lambda: ranks.effective_sample_size(np.array([0.5, np.nan])),
    "high below low": lambda: ranks.rank_weight_share(0.1, 0.5, 0.2),
    "high above one": lambda: ranks.rank_weight_share(0.1, 0.5, 1.2),
    "k zero": lambda: ranks.rank_weight_share(0.0, 0.1, 0.2),
    "quantile, several": lambda: baselines.cem_pi_weights(SCORES, np.full(4, 0.5)),
    "rounds, one for all": lambda: baselines.feedback_weights(SCORES, np.array(0), 0.5),
    "rounds, one of four": lambda: baselines.dbas_reference_weights(SCORES, ROUNDS[:1], 0.5, 0.3),
    "effective NaN": lambda: ranks.k_of_effective_rows(10, np.nan),
    "scores real": lambda: ranks.rank_weights(SCORES + 1j, 0.1),
    "weights, a table": lambda: ranks.effective_sample_size(np.ones((3, 2))),
    "weights, one": lambda: ranks.cumulative_weight(np.float32(1), np.array([0.5])),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_number_that_means_nothing_is_refused_by_name(name):
    with pytest.raises(ValueError, match=rf"^{name.split()[0].rstrip(',')} must be"):
        REFUSED[name]()


WEIGHTINGS = {
    "rank": lambda s: ranks.rank_weights(s, 0.1),
    "dbas": lambda s: baselines.dbas_weights(s, 0.5, 0.3),
    "cem_pi": lambda s: baselines.cem_pi_weights(s, 0.6),
    "rwr": lambda s: baselines.rwr_weights(s, 0.7),
    "feedback": lambda s: baselines.feedback_weights(s, np.array([-1, -1, 0, 0, 1]), 0.5),
    "dbas_reference": lambda s: baselines.dbas_reference_weights(
        s, np.array([-1, -1, 0, 0, 0]), 0.5, 0.3
    ),
}


@pytest.mark.parametrize("offset", [-7.6e7, 1e12, -(2.0**52)])
@pytest.mark.parametrize("name", WEIGHTINGS)
def test_weights_do_not_depend_on_an_offset_that_float32_would_drown_in(name, offset):
    """Energies near -7.6e7 that differ by 1, as floats and whole numbers."""
    near = np.array([3.0, 1.0, 2.0, 5.0, 2.0])
    expected = WEIGHTINGS[name](near)
    assert len(np.unique(np.asarray(expected))) > 1
    far = near + offset
    for given in (far, far.astype(np.int64)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(WEIGHTINGS[name](given), expected)


def test_scores_that_are_equal_all_the_same_are_warned_about():
    apart = np.linspace(-1e9, 1e9, 20)
    scores = np.concatenate([apart, apart + 0.5])
    with pytest.warns(UserWarning, match="distinct scores of the weights equal others in float32"):
        ranks.rank_weights(scores, 0.1)


def test_as_many_effective_rows_as_rows_or_none_give_the_ends():
    for effective, low, high in [(200, 100, 1.1e3), (100, 100, 1.1e3), (0, 0, 1.1e-9)]:
        k, slope = jax.value_and_grad(lambda e: ranks.k_of_effective_rows(100, e))(
            jnp.float32(effective)
        )
        assert low < k < high  # near the upper end, single precision knows k to a digit
        assert np.isfinite(slope)


@pytest.mark.parametrize(("n", "effective"), [(10, np.inf), (0, 5.0), (1, 1.0), (10, -np.inf)])
def test_the_nearest_k_is_given_where_none_has_the_effective_rows(n, effective):
    with jax.debug_nans(True):
        k = jax.jit(ranks.k_of_effective_rows)(n, jnp.float32(effective))
    assert 0.9e-9 < k < 1.1e3
    if effective == np.inf:
        assert k > 100


@pytest.mark.parametrize(
    "numbers",
    [
        np.array([200] * 3, np.uint8),
        np.array([100_000] * 3, np.int32),
        np.array([300] * 3, np.float16),
        np.float32([1e38] * 3),
        np.float32([1e-25] * 3),
    ],
    ids=["uint8", "int32", "float16", "large", "small"],
)
def test_an_effective_sample_size_has_no_scale(numbers):
    for call in (ranks.effective_sample_size, jax.jit(ranks.effective_sample_size)):
        np.testing.assert_allclose(call(numbers), 3, rtol=1e-6)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int32, np.float16, jnp.bfloat16])
def test_cumulative_weight_takes_any_type(kind):
    weights = np.array([0, 1, 0]).astype(kind)
    np.testing.assert_allclose(
        ranks.cumulative_weight(weights, np.float32([1 / 3, 1])), [1, 1], rtol=1e-6
    )


FAR = [76_000_003, 76_000_001, 76_000_002, 76_000_002, 76_000_000]
KINDS = {
    "int32": lambda: np.array(FAR, np.int32),
    "uint32": lambda: np.array(FAR, np.uint32),
    "int64": lambda: np.array(FAR, np.int64),
    "float64": lambda: np.array(FAR, np.float64),
    "a JAX array": lambda: jnp.array(FAR, jnp.int32),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WEIGHTINGS)
def test_scores_far_from_zero_keep_their_order_in_every_form(name, kind):
    near = WEIGHTINGS[name](np.array([3.0, 1.0, 2.0, 2.0, 0.0]))
    np.testing.assert_array_equal(WEIGHTINGS[name](KINDS[kind]()), near)


@pytest.mark.parametrize("dtype", [jnp.int32, jnp.uint32], ids=["int32", "uint32"])
def test_traced_whole_numbers_are_ranked_exactly(dtype):
    mask = np.array([True, True, False, True])
    given = jnp.array([76_000_003, 76_000_001, 2**31 - 1, 76_000_002], dtype)
    found = jax.jit(lambda scores: ranks.rank_weights(scores, 0.1, mask))(given)
    expected = ranks.rank_weights(np.array([3.0, 1.0, 9.0, 2.0]), 0.1, mask)
    np.testing.assert_array_equal(found, expected)
    ends = jnp.array([jnp.iinfo(dtype).min, jnp.iinfo(dtype).max], dtype)
    assert np.diff(jax.jit(ranks.rank_weights)(ends))[0] > 0


@pytest.mark.parametrize("name", ["rwr_weights", "dbas_weights", "dbas_reference_weights"])
def test_numbers_of_16_bits_are_promoted_under_strict_types(name):
    rest = {
        "rwr_weights": (0.5,),
        "dbas_weights": (0.5, 0.25),
        "dbas_reference_weights": (ROUNDS, 0.5, 0.25),
    }[name]
    short = [jnp.bfloat16(one) if isinstance(one, float) else one for one in rest]
    with jax.numpy_dtype_promotion("strict"):
        found = getattr(baselines, name)(jnp.bfloat16(SCORES), *short)
    expected = getattr(baselines, name)(jnp.float32(jnp.bfloat16(SCORES)), *rest)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("rows", "share"),
    [(300, np.int8(1)), (1_000_000, np.float16(0.5)), (1_000_000, jnp.bfloat16(0.5)), (70_000, 1)],
)
def test_a_share_of_rows_is_computed_in_a_type_that_holds_the_rows(rows, share):
    found = ranks.cumulative_weight(np.full(rows, 1 / rows, np.float32), jnp.asarray(share))
    assert float(found) == pytest.approx(float(share), rel=1e-3)


@pytest.mark.parametrize("k", [1e-30, 1e-20, 1e-8, 0.3, 1e10, np.inf])
def test_the_slope_of_rank_weights_in_k_is_finite_wherever_k_may_be(k):
    """With s = kN and S the sum of 1 / (s + r): dw/dk = N w (S2 / S - 1 / (s + r))."""
    scores = jnp.array([3.0, 1.0, 2.0, 2.0, 0.0], jnp.float32)
    with jax.debug_nans(True):
        slopes = [
            np.asarray(jacobian(lambda k: ranks.rank_weights(scores, k))(jnp.float32(k)))
            for jacobian in (jax.jacfwd, jax.jacrev)
        ]
    if np.isinf(k):
        expected = np.zeros(5)
    else:  # in fractions, as the terms of the best row cancel
        inverse = [1 / (Fraction(float(np.float32(k))) * 5 + r) for r in (0, 3, 1, 1, 4)]
        total, squares = sum(inverse), sum(one**2 for one in inverse)
        expected = np.array([float(5 * x / total * (squares / total - x)) for x in inverse])
    for found in slopes:
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * abs(expected).max())


def test_the_share_of_weights_exists_at_the_least_k():
    assert 0 < float(ranks.rank_weight_share(np.float32(1e-45), 0.0, 0.5)) <= 1


def test_the_slope_of_exponential_weights_is_right_where_the_best_are_tied():
    """dw_i/df_j = alpha (w_i [i = j] - w_i w_j)."""
    scores, alpha = jnp.array([1.0, 1.0, 0.0, 0.4], jnp.float32), 1.7
    w = np.asarray(baselines.rwr_weights(scores, alpha), np.float64)
    found = jax.jacrev(lambda s: baselines.rwr_weights(s, alpha))(scores)
    np.testing.assert_allclose(found, alpha * (np.diag(w) - np.outer(w, w)), atol=1e-6)


@pytest.mark.parametrize("kind", [jnp.int32, jnp.float32])
def test_a_mask_of_another_length_is_refused_when_traced(kind):
    with pytest.raises(ValueError, match="mask must have the shape of scores"):
        jax.eval_shape(lambda s: ranks.rank_weights(s, 0.1, np.ones(3, bool)), jnp.ones(4, kind))
