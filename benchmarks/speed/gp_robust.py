"""Ill-conditioned problems in float32: nothing may be NaN, infinite, or a negative variance."""

from typing import Any, NamedTuple

import numpy as np

from benchmarks.speed.harness import Row

ROWS, CHUNK, EACH = 24, 500, 5_000
KINDS = ("duplicates", "constant", "huge", "tiny", "one point", "all but one masked")
SHAPES = ((3, False), (8, True))
"""Number of dimensions, and whether every column has its own scale."""
SLACK = 1e-4
"""Maximum relative excess over the prior variance, for rounding."""


class Verdict(NamedTuple):
    """The verdict on one problem.

    Attributes:
      finite: whether all numbers are finite.
      least: the smallest posterior variance.
      most: the largest posterior variance, as a multiple of the prior variance.
    """

    finite: Any
    least: Any
    most: Any


def section_robust() -> list[Row]:
    """10,000 problems from standardising to the gradient of EI, also after another observation."""
    import jax

    solve_all = jax.jit(jax.vmap(solve))
    rng = np.random.default_rng(0)
    verdicts = []
    for d, scaled in SHAPES:
        for start in range(0, EACH, CHUNK):
            drawn = [draw(rng, KINDS[(start + i) % len(KINDS)], d, scaled) for i in range(CHUNK)]
            keys = jax.random.split(jax.random.fold_in(jax.random.key(d), start), CHUNK)
            batch = (np.stack(part) for part in zip(*drawn, strict=True))
            verdicts.append(jax.tree.map(np.asarray, solve_all(keys, *batch)))
    finite, least, most = (np.concatenate(part) for part in zip(*verdicts, strict=True))
    # Written so that NaN counts as bad.
    bad = ~(finite & (least >= 0) & (most <= 1 + SLACK))
    return [
        (
            f"{len(bad):,} ill-conditioned problems, float32: with NaN, infinity, or a variance "
            "below 0 or above the prior's",
            f"{bad.sum()}",
            "0",
            f"{', '.join(KINDS)}; {ROWS} rows; 3 dimensions, or 8 with different scales: "
            "fit, exact and sparse posterior and bound, log EI and its gradient, at data, "
            "near and far away, before and after adding an observation; minimum variance "
            f"{least.min():.1e}, maximum relative excess over the prior's {most.max() - 1:.1e}",
        )
    ]


def draw(rng: np.random.Generator, kind: str, d: int, scaled: bool) -> tuple[np.ndarray, ...]:
    """Points ``[ROWS, d]``, targets and mask in float32."""
    x, y, mask = rng.normal(size=(ROWS, d)), rng.normal(size=ROWS), np.ones(ROWS, bool)
    if kind == "duplicates":
        rows = rng.integers(3, size=ROWS)
        x, y = x[rows], y[rows] if rng.random() < 0.5 else y
    elif kind == "constant":
        y = np.full(ROWS, rng.normal() * 10.0 ** rng.integers(-3, 4))
    elif kind in ("huge", "tiny"):
        sign = 1 if kind == "huge" else -1
        x, y = (a * 10.0 ** (sign * rng.uniform(10, 30)) for a in (x, y))
    elif kind == "one point":
        x, y = np.repeat(x[:1], ROWS, 0), np.repeat(y[:1], ROWS, 0)
    else:
        mask = np.arange(ROWS) == rng.integers(ROWS)
        x[~mask], y[~mask] = np.nan, np.nan
    if scaled:
        x = x * 10.0 ** rng.uniform(-5, 5, d)
    return x.astype(np.float32), y.astype(np.float32), mask


def solve(key: Any, x: Any, y: Any, mask: Any) -> Verdict:
    """Fit, condition and predict, then add an observation and predict again."""
    import jax
    import jax.numpy as jnp

    from wrlso.gp import exact, sparse
    from wrlso.gp.fit import FitConfig, default_hyperparameters, fit
    from wrlso.gp.kernels import Matern52
    from wrlso.gp.standardize import standardizer

    n, d = x.shape
    units, scale = standardizer(x, mask), standardizer(y, mask)
    u, t = (jnp.where(mask[:, None], units.apply(x), 0.0), jnp.where(mask, scale.apply(y), 0.0))

    def evidence(hyper: Any) -> Any:
        kernel = Matern52(hyper.lengthscales, hyper.variance)
        return exact.log_marginal_likelihood(kernel, hyper.noise, u, t, mask)

    config = FitConfig(restarts=2, evaluations=8)
    hyper, density = fit(key, evidence, default_hyperparameters(d), config)
    kernel = Matern52(hyper.lengthscales, hyper.variance)
    data = (jnp.pad(u, ((0, 1), (0, 0))), jnp.pad(t, (0, 1)), jnp.pad(mask, (0, 1)))
    one = exact.condition(kernel, hyper.noise, *data)  # with a row free for the observation
    two = sparse.condition(kernel, hyper.noise, u, t, u[:8], mask)
    bound = sparse.log_marginal_bound(kernel, hyper.noise, u, t, u[:8], mask)
    near = jax.random.normal(key, (4, d))
    query = jnp.concatenate([u[:4], near, jnp.full((1, d), 1e3)])
    # The observation repeats a point of the data, or is new, and surprises.
    point = jnp.where(jax.random.bernoulli(key), u[0], near[0])
    target = 3.0 * jax.random.normal(jax.random.fold_in(key, 1))
    posteriors = [(exact, one), (exact, exact.add(one, n, point, target))]
    posteriors += [(sparse, two), (sparse, sparse.add(two, point, target))]
    out, variances = [*jax.tree.leaves(hyper), density, bound], []
    for module, gp in posteriors:
        mean, variance, *improvement = predict(module, gp, query)
        out += [mean, variance, *improvement]
        variances.append(variance)
    finite = jnp.stack([jnp.isfinite(a).all() for a in out]).all()
    spread = jnp.concatenate(variances)
    return Verdict(finite, spread.min(), spread.max() / hyper.variance)


def predict(module: Any, gp: Any, query: Any) -> tuple[Any, ...]:
    """Mean, variance, log EI over a target of one, and its gradient."""
    import jax

    from wrlso.acquisition import log_expected_improvement

    mean, variance = module.predict(gp, query)
    log_ei = lambda q: log_expected_improvement(*module.predict(gp, q), 1.0)  # noqa: E731
    return mean, variance, log_ei(query), jax.grad(lambda q: log_ei(q).sum())(query)
