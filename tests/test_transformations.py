"""A table of the pure functions under JAX's transformations and strict modes.

A row a public function, a column a transformation. A cell passes, or the case states the reason
why it cannot. ``python tests/test_transformations.py`` prints the table.
"""

import contextlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wrlso import acquisition, maximize
from wrlso.gp import exact, fit, kernels, linalg, sparse, standardize
from wrlso.models import elbo, flow, sampling
from wrlso.models.vae import VAE
from wrlso.weighting import baselines, ranks

COLUMNS = ("jit", "vmap", "grad", "jvp", "vmap of grad", "x64", "debug_nans", "rank", "strict")
MODES = {
    "debug_nans": lambda: jax.debug_nans(True),
    "rank": lambda: jax.numpy_rank_promotion("raise"),
    "strict": lambda: jax.numpy_dtype_promotion("strict"),
}
SLOPES = ("grad", "jvp", "vmap of grad")
WHOLE = dict.fromkeys(SLOPES, "its results are whole numbers")


@dataclass(frozen=True)
class Case:
    """``function(*arrays)`` of floating-point arrays; ``reasons`` by column; and whether it
    ``draws`` random numbers, which are others in double precision."""

    function: Callable[..., Any]
    arrays: tuple[Any, ...]
    reasons: dict[str, str] = field(default_factory=dict)
    draws: bool = False


def numbers(*shape, seed=0, positive=False):
    x = np.random.default_rng([seed, *shape]).normal(size=shape)
    return np.exp(0.3 * x) if positive else x


N, D, S, M = 6, 2, 3, 4
POINTS, TARGETS, X, Z = numbers(N, D), numbers(N), numbers(S, D, seed=1), numbers(M, D, seed=2)
SCALES, VARIANCE, NOISE = np.array([0.8, 1.3]), np.array(1.4), np.array(0.2)
HYPER = (SCALES, VARIANCE, NOISE)
MASK = np.array([True, True, False, True, True, False])
SCORES = np.array([0.3, np.inf, 1.2, -0.4, 1.2, 0.9])
FINITE = np.array([0.3, 0.1, 1.2, -0.4, 1.25, 0.9])
ROUNDS = np.array([-1, -1, -1, 0, 0, 1], np.int32)
COVARIANCE = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 0.5]])
OBJECTS = np.random.default_rng(0).integers(2, size=(N, 5)).astype(np.uint8)


def key():
    return jax.random.key(0, impl="threefry2x32")


def exact_gp(*args):
    scales, variance, noise, points, targets = args
    return exact.condition(kernels.Matern52(scales, variance), noise, points, targets, MASK)


def sparse_gp(*args):
    scales, variance, noise, points, targets, inducing = args
    kernel = kernels.Matern52(scales, variance)
    return sparse.condition(kernel, noise, points, targets, inducing, MASK)


def evidence(scales, variance, noise, points, targets):
    kernel = kernels.Matern52(scales, variance)
    return exact.log_marginal_likelihood(kernel, noise, points, targets, MASK)


def bound(scales, variance, noise, points, targets, inducing):
    kernel = kernels.Matern52(scales, variance)
    return sparse.log_marginal_bound(kernel, noise, points, targets, inducing, MASK)


def hills(centre, x):
    """Concave in x, with its top at ``sin(centre)``."""
    return -jnp.square(x - jnp.sin(centre)[None]).sum(-1) - 0.1 * jnp.square(x).sum(-1) ** 2


def climb(centre, until_arrived=False, differentiable_points=False):
    lower, upper = jnp.full(2, -1.0, centre.dtype), jnp.full(2, 0.6, centre.dtype)
    starts = jnp.asarray([[0.1, 0.2], [-0.5, 0.4]], centre.dtype)
    found = maximize.maximize(
        partial(hills, centre),
        starts,
        lower,
        upper,
        25,
        until_arrived=until_arrived,
        differentiable_points=differentiable_points,
    )
    return (found.points[0], found.values[0]) if differentiable_points else found.values[0]


def with_covariance(found):
    mean, variance, covariance = found
    return mean, variance, covariance(0)


def fitted(targets, points):
    def log_evidence(hyper):
        kernel = kernels.Matern52(hyper.lengthscales, hyper.variance)
        return exact.log_marginal_likelihood(kernel, hyper.noise, points, targets)

    start = fit.default_hyperparameters(D, dtype=points.dtype)
    config = fit.FitConfig(restarts=1, evaluations=40)
    return fit.fit(key(), log_evidence, start, config)[1]


def pixels(objects, like):
    return jnp.asarray(objects).astype(like.dtype)


LINEAR = VAE(
    2,
    lambda key: numbers(5, 2),
    lambda p, x: (pixels(x, p) @ p, -0.1 * pixels(x, p) @ jnp.square(p)),
    lambda p, z: (z @ p.T > 0).astype(jnp.uint8),
    lambda p, z, x: elbo.bernoulli_log_likelihood(z @ p.T, pixels(x, p)).sum(-1),
)


def small_flow(like):
    """A flow whose parameters depend on an array, so that derivatives in them are tried, too."""
    made = flow.init_flow(key(), D, 3, 4)
    return jax.tree.map(lambda a: a.astype(like.dtype) + 0.1 * like.sum(), made)


EXACT, SPARSE = (*HYPER, POINTS, TARGETS), (*HYPER, POINTS, TARGETS, Z)
JITTERED = dict.fromkeys(SLOPES, "its derivative is whiten's: it searches for a jitter")
DISTINCT = POINTS[:, 0] @ POINTS[:, :1] * 0 + FINITE
CASES = {
    "acquisition.deviation": Case(acquisition.deviation, (numbers(S, positive=True),)),
    "acquisition.log_improvement": Case(acquisition.log_improvement, (np.array([-9, -1, 0.5]),)),
    "acquisition.expected_improvement": Case(
        acquisition.expected_improvement, (X[:, 0], numbers(S, positive=True), np.array(0.3))
    ),
    "acquisition.log_expected_improvement": Case(
        acquisition.log_expected_improvement, (X[:, 0], numbers(S, positive=True), np.array(0.3))
    ),
    "acquisition.upper_confidence_bound": Case(
        acquisition.upper_confidence_bound, (X[:, 0], numbers(S, positive=True), np.array(2.0))
    ),
    "acquisition.sample_joint": Case(
        lambda m, c: acquisition.sample_joint(key(), m, 0.5 * (c + c.T), 4),
        (X[:, 0], COVARIANCE),
        draws=True,
    ),
    "acquisition.thompson": Case(
        lambda m, c: acquisition.thompson(key(), m, c, 2), (X[:, 0], COVARIANCE), WHOLE
    ),
    "exact.log_marginal_likelihood": Case(evidence, EXACT),
    "exact.condition": Case(lambda *a: exact_gp(*a)[5:], EXACT),
    "exact.predict": Case(lambda x, *a: exact.predict(exact_gp(*a), x), (X, *EXACT)),
    "exact.predict_with_covariance": Case(
        lambda x, *a: with_covariance(exact.predict_with_covariance(exact_gp(*a), x)),
        (X, *EXACT),
    ),
    "exact.predict_joint": Case(lambda x, *a: exact.predict_joint(exact_gp(*a), x), (X, *EXACT)),
    "exact.add": Case(
        lambda x, y, *a: exact.add(exact_gp(*a), 5, x, y)[5:], (X[0], np.array(0.7), *EXACT)
    ),
    "sparse.log_marginal_bound": Case(bound, SPARSE),
    "sparse.condition": Case(lambda *a: sparse_gp(*a)[3:], SPARSE),
    "sparse.predict": Case(lambda x, *a: sparse.predict(sparse_gp(*a), x), (X, *SPARSE)),
    "sparse.predict_with_covariance": Case(
        lambda x, *a: with_covariance(sparse.predict_with_covariance(sparse_gp(*a), x)),
        (X, *SPARSE),
    ),
    "sparse.predict_joint": Case(
        lambda x, *a: sparse.predict_joint(sparse_gp(*a), x), (X, *SPARSE)
    ),
    "sparse.add": Case(
        lambda x, y, *a: sparse.add(sparse_gp(*a), x, y)[4:], (X[0], np.array(0.7), *SPARSE)
    ),
    "sparse.k_means": Case(lambda x: sparse.k_means(key(), x, 2, MASK), (POINTS,)),
    "kernels.matern52": Case(kernels.matern52, (np.array([0.0, 0.5, 4.0]),)),
    "kernels.squared_exponential": Case(kernels.squared_exponential, (np.array([0.0, 4.0]),)),
    "kernels.Matern52": Case(lambda s, v, x, z: kernels.Matern52(s, v)(x, z), (*HYPER[:2], X, Z)),
    "kernels.SquaredExponential": Case(
        lambda s, v, x, z: kernels.SquaredExponential(s, v)(x, z), (*HYPER[:2], X, Z)
    ),
    "kernels.squared_distances": Case(
        kernels.squared_distances, (numbers(3, 6), numbers(4, 6, seed=1))
    ),
    "linalg.times_lower": Case(linalg.times_lower, (numbers(2, 3), COVARIANCE)),
    "linalg.inverse_of_lower": Case(linalg.inverse_of_lower, (COVARIANCE,), JITTERED),
    "linalg.safe_cholesky": Case(linalg.safe_cholesky, (COVARIANCE,), JITTERED),
    "linalg.whiten": Case(lambda c: linalg.whiten(0.5 * (c + c.T)), (COVARIANCE,)),
    "linalg.relative_change": Case(linalg.relative_change, (COVARIANCE, numbers(3, 3))),
    "linalg.half_lower": Case(linalg.half_lower, (COVARIANCE,)),
    "linalg.refined_solve": Case(linalg.refined_solve, (COVARIANCE, numbers(3, 3), X[:, 0])),
    "linalg.gaussian_log_density": Case(
        lambda c, y: linalg.gaussian_log_density(0.5 * (c + c.T), y), (COVARIANCE, X[:, 0])
    ),
    "standardize.standardizer": Case(lambda x: standardize.standardizer(x, MASK), (POINTS,)),
    "fit.fit": Case(fitted, (TARGETS, POINTS)),
    "maximize.rowwise": Case(lambda c, x: maximize.rowwise(partial(hills, c))(x), (X[0], X)),
    "maximize.maximize": Case(climb, (np.array([0.4, 1.1]),)),
    "maximize.maximize, until arrived": Case(
        partial(climb, until_arrived=True), (np.array([0.4, 1.1]),)
    ),
    "maximize.maximize, points": Case(
        partial(climb, differentiable_points=True), (np.array([0.4, 1.1]),)
    ),
    "ranks.rank_weights": Case(
        lambda k: ranks.rank_weights(jnp.asarray(FINITE, k.dtype), k), (np.array(0.1),)
    ),
    "ranks.rank_weights, masked": Case(lambda s: ranks.rank_weights(s, 0.1, MASK), (SCORES,)),
    "ranks.uniform_weights": Case(lambda s: ranks.uniform_weights(s, MASK), (SCORES,)),
    "ranks.ranks": Case(lambda s: ranks.ranks(s, jnp.asarray(MASK)), (SCORES,), WHOLE),
    "ranks.cumulative_weight": Case(
        ranks.cumulative_weight, (numbers(N, positive=True), np.array([0.1, 0.4]))
    ),
    "ranks.rank_weight_share": Case(
        ranks.rank_weight_share, (np.array(0.1), np.array(0.2), np.array(0.7))
    ),
    "ranks.effective_sample_size": Case(ranks.effective_sample_size, (numbers(N, positive=True),)),
    "ranks.k_of_effective_rows": Case(
        lambda share: ranks.k_of_effective_rows(N, N * share), (np.array(0.3),)
    ),
    "ranks.usable_scores": Case(lambda s: ranks.usable_scores(s, MASK), (FINITE,)),
    "ranks.normalise": Case(ranks.normalise, (numbers(N, positive=True),)),
    "baselines.dbas_weights": Case(
        lambda s, q, n: baselines.dbas_weights(s, q, n, MASK),
        (DISTINCT, np.array(0.7), np.array(0.3)),
    ),
    "baselines.cem_pi_weights": Case(
        lambda s, q: baselines.cem_pi_weights(s, q, MASK), (SCORES, np.array(0.7))
    ),
    "baselines.rwr_weights": Case(
        lambda s, a: baselines.rwr_weights(s, a, MASK), (DISTINCT, np.array(0.7))
    ),
    "baselines.feedback_weights": Case(
        lambda s, q: baselines.feedback_weights(s, ROUNDS, q, MASK), (SCORES, np.array(0.7))
    ),
    "baselines.dbas_reference_weights": Case(
        lambda s, q, n: baselines.dbas_reference_weights(s, ROUNDS, q, n),
        (DISTINCT, np.array(0.7), np.array(0.3)),
    ),
    "baselines.cem_pi_reference_weights": Case(
        lambda s, q: baselines.cem_pi_reference_weights(s, ROUNDS, q), (SCORES, np.array(0.7))
    ),
    "baselines.masked_quantile": Case(
        lambda s, q: baselines.masked_quantile(s, jnp.asarray(MASK), q), (DISTINCT, np.array(0.7))
    ),
    "sampling.build_cdf": Case(sampling.build_cdf, (numbers(N, positive=True),), WHOLE),
    "sampling.draw": Case(
        lambda w: sampling.draw(key(), sampling.build_cdf(w), 5),
        (numbers(N, positive=True),),
        WHOLE,
    ),
    "elbo.gaussian_kl": Case(elbo.gaussian_kl, (X, 0.1 * X)),
    "elbo.bernoulli_log_likelihood": Case(
        elbo.bernoulli_log_likelihood, (X, (X > 0).astype(float))
    ),
    "elbo.elbo_terms": Case(
        lambda p: elbo.elbo_terms(key(), p, LINEAR, OBJECTS),
        (0.3 * numbers(5, 2),),
        draws=True,
    ),
    "elbo.weighted_negative_elbo": Case(
        lambda p, b, w: elbo.weighted_negative_elbo(key(), p, LINEAR, OBJECTS, b, w),
        (0.3 * numbers(5, 2), np.array(0.5), numbers(N, positive=True)),
        draws=True,
    ),
    "flow.flow_forward": Case(lambda x, y: flow.flow_forward(small_flow(y), x), (X, X[0])),
    "flow.flow_inverse": Case(lambda x, y: flow.flow_inverse(small_flow(y), x), (X, X[0])),
    "flow.flow_log_prob": Case(lambda x, y: flow.flow_log_prob(small_flow(y), x), (X, X[0])),
    "elbo.constant_beta": Case(lambda b: elbo.constant_beta(b)(3), (np.array(0.5),)),
    "elbo.geometric_beta": Case(
        lambda b: b * elbo.geometric_beta(warmup=10)(jnp.int32(40)).astype(b.dtype),
        (np.array(0.5),),
    ),
}
NO_FUNCTIONS_OF_ARRAYS = {
    "kernels.Stationary",  # abstract
    "kernels.default_lengthscale",  # of a number of dimensions, in Python
    "linalg.check_finite",  # refuses concrete values
    "linalg.matmul",
    "standardize.Standardizer",  # standardizer's result
    "fit.FitConfig",
    "fit.Hyperparameters",
    "fit.LogNormal",
    "fit.default_hyperparameters",
    "exact.ExactGP",
    "sparse.SparseGP",
    "maximize.Maxima",
    "flow.init_flow",  # from a key
    "flow.with_flow",  # of a model
    "flow.flow_optimizer",
    "sampling.prng_key",  # from an integer to a key
}


def cast(case, dtype):
    return tuple(jnp.asarray(a, dtype) for a in case.arrays)


def floats(tree):
    return [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]


def score(function):
    """A number that depends on every result."""

    def total(*arrays):
        parts = floats(function(*arrays))
        waves = [jnp.cos(jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape) for p in parts]
        return sum((w * p).sum() for w, p in zip(waves, parts, strict=True))

    return total


def stacked(arrays):
    """Two problems, the second one a little different."""
    return tuple(jnp.stack([a, a * jnp.asarray(1.01, a.dtype)]) for a in arrays)


def close(a, b, error=2e-3):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=error, atol=error)


def strictly(names):
    stack = contextlib.ExitStack()
    for name in names:
        stack.enter_context(MODES[name]())
    return stack


def in_single_precision(case):
    """Results of both problems and, where there are any, their gradients: eagerly, so that no
    intermediate result is hidden, and compiled as a batch."""
    arrays = cast(case, jnp.float32)
    both = stacked(arrays)

    def function(*arrays):
        if "grad" in case.reasons:
            return case.function(*arrays), ()
        slopes = jax.grad(score(case.function), range(len(arrays)))(*arrays)
        return case.function(*arrays), slopes

    lanes = [tuple(a[i] for a in both) for i in range(2)]
    values = jax.tree.map(lambda *a: jnp.stack(a), *(case.function(*lane) for lane in lanes))
    batched, slopes = jax.jit(jax.vmap(function))(*both)
    close(batched, values)
    return values, slopes


def check_types(case):
    """Under x64, results and gradients have the type of the arguments."""
    for dtype in (jnp.float32, jnp.float64):
        arrays = cast(case, dtype)
        for leaf in floats(jax.eval_shape(case.function, *arrays)):
            assert leaf.dtype == dtype
        if "grad" not in case.reasons:
            slopes = jax.eval_shape(jax.grad(score(case.function), range(len(arrays))), *arrays)
            assert all(leaf.dtype == dtype for leaf in slopes)


def in_double_precision(case):
    """Results and gradients, after both modes of differentiation are compared with a central
    difference."""
    arrays = cast(case, jnp.float64)
    direction = tuple(
        jnp.asarray(numbers(*a.shape, seed=9)) * jnp.isfinite(a) * (a != 0) for a in arrays
    )
    if case.function is elbo.bernoulli_log_likelihood:
        direction = (direction[0], 0 * direction[1])  # a pixel is 0 or 1
    total = score(case.function)

    @jax.jit
    def run(*arrays):
        value, forward = jax.jvp(total, arrays, direction)
        reverse = jax.grad(total, range(len(arrays)))(*arrays)
        return case.function(*arrays), value, forward, reverse

    step = 1e-5
    up, down = (
        run(*(a + sign * step * d for a, d in zip(arrays, direction, strict=True)))[1]
        for sign in (1, -1)
    )
    values, _, forward, reverse = run(*arrays)
    expected = (up - down) / (2 * step)
    along = sum((a * b).sum() for a, b in zip(reverse, direction, strict=True))
    np.testing.assert_allclose(forward, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(along, forward, rtol=1e-8, atol=1e-10)
    return values, reverse


def compiled(case):
    """Results, and gradients where there are any, of the first problem in single precision."""
    arrays = cast(case, jnp.float32)
    slopes = () if "grad" in case.reasons else jax.grad(score(case.function), range(len(arrays)))
    return jax.jit(lambda *a: (case.function(*a), slopes and slopes(*a)))(*arrays)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if number % 4 == 0 else pytest.mark.slow)
        for number, name in enumerate(CASES)
    ],
)  # all of them take minutes
def test_every_transformation(name):
    case = CASES[name]
    with strictly(mode for mode in MODES if mode not in case.reasons):
        found = in_single_precision(case)
    with jax.enable_x64(True):
        check_types(case)
        expected = () if "grad" in case.reasons else in_double_precision(case)
    if case.draws or not expected:
        expected = compiled(case)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a[0], b, rtol=5e-3, atol=5e-3 * (1 + np.abs(b).max()))


def test_the_table_is_complete():
    """Every public function of the modules has a row."""
    rows = {name.split(",")[0] for name in CASES} | NO_FUNCTIONS_OF_ARRAYS
    modules = (
        *(acquisition, baselines, elbo, maximize, ranks, sampling),
        *(exact, fit, kernels, linalg, sparse, standardize),
    )
    for module in modules:
        short = module.__name__.rsplit(".", 1)[1]
        for name, thing in vars(module).items():
            home = getattr(thing, "__module__", "") or ""
            own = callable(thing) and f"{home}.".startswith(f"{module.__name__}.")
            if own and not name.startswith("_") and not inspect.ismodule(thing):
                assert f"{short}.{name}" in rows


def table():
    """The table in Markdown; cells that state a reason are numbered."""
    notes: list[str] = []
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, case in CASES.items():
        test_every_transformation(name)
        for reason in case.reasons.values():
            if reason not in notes:
                notes.append(reason)
        cells = [
            f"({notes.index(case.reasons[c]) + 1})" if c in case.reasons else "yes" for c in COLUMNS
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines + [""] + [f"({i}) {note}." for i, note in enumerate(notes, 1)])


if __name__ == "__main__":
    print(table())
