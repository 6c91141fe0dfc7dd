"""Acquisition functions against SciPy in float64, and Thompson sampling against Monte Carlo."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import annotations
from wrlso.acquisition import (
    _deviation_of,
    deviation,
    expected_improvement,
    log_expected_improvement,
    log_improvement,
    sample_joint,
    thompson,
    upper_confidence_bound,
)

BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])
FUNCTIONS = {
    "ei": expected_improvement,
    "log_ei": log_expected_improvement,
    "ucb": upper_confidence_bound,
}


def x64(dtype):
    return jax.enable_x64(dtype == np.float64)


def oracle(u):
    """``log h(u)`` and its slope ``Phi / h``, in float64.

    With x = -u, ``h / phi = 1 - x m(x)`` where ``m = Phi(-x) / phi(x)`` is Mills' ratio,
    ``sqrt(pi / 2) erfcx(x / sqrt 2)``. That cancels for large x: there its series is
    ``sum_k (-1)^k (2k + 1)!! / x^(2k + 2)`` (DLMF 7.12.1), of which terms to k = 8 remain.
    """
    u = np.asarray(u, np.float64)
    x = -u
    log_phi = -0.5 * u * u - 0.5 * np.log(2 * np.pi)
    mills = np.sqrt(np.pi / 2) * scipy.special.erfcx(np.minimum(x, 1e5) / np.sqrt(2))
    terms = [(-1.0) ** k * scipy.special.factorial2(2 * k + 1) for k in range(9)]
    far = np.maximum(x, 20.0)
    series = sum(c / far ** (2 * k + 2) for k, c in enumerate(terms))
    with np.errstate(all="ignore"):
        ratio = np.where(x > 20, series, 1 - x * mills)
        plain = scipy.stats.norm.pdf(u) + u * scipy.special.ndtr(u)
        log_h = np.where(u > -1, np.log(plain), log_phi + np.log(ratio))
        slope = np.where(u > -1, scipy.special.ndtr(u) / plain, mills / ratio)
    return log_h, slope


def test_the_oracle_is_the_integral():
    for u in (-6.0, -2.5, -1.01, 0.0, 1.0, 4.0):
        h, _ = scipy.integrate.quad(
            lambda z, u=u: (z + u) * scipy.stats.norm.pdf(z), -u, -u + 12, epsrel=1e-12, epsabs=0
        )
        np.testing.assert_allclose(oracle(u)[0], np.log(h), rtol=1e-9)
    # Both formulas of the tail agree where they meet.
    low, high = oracle(-20.0 - 1e-9), oracle(-20.0 + 1e-9)
    np.testing.assert_allclose(low, high, rtol=1e-9)


@BOTH
def test_log_improvement_and_its_slope(dtype):
    u = np.concatenate(
        [
            np.linspace(-6, 10, 4001),
            -np.geomspace(6, 1e4, 2000),
            -2.5 + np.linspace(-1e-3, 1e-3, 21),
            [0.0, -1e-30, 1e-30],
        ]
    ).astype(dtype)
    with x64(dtype):
        values, slopes = jax.jit(jax.vmap(jax.value_and_grad(log_improvement)))(u)
    assert values.dtype == slopes.dtype == dtype
    expected, expected_slopes = oracle(u)
    # Of h, relative: 1e-5 and 1e-12 before -2.5, where phi(u) + u Phi(u) cancels.
    error = 4e-6 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(values, expected, rtol=error, atol=error)
    np.testing.assert_allclose(slopes, expected_slopes, rtol=5 * error, atol=0)


@BOTH
def test_log_improvement_far_out(dtype):
    """Finite as long as u^2 is; in the limit -u^2 / 2 with slope -u, and log u with slope 1 / u."""
    u = np.array([-1e15, -1e6, 1e6, 1e15], dtype)
    with x64(dtype):
        values, slopes = jax.vmap(jax.value_and_grad(log_improvement))(u)
    np.testing.assert_allclose(values, np.where(u < 0, -0.5 * u * u, np.log(np.abs(u))), rtol=1e-5)
    np.testing.assert_allclose(slopes, np.where(u < 0, -u, 1 / u), rtol=1e-5)


@BOTH
def test_log_improvement_rises_everywhere(dtype):
    u = np.sort(np.concatenate([np.linspace(-4, 4, 999), -np.geomspace(4, 1e4, 500)])).astype(dtype)
    u = np.unique(u)
    with x64(dtype):
        values = np.asarray(jax.jit(log_improvement)(u), np.float64)
    slack = 4 * np.finfo(dtype).eps * (1 + np.abs(values[1:]))
    assert (np.diff(values) > -slack).all()
    assert values[-1] > values[0]


def moments(dtype, seed=0, n=40):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n).astype(dtype), np.exp(2 * rng.normal(size=n)).astype(dtype)


@BOTH
def test_expected_improvement_is_the_integral(dtype):
    best = 0.7
    mean, variance = moments(dtype)
    expected = [
        scipy.integrate.quad(
            lambda f, m=m, s=s: (f - best) * scipy.stats.norm.pdf(f, m, s),
            best,
            max(best, m) + 12 * s,
            points=[np.clip(m, best, np.inf)],
            epsabs=1e-14,
        )[0]
        for m, s in zip(mean.astype(float), np.sqrt(variance.astype(float)), strict=True)
    ]
    with x64(dtype):
        ours = jax.jit(expected_improvement)(mean, variance, best)
        logs = jax.jit(log_expected_improvement)(mean, variance, best)
    assert ours.dtype == logs.dtype == dtype
    error = 5e-5 if dtype == np.float32 else 1e-8
    np.testing.assert_allclose(ours, expected, rtol=error, atol=1e-12)
    np.testing.assert_allclose(logs, np.log(expected), rtol=error, atol=error)


@BOTH
def test_the_upper_confidence_bound_equals_its_formula(dtype):
    mean, variance = moments(dtype)
    with x64(dtype):
        ours = jax.jit(upper_confidence_bound)(mean, variance, 4.0)
    assert ours.dtype == dtype
    np.testing.assert_allclose(ours, mean + 2 * np.sqrt(variance), rtol=1e-6)


@jax.jit
def both(mean, variance, best):
    return (
        expected_improvement(mean, variance, best),
        log_expected_improvement(mean, variance, best),
    )


@settings(max_examples=100, deadline=None)
@given(st.floats(-50, 50), st.floats(-8, 4), st.floats(-50, 50), st.booleans())
def test_log_ei_is_the_log_of_ei(mean, log_variance, best, double):
    dtype = np.float64 if double else np.float32
    with x64(dtype):
        m, v = np.full(1, mean, dtype), np.full(1, 10.0**log_variance, dtype)
        ei, log_ei = (np.asarray(f, np.float64)[0] for f in both(m, v, dtype(best)))
    s = np.sqrt(v[0].astype(np.float64))
    u = (m[0].astype(np.float64) - dtype(best)) / s
    expected = oracle(u)[0] + np.log(s)
    assert np.isfinite(log_ei)
    eps = np.finfo(dtype).eps
    # Rounding of u is magnified by the slope of log h, which is -u in the tail.
    np.testing.assert_allclose(log_ei, expected, rtol=30 * eps, atol=30 * eps * (1 + u * u))
    if log_ei > np.log(np.finfo(dtype).tiny):
        np.testing.assert_allclose(np.log(ei), log_ei, rtol=30 * eps, atol=200 * eps * (1 + u * u))
    else:
        assert ei <= np.finfo(dtype).tiny * 2


@BOTH
@pytest.mark.parametrize("name", FUNCTIONS)
def test_rises_with_the_mean_and_with_the_variance(name, dtype):
    with x64(dtype):
        f = jax.jit(jax.vmap(jax.value_and_grad(FUNCTIONS[name], argnums=(0, 1)), (0, 0, None)))
        mean, variance = (a.ravel().astype(dtype) for a in np.mgrid[-2:3:25j, 0.1:4:24j])
        values, (by_mean, by_variance) = f(mean, variance, dtype(0.5))
        values = np.asarray(values).reshape(25, 24)
    by_mean, by_variance = np.asarray(by_mean), np.asarray(by_variance)
    # Far above the best, variance matters little: phi(u), less than rounding.
    rounding = 10 * np.finfo(dtype).eps
    assert (np.diff(values, axis=0) > 0).all()
    assert (np.diff(values, axis=1) > -rounding).all()
    assert (np.diff(values, axis=1)[:12] > 0).all()
    assert (by_mean > 0).all()
    assert (by_variance > -rounding).all()
    assert (by_variance.reshape(25, 24)[:12] > 0).all()
    # Slopes are those of finite differences, in float64.
    if dtype == np.float64:
        with x64(dtype):
            step = 1e-5
            up, _ = f(mean + step, variance, 0.5)
            down, _ = f(mean - step, variance, 0.5)
            np.testing.assert_allclose(by_mean, (up - down) / (2 * step), rtol=1e-6)
            up, _ = f(mean, variance + step, 0.5)
            down, _ = f(mean, variance - step, 0.5)
            np.testing.assert_allclose(by_variance, (up - down) / (2 * step), rtol=1e-4, atol=1e-8)


@BOTH
@pytest.mark.parametrize("name", FUNCTIONS)
def test_finite_without_variance_and_far_from_the_best(name, dtype):
    mean, variance = (
        a.ravel().astype(dtype)
        for a in np.meshgrid(
            [0.0, 1e-30, -1e-7, 1.0, -1.0, 100.0, -100.0, 1e4, -1e4, 1e10, -1e10],
            [0.0, 1e-45, 1e-30, 1e-14, 1e-7, 1.0, 1e6, 1e30],
        )
    )
    with x64(dtype):
        f = jax.vmap(jax.value_and_grad(FUNCTIONS[name], argnums=(0, 1)), (0, 0, None))
        values, slopes = jax.tree.map(np.asarray, jax.jit(f)(mean, variance, dtype(0.0)))
    assert np.isfinite(values).all()
    for slope in slopes:
        assert np.isfinite(slope).all()
    assert (slopes[0] >= 0).all()
    if name == "ei":
        certain = variance == 0
        np.testing.assert_allclose(
            values[certain], np.maximum(mean[certain], 0), rtol=1e-5, atol=1e-6
        )


@BOTH
def test_the_deviation_has_a_finite_gradient_at_zero(dtype):
    eps = np.finfo(dtype).eps
    variance = np.array([0.0, eps**3, 1e-3, 1.0, 9.0], dtype)
    with x64(dtype):
        values, slopes = jax.vmap(jax.value_and_grad(deviation))(variance)
    np.testing.assert_allclose(values, [eps, eps, np.sqrt(variance[2]), 1, 3], rtol=1e-6)
    np.testing.assert_allclose(slopes[:2], 0)
    np.testing.assert_allclose(slopes[2:], 0.5 / np.sqrt(variance[2:]), rtol=1e-6)


# --- Samples --------------------------------------------------------------------------------------


def single(*arrays):
    return tuple(jnp.asarray(a, jnp.float32) for a in arrays)


def joint(kind):
    rng = np.random.default_rng(0)
    mean, root = rng.normal(size=5), rng.normal(size=(5, 5))
    if kind == "full":
        return mean, root @ root.T / 5
    if kind == "rank two":
        return mean, root[:, :2] @ root[:, :2].T
    if kind == "indefinite by rounding":
        return mean, np.ones((5, 5)) - 1e-6 * np.eye(5)
    return mean, np.zeros((5, 5))


@BOTH
@pytest.mark.parametrize("kind", ["full", "rank two", "indefinite by rounding", "zero"])
def test_moments_of_joint_samples(kind, dtype):
    mean, covariance = joint(kind)
    n = 20_000
    with x64(dtype):
        samples = jax.jit(sample_joint, static_argnums=3)(
            jax.random.key(1), mean.astype(dtype), covariance.astype(dtype), n
        )
    assert samples.dtype == dtype
    samples = np.asarray(samples, np.float64)
    assert np.isfinite(samples).all()
    deviations = np.sqrt(np.diagonal(covariance))
    assert (np.abs(samples.mean(0) - mean) <= 5 * deviations / np.sqrt(n) + 1e-5).all()
    spread = np.sqrt((covariance**2 + np.outer(deviations, deviations) ** 2) / n)
    assert (np.abs(np.cov(samples.T) - covariance) <= 5 * spread + 1e-5).all()
    if kind == "rank two":  # Three combinations of the five never vary.
        null = np.linalg.eigh(covariance)[1][:, :3]
        assert ((samples - mean) @ null).std() < 3e-3


def test_thompson_picks_as_often_as_a_point_is_best():
    """Against Monte Carlo in NumPy, for one posterior with strong correlations."""
    mean, covariance = joint("full")
    mean = 0.5 * mean
    n = 20_000
    draws = np.random.default_rng(1).multivariate_normal(mean, covariance, n)
    expected = np.bincount(draws.argmax(1), minlength=5) / n
    picks = jax.jit(jax.vmap(lambda k: thompson(k, *single(mean, covariance), 1)[0]))(
        jax.random.split(jax.random.key(0), n)
    )
    ours = np.bincount(picks, minlength=5) / n
    assert (np.abs(ours - expected) < 5 * np.sqrt(2 * expected * (1 - expected) / n) + 1e-3).all()
    assert (expected > 0.02).sum() >= 3


def test_thompson_rows_are_each_best_in_their_sample_among_the_rest():
    mean, covariance = single(*joint("rank two"))
    pick = jax.jit(thompson, static_argnums=3)
    sample_five = jax.jit(sample_joint, static_argnums=3)
    for seed in range(20):
        key = jax.random.key(seed)
        rows = np.asarray(pick(key, mean, covariance, 5))
        assert sorted(rows) == [0, 1, 2, 3, 4]
        left = list(range(5))
        samples = np.asarray(sample_five(key, mean, covariance, 5))
        for row, sample in zip(rows, samples, strict=True):
            assert row == max(left, key=lambda i, s=sample: s[i])
            left.remove(row)


def test_thompson_without_doubt_takes_the_best_first():
    mean = np.array([0.3, 2.0, -1.0, 1.0], np.float32)
    rows = thompson(jax.random.key(0), mean, np.zeros((4, 4), np.float32), 4)
    np.testing.assert_array_equal(rows, [1, 3, 0, 2])


@pytest.mark.parametrize("lift", [lambda f: f, jax.jit])
def test_more_thompson_rows_than_points_are_refused(lift):
    """The last of them were repeats."""
    pick = lift(lambda mean: thompson(jax.random.key(0), mean, jnp.eye(3), 4))
    with pytest.raises(ValueError, match="batch must be at most the number of points, 3, got 4"):
        pick(jnp.zeros(3))


# --- Types ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("half", [jnp.float16, jnp.bfloat16, jnp.int32])
def test_narrow_types_are_computed_in_single_precision(name, half):
    """In half precision, the variance's floor, the square of 1e-3, is next to nothing."""
    mean, variance = jnp.array([1, -6, 2], half), jnp.array([2, 1, 0], half)
    f = jax.jit(FUNCTIONS[name])
    ours = f(mean, variance, 0.5)
    expected = f(*(a.astype(jnp.float32) for a in (mean, variance)), 0.5)
    assert ours.dtype == jnp.float32
    np.testing.assert_array_equal(ours, expected)
    if jnp.issubdtype(half, jnp.floating):
        slope = jax.grad(lambda m: FUNCTIONS[name](m, variance, 0.5).sum())(mean)
        assert slope.dtype == half
        assert np.isfinite(slope.astype(jnp.float32)).all()


def test_samples_of_a_singular_covariance_have_finite_derivatives():
    """Here eigenvalues of 0, 1 and 2: the root of zero has a slope of infinity."""
    covariance = jnp.diag(jnp.array([0.0, 1.0, 2.0]))
    slope = jax.grad(lambda c: sample_joint(jax.random.key(0), jnp.zeros(3), c, 4).sum())
    assert np.isfinite(slope(covariance)).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_stays_nan(name):
    nan = jnp.array([jnp.nan, 1.0])
    for mean, variance in ((nan, jnp.ones(2)), (jnp.ones(2), nan)):
        found = jax.jit(FUNCTIONS[name])(mean, variance, 0.5)
        assert np.isnan(found).tolist() == [True, False]


def test_means_and_variances_of_two_shapes_are_refused_also_when_traced():
    """The check itself: in tests, annotations of types refuse shapes before it does."""
    with pytest.raises(ValueError, match="mean and variance must have the same shape"):
        jax.eval_shape(_deviation_of, jnp.ones(2), jnp.ones((2, 1)))


@pytest.mark.parametrize("kind", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_third_argument_of_16_bits_is_promoted_like_the_others(name, kind):
    mean, variance, third = (jnp.array([value], kind) for value in (0.5, 2.0, 3.0))
    with jax.numpy_dtype_promotion("strict"):
        found = FUNCTIONS[name](mean, variance, third[0])
    exact = FUNCTIONS[name](jnp.float32([0.5]), jnp.float32([2.0]), jnp.float32(3.0))
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, exact)


@pytest.mark.parametrize("beta", [-1.0, np.nan])
def test_a_beta_without_a_root_is_refused(beta):
    with pytest.raises(ValueError, match="beta must be at least 0"):
        upper_confidence_bound(jnp.ones(2), jnp.ones(2), beta)


@pytest.mark.parametrize("mean", [[1.0, -np.inf, -np.inf], [np.inf] * 3, [np.nan] * 3])
def test_traced_thompson_takes_distinct_points_whatever_the_means(mean):
    rows = jax.jit(lambda mean: thompson(jax.random.key(0), mean, jnp.eye(3), 3))(jnp.array(mean))
    assert sorted(rows.tolist()) == [0, 1, 2]


def test_arrays_in_another_byte_order_are_the_same_numbers():
    mean, covariance = np.array([1.0, 2.0, 3.0], ">f4"), np.eye(3).astype(">f8")
    native, key = (mean.astype("f4"), covariance.astype("f8")), jax.random.key(0)
    for function in FUNCTIONS.values():
        best = np.array(2, ">i4")
        np.testing.assert_array_equal(function(mean, mean, best), function(native[0], native[0], 2))
    np.testing.assert_array_equal(deviation(mean), deviation(native[0]))
    np.testing.assert_array_equal(
        sample_joint(key, mean, covariance, 2), sample_joint(key, *native, 2)
    )
    np.testing.assert_array_equal(thompson(key, mean, covariance, 2), thompson(key, *native, 2))


# --- Misuse ---------------------------------------------------------------------------------------


EAGER_AND_TRACED = pytest.mark.parametrize("call", [lambda f, *a: f(*a), jax.eval_shape])


@EAGER_AND_TRACED
@pytest.mark.parametrize("shape", [(3, 1), (2,), (1,), (1, 3)])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_third_argument_is_one_number_or_one_for_each_point(name, shape, call):
    """A column of them was broadcast to a table, a value for each pair of points."""
    third = "beta" if name == "ucb" else "best"
    with annotations.at_rest(), pytest.raises(ValueError, match=f"^{third} must be one number"):
        call(FUNCTIONS[name], jnp.arange(3.0), jnp.ones(3), jnp.ones(shape))
    each = FUNCTIONS[name](jnp.arange(3.0), jnp.ones(3), jnp.ones(3))
    np.testing.assert_array_equal(each, FUNCTIONS[name](jnp.arange(3.0), jnp.ones(3), 1.0))


@EAGER_AND_TRACED
@pytest.mark.parametrize("variance", [(2,), (3, 1), ()])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_refuse_means_and_variances_of_two_shapes(name, variance, call):
    with annotations.at_rest(), pytest.raises(ValueError, match="must have the same shape"):
        call(FUNCTIONS[name], jnp.arange(3.0), jnp.ones(variance), 0.5)


def draw(function, mean, covariance, count=1):
    return lambda call: call(
        lambda m, c: function(jax.random.key(0), m, c, count), mean, covariance
    )


@EAGER_AND_TRACED
@pytest.mark.parametrize("function", [sample_joint, thompson])
@pytest.mark.parametrize(
    ("mean", "covariance", "count", "message"),
    [
        ((3, 1), (3, 3), 1, r"^mean must be \[S\]"),
        ((), (1, 1), 1, r"^mean must be \[S\]"),
        ((3,), (2, 2), 1, r"^covariance must be \[S, S\] of the means' points, \(3, 3\)"),
        ((3,), (3,), 1, r"^covariance must be \[S, S\]"),
        ((3,), (1, 1), 1, r"^covariance must be \[S, S\]"),
        ((3,), (3, 3), -1, "(batch|samples) must be at least 0, got -1"),
        ((3,), (3, 3), 1.5, "(batch|samples) must be a whole number, got 1.5"),
    ],
)
def test_joint_posteriors_of_two_shapes_are_refused(
    function, mean, covariance, count, message, call
):
    """The row of a sample of another shape was that of no point."""
    with annotations.at_rest(), pytest.raises(ValueError, match=message):
        draw(function, jnp.zeros(mean), jnp.ones(covariance), count)(call)


def test_lists_are_arrays():
    mean, variance = [0.5, 1.0], [1.0, 2.0]
    with annotations.at_rest():
        for function in FUNCTIONS.values():
            assert jax.eval_shape(lambda f=function: f(mean, variance, 1)).shape == (2,)
        for function in (sample_joint, thompson):
            joint = (mean, np.eye(2).tolist())
            found = draw(function, *map(jnp.array, joint))(lambda f, *a: f(*a))
            np.testing.assert_array_equal(function(jax.random.key(0), *joint, 1), found)


COMPLEX = np.array([1j, 2.0], np.complex64)
OF_COMPLEX = {
    "deviation": (deviation, (COMPLEX,)),
    "log improvement": (log_improvement, (COMPLEX,)),
    **{
        f"{name} of {i}": (f, tuple(COMPLEX if i == j else COMPLEX.real for j in range(3)))
        for name, f in FUNCTIONS.items()
        for i in range(3)
    },
    "samples": (partial(sample_joint, jax.random.key(0), samples=1), (COMPLEX, np.eye(2))),
    "rows": (partial(thompson, jax.random.key(0), batch=1), (COMPLEX.real, np.eye(2) * 1j)),
}


@pytest.mark.filterwarnings("error")
@EAGER_AND_TRACED
@pytest.mark.parametrize("name", OF_COMPLEX)
def test_complex_numbers_are_refused(name, call):
    """They were carried on, or cut to their real parts."""
    function, arguments = OF_COMPLEX[name]
    with (
        annotations.at_rest(),
        pytest.raises(ValueError, match="must be real numbers, got complex"),
    ):
        call(function, *arguments)
