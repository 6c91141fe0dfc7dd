"""Kernels against tinygp's own, and their derivatives where points coincide."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial.distance
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads
from tinygp import kernels as tiny
from tinygp import transforms

from wrlso.gp.kernels import (
    KERNELS,
    Matern52,
    SquaredExponential,
    default_lengthscale,
    matern52,
    squared_distances,
)

BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])
EACH = pytest.mark.parametrize("name", sorted(KERNELS))


def x64(dtype):
    return jax.enable_x64(dtype == np.float64)


def tolerance(dtype):
    if dtype == np.float32:
        return {"rtol": 1e-4, "atol": 1e-5}
    return {"rtol": 1e-10, "atol": 1e-10}


def data(d, dtype, n=17, m=11):
    rng = np.random.default_rng(d)
    x, z = rng.normal(size=(n, d)), 0.5 + rng.normal(size=(m, d))
    z[:3] = x[:3]
    z[3] = x[4] + 1e-4
    lengthscales = rng.uniform(0.5, 2.0, d) * np.sqrt(d)
    return tuple(jnp.asarray(a, dtype) for a in (x, z, lengthscales, 1.7))


def of_tinygp(name, lengthscales, variance):
    base = {
        "matern52": tiny.Matern52(distance=tiny.distance.L2Distance()),
        "squared_exponential": tiny.ExpSquared(),
    }[name]
    return variance * transforms.Linear(1 / lengthscales, base)


@BOTH
@EACH
@pytest.mark.parametrize("d", [1, 2, 4, 5, 25, 56])
def test_kernels_equal_those_of_tinygp(name, d, dtype):
    with x64(dtype):
        x, z, lengthscales, variance = data(d, dtype)
        ours, theirs = (
            jax.jit(lambda x, z, k=k: (k(x, z), k(x, x), k(x), jax.vmap(k.evaluate)(x[:11], z)))(
                x, z
            )
            for k in (
                KERNELS[name](lengthscales, variance),
                of_tinygp(name, lengthscales, variance),
            )
        )
        for a, b in zip(ours, theirs, strict=True):
            assert a.dtype == dtype
            np.testing.assert_allclose(a, b, **tolerance(dtype))


@BOTH
@EACH
@pytest.mark.parametrize("d", [2, 8])
def test_combines_with_kernels_of_tinygp(name, d, dtype):
    """Sums, products and transforms of ours equal those of tinygp's."""
    with x64(dtype):
        x, z, lengthscales, variance = data(d, dtype)
        ours, theirs = (
            KERNELS[name](lengthscales, variance),
            of_tinygp(name, lengthscales, variance),
        )
        other = tiny.ExpSquared(jnp.asarray(1.5, dtype))
        rotation = jnp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(d, d)))[0], dtype)
        for combine in (
            lambda k: k + other,
            lambda k: 0.3 + other * k,
            lambda k: k * k + tiny.Constant(jnp.asarray(2.0, dtype)) * other,
            lambda k: transforms.Linear(rotation, k),
        ):
            np.testing.assert_allclose(
                combine(ours)(x, z), combine(theirs)(x, z), **tolerance(dtype)
            )
            np.testing.assert_allclose(combine(ours)(x), combine(theirs)(x), **tolerance(dtype))


@EACH
@pytest.mark.parametrize("d", [1, 3, 7])
def test_derivatives_equal_finite_differences(name, d):
    """Also with points that coincide, where Matern's is only twice differentiable."""
    with jax.enable_x64(True):
        x, z, lengthscales, variance = data(d, np.float64, 5, 4)
        z = z.at[3].add(0.5)

        def f(x, z, lengthscales, variance):
            k = KERNELS[name](lengthscales, variance)
            return k(x, z), k(x), k.evaluate(x[0], z[1])

        arguments = x, z, lengthscales, variance
        check_grads(jax.jit(f), arguments, 1, modes=["fwd", "rev"], eps=1e-5, rtol=1e-5)
        # Away from distance zero, to the second order.
        check_grads(
            jax.jit(lambda x, v: KERNELS[name](lengthscales, v)(x, z + 2)),
            (x, variance),
            2,
            modes=["fwd", "rev"],
            eps=1e-5,
            rtol=1e-5,
        )


@BOTH
@EACH
@pytest.mark.parametrize("d", [1, 4, 5, 25])
def test_derivatives_where_points_coincide(name, d, dtype):
    """Slope zero, and for Matern 5/2 a second derivative of -5/3 variance / lengthscale^2."""
    curvature = {"matern52": 5 / 3, "squared_exponential": 1.0}[name]
    with x64(dtype):
        x, _, lengthscales, variance = data(d, dtype)
        kernel = KERNELS[name](lengthscales, variance)
        for f in (
            lambda p: kernel(p[None], x)[0, 2],
            lambda p: kernel(x, p[None])[2, 0],
            lambda p: kernel.evaluate(p, x[2]),
        ):
            slope, bend = jax.jit(jax.grad(f))(x[2]), jax.jit(jax.hessian(f))(x[2])
            assert slope.dtype == bend.dtype == dtype
            np.testing.assert_allclose(slope, 0.0, atol=1e-6)
            expected = -curvature * variance * np.diag(np.asarray(lengthscales) ** -2.0)
            # Distances of matrices have rounding errors, which are under a square root here.
            error = 2e-2 if dtype == np.float32 else 1e-6
            np.testing.assert_allclose(bend, expected, atol=error * np.abs(expected).max())
        gram = jax.jit(
            jax.grad(lambda p, s: KERNELS[name](s, variance)(p, p).sum(), argnums=(0, 1))
        )
        for leaf in gram(jnp.concatenate([x, x]), lengthscales):
            assert np.isfinite(leaf).all()


@BOTH
def test_profile_of_matern_and_its_two_derivatives(dtype):
    """As functions of the squared distance: their closed forms, from 0 to far away."""
    with x64(dtype):
        s = jnp.asarray([0.0, 1e-30, 1e-12, 1e-4, 0.3, 1.0, 7.0, 60.0, 1e4, 1e30], dtype)
        a = np.sqrt(5 * np.asarray(s, np.float64))
        first, second = jax.vmap(jax.grad(matern52)), jax.vmap(jax.grad(jax.grad(matern52)))
        for ours, expected in (
            (matern52(s), (1 + a + a * a / 3) * np.exp(-a)),
            (first(s), -5 / 6 * (1 + a) * np.exp(-a)),
            (second(s), 25 / 12 * np.exp(-a)),
        ):
            error = 2e-5 if dtype == np.float32 else 1e-12
            np.testing.assert_allclose(ours, expected, rtol=error, atol=1e-30)


def distances(x, z):
    return np.asarray(jax.jit(squared_distances)(x, z))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 4, 5, 30]),
    st.sampled_from([0.0, 3.0, 100.0]),
    st.sampled_from([1e-10, 1.0, 1e10]),
    st.booleans(),
)
def test_squared_distances(seed, d, shift, size, double):
    """Never negative, and not spoilt by a mean that both sets share."""
    dtype = np.float64 if double else np.float32
    rng = np.random.default_rng(seed)
    x, z = ((size * (rng.normal(size=(n, d)) + shift)).astype(dtype) for n in (6, 8))
    z[0] = x[0]
    with x64(dtype):
        ours = distances(x, z)
    assert ours.dtype == dtype
    assert (ours >= 0).all()
    expected = scipy.spatial.distance.cdist(
        x.astype(np.float64), z.astype(np.float64), "sqeuclidean"
    )
    eps = np.finfo(dtype).eps
    # Products cancel; shifting loses what floating point at the shift has lost already.
    error = 40 * eps * (d + shift) * size**2
    np.testing.assert_allclose(ours, expected, rtol=40 * eps, atol=error)


@EACH
def test_a_matrix_is_symmetric_and_positive_semidefinite(name):
    for d in (3, 8):
        x, _, lengthscales, variance = data(d, np.float32, n=40)
        x = jnp.concatenate([x, x[:5]])
        matrix = np.asarray(KERNELS[name](lengthscales, variance)(x, x), np.float64)
        np.testing.assert_allclose(matrix, matrix.T, atol=2e-6)
        assert np.linalg.eigvalsh((matrix + matrix.T) / 2).min() > -1e-4
        np.testing.assert_allclose(matrix.diagonal(), variance, rtol=1e-4)


def test_batches_of_hyperparameters():
    x, z, lengthscales, _ = data(6, np.float32)
    scales, variances = jnp.array([0.5, 1.0, 3.0]), jnp.array([1.0, 2.0, 0.1])
    for kind in (Matern52, SquaredExponential):
        batch = jax.vmap(lambda s, v, kind=kind: kind(s * lengthscales, v)(x, z))(scales, variances)
        for i in range(3):
            single = kind(scales[i] * lengthscales, variances[i])(x, z)
            np.testing.assert_allclose(batch[i], single, rtol=1e-5, atol=1e-6)


def test_default_lengthscale_keeps_typical_correlations_in_any_dimension():
    """Two standard normal points are sqrt(2 d) apart: the same number of lengthscales."""
    ratios = [np.sqrt(2 * d) / default_lengthscale(d) for d in (1, 2, 25, 400)]
    np.testing.assert_allclose(ratios, np.sqrt(2) * np.exp(-np.sqrt(2)), rtol=1e-12)


@EACH
@pytest.mark.parametrize("d", [4, 5])
def test_a_point_whose_square_overflows_is_infinitely_far_from_the_others(name, d):
    x, z = jnp.full((1, d), 1e20).at[0, 0].set(0.0), jnp.linspace(0, 1, 3 * d).reshape(3, d)
    covariance = lambda x, z, scales: KERNELS[name](scales, 1.0)(x, z)  # noqa: E731
    arguments = x, z, jnp.ones(d)
    np.testing.assert_array_equal(covariance(*arguments), np.zeros((1, 3)))
    slopes = jax.grad(lambda *a: covariance(*a).sum(), (0, 1, 2))(*arguments)
    for slope in slopes:
        np.testing.assert_array_equal(slope, np.zeros(slope.shape))
