"""Sparse Gaussian processes, against exact ones and the textbook in float64 NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from wrlso.gp import exact, sparse
from wrlso.gp.kernels import Matern52, SquaredExponential

BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])
NOISE = 0.05


def x64(dtype):
    return jax.enable_x64(dtype == np.float64)


def close(ours, expected, dtype, single=1e-3, double=1e-8):
    error = single if dtype == np.float32 else double
    for a, b in zip(ours, expected, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=error, atol=error)


def data(seed, n, d, m, s=5):
    """Points, targets, inducing points, test points, lengthscales, and a variance."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    y = np.sin(x.sum(1)) + 0.1 * rng.normal(size=n)
    inducing, z = rng.normal(size=(m, d)), rng.normal(size=(s, d))
    return x, y, inducing, z, rng.uniform(0.5, 1.5, d) * np.sqrt(d), 1.7


def cast(dtype, *arrays):
    return tuple(jnp.asarray(a, dtype) for a in arrays)


def oracle(x, y, inducing, z, lengthscales, variance, noise=NOISE):
    """Titsias (2009), Eqs. 6 and 9, by plain inverses of n x n matrices."""

    def k(a, b):
        r = np.sqrt(5) * scipy.spatial.distance.cdist(a / lengthscales, b / lengthscales)
        return variance * (1 + r + r * r / 3) * np.exp(-r)

    kuu, kuf, kus = k(inducing, inducing), k(inducing, x), k(inducing, z)
    sigma = np.linalg.inv(kuu + kuf @ kuf.T / noise)
    mean = kus.T @ sigma @ kuf @ y / noise
    joint = k(z, z) - kus.T @ np.linalg.solve(kuu, kus) + kus.T @ sigma @ kus
    q = kuf.T @ np.linalg.solve(kuu, kuf)
    density = scipy.stats.multivariate_normal(np.zeros(len(x)), q + noise * np.eye(len(x)))
    bound = density.logpdf(y) - 0.5 / noise * (len(x) * variance - np.trace(q))
    return mean, joint.diagonal(), mean, joint, bound


@jax.jit
def everything(x, y, inducing, z, lengthscales, variance, noise, mask=None):
    kernel = Matern52(lengthscales, variance)
    gp = sparse.condition(kernel, noise, x, y, inducing, mask)
    bound = sparse.log_marginal_bound(kernel, noise, x, y, inducing, mask)
    return *sparse.predict(gp, z), *sparse.predict_joint(gp, z), bound


@jax.jit
def everything_exact(x, y, z, lengthscales, variance, noise, mask=None):
    kernel = Matern52(lengthscales, variance)
    gp = exact.condition(kernel, noise, x, y, mask)
    evidence = exact.log_marginal_likelihood(kernel, noise, x, y, mask)
    return *exact.predict(gp, z), *exact.predict_joint(gp, z), evidence


@BOTH
@pytest.mark.parametrize(("n", "d", "m"), [(1, 1, 1), (40, 2, 10), (25, 8, 25)])
def test_the_posterior_equals_the_textbook(dtype, n, d, m):
    problem = data(n, n, d, m)
    with x64(dtype):
        ours = everything(*cast(dtype, *problem, NOISE))
    close(ours, oracle(*problem), dtype)


@BOTH
@pytest.mark.parametrize(("n", "d"), [(1, 1), (25, 8)])
def test_inducing_points_at_the_data_are_exact(dtype, n, d):
    x, y, _, *rest = data(n, n, d, 1)
    with x64(dtype):
        order = np.random.default_rng(0).permutation(n)
        ours = everything(*cast(dtype, x, y, x[order], *rest, NOISE))
        expected = everything_exact(*cast(dtype, x, y, *rest, NOISE))
    close(ours, expected, dtype)


@jax.jit
def bound_and_evidence(x, y, inducing, lengthscales, variance, noise, mask):
    kernel = Matern52(lengthscales, variance)
    return (
        sparse.log_marginal_bound(kernel, noise, x, y, inducing, mask),
        exact.log_marginal_likelihood(kernel, noise, x, y, mask),
    )


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(30, 1, 40), (40, 6, 15)]),
    st.integers(1, 40),
    st.floats(-2, 2),
    st.floats(-4, 0),
    st.booleans(),
)
def test_the_bound_never_exceeds_the_evidence(seed, shape, rows, log_scale, log_noise, double):
    capacity, d, m = shape
    dtype = np.float64 if double else np.float32
    x, y, inducing, _, lengthscales, variance = data(seed, capacity, d, m)
    mask = np.random.default_rng(seed).permutation(capacity) < rows
    lengthscales, noise = lengthscales * np.exp(log_scale), 10.0**log_noise
    with x64(dtype):
        hyper = cast(dtype, lengthscales, variance, noise)
        x, y, inducing = cast(dtype, x, y, inducing)
        bound, evidence = bound_and_evidence(x, y, inducing, *hyper, mask)
    # Rounding errors of K are divided by the noise.
    slack = 50 * np.finfo(dtype).eps * capacity * (1 + capacity * variance / noise)
    assert np.isfinite(bound)
    assert float(bound) <= float(evidence) + slack


@pytest.mark.parametrize("kind", [Matern52, SquaredExponential])
@pytest.mark.parametrize("d", [2, 6])
@pytest.mark.slow
def test_derivatives_of_the_bound(kind, d):
    x, y, inducing, _, lengthscales, variance = data(1, 15, d, 6)
    inducing[2] = x[3]
    mask = np.arange(15) != 5

    def bound(lengthscales, variance, noise, inducing, x, y):
        kernel = kind(lengthscales, variance)
        return sparse.log_marginal_bound(kernel, noise, x, y, inducing, mask)

    with jax.enable_x64(True):
        arguments = cast(np.float64, lengthscales, variance, NOISE, inducing, x, y)
        check_grads(jax.jit(bound), arguments, 2, modes=["fwd", "rev"], eps=1e-5, rtol=1e-4)


def test_derivatives_of_the_posterior():
    problem = data(2, 12, 5, 4)
    with jax.enable_x64(True):
        arguments = cast(np.float64, *problem, NOISE)
        check_grads(everything, arguments, 1, modes=["fwd", "rev"], eps=1e-5, rtol=1e-5)


@jax.jit
@partial(jax.grad, argnums=(0, 1, 2, 4, 5, 6))
def slope(x, y, inducing, _, lengthscales, variance, noise, mask):
    return sparse.log_marginal_bound(Matern52(lengthscales, variance), noise, x, y, inducing, mask)


@BOTH
@pytest.mark.parametrize(
    ("d", "capacity", "rubbish"),
    [(2, 30, np.nan), (6, 17, np.nan), (6, 17, np.inf), (6, 17, -1e30)],
)
def test_masked_rows_add_exactly_nothing(dtype, d, capacity, rubbish):
    x, y, *rest = data(3, 16, d, 7)
    rows = np.random.default_rng(capacity).permutation(capacity)[:16]
    points, targets = np.full((capacity, d), rubbish), np.full(capacity, rubbish)
    mask = np.zeros(capacity, bool)
    points[rows], targets[rows], mask[rows] = x, y, True
    with x64(dtype):
        expected = everything(*cast(dtype, x, y, *rest, NOISE))
        ours = everything(*cast(dtype, points, targets, *rest, NOISE), mask)
        slopes = slope(*cast(dtype, points, targets, *rest, NOISE), mask)
        expected_slopes = slope(*cast(dtype, x, y, *rest, NOISE), np.ones(16, bool))
    close(ours, expected, dtype, 1e-4, 1e-11)
    for a in slopes[:2]:
        np.testing.assert_array_equal(a[~mask], 0)
    ours = [np.asarray(a)[rows] for a in slopes[:2]] + list(slopes[2:])
    close(ours, expected_slopes, dtype, 5e-3, 1e-9)


@BOTH
def test_without_any_row_there_is_the_prior(dtype):
    x, y, inducing, z, lengthscales, variance = data(4, 6, 5, 3)
    with x64(dtype):
        problem = cast(dtype, x * np.nan, y * np.nan, inducing, z, lengthscales, variance, NOISE)
        mean, marginal, _, joint, bound = everything(*problem, np.zeros(6, bool))
        prior = Matern52(*problem[4:6])(problem[3], problem[3])
    np.testing.assert_array_equal(mean, 0)
    np.testing.assert_array_equal(bound, 0)
    np.testing.assert_allclose(marginal, variance, rtol=1e-5)
    np.testing.assert_allclose(joint, prior, atol=1e-5)


@jax.jit
def add_all(x, y, inducing, z, lengthscales, variance, noise, mask, old):
    """Condition on the first rows ``old``, then add the others among the rows in ``mask``."""
    kernel = Matern52(lengthscales, variance)
    gp = sparse.condition(kernel, noise, x, y, inducing, mask & old)

    def step(gp, row):
        point, target, new = row
        more = sparse.add(gp, point, target)
        return jax.tree.map(lambda a, b: jnp.where(new, a, b), more, gp), None

    gp, _ = jax.lax.scan(step, gp, (x, y, mask & ~old))
    whole = sparse.condition(kernel, noise, x, y, inducing, mask)
    return [(*sparse.predict(g, z), *sparse.predict_joint(g, z)) for g in (gp, whole)]


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(20, 1, 1), (30, 3, 12), (20, 8, 30)]),
    st.integers(0, 30),
    st.integers(1, 30),
    st.sampled_from([0.5, 0.05, 0.002]),
    st.booleans(),
)
def test_adding_rows_is_conditioning_on_more(seed, shape, old, rows, noise, double):
    capacity, d, m = shape
    dtype = np.float64 if double else np.float32
    problem = data(seed, capacity, d, m)
    mask = np.random.default_rng(seed).permutation(capacity) < rows
    with x64(dtype):
        ours, whole = add_all(*cast(dtype, *problem, noise), mask, np.arange(capacity) < old)
    close(ours, whole, dtype, 5e-3, 1e-7)


@BOTH
@pytest.mark.parametrize("noise", [1e-1, 1e-5])
def test_the_variance_at_a_point_falls_with_every_repetition(dtype, noise):
    """The variance falls to noise / n, and neither below zero nor to NaN."""
    x, y, inducing, _, lengthscales, variance = data(5, 20, 2, 8)
    point = inducing[:1]

    def run(x, y, inducing, point, lengthscales, variance, noise, mask):
        gp = sparse.condition(Matern52(lengthscales, variance), noise, x, y, inducing, mask)

        def step(gp, _):
            gp = sparse.add(gp, point[0], 1.0)
            return gp, (*sparse.predict(gp, point), *sparse.predict(gp, inducing))

        return jax.lax.scan(step, gp, None, 200)[1]

    with x64(dtype):
        arguments = cast(dtype, x, y, inducing, point, lengthscales, variance, noise)
        found = jax.jit(run)(*arguments, np.zeros(20, bool))
    mean, marginal, *others = (np.asarray(a) for a in found)
    for a in (mean, marginal, *others):
        assert a.dtype == dtype
        assert np.isfinite(a).all()
    assert (marginal >= 0).all()
    assert (others[1] >= 0).all()
    n = np.arange(1, 201)
    expected = 1 / (1 / variance + n / noise)
    rounding = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(marginal[:, 0], expected, rtol=1e-3, atol=rounding)
    np.testing.assert_allclose(mean[:, 0], 1 - expected / variance, atol=100 * rounding)


@BOTH
def test_equal_inducing_points(dtype):
    """No NaN, in values or slopes, and nearly what the distinct ones give."""
    x, y, inducing, *rest = data(6, 30, 3, 6)
    twice = np.concatenate([inducing, inducing, inducing[:1], inducing[:1]])
    with x64(dtype):
        ours = everything(*cast(dtype, x, y, twice, *rest, NOISE))
        expected = everything(*cast(dtype, x, y, inducing, *rest, NOISE))
        for a in slope(*cast(dtype, x, y, twice, *rest, NOISE), np.ones(30, bool)):
            assert np.isfinite(a).all()
    close(ours[:-1], expected[:-1], dtype, 2e-2, 1e-6)
    # The jitter only lowers the bound.
    assert float(ours[-1]) <= float(expected[-1]) + 1e-3
    np.testing.assert_allclose(ours[-1], expected[-1], rtol=2e-2)


def test_a_batch_is_one_by_one():
    with jax.enable_x64(True):
        stacked = [np.stack(a) for a in zip(*(data(s, 12, 6, 5) for s in range(3)), strict=True)]
        masks = np.arange(12) < np.array([[12], [4], [1]])
        noises = jnp.array([0.1, 0.01, 0.2])
        batch = jax.jit(jax.vmap(everything))(*stacked, noises, masks)
        for i in range(3):
            single = everything(*(a[i] for a in stacked), noises[i], masks[i])
            for a, b in zip(batch, single, strict=True):
                np.testing.assert_allclose(a[i], b, rtol=1e-8, atol=1e-10)


def inertia(points, centres):
    return scipy.spatial.distance.cdist(points, centres, "sqeuclidean").min(1).sum()


cluster = jax.jit(sparse.k_means, static_argnums=2)


@BOTH
@pytest.mark.parametrize("seed", range(5))
def test_k_means_is_lloyds_algorithm(dtype, seed):
    """Among rows of rubbish; the oracle repeats Lloyd's steps from the same rows."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(90, 3)) + 4 * rng.integers(0, 3, (90, 1))
    mask = rng.permutation(90) < 70
    points[~mask] = np.nan
    real = points[mask]
    with x64(dtype):
        centres = np.asarray(cluster(jax.random.key(seed), *cast(dtype, points), 8, mask))
    assert centres.dtype == dtype
    assert (centres >= real.min(0) - 1e-5).all()
    assert (centres <= real.max(0) + 1e-5).all()
    nearest = scipy.spatial.distance.cdist(real, centres).argmin(1)
    assert len(np.unique(nearest)) == 8
    random = [inertia(real, real[rng.permutation(70)[:8]]) for _ in range(20)]
    assert inertia(real, centres) < min(random)
    # Ten more steps gain little.
    better = centres
    for _ in range(10):
        nearest = scipy.spatial.distance.cdist(real, better).argmin(1)
        better = np.array([real[nearest == i].mean(0) for i in np.unique(nearest)])
    assert inertia(real, centres) < 1.15 * inertia(real, better)


@BOTH
def test_k_means_of_well_separated_clusters_is_their_means(dtype):
    """A start in each is needed: of 20 keys, some have one."""
    rng = np.random.default_rng(0)
    points = np.repeat(np.array([[0.0, 0.0], [100.0, 0.0]]), 20, 0) + rng.normal(size=(40, 2))
    with x64(dtype):
        found = jax.jit(jax.vmap(lambda k: sparse.k_means(k, jnp.asarray(points, dtype), 2)))(
            jax.random.split(jax.random.key(0), 20)
        )
    expected = np.array([points[:20].mean(0), points[20:].mean(0)])
    for centres in np.asarray(found):
        np.testing.assert_allclose(centres[centres[:, 0].argsort()], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [0, 1, 3, 10])
def test_k_means_of_fewer_rows_than_clusters(rows):
    """Every row is a centre; without any there is still no NaN."""
    rng = np.random.default_rng(1)
    points, mask = rng.normal(size=(10, 2)).astype(np.float32), rng.permutation(10) < rows
    points[~mask] = np.nan
    centres = np.asarray(cluster(jax.random.key(0), points, 13, mask))
    if rows == 0:
        assert np.isfinite(centres).all()
        return
    expected = points[mask]
    assert scipy.spatial.distance.cdist(expected, centres).min(1).max() < 1e-6
    assert scipy.spatial.distance.cdist(expected, centres).min(0).max() < 1e-6


@pytest.mark.parametrize("scale", [1e-25, 1e-6, 1.0, 1e25])
@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_k_means_of_any_scale_and_far_from_zero(offset, scale):
    """Squares that vanish, overflow or cancel merged clusters."""
    rng = np.random.default_rng(0)
    middles, label = np.array([[0, 0], [3, 0], [0, 3], [3, 3], [6, 1]]), np.arange(50) % 5
    points = scale * (middles[label] + offset + 0.05 * rng.normal(size=(50, 2)))
    points = points.astype(np.float32)
    centres = np.asarray(cluster(jax.random.key(3), points, 5), np.float64)
    expected = [points[label == i].astype(np.float64).mean(0) for i in range(5)]
    error = scipy.spatial.distance.cdist(expected, centres) / scale
    assert error.min(1).max() < 0.02  # of which 0.008 is rounding at the offset


def test_k_means_of_equal_rows():
    points = np.tile(np.array([[0.1, -3.0, 7.0]], np.float32), (12, 1))
    points[3] = 5.0
    centres = np.asarray(cluster(jax.random.key(0), points, 6))
    distinct = points[2:4]
    assert scipy.spatial.distance.cdist(centres, distinct).min(1).max() < 1e-5


@pytest.mark.parametrize("broken", ["points", "targets", "inducing", "noise"])
def test_nan_among_the_data_is_refused_or_makes_the_bound_nan(broken):
    rng = np.random.default_rng(0)
    arguments = {
        "points": rng.normal(size=(6, 2)),
        "targets": rng.normal(size=6),
        "inducing": rng.normal(size=(3, 2)),
        "noise": np.array(0.1),
    }
    arguments[broken][(1,) if broken != "noise" else ()] = np.nan
    kernel = Matern52(jnp.ones(2), jnp.float32(1.0))
    single = {name: jnp.asarray(a, jnp.float32) for name, a in arguments.items()}
    for function in (sparse.log_marginal_bound, sparse.condition):
        with pytest.raises(ValueError, match=rf"{broken} must be finite.*NaN"):
            function(kernel, **single)
    assert np.isnan(jax.jit(lambda a: sparse.log_marginal_bound(kernel, **a))(single))


def test_a_point_of_64_bits_does_not_widen_a_posterior_of_32():
    with jax.enable_x64(True):
        x = np.linspace(0, 1, 6, dtype=np.float32).reshape(3, 2)
        kernel = Matern52(np.ones(2, np.float32), np.float32(1))
        condition = lambda: sparse.condition(kernel, np.float32(0.1), x, x[:, 0], x)  # noqa: E731
        gp = jax.eval_shape(condition)
        added = jax.eval_shape(lambda gp: sparse.add(gp, np.array([0.1, 0.2]), 0.3), gp)
        assert jax.tree.leaves(added) == jax.tree.leaves(gp)
