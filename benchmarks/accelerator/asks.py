"""One ask of 20 starts, and the gradient step of the sparse bound, against BoTorch and GPyTorch."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accelerator.measure import LEFT_OUT, Deadline, Program, Row
from benchmarks.speed.gp_problems import draw_problem, standard_surrogate
from wrlso.gp.kernels import Matern52
from wrlso.gp.sparse import log_marginal_bound
from wrlso.proposers.bayesian import optimize
from wrlso.proposers.bo_config import BOConfig

DIMENSIONS = 25


def asks(small: bool) -> Iterator[Program]:
    """An ask of every seed in one call; each seed has a posterior of its own."""
    config = BOConfig(starts=4 if small else 20, candidates=12 if small else 256)
    sizes, counts = ((20,), (2,)) if small else ((200, 2000), (1, 16, 64))

    def ask(seed: Any, surrogate: Any) -> Any:
        return optimize(jax.random.key(seed), surrogate, config)[0]

    for n in sizes:
        drawn = [draw_problem(np.random.default_rng([n, s]), n, DIMENSIONS) for s in range(4)]
        few = [standard_surrogate(problem) for problem in drawn]
        for seeds in counts:
            stacked = jax.tree.map(
                lambda *leaves, k=seeds: jnp.stack([leaves[i % 4] for i in range(k)]), *few
            )
            setting = f"n = {n}, {seeds} seeds"
            row = Row("ask", f"{config.starts} starts", setting, "vmap", per=seeds)
            yield Program(row, jax.vmap(ask), (jnp.arange(seeds), stacked))


def sparse_step(small: bool) -> Iterator[Program]:
    """The bound of 10,000 points and its gradient in hyperparameters and inducing points."""
    n, m, d = (60, 8, 3) if small else (10_000, 500, 56)
    step, arguments = bound_and_slope(n, m, d)
    row = Row("sparse", "gradient step of the bound", f"n = {n}, M = {m}, d = {d}", "wrlso")
    yield Program(row, step, arguments)


def bound_and_slope(n: int, m: int, d: int) -> tuple[Any, tuple[Any, ...]]:
    """The sparse bound of n points with its gradient, and its arguments."""
    problem = draw_problem(np.random.default_rng(0), n, d)
    x, y, scales = (jnp.asarray(problem[k], jnp.float32) for k in ("x", "y", "lengthscales"))

    def bound(x: Any, y: Any, scales: Any, variance: Any, noise: Any, z: Any) -> Any:
        return log_marginal_bound(Matern52(scales, variance), noise, x, y, z)

    step = jax.value_and_grad(bound, argnums=(2, 3, 4, 5))
    return step, (x, y, scales, jnp.float32(1.3), jnp.float32(0.02), x[:m])


def peers(small: bool, deadline: Deadline) -> Iterator[Row]:
    """BoTorch and GPyTorch on the same device, in a process of their own."""
    if deadline.reached(30):
        yield Row("peers", "BoTorch and GPyTorch", note=LEFT_OUT)
        return
    command = [sys.executable, "-m", "benchmarks.accelerator.peers", *(["--small"] * small)]
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=max(deadline.left, 1))
    except subprocess.TimeoutExpired:
        yield Row("peers", "BoTorch and GPyTorch", note="ended: no time")
        return
    lines = [line for line in out.stdout.splitlines() if line.startswith("{")]
    yield from (Row(**json.loads(line)) for line in lines)
    if out.returncode or not lines:
        reason = (out.stderr.strip().splitlines() or ["no output"])[-1][:120]
        yield Row("peers", "BoTorch and GPyTorch", note=reason)
