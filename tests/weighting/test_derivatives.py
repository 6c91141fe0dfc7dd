"""Values and slopes at every number that is accepted, however small or large it is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from wrlso.weighting import baselines, ranks

SCORES, ROUNDS = jnp.array([0.0, 1.0, 2.0, 3.0, 4.0]), jnp.array([-1, 0, 0, 0, 0])


def with_slopes(function, point):
    """A function's value, and its first and second derivative."""
    first = lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))  # noqa: E731
    (value, slope), (_, second) = jax.jvp(first, (point,), (jnp.ones_like(point),))
    return value, slope, second


def test_k_of_effective_rows_has_the_slopes_of_its_values_to_second_order():
    """Against central differences, n and the sample size at once, where k solves an equation; zero
    where it is an end."""
    solved = np.array([[1000, 5], [1000, 300], [1000, 950], [7, 2.5]])
    ends = np.array([[1000, 0.5], [1000, 1], [1000, 1000], [1000, 1001], [7, 100]])
    step = 1e-5

    def along(point, n, effective):
        move = lambda t: ranks.k_of_effective_rows(n * (1 + 0.3 * t), effective * (1 + t))  # noqa: E731
        return with_slopes(move, point)

    with jax.enable_x64(True):
        run = jax.jit(jax.vmap(along))
        moved = [run(np.full(4, t), *solved.T) for t in (step, 0.0, -step)]
        up, here, down = jax.device_get(moved)
        value, *slopes = jax.device_get(run(np.zeros(5), *ends.T))
    for slope, above, below in zip(here[1:], up, down, strict=False):
        np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=1e-4)
    np.testing.assert_allclose(value, [1e-9, 1e-9, 1e3, 1e3, 1e3], rtol=1e-12)
    np.testing.assert_array_equal(slopes, 0)


def share_and_slopes(k, low, high):
    """The closed form and its derivatives, in 80 bits."""
    k, low, high = np.longdouble(k), np.longdouble(low), np.longdouble(high)
    over, under = np.log1p((high - low) / (k + low)), np.log1p(1 / k)
    in_k = (low - high) / ((k + low) * (k + high)) / under + over / under**2 / (k * (k + 1))
    return over / under, in_k, -1 / ((k + low) * under), 1 / ((k + high) * under)


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.7), (0.0, 0.7), (0.3, 0.3), (0.0, 0.9)])
def test_the_share_of_weights_and_its_slopes_are_right_at_any_k(low, high):
    ks = np.float32([2e-38, 1e-30, 1e-19, 1e-3, 0.3, 50, 199, 210, 1e4, 1e8])
    run = jax.jit(jax.vmap(jax.value_and_grad(ranks.rank_weight_share, (0, 1, 2)), (0, None, None)))
    value, slopes = run(ks, low, high)
    expected = share_and_slopes(ks, np.float32(low), np.float32(high))
    for found, right in zip((value, *slopes), expected, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-2, atol=1e-12)
    np.testing.assert_allclose(value, expected[0], rtol=2e-6)
    largest = np.float32([1e37, 8e37, 1e38, 3.4e38, np.inf])
    value, slopes = run(largest, low, high)
    np.testing.assert_array_equal(value, np.float32(high) - np.float32(low))
    for found, right in zip(slopes, (0, -1, 1), strict=True):
        np.testing.assert_array_equal(found, right)


EXTREMES = np.float32([2e-38, 1e-25, 1e-20, 1e-19, 1e-3, 1e19, 1e30, 3.4e38, np.inf])
NUMBERS = {
    "rank": lambda s, k: ranks.rank_weights(s, k),
    "dbas": lambda s, noise: baselines.dbas_weights(s, 0.5, noise),
    "dbas_reference": lambda s, noise: baselines.dbas_reference_weights(s, ROUNDS, 0.5, noise),
    "rwr": lambda s, alpha: baselines.rwr_weights(s, alpha),
}


@pytest.mark.parametrize(
    "scale", [1.0, 4e37], ids=["scores near one", "scores that differ by 3e38"]
)
@pytest.mark.parametrize("name", NUMBERS)
def test_slopes_are_finite_at_every_number(name, scale):
    """Where the weights no longer change, slopes are zero."""
    scores = scale * (2 * SCORES - 4)
    weigh = NUMBERS[name]

    def derivatives(number):
        each = lambda n: weigh(scores, n)  # noqa: E731
        return (
            each(number),
            jax.jacfwd(each)(number),
            jax.jacrev(each)(number),
            jax.jacfwd(jax.jacrev(each))(number),
            jax.jacrev(lambda s: weigh(s, number))(scores),
        )

    weights, forward, reverse, second, in_scores = map(
        np.array, jax.jit(jax.vmap(derivatives))(EXTREMES)
    )
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    if name == "rwr" and scale > 1:
        second[0] = 0  # the square of a difference, which no float32 holds
    for slope in (forward, reverse, second, in_scores):
        assert np.isfinite(slope).all(), EXTREMES[~np.isfinite(slope).reshape(9, -1).all(1)]
    np.testing.assert_allclose(forward, reverse, rtol=1e-3, atol=1e-6)
    if name != "rank" and scale == 1:
        flat = slice(6, None) if name == "rwr" else slice(0, 4)
        for slope in (forward, second, in_scores):
            np.testing.assert_array_equal(slope[flat], 0)


def test_second_slopes_of_rank_weights_in_the_least_k():
    """The weights at small k: 1 - 4.5 k + 31.5 k^2 for the best of three, 3 k - 22.5 k^2, and
    1.5 k - 9 k^2."""
    second = jax.jit(jax.hessian(lambda k: ranks.rank_weights(jnp.array([1.0, 2.0, 3.0]), k)))
    for k in (1e-20, 1e-30, 2e-38):
        np.testing.assert_allclose(second(k), [-18, -45, 63], rtol=1e-5)
    np.testing.assert_array_equal(second(jnp.inf), 0)


def test_slopes_of_design_by_adaptive_sampling_to_second_order():
    with jax.enable_x64(True):
        weigh = lambda noise: baselines.dbas_weights(SCORES.astype(noise.dtype), 0.4, noise)[1]  # noqa: E731
        run = jax.jit(lambda noise: with_slopes(weigh, noise))
        step = 1e-5
        up, here, down = jax.device_get([run(0.3 + shift) for shift in (step, 0.0, -step)])
    for slope, above, below in zip(here[1:], up, down, strict=False):
        np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=1e-6)


@pytest.mark.parametrize(
    ("quantile", "expected"), [(0.0, -3e38), (0.5, 0.0), (0.9, 2.4e38), (1, 3e38)]
)
def test_a_quantile_between_scores_whose_difference_overflows(quantile, expected):
    ends = jnp.array([-3e38, 3e38], jnp.float32)
    found = baselines.masked_quantile(ends, jnp.ones(2, bool), quantile)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_weights_of_scores_whose_difference_overflows():
    scores = jnp.array([-3e38, 3e38], jnp.float32)
    odds = np.exp(-12.0)
    expected = [odds / (1 + odds), 1 / (1 + odds)]
    np.testing.assert_allclose(baselines.rwr_weights(scores, 2e-38), expected, rtol=1e-4)
    reached = norm.cdf([-3, 3])
    found = baselines.dbas_weights(scores, 0.5, 1e38)
    np.testing.assert_allclose(found, reached / reached.sum(), rtol=1e-4)
