"""Fits of hyperparameters: on draws whose hyperparameters are known, and within their bounds."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrlso.gp import exact, sparse
from wrlso.gp.fit import FitConfig, Hyperparameters, LogNormal, default_hyperparameters, fit
from wrlso.gp.kernels import Matern52, default_lengthscale

BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])
FLAT = FitConfig(
    restarts=2,
    evaluations=40,
    lengthscale=LogNormal(1.0, 5.0),
    variance=LogNormal(1.0, 5.0),
    noise=LogNormal(0.02, 5.0),
)
LONG = FitConfig(restarts=2, evaluations=40)


def draw(seed, n, lengthscales, variance, noise):
    """Points, and targets from a Gaussian process, in float64 NumPy."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (n, len(lengthscales)))
    u = x / lengthscales
    a = np.sqrt(5 * ((u[:, None] - u) ** 2).sum(-1))
    covariance = variance * (1 + a + a * a / 3) * np.exp(-a) + noise * np.eye(n)
    return x, np.linalg.cholesky(covariance) @ rng.normal(size=n)


def evidence(x, y, hyper):
    kernel = Matern52(hyper.lengthscales, hyper.variance)
    return exact.log_marginal_likelihood(kernel, hyper.noise, x, y)


@partial(jax.jit, static_argnames="config")
def fit_exact(key, x, y, start, config):
    return fit(key, partial(evidence, x, y), start, config)


def log_prior(hyper, config):
    """Up to the normalisation: of the logarithms."""
    d = len(hyper.lengthscales)
    scale = config.lengthscale or LogNormal(default_lengthscale(d), np.sqrt(3))
    pairs = [(v, scale) for v in np.asarray(hyper.lengthscales)]
    pairs += [(float(hyper.variance), config.variance), (float(hyper.noise), config.noise)]
    return -0.5 * sum(((np.log(v) - np.log(p.median)) / p.spread) ** 2 for v, p in pairs)


def start_at(lengthscales, variance, noise, dtype=np.float32):
    return Hyperparameters(*(jnp.asarray(a, dtype) for a in (lengthscales, variance, noise)))


@pytest.mark.parametrize("double", [False, True])
def test_generating_hyperparameters_are_recovered(double):
    truth = np.array([0.5, 1.5]), 2.0, 0.05
    dtype = np.float64 if double else np.float32
    with jax.enable_x64(double):
        found = []
        for seed in (0,) if double else (0, 1, 2):
            x, y = (jnp.asarray(a, dtype) for a in draw(seed, 150, *truth))
            start = start_at([1.0, 1.0], 1.0, 0.02, dtype)
            hyper, value = fit_exact(jax.random.key(seed), x, y, start, FLAT)
            assert hyper.noise.dtype == value.dtype == dtype
            found.append(hyper)
            at_truth = float(evidence(x, y, start_at(*truth, dtype)))
            assert float(value) >= at_truth + log_prior(start_at(*truth, dtype), FLAT)
    for hyper in found:
        ratio = np.asarray(hyper.lengthscales) / truth[0]
        assert (np.abs(np.log(ratio)) < np.log(2)).all()
        assert abs(np.log(float(hyper.noise) / truth[2])) < np.log(1.8)
    typical = np.exp(np.mean([np.log(h.lengthscales) for h in found], axis=0))
    assert (np.abs(np.log(typical / truth[0])) < np.log(1.4)).all()


def test_an_irrelevant_dimension_gets_a_long_lengthscale():
    for seed in range(3):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-2, 2, (100, 3)).astype(np.float32)
        y = (np.sin(2 * x[:, 0]) + np.cos(1.5 * x[:, 2]) + 0.05 * rng.normal(size=100)).astype(
            np.float32
        )
        hyper, _ = fit_exact(jax.random.key(seed), x, y, default_hyperparameters(3), LONG)
        relevant = hyper.lengthscales[jnp.array([0, 2])]
        assert hyper.lengthscales[1] > 4 * relevant.max()


@BOTH
def test_the_value_is_the_log_posterior_and_no_worse_than_the_starts(dtype):
    config = FitConfig(restarts=2, evaluations=15)
    x, y = (a.astype(dtype) for a in draw(0, 40, np.array([0.7, 0.9]), 1.0, 0.01))
    with jax.enable_x64(dtype == np.float64):
        for start in (
            start_at([0.7, 0.9], 1.0, 0.01, dtype),
            start_at([5.0, 0.05], 10.0, 0.9, dtype),
            start_at([90.0, 0.03], 0.03, 2e-5, dtype),
        ):
            hyper, value = fit_exact(jax.random.key(0), x, y, start, config)
            again = float(evidence(x, y, hyper)) + log_prior(hyper, config)
            error = 2e-3 if dtype == np.float32 else 1e-8
            np.testing.assert_allclose(float(value), again, rtol=error, atol=error)
            for other in (start, default_hyperparameters(2, config, dtype)):
                at_start = float(evidence(x, y, other)) + log_prior(other, config)
                assert float(value) >= at_start - error * (1 + abs(at_start))


def test_a_warm_start_with_one_restart():
    """Starting from the last fit, a few evaluations are enough, and nothing is random."""
    x, y = (a.astype(np.float32) for a in draw(1, 60, np.array([0.6, 1.0]), 1.0, 0.02))
    long, value = fit_exact(jax.random.key(0), x, y, default_hyperparameters(2), LONG)
    once = FitConfig(restarts=1, evaluations=3)
    hyper, again = fit_exact(jax.random.key(1), x, y, long, once)
    other, _ = fit_exact(jax.random.key(2), x, y, long, once)
    assert float(again) >= float(value) - 1e-2
    for a, b, c in zip(hyper, other, long, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, rtol=0.1)


@pytest.mark.slow
def test_more_restarts_are_never_worse():
    x, y = (a.astype(np.float32) for a in draw(2, 30, np.array([0.4, 1.0]), 1.0, 0.02))
    bad = start_at([90.0, 90.0], 0.03, 0.9)
    values = [
        float(fit_exact(jax.random.key(3), x, y, bad, FitConfig(restarts=r, evaluations=8))[1])
        for r in (1, 4)
    ]
    assert values[0] <= values[1] + 1e-3


TIGHT = FitConfig(
    restarts=4,
    evaluations=12,
    lengthscale_bounds=(0.4, 0.8),
    variance_bounds=(0.5, 0.6),
    noise_bounds=(0.01, 0.02),
)


def within(hyper, config):
    pairs = zip(
        hyper,
        (config.lengthscale_bounds, config.variance_bounds, config.noise_bounds),
        strict=True,
    )
    return all(
        ((a >= low * (1 - 1e-5)) & (a <= high * (1 + 1e-5))).all() for a, (low, high) in pairs
    )


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.floats(-5, 5), min_size=4, max_size=4),
    st.sampled_from([FitConfig(restarts=4, evaluations=12), TIGHT]),
)
def test_within_the_bounds(seed, log_start, config):
    """Wherever it starts, and whatever the data: here from a constant to rough noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(12, 2)).astype(np.float32)
    y = (rng.choice([0.0, 1e-3, 1.0, 100.0]) * rng.normal(size=12)).astype(np.float32)
    start = 10.0 ** np.array(log_start)
    start = start_at(start[:2], *start[2:])
    hyper, value = fit_exact(jax.random.key(seed), x, y, start, config)
    assert np.isfinite(value)
    assert within(hyper, config)


@pytest.mark.parametrize("config", [FitConfig(evaluations=5), TIGHT])
def test_without_any_finite_evidence_the_start_comes_back(config):
    """Within the bounds."""
    start = start_at([1e-4, 0.7], 1e4, 0.015)
    run = jax.jit(lambda r, s: fit(jax.random.key(0), lambda h: r * h.noise, s, config))
    for rubbish in (np.nan, np.inf, -np.inf):
        hyper, value = run(rubbish, start)
        assert value == -np.inf
        np.testing.assert_allclose(
            hyper.lengthscales, [config.lengthscale_bounds[0], 0.7], rtol=1e-5
        )
        np.testing.assert_allclose(hyper.variance, config.variance_bounds[1], rtol=1e-5)
        np.testing.assert_allclose(hyper.noise, 0.015, rtol=1e-5)


def test_evidence_that_is_finite_only_somewhere():
    """As when a factorisation fails for long lengthscales."""
    start = start_at([50.0, 50.0], 1.0, 0.1)

    def partly(hyper):
        value = -((jnp.log(hyper.lengthscales) - jnp.log(0.5)) ** 2).sum() * 100
        return jnp.where((hyper.lengthscales > 10).any(), jnp.nan, value)

    hyper, value = jax.jit(lambda s: fit(jax.random.key(0), partly, s))(start)
    assert np.isfinite(value)
    np.testing.assert_allclose(hyper.lengthscales, 0.5, rtol=0.1)


@BOTH
def test_without_evidence_the_maximum_is_at_the_priors_medians(dtype):
    config = FitConfig(lengthscale=LogNormal(0.3, 0.5), variance=LogNormal(2.0, 1.0))
    with jax.enable_x64(dtype == np.float64):
        start = start_at([9.0, 0.1, 1.0], 0.1, 0.5, dtype)
        hyper, value = jax.jit(lambda s: fit(jax.random.key(0), lambda h: h.noise * 0, s, config))(
            start
        )
        defaults = default_hyperparameters(3, config, dtype)
    np.testing.assert_allclose(value, 0, atol=1e-8)
    for a, b, c in zip(hyper, defaults, ([0.3] * 3, 2.0, np.exp(-4)), strict=True):
        np.testing.assert_allclose(a, c, rtol=1e-3)
        np.testing.assert_allclose(b, c, rtol=1e-5)


def test_default_prior_grows_with_the_dimension():
    """Hvarfner et al. (2024): median of exp(sqrt 2) sqrt(d)."""
    for d in (1, 4, 56):
        hyper = default_hyperparameters(d)
        np.testing.assert_allclose(
            hyper.lengthscales, np.full(d, np.exp(2**0.5) * d**0.5), rtol=1e-5
        )


def test_different_data_compile_once():
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(1)
    def run(key, x, y, mask, start):
        def masked(hyper):
            kernel = Matern52(hyper.lengthscales, hyper.variance)
            return exact.log_marginal_likelihood(kernel, hyper.noise, x, y, mask)

        return fit(key, masked, start, FitConfig(restarts=2, evaluations=10))

    found = []
    for seed in range(4):
        x, y = (a.astype(np.float32) for a in draw(seed, 30, np.array([0.5, 0.9]), 1.0, 0.01))
        start = default_hyperparameters(2) if seed < 2 else found[-1]
        found.append(run(jax.random.key(seed), x, y, np.arange(30) < 20 + seed, start)[0])
    scales = np.stack([h.lengthscales for h in found])
    assert (np.abs(np.diff(scales, axis=0)) > 1e-4).all()


@pytest.mark.slow
def test_a_batch_is_one_by_one():
    with jax.enable_x64(True):
        config = FitConfig(restarts=3, evaluations=8)
        x, y = (
            np.stack(a)
            for a in zip(
                *(draw(s, 20, np.array([0.5, 0.9]), 1.0, 0.05) for s in range(3)), strict=True
            )
        )
        keys = jax.random.split(jax.random.key(0), 3)
        start = default_hyperparameters(2, dtype=jnp.float64)
        batch = jax.vmap(lambda k, x, y: fit_exact(k, x, y, start, config))(keys, x, y)
        for i in range(3):
            single = fit_exact(keys[i], x[i], y[i], start, config)
            for a, b in zip(jax.tree.leaves(batch), jax.tree.leaves(single), strict=True):
                np.testing.assert_allclose(a[i], b, rtol=1e-4)


def test_the_sparse_bound_can_be_fitted():
    """With inducing points everywhere, nearly as the evidence itself."""
    x, y = (a.astype(np.float32) for a in draw(5, 60, np.array([0.7, 1.5]), 1.0, 0.05))
    start = default_hyperparameters(2)

    @jax.jit
    def run(x, y):
        def bound(hyper):
            kernel = Matern52(hyper.lengthscales, hyper.variance)
            return sparse.log_marginal_bound(kernel, hyper.noise, x, y, x)

        return fit(jax.random.key(0), bound, start, LONG)

    hyper, value = run(x, y)
    expected, best = fit_exact(jax.random.key(0), x, y, start, LONG)
    np.testing.assert_allclose(value, best, rtol=0, atol=0.3)
    np.testing.assert_allclose(hyper.lengthscales, expected.lengthscales, rtol=0.1)
    np.testing.assert_allclose(hyper.noise, expected.noise, rtol=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(lengthscale_bounds=(10.0, 0.1)), "lengthscale_bounds must be two positive, finite"),
        (dict(noise_bounds=(-1.0, 1.0)), "noise_bounds must be"),
        (dict(variance_bounds=(0.1, np.inf)), "variance_bounds must be"),
        (dict(noise_bounds=(np.nan, 1.0)), "noise_bounds must be"),
        (dict(variance=LogNormal(-1.0, 1.0)), "variance must be a prior of positive, finite"),
        (dict(lengthscale=LogNormal(1.0, 0.0)), "lengthscale must be a prior"),
    ],
)
def test_a_box_or_prior_without_a_meaning_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        FitConfig(**changes)


@pytest.mark.parametrize("median", [0.001, 1000.0])
def test_bounds_do_not_move_a_prior_whose_median_is_beyond_them(median):
    """With evidence N(log 1, 1) the mode of the posterior is halfway to the median, in logarithms:
    beyond the bound, too."""
    config = FitConfig(
        restarts=2, lengthscale=LogNormal(median, 1.0), lengthscale_bounds=(0.05, 20.0)
    )
    start = Hyperparameters(jnp.ones(1), jnp.ones(()), jnp.full((), 0.02))
    log_evidence = lambda hyper: -0.5 * (jnp.log(hyper.lengthscales) ** 2).sum()  # noqa: E731
    found, value = fit(jax.random.key(0), log_evidence, start, config)
    bound = np.clip(median, 0.05, 20.0)
    assert float(found.lengthscales[0]) == pytest.approx(bound, rel=1e-4)
    expected = -0.5 * (np.log(bound) ** 2 + np.log(bound / median) ** 2)
    assert float(value) == pytest.approx(expected, abs=0.01)


@pytest.mark.filterwarnings("error")
def test_hyperparameters_of_numpy_in_64_bits_are_fitted_in_the_type_that_there_is():
    config = FitConfig(restarts=1, evaluations=1)
    start = Hyperparameters(np.ones(2), np.ones(()), np.full((), 0.1))
    run = lambda: fit(jax.random.key(0), lambda h: -h.lengthscales.sum(), start, config)  # noqa: E731
    assert jax.eval_shape(run)[0].lengthscales.dtype == np.float32
