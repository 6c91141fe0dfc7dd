"""What must hold for any finite data: no NaN from factorisation, standard units, or posteriors."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wrlso.acquisition import log_expected_improvement, upper_confidence_bound
from wrlso.gp import exact, sparse
from wrlso.gp.fit import FitConfig, default_hyperparameters, fit
from wrlso.gp.kernels import Matern52
from wrlso.gp.linalg import gaussian_log_density, safe_cholesky, whiten
from wrlso.gp.standardize import standardizer

BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def x64(dtype):
    return jax.enable_x64(dtype == np.float64)


# --- Cholesky factors -----------------------------------------------------------------------------


def positive_definite(seed, n, rank=None):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n, rank or n + 3))
    return root @ root.T / root.shape[1]


def reconstruction_error(factor, matrix):
    factor = np.asarray(factor, np.float64)
    np.testing.assert_array_equal(factor, np.tril(factor))
    return np.abs(factor @ factor.T - matrix).max() / np.abs(matrix).max()


@BOTH
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("n", [1, 5, 40])
def test_cholesky_of_positive_definite_matrices_has_no_jitter(dtype, n, size):
    matrix = (size * (positive_definite(n, n) + 0.1 * np.eye(n))).astype(dtype)
    with x64(dtype):
        factor = np.asarray(jax.jit(safe_cholesky)(matrix))
    expected = np.linalg.cholesky(matrix.astype(np.float64)) / np.sqrt(size)
    np.testing.assert_allclose(
        factor / dtype(np.sqrt(size)), expected, atol=100 * np.finfo(dtype).eps
    )


def singular(kind, n):
    if kind == "rank":
        return positive_definite(0, n, rank=3)
    if kind == "ones":
        return np.ones((n, n))
    if kind == "duplicates":
        block = positive_definite(1, n // 2)
        return np.kron(np.ones((2, 2)), block)
    x = np.linspace(0, 1, n)
    return np.exp(-0.5 * (x[:, None] - x) ** 2)  # "smooth"


@BOTH
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("shift", [0.0, -1e-6])
@pytest.mark.parametrize("kind", ["rank", "ones", "duplicates", "smooth"])
def test_cholesky_of_singular_and_slightly_indefinite_matrices(dtype, kind, shift, size):
    n = 30
    matrix = size * (singular(kind, n) + shift * np.eye(n))
    with x64(dtype):
        factor = np.asarray(jax.jit(safe_cholesky)(matrix.astype(dtype)))
    assert np.isfinite(factor).all()
    assert (np.diagonal(factor) > 0).all()
    # The jitter is at most tenfold what is needed.
    needed = n * np.finfo(dtype).eps + abs(shift)
    assert reconstruction_error(factor / np.sqrt(size), matrix / size) < 200 * needed


@pytest.mark.parametrize("n", [3, 30])
def test_cholesky_of_far_from_positive_is_finite(n):
    rng = np.random.default_rng(n)
    matrix = rng.normal(size=(n, n)).astype(np.float32)
    matrix = matrix + matrix.T + 3 * np.diag(rng.uniform(0.1, 1, n)).astype(np.float32)
    np.fill_diagonal(matrix, np.abs(np.diagonal(matrix)))
    factor = jax.jit(safe_cholesky)(matrix)
    assert np.isfinite(factor).all()
    assert (np.diagonal(factor) > 0).all()


@BOTH
def test_derivative_of_whitening(dtype):
    n = 12
    matrix = positive_definite(0, n) + 0.1 * np.eye(n)
    weights = np.random.default_rng(1).normal(size=(n, n))

    def plain(m):
        inverse = jnp.linalg.inv(jnp.linalg.cholesky(m))
        return (weights * inverse).sum() + jnp.linalg.slogdet(m)[1]

    with x64(dtype):
        matrix, weights = matrix.astype(dtype), weights.astype(dtype)
        ours = jax.grad(lambda m: (weights * whiten(m)[0]).sum() + whiten(m)[1])(matrix)
        theirs = jax.grad(plain)(matrix)
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.dtype == dtype
    scale = np.abs(theirs).max()
    error = 1e-4 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(ours / scale, theirs / scale, atol=error)


@BOTH
def test_derivative_of_the_density(dtype):
    n = 12
    matrix = positive_definite(2, n) + 0.1 * np.eye(n)
    y = np.random.default_rng(3).normal(size=n)

    def plain(covariance, y):
        _, log_det = jnp.linalg.slogdet(covariance)
        return -0.5 * (y @ jnp.linalg.solve(covariance, y) + log_det)

    with x64(dtype):
        matrix, y = matrix.astype(dtype), y.astype(dtype)
        ours = jax.value_and_grad(gaussian_log_density, argnums=(0, 1))(matrix, y)
        theirs = jax.value_and_grad(plain, argnums=(0, 1))(matrix, y)
    error = 1e-4 if dtype == np.float32 else 1e-11
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        np.testing.assert_allclose(a / np.abs(b).max(), b / np.abs(b).max(), atol=error)


def test_derivatives_at_singular_matrices_are_finite():
    for kind in ("rank", "ones", "duplicates", "smooth"):
        matrix = singular(kind, 20).astype(np.float32)
        slope = jax.grad(lambda m: whiten(m)[0].sum() + gaussian_log_density(m, m[0]))(matrix)
        assert np.isfinite(slope).all()


# --- Standard units -------------------------------------------------------------------------------


in_units = jax.jit(standardizer)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float64, (12, 3), elements=st.integers(-1000, 1000)),
    hnp.arrays(np.float64, 3, elements=st.sampled_from([1e-30, 1e-10, 1.0, 1e10, 1e31])),
    hnp.arrays(np.float64, 3, elements=st.sampled_from([0.0, 1.0, 100.0, 1e5])),
    st.integers(1, 12),
    st.booleans(),
)
def test_standard_units(unit, size, shift, rows, double):
    """Mean zero and deviation one, or zero where a column is constant; and back."""
    dtype = np.float64 if double else np.float32
    x = ((unit / 1000 + shift) * size).astype(dtype)
    mask = np.random.default_rng(rows).permutation(12) < rows
    rubbish = np.where(mask[:, None], x, np.nan)
    with x64(dtype):
        units = in_units(rubbish, mask)
        z, back = np.asarray(units.apply(x)), np.asarray(units.invert(units.apply(x)))
        column = in_units(rubbish[:, 0], mask)
        again = np.asarray(column.apply(x[:, 0]))
    assert z.dtype == units.mean.dtype == units.deviation.dtype == dtype
    assert np.isfinite(z).all()
    eps = np.finfo(dtype).eps
    for i in range(3):
        real = x[mask, i].astype(np.float64)
        largest = np.abs(real).max()
        assert np.abs(back[mask, i].astype(np.float64) - real).max() <= 10 * eps * max(
            largest, 1e-37
        )
        spread = real.std() / max(largest, 1e-37)
        if i == 0 and (spread < 4 * eps or spread > 20 * eps):
            error = 30 * eps / max(spread, 10 * eps)
            np.testing.assert_allclose(again, z[:, 0], rtol=error, atol=error)
        if spread < 4 * eps:
            np.testing.assert_allclose(z[mask, i], 0, atol=100 * eps)
        elif spread > 1e3 * eps:
            np.testing.assert_allclose(z[mask, i].mean(), 0, atol=30 * eps / spread)
            np.testing.assert_allclose(z[mask, i].std(), 1, atol=30 * eps / spread)


@pytest.mark.parametrize("value", [0.0, 1e-30, -7.3, 1e30])
def test_a_constant_column_is_only_shifted(value):
    x = np.full((10, 2), value, np.float32)
    units = standardizer(x, jnp.ones(10, bool))
    np.testing.assert_allclose(units.apply(x), 0.0, atol=1e-6)
    np.testing.assert_allclose(units.invert(units.apply(x)), x, rtol=1e-6)
    assert (units.deviation >= 1).all()


@pytest.mark.parametrize("size", [1e30, 2e37])
@pytest.mark.parametrize("standardize", [standardizer, in_units])
def test_units_of_the_largest_numbers(standardize, size):
    """Up to 8e37: beyond, XLA's reciprocals of float32 are subnormal numbers, which are zero."""
    unit = np.array([[1.0, 1.5, 1.5, 3.0], [-1.0, 1.5, 0.0, 1.0]]).T
    z = standardize(jnp.asarray(size * unit), jnp.ones(4, bool)).apply(size * unit)
    np.testing.assert_allclose(z, (unit - unit.mean(0)) / unit.std(0), rtol=1e-5, atol=1e-6)


CONSTANT = {
    "a constant column": ([[3.0, 1.0], [3.0, 2.0], [3.0, 5.0]], [1, 1, 1]),
    "a column of zeros": ([[0.0, 1.0], [0.0, 2.0], [0.0, 5.0]], [1, 1, 1]),
    "rows that tie": ([[0.1, -7.0], [0.1, -7.0], [0.1, -7.0]], [1, 1, 1]),
    "one row": ([[1e-20, 1.0], [1.0, 2.0], [1.0, 5.0]], [1, 0, 0]),
    "no row": ([[1.0, 1.0], [1.0, 2.0], [1.0, 5.0]], [0, 0, 0]),
}


@pytest.mark.parametrize("least", [0.0, 0.1])
@pytest.mark.parametrize("name", CONSTANT)
def test_units_of_what_is_constant_have_finite_slopes(name, least):
    """The root of a spread of zero has an infinite slope, which is NaN times zero."""
    x, mask = jnp.array(CONSTANT[name][0]), jnp.array(CONSTANT[name][1], bool)
    with jax.debug_nans(True):
        slopes = [
            jax.grad(lambda x, i=i: standardizer(x, mask, least)[i].sum())(x) for i in range(2)
        ]
    share = mask / jnp.maximum(mask.sum(), 1)
    np.testing.assert_allclose(slopes[0], jnp.broadcast_to(share[:, None], x.shape), rtol=1e-6)
    assert np.isfinite(slopes[1]).all()
    if name in ("a constant column", "a column of zeros"):  # the other varies: (x - mean) / n s
        y = x[:, 1] - x[:, 1].mean()
        np.testing.assert_allclose(slopes[1][:, 1], y / (3 * y.std()), rtol=1e-5)


@pytest.mark.parametrize(("x", "mask"), [((4,), (1,)), ((4, 2), (2,)), ((4,), (4, 1)), ((), ())])
@pytest.mark.parametrize("call", [lambda f, *a: f(*a), jax.eval_shape])
def test_a_mask_of_other_rows_is_refused(x, mask, call):
    """One of a single row was broadcast: a sum over all rows was the mean of one."""
    with pytest.raises(ValueError, match=r"^mask must be \[n\] booleans"):
        call(standardizer, jnp.ones(x), jnp.ones(mask, bool))


@pytest.mark.filterwarnings("error")
def test_complex_numbers_have_no_units():
    x, mask = np.ones(4, np.complex64), np.ones(4, bool)
    for function in (lambda x: standardizer(x, mask), standardizer(x.real, mask).apply):
        for call in (function, partial(jax.eval_shape, function)):
            with pytest.raises(ValueError, match=r"^x must be real numbers, got complex64"):
                call(x)


def test_without_rows_units_stay_finite():
    units = standardizer(jnp.full((4, 2), jnp.nan), jnp.zeros(4, bool))
    np.testing.assert_array_equal(units.apply(jnp.array([[1.0, -2.0]])), [[1.0, -2.0]])


# --- The whole way, in float32 --------------------------------------------------------------------

N, D, QUERIES, PROBLEMS = 14, 3, 6, 400
CONFIG = FitConfig(restarts=2, evaluations=6)
KINDS = (
    "smooth",
    "duplicates",
    "near duplicates",
    "one place",
    "one line",
    "constant",
    "one outlier",
    "tiny changes",
)


def problem(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(N, D)), rng.normal(size=N)
    kind = KINDS[seed % len(KINDS)]
    if kind == "duplicates":
        x = x[rng.integers(0, 3, N)]
    elif kind == "near duplicates":
        x = x[rng.integers(0, 3, N)] * (1 + 1e-7 * rng.normal(size=(N, D)))
    elif kind == "one place":
        x = np.tile(x[:1], (N, 1))
    elif kind == "one line":
        x = np.outer(np.linspace(0, 1, N), x[0])
    elif kind == "constant":
        y = np.full(N, y[0])
    elif kind == "one outlier":
        y = np.where(np.arange(N) == rng.integers(N), 1e6, 0.0)
    elif kind == "tiny changes":
        y = 1 + 1e-6 * y
    else:
        y = np.sin(x.sum(1))
    x = x * 10.0 ** rng.choice([-30, -3, 0, 3, 30], 1 if rng.random() < 0.5 else D)
    y = y * 10.0 ** rng.choice([-30, 0, 25])
    mask = rng.permutation(N) < rng.choice([1, 2, N // 2, N])
    x[~mask], y[~mask] = rng.choice([np.nan, np.inf, 0.0, 1e38]), rng.choice([np.nan, np.inf])
    queries = np.concatenate([rng.normal(size=(QUERIES - 1, D)), 1e3 * rng.normal(size=(1, D))])
    return x.astype(np.float32), y.astype(np.float32), mask, queries.astype(np.float32)


def pipeline(key, x, y, mask, queries):
    """Hyperparameters; then for both posteriors, before and after an addition, at data and
    elsewhere: mean, variance, acquisition functions and slopes."""
    latent_units, score_units = standardizer(x, mask), standardizer(y, mask)
    x = jnp.where(mask[:, None], latent_units.apply(x), 0.0)
    y = jnp.where(mask, score_units.apply(y), 0.0)
    best = jnp.where(mask, y, -jnp.inf).max()
    inducing = sparse.k_means(key, x, 6, mask)

    def by_exact(hyper):
        kernel = Matern52(hyper.lengthscales, hyper.variance)
        return exact.log_marginal_likelihood(kernel, hyper.noise, x, y, mask)

    def by_sparse(hyper):
        kernel = Matern52(hyper.lengthscales, hyper.variance)
        return sparse.log_marginal_bound(kernel, hyper.noise, x, y, inducing, mask)

    out = []
    queries = jnp.concatenate([queries, x])
    for module, evidence in ((exact, by_exact), (sparse, by_sparse)):
        hyper, posterior = fit(key, evidence, default_hyperparameters(D), CONFIG)
        kernel = Matern52(hyper.lengthscales, hyper.variance)
        if module is exact:
            room = [jnp.pad(a, [(0, 1)] + [(0, 0)] * (a.ndim - 1)) for a in (x, y, mask)]
            gp = exact.condition(kernel, hyper.noise, *room)
            more = exact.add(gp, N, x[0], best + 1)
        else:
            gp = sparse.condition(kernel, hyper.noise, x, y, inducing, mask)
            more = sparse.add(gp, x[0], best + 1)

        def acquisitions(query, gp, module=module):
            mean, variance = module.predict(gp, query[None])
            return (
                log_expected_improvement(mean, variance, best)[0],
                upper_confidence_bound(mean, variance, 4.0)[0],
            )

        slopes = jax.vmap(jax.jacrev(acquisitions), (0, None))
        states = [
            (module.predict(g, queries), jax.vmap(acquisitions, (0, None))(queries, g))
            for g in (gp, more)
        ]
        out.append((hyper, posterior, states, [slopes(queries, g) for g in (gp, more)]))
    return out


@pytest.mark.slow
def test_ill_conditioned_problems():
    problems = [np.stack(a) for a in zip(*map(problem, range(PROBLEMS)), strict=True)]
    keys = jax.random.split(jax.random.key(0), PROBLEMS)
    found = jax.jit(jax.vmap(pipeline))(keys, *problems)
    for name, (hyper, posterior, states, slopes) in zip(("exact", "sparse"), found, strict=True):
        for path, leaf in jax.tree_util.tree_leaves_with_path((hyper, posterior, states, slopes)):
            bad = ~np.isfinite(np.asarray(leaf).reshape(PROBLEMS, -1)).all(1)
            where = jax.tree_util.keystr(path)
            assert not bad.any(), (
                name,
                where,
                [KINDS[i % len(KINDS)] for i in np.flatnonzero(bad)],
            )
        for ((mean, variance), _), after in zip(states, (False, True), strict=True):
            assert (variance >= 0).all()
            assert (variance <= hyper.variance[:, None] * 1.01 + 1e-4).all(), (name, after)
            assert (jnp.abs(mean) < 1e3).all(), (name, after)
        assert (hyper.noise >= 0.99e-5).all()


def test_noise_below_rounding_does_not_lose_the_posterior():
    """500 observations almost without noise of a function far smoother than their distances."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(500, 2))
    y = np.tanh(5 * x[:, 0]) + 0.03 * rng.normal(size=500)
    grid = rng.uniform(-2, 2, size=(200, 2))

    def mean(noise, dtype):
        cast = [jnp.asarray(a.astype(dtype)) for a in (x, y, grid)]
        kernel = Matern52(jnp.array([3.5, 1.6], cast[0].dtype), jnp.asarray(20.0, cast[0].dtype))
        gp = exact.condition(kernel, noise, *cast[:2])
        return gp.noise, exact.predict(gp, cast[2])[0]

    taken, single = mean(1e-5, np.float32)
    assert taken == pytest.approx(np.finfo(np.float32).eps * 500 * 20)
    with jax.enable_x64(True):
        asked, double = mean(float(taken), np.float64)
    assert float(asked) == float(taken)
    double = np.asarray(double)
    np.testing.assert_allclose(single, double, atol=0.05 * np.abs(double).max())


def test_a_constant_column_has_the_least_deviation():
    columns = jnp.array([[0.2, 0.2], [0.2, 0.2001]])
    units = standardizer(columns, jnp.ones(2, bool), least=0.1)
    np.testing.assert_allclose(units.deviation, [0.1, 0.1], rtol=1e-6)


@pytest.mark.filterwarnings("error")
@BOTH
@pytest.mark.parametrize("whole", [np.int32, np.uint8, np.bool_])
def test_whole_numbers_are_put_into_units_in_the_type_of_the_units(whole, dtype):
    with x64(np.float64), jax.numpy_dtype_promotion("strict"):
        units = standardizer(jnp.arange(4, dtype=dtype), jnp.ones(4, bool))
        for x in (jnp.ones(4, whole), np.ones(4, whole)):
            assert units.apply(x).dtype == units.invert(x).dtype == dtype
            np.testing.assert_array_equal(units.apply(x), units.apply(jnp.ones(4, dtype)))
    units = standardizer(jnp.arange(4), jnp.ones(4, bool))
    assert units.apply(jnp.ones(4, whole)).dtype == np.float32
