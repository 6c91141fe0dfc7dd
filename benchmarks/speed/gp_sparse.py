"""The sparse posterior at full size against GPyTorch and GPJax."""

import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.speed.gp_problems import draw_problem
from benchmarks.speed.harness import Row, median_seconds

N, M, D = 10_000, 500, 56
ROUNDS = 7
VARIANCE, NOISE = 1.3, 0.02

Problem = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Points, targets, inducing points, lengthscales."""

Step = Callable[[], float]
"""A step computes the collapsed bound and its gradient, waits for both, and returns the bound."""


def section_sparse() -> list[Row]:
    """A gradient step of the collapsed bound, and another observation, at full size.

    The gradient is with respect to lengthscales, variance, noise and inducing points, in float32.
    The libraries take turns.
    """
    problem = draw_full_size()
    makers = {"wrlso": our_step, "GPyTorch": gpytorch_step, "GPJax": gpjax_step}
    steps = {name: make(problem) for name, make in makers.items()}
    bounds = {name: step() for name, step in steps.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    adds, peaks = [], []
    add, product = another_observation(problem), large_product()
    for _ in range(ROUNDS):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
        adds.append(add())
        peaks.append(2 * 3000**3 / median_seconds(product, 3) / 1e9)
    times = {name: statistics.median(s) for name, s in seconds.items()}
    own, one, peak = times.pop("wrlso"), statistics.median(adds), statistics.median(peaks)
    size = f"n = {N:,}, M = {M}, d = {D}"
    rows: list[Row] = [
        (
            f"gradient step of the sparse bound, {size}, against {peer}",
            f"{theirs / own:.1f} x faster",
            ">= 1.5 x",
            f"{1e3 * own:.0f} against {1e3 * theirs:.0f} ms, float32, inducing points' gradient "
            f"included; bounds {bounds['wrlso']:.0f} and {bounds[peer]:.0f}; medians of {ROUNDS}, "
            "taking turns",
        )
        for peer, theirs in times.items()
    ]
    flop = 3 * 2 * N * M * M + 3 * 2 * N * M * D
    rows.append(
        (
            "the same, share of the peak of matrix products",
            f"{100 * flop / own / 1e9 / peak:.0f}%",
            "stated",
            f"{flop / 1e9:.1f} GFLOP of matrix products at {flop / own / 1e9:.0f} GFLOP/s; "
            f"3000 x 3000 products reach {peak:.0f}",
        )
    )
    slow = step_with_all_blas_threads()
    rows.append(
        (
            "the same with OpenBLAS on all cores, its default",
            f"{times['GPyTorch'] / slow:.1f} x faster than GPyTorch",
            "stated",
            f"{1e3 * slow:.0f} ms, measured right after; its threads spin during other work",
        )
    )
    for peer, theirs in times.items():
        rows.append(
            (
                f"another observation, same size, against a refit step of {peer}",
                f"{theirs / one:.0f} x faster",
                ">= 50 x",
                f"{1e3 * one:.2f} against {1e3 * theirs:.0f} ms; medians of 200, one after the "
                "other",
            )
        )
    return rows


def draw_full_size() -> Problem:
    """The problem at full size, with inducing points at the centres of clusters."""
    import jax

    from wrlso.gp.sparse import k_means

    problem = draw_problem(np.random.default_rng(0), N, D)
    x, y, scales = (problem[name].astype(np.float32) for name in ("x", "y", "lengthscales"))
    return x, y, np.asarray(k_means(jax.random.key(0), x, M)), scales


def our_step(problem: Problem) -> Step:
    """The step in ``wrlso.gp.sparse``."""
    import jax
    import jax.numpy as jnp

    from wrlso.gp.kernels import Matern52
    from wrlso.gp.sparse import log_marginal_bound

    x, y, z, scales = (jnp.asarray(a) for a in problem)

    @jax.jit
    def step(scales: Any, variance: Any, noise: Any, z: Any) -> Any:
        def bound(scales: Any, variance: Any, noise: Any, z: Any) -> Any:
            return log_marginal_bound(Matern52(scales, variance), noise, x, y, z)

        return jax.value_and_grad(bound, argnums=(0, 1, 2, 3))(scales, variance, noise, z)

    arguments = (scales, jnp.float32(VARIANCE), jnp.float32(NOISE), z)
    return lambda: float(jax.block_until_ready(step(*arguments))[0])


def step_with_all_blas_threads() -> float:
    """Seconds of our step in a process of its own, because the number of threads is read once."""
    env = {**os.environ, "OPENBLAS_NUM_THREADS": str(len(os.sched_getaffinity(0)))}
    command = [sys.executable, "-m", "benchmarks.speed.gp_sparse"]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env)
    return float(out.stdout)


def gpytorch_step(problem: Problem) -> Step:
    """The step in GPyTorch."""
    import gpytorch
    import torch

    x, y, z, scales = (torch.tensor(a) for a in problem)

    class Model(gpytorch.models.ExactGP):
        def __init__(self, likelihood: Any) -> None:
            super().__init__(x, y, likelihood)
            self.mean = gpytorch.means.ZeroMean()
            base = gpytorch.kernels.ScaleKernel(gpytorch.kernels.MaternKernel(2.5, ard_num_dims=D))
            self.covariance = gpytorch.kernels.InducingPointKernel(base, z, likelihood)

        def forward(self, x: Any) -> Any:
            return gpytorch.distributions.MultivariateNormal(self.mean(x), self.covariance(x))

    likelihood = gpytorch.likelihoods.GaussianLikelihood()
    model = Model(likelihood)
    model.covariance.base_kernel.base_kernel.lengthscale = scales
    model.covariance.base_kernel.outputscale = VARIANCE
    likelihood.noise = NOISE
    model.train()
    marginal = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)

    def step() -> float:
        model.zero_grad()
        with gpytorch.settings.max_cholesky_size(10**6):
            loss = -marginal(model(*model.train_inputs), model.train_targets)
            loss.backward()
        return -loss.item() * N

    return step


def gpjax_step(problem: Problem) -> Step:
    """The step in GPJax."""
    import gpjax
    import jax
    import jax.numpy as jnp

    x, y, z, scales = (jnp.asarray(a) for a in problem)
    data = gpjax.Dataset(x, y[:, None])
    kernel = gpjax.kernels.Matern52(lengthscale=scales, variance=jnp.float32(VARIANCE))
    prior = gpjax.gps.Prior(mean_function=gpjax.mean_functions.Zero(), kernel=kernel)
    likelihood = gpjax.likelihoods.Gaussian(jnp.float32(math.sqrt(NOISE)))
    family = gpjax.variational_families.CollapsedVariationalGaussian(prior * likelihood, z)
    leaves, tree = jax.tree.flatten(family)
    arrays = [isinstance(leaf, jax.Array) for leaf in leaves]

    @jax.jit
    def step(trained: list[Any]) -> Any:
        def bound(trained: list[Any]) -> Any:
            values = iter(trained)
            full = [next(values) if a else leaf for a, leaf in zip(arrays, leaves, strict=True)]
            return gpjax.objectives.collapsed_elbo(tree.unflatten(full), data)

        return jax.value_and_grad(bound)(trained)

    trained = [leaf for a, leaf in zip(arrays, leaves, strict=True) if a]
    return lambda: float(jax.block_until_ready(step(trained))[0])


def another_observation(problem: Problem) -> Callable[[], float]:
    """A function that returns the median time of adding an observation, of 200 in a row."""
    import jax
    import jax.numpy as jnp

    from wrlso.gp import sparse
    from wrlso.gp.kernels import Matern52

    x, y, z, scales = (jnp.asarray(a) for a in problem)
    condition = jax.jit(lambda s: sparse.condition(Matern52(s, VARIANCE), NOISE, x, y, z))
    gp, point = condition(scales), x[0] + 0.1
    add = jax.jit(sparse.add, donate_argnums=0)

    def measure() -> float:
        state, seconds = jax.tree.map(jnp.copy, gp), []
        for _ in range(201):
            start = time.perf_counter()
            state = jax.block_until_ready(add(state, point, 0.3))
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds[1:])

    return measure


def large_product() -> Callable[[], Any]:
    """A product of two large matrices, which shows the peak of the machine."""
    import jax
    import jax.numpy as jnp

    square = jnp.ones((3000, 3000), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    return lambda: product(square).block_until_ready()


if __name__ == "__main__":
    print(median_seconds(our_step(draw_full_size()), ROUNDS))
