"""Exact Gaussian processes, against float64 NumPy and tinygp."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.spatial.distance
import scipy.stats
import tinygp
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from wrlso.acquisition import sample_joint
from wrlso.gp import exact
from wrlso.gp.kernels import Matern52, SquaredExponential
from wrlso.gp.linalg import times_lower

BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])
NOISE = 0.03


def x64(dtype):
    return jax.enable_x64(dtype == np.float64)


def tolerance(dtype, single=2e-4, double=1e-9):
    return (
        {"rtol": single, "atol": single}
        if dtype == np.float32
        else {"rtol": double, "atol": double}
    )


def data(seed, n, d, s=5):
    """Points, targets, test points, lengthscales, and a variance."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(n, d)), rng.normal(size=(s, d))
    y = np.sin(x.sum(1)) + 0.1 * rng.normal(size=n)
    return x, y, z, rng.uniform(0.5, 1.5, d) * np.sqrt(d), 1.7


def cast(dtype, *arrays):
    return tuple(jnp.asarray(a, dtype) for a in arrays)


def oracle_kernel(lengthscales, variance, x, z):
    a = np.sqrt(5) * scipy.spatial.distance.cdist(x / lengthscales, z / lengthscales)
    return variance * (1 + a + a * a / 3) * np.exp(-a)


def oracle(x, y, z, lengthscales, variance, noise=NOISE):
    """Mean and covariance at z, and log marginal likelihood, by the textbook."""
    k = partial(oracle_kernel, lengthscales, variance)
    covariance = k(x, x) + noise * np.eye(len(x))
    cross = k(z, x)
    mean = cross @ np.linalg.solve(covariance, y)
    joint = k(z, z) - cross @ np.linalg.solve(covariance, cross.T)
    return mean, joint, scipy.stats.multivariate_normal(np.zeros(len(x)), covariance).logpdf(y)


@jax.jit
def everything(x, y, z, lengthscales, variance, noise, mask=None):
    kernel = Matern52(lengthscales, variance)
    gp = exact.condition(kernel, noise, x, y, mask)
    evidence = exact.log_marginal_likelihood(kernel, noise, x, y, mask)
    return *exact.predict(gp, z), *exact.predict_joint(gp, z), evidence


@BOTH
@pytest.mark.parametrize(("n", "d"), [(1, 1), (7, 2), (40, 3), (60, 12)])
def test_the_posterior_equals_the_textbook(dtype, n, d):
    x, y, z, lengthscales, variance = data(n, n, d)
    mean, joint, evidence = oracle(x, y, z, lengthscales, variance)
    with x64(dtype):
        ours = everything(*cast(dtype, x, y, z, lengthscales, variance, NOISE))
    assert {leaf.dtype for leaf in ours} == {np.dtype(dtype)}
    expected = mean, joint.diagonal(), mean, joint, evidence
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, **tolerance(dtype))


@BOTH
def test_equal_to_tinygp_with_a_kernel_of_tinygp(dtype):
    x, y, z, *_ = data(0, 30, 2)
    with x64(dtype):
        x, y, z = cast(dtype, x, y, z)
        kernel = 0.7 * tinygp.kernels.ExpSquared(jnp.asarray(0.8, dtype)) + Matern52(
            jnp.asarray([1.0, 2.0], dtype), jnp.asarray(0.5, dtype)
        )

        @jax.jit
        def by_tinygp(x, y, z):
            reference = tinygp.GaussianProcess(kernel, x, diag=NOISE)
            posterior = reference.condition(y, z, diag=0.0).gp
            moments = posterior.loc, posterior.covariance, posterior.variance
            return *moments, reference.log_probability(y)

        @jax.jit
        def by_us(x, y, z):
            gp = exact.condition(kernel, NOISE, x, y)
            evidence = exact.log_marginal_likelihood(kernel, NOISE, x, y)
            return *exact.predict_joint(gp, z), exact.predict(gp, z)[1], evidence

        for a, b in zip(by_us(x, y, z), by_tinygp(x, y, z), strict=True):
            np.testing.assert_allclose(a, b, **tolerance(dtype))


@pytest.mark.parametrize("kind", [Matern52, SquaredExponential])
@pytest.mark.parametrize("d", [2, 6])
@pytest.mark.slow
def test_derivatives_of_the_evidence_equal_finite_differences(kind, d):
    x, y, _, lengthscales, variance = data(1, 12, d)
    x[3] = x[2]
    mask = np.arange(12) != 5

    def evidence(lengthscales, variance, noise, x, y):
        return exact.log_marginal_likelihood(kind(lengthscales, variance), noise, x, y, mask)

    with jax.enable_x64(True):
        arguments = cast(np.float64, lengthscales, variance, NOISE, x, y)
        check_grads(jax.jit(evidence), arguments, 2, modes=["fwd", "rev"], eps=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_derivatives_of_the_posterior():
    x, y, z, lengthscales, variance = data(2, 10, 5)

    def posterior(lengthscales, variance, noise, x, y, z):
        gp = exact.condition(Matern52(lengthscales, variance), noise, x, y)
        return exact.predict_joint(gp, z), exact.predict(gp, z)

    with jax.enable_x64(True):
        arguments = cast(np.float64, lengthscales, variance, NOISE, x, y, z)
        check_grads(jax.jit(posterior), arguments, 2, modes=["fwd", "rev"], eps=1e-5, rtol=1e-4)


def embed(seed, capacity, x, y, rubbish):
    """The rows at random places among rows of rubbish."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(capacity)[: len(x)]
    points = np.full((capacity, x.shape[1]), rubbish)
    targets, mask = np.full(capacity, rubbish), np.zeros(capacity, bool)
    points[rows], targets[rows], mask[rows] = x, y, True
    return points, targets, mask


@jax.jit
@partial(jax.grad, argnums=(0, 1, 2, 3))
def slope(lengthscales, noise, x, y, mask):
    kernel = Matern52(lengthscales, jnp.ones((), x.dtype))
    return exact.log_marginal_likelihood(kernel, noise, x, y, mask)


@BOTH
@pytest.mark.parametrize(
    ("d", "capacity", "rubbish"),
    [(2, 16, np.nan), (6, 19, np.nan), (6, 19, np.inf), (6, 19, -1e30), (6, 8, 0.0)],
)
def test_masked_rows_add_exactly_nothing(dtype, d, capacity, rubbish):
    x, y, z, lengthscales, variance = data(3, 8, d)
    points, targets, mask = embed(capacity, capacity, x, y, rubbish)
    with x64(dtype):
        expected = everything(*cast(dtype, x, y, z, lengthscales, variance, NOISE))
        ours = everything(*cast(dtype, points, targets, z, lengthscales, variance, NOISE), mask)

        slopes = slope(*cast(dtype, lengthscales, NOISE, points, targets), mask)
        all_rows = np.ones(8, bool)
        expected_slopes = slope(*cast(dtype, lengthscales, NOISE, x, y), all_rows)
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, **tolerance(dtype, 2e-5, 1e-12))
    for a, b in zip(slopes[:2], expected_slopes[:2], strict=True):
        np.testing.assert_allclose(a, b, **tolerance(dtype, 1e-3, 1e-10))
    for a, b in zip(slopes[2:], expected_slopes[2:], strict=True):
        np.testing.assert_array_equal(a[~mask], 0)
        total = tolerance(dtype, 1e-3, 1e-10)
        np.testing.assert_allclose(np.sort(a[mask], 0), np.sort(b, 0), **total)


@BOTH
def test_without_any_row_there_is_the_prior(dtype):
    x, y, z, lengthscales, variance = data(4, 6, 5)
    with x64(dtype):
        mean, marginal, _, joint, evidence = everything(
            *cast(dtype, x * np.nan, y * np.nan, z, lengthscales, variance, NOISE),
            np.zeros(6, bool),
        )
    np.testing.assert_array_equal(mean, 0)
    np.testing.assert_array_equal(evidence, 0)
    np.testing.assert_allclose(marginal, variance, rtol=1e-6)
    prior = oracle_kernel(lengthscales, variance, z, z)
    np.testing.assert_allclose(joint, prior, **tolerance(dtype, 1e-5))


@jax.jit
def add_all(lengthscales, variance, x, y, mask, slots, points, targets, z):
    gp = exact.condition(Matern52(lengthscales, variance), NOISE, x, y, mask)
    gp, _ = jax.lax.scan(lambda gp, new: (exact.add(gp, *new), None), gp, (slots, points, targets))
    whole = exact.condition(gp.kernel, NOISE, gp.points, gp.targets, gp.mask)
    return (
        (gp.points, gp.targets, gp.mask),
        (*exact.predict(gp, z), *exact.predict_joint(gp, z)),
        (*exact.predict(whole, z), *exact.predict_joint(whole, z)),
    )


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(6, 1, 4), (24, 3, 10), (24, 8, 24)]),
    st.integers(0, 100),
    st.sampled_from([0.0, np.nan, 1e30]),
    st.booleans(),
)
@pytest.mark.slow
def test_adding_rows_is_conditioning_on_more(seed, shape, taken, rubbish, double):
    """Whatever the number of rows before, with gaps or without; slots beyond the end are lost."""
    capacity, d, new = shape
    dtype = np.float64 if double else np.float32
    rng = np.random.default_rng(seed)
    taken = min(taken, capacity)
    x, y, z, lengthscales, variance = data(seed, capacity + new, d)
    room = capacity - max(taken, capacity // 2)
    first = embed(seed, capacity - room, x[:taken], y[:taken], rubbish)
    first = tuple(np.concatenate([a, np.zeros((room, *a.shape[1:]), a.dtype)]) for a in first)
    behind = np.arange(np.flatnonzero(first[2]).max(initial=-1) + 1, capacity)
    free = behind[rng.random(len(behind)) < 0.7]
    slots = np.append(free, np.full(new, capacity + 7))[:new]
    added = min(len(free), new)
    expected = oracle(
        np.append(x[:taken], x[capacity : capacity + added], axis=0),
        np.append(y[:taken], y[capacity : capacity + added]),
        *(z, lengthscales, variance),
    )
    with x64(dtype):
        (points, targets, mask), ours, whole = add_all(
            *cast(dtype, lengthscales, variance, *first[:2]),
            first[2],
            slots,
            *cast(dtype, x[capacity:], y[capacity:], z),
        )
    assert {leaf.dtype for leaf in ours} == {np.dtype(dtype)}
    np.testing.assert_array_equal(np.flatnonzero(mask & ~first[2]), np.sort(free[:added]))
    np.testing.assert_array_equal(points[free[:added]], x[capacity:][:added].astype(dtype))
    np.testing.assert_array_equal(targets[free[:added]], y[capacity:][:added].astype(dtype))
    for a, b in zip(ours, whole, strict=True):
        np.testing.assert_allclose(a, b, **tolerance(dtype, 1e-3))
    expected = expected[0], expected[1].diagonal(), *expected[:2]
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, **tolerance(dtype, 1e-3))


@BOTH
@pytest.mark.parametrize("slot", [-1, 1, 2, 3, 6, 7, 2**30])
def test_a_slot_out_of_range_or_before_rows_in_use_changes_nothing(dtype, slot):
    x, y, _, lengthscales, variance = data(5, 6, 5)
    with x64(dtype):
        x, y, lengthscales, variance = cast(dtype, x, y, lengthscales, variance)
        gp = exact.condition(
            Matern52(lengthscales, variance), NOISE, x, y, np.array([1, 1, 0, 1, 0, 0], bool)
        )
        after = jax.jit(exact.add)(gp, slot, x[0] + 1, 3.0)
        for a, b in zip(jax.tree.leaves(gp), jax.tree.leaves(after), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("n", [1, 511, 512, 515, 1001])
def test_products_with_a_triangular_matrix_leave_out_only_zeros(n):
    rng = np.random.default_rng(n)
    x, lower = rng.normal(size=(3, n)), np.tril(rng.normal(size=(n, n)))
    with jax.enable_x64(True):
        np.testing.assert_allclose(times_lower(x, jnp.asarray(lower)), x @ lower.T, atol=1e-9)


@BOTH
def test_the_variance_at_a_point_falls_with_every_repetition(dtype):
    """The variance falls to noise / n, and neither below zero nor to NaN."""
    with x64(dtype):
        kernel = SquaredExponential(jnp.ones(2, dtype), jnp.ones((), dtype))
        noise = jnp.asarray(1e-4, dtype)
        empty = jnp.zeros((100, 2), dtype), jnp.zeros(100, dtype)
        gp = exact.condition(kernel, noise, *empty, jnp.zeros(100, bool))
        point = jnp.full((1, 2), 0.3, dtype)
        _, (means, variances) = jax.lax.scan(
            lambda gp, i: (exact.add(gp, i, point[0], 1.0), exact.predict(gp, point)),
            gp,
            jnp.arange(100),
        )
        means, variances = np.asarray(means)[:, 0], np.asarray(variances)[:, 0]
    expected = 1 / (1 + np.arange(100) / 1e-4)
    assert (variances >= 0).all()
    rounding = 2e-5 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(variances, expected, atol=rounding)
    np.testing.assert_allclose(means, 1 - expected, atol=10 * rounding)


def test_a_batch_is_one_by_one():
    with jax.enable_x64(True):
        stacked = [np.stack(a) for a in zip(*(data(s, 9, 6) for s in range(3)), strict=True)]
        masks = np.arange(9) < np.array([[9], [4], [1]])
        noises = jnp.array([0.1, 0.01, 0.2])
        batch = jax.jit(jax.vmap(everything))(*stacked, noises, masks)
        for i in range(3):
            single = everything(*(a[i] for a in stacked), noises[i], masks[i])
            for a, b in zip(batch, single, strict=True):
                np.testing.assert_allclose(a[i], b, rtol=1e-9, atol=1e-12)


@BOTH
def test_samples_have_the_moments_of_the_posterior(dtype):
    x, y, z, lengthscales, variance = data(6, 10, 5, s=4)
    z[3] = z[2]  # A singular joint.
    mean, joint, _ = oracle(x, y, z, lengthscales, variance)
    n = 20_000
    with x64(dtype):
        x, y, z, lengthscales, variance = cast(dtype, x, y, z, lengthscales, variance)
        gp = jax.jit(exact.condition)(Matern52(lengthscales, variance), NOISE, x, y)
        samples = jax.jit(sample_joint, static_argnums=3)(
            jax.random.key(0), *exact.predict_joint(gp, z), n
        )
        assert samples.dtype == dtype
    samples = np.asarray(samples, np.float64)
    deviation = np.sqrt(joint.diagonal())
    assert (np.abs(samples.mean(0) - mean) < 5 * deviation / np.sqrt(n)).all()
    # The deviation of an empirical covariance (Isserlis).
    spread = np.sqrt((joint**2 + np.outer(deviation, deviation) ** 2) / n)
    assert (np.abs(np.cov(samples.T) - joint) < 5 * spread).all()
    np.testing.assert_allclose(samples[:, 2], samples[:, 3], atol=5e-3)
    standard = (samples[:, 0] - mean[0]) / deviation[0]
    assert scipy.stats.kstest(standard, "norm").pvalue > 1e-4


def test_the_hessian_in_hyperparameters_in_both_modes():
    """Against differences of gradients, for one matrix and a batch."""
    x, y, _, lengthscales, variance = data(7, 9, 3)

    def evidence(packed):
        kernel = Matern52(jnp.exp(packed[:3]), jnp.exp(packed[3]))
        return exact.log_marginal_likelihood(kernel, jnp.exp(packed[4]), x, y)

    with jax.enable_x64(True):
        packed = jnp.log(jnp.array([*lengthscales, variance, NOISE]))
        both = jnp.stack([packed, packed + 0.1])
        forward = jax.jit(jax.vmap(jax.hessian(evidence)))(both)
        reverse = jax.jit(jax.jacrev(jax.grad(evidence)))(packed)
        slope = jax.jit(jax.grad(evidence))
        differences = jnp.stack(
            [(slope(packed + e) - slope(packed - e)) / 2e-5 for e in 1e-5 * jnp.eye(5)]
        )
    np.testing.assert_allclose(forward[0], reverse, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(reverse, differences, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("broken", ["points", "targets", "noise"])
def test_nan_among_the_data_is_refused_or_makes_the_evidence_nan(broken):
    """It used to give -inf to every hyperparameter, so that a fit returned its start."""
    x, y, z, lengthscales, variance = data(8, 6, 2)
    arguments = {"points": x, "targets": y, "noise": np.array(NOISE)}
    arguments[broken] = arguments[broken].copy()
    arguments[broken][(2,) if broken != "noise" else ()] = np.nan
    kernel = Matern52(*cast(np.float32, lengthscales, variance))
    single = {name: jnp.asarray(a, jnp.float32) for name, a in arguments.items()}
    for function in (exact.log_marginal_likelihood, exact.condition):
        with pytest.raises(ValueError, match=rf"{broken} must be finite.*NaN"):
            function(kernel, **single)
    traced = jax.jit(lambda a: exact.log_marginal_likelihood(kernel, **a))(single)
    assert np.isnan(traced)
    mean, _ = jax.jit(lambda a: exact.predict(exact.condition(kernel, **a), z))(single)
    assert np.isnan(mean).all()
    if broken != "noise":  # Outside the mask it is nobody's concern.
        mask = np.arange(6) != 2
        assert np.isfinite(exact.log_marginal_likelihood(kernel, **single, mask=mask))


@jax.jit
def grown(kernel, noise, x, y, first, query):
    """Means and variances after each of the rows behind ``first`` is added, and those of all."""
    gp = exact.condition(kernel, noise, x, y, jnp.arange(len(x)) < first)

    def step(gp, i):
        gp = exact.add(gp, i, x[i], y[i])
        return gp, exact.predict(gp, query)

    gp, found = jax.lax.scan(step, gp, jnp.arange(50, len(x)))
    return (
        found,
        exact.predict(gp, query),
        exact.predict(exact.condition(kernel, noise, x, y), query),
    )


@pytest.mark.parametrize(
    ("noise", "variance", "spread"), [(1e-5, 1.0, 0.1), (1e-5, 50.0, 0.1), (1e-3, 20.0, 0.1)]
)
def test_many_rows_added_close_together_in_single_precision(noise, variance, spread):
    """The rounding of a row must not grow in the rows after it: means had become 5e25, then NaN."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    x[50:] = 1 + spread * rng.normal(size=(150, 2))
    y = np.sin(2 * x[:, 0]) + x[:, 1]
    query = 1 + 0.3 * rng.normal(size=(40, 2))
    x, y, query = (np.float32(a) for a in (x, y, query))
    kernel = Matern52(np.full(2, 2.0, np.float32), np.float32(variance))
    (means, _), (mean, var), (whole_mean, whole_var) = grown(
        kernel, np.float32(noise), x, y, 50, query
    )
    assert np.abs(means).max() < 2 * np.abs(y).max()
    np.testing.assert_allclose(mean, whole_mean, atol=1e-3)
    np.testing.assert_allclose(var, whole_var, atol=1e-4 * variance)


@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e4])
def test_masked_rows_add_nothing_in_any_unit_of_the_targets(unit):
    """A pivot of 1 beside variances of 1e-8 had real pivots taken for rounding errors."""
    x, y, z, lengthscales, variance = data(3, 6, 2)
    points, targets, mask = embed(10, 10, x, y * unit, 0.0)
    kernel = Matern52(np.float32(lengthscales), np.float32(variance * unit**2))
    noise = np.float32(1e-2 * unit**2)
    x, y, z, points, targets = (np.float32(a) for a in (x, y * unit, z, points, targets))
    with_rows = exact.predict(exact.condition(kernel, noise, points, targets, mask), z)
    without = exact.predict(exact.condition(kernel, noise, x, y), z)
    for ours, expected, scale in zip(with_rows, without, (unit, unit**2), strict=True):
        np.testing.assert_allclose(ours / scale, expected / scale, atol=2e-5)
    evidence = exact.log_marginal_likelihood(kernel, noise, points, targets, mask)
    expected = exact.log_marginal_likelihood(kernel, noise, x, y)
    np.testing.assert_allclose(evidence, expected, rtol=1e-5, atol=1e-4)
