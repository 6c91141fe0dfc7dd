"""One ask of 20 starts, and the gradient step of the sparse bound, against BoTorch and GPyTorch."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accelerator.measure import Deadline, Row, measured
from benchmarks.speed.gp_problems import draw_problem, standard_surrogate
from wrlso.gp.kernels import Matern52
from wrlso.gp.sparse import log_marginal_bound
from wrlso.proposers.bayesian import optimize
from wrlso.proposers.bo_config import BOConfig
from wrlso.proposers.surrogate import predict
from wrlso.weighting import rank_weights

DIMENSIONS = 25


def asks(small: bool, deadline: Deadline) -> Iterator[Row]:
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
            row = Row(
                "ask", f"{config.starts} starts", f"n = {n}, {seeds} seeds", "vmap", per=seeds
            )
            if deadline.reached(20):
                row.note = "left out: no time"
            else:
                row, _ = measured(row, jax.vmap(ask), jnp.arange(seeds), stacked)
            yield row


def sparse_step(small: bool, deadline: Deadline) -> Iterator[Row]:
    """The bound of 10,000 points and its gradient in hyperparameters and inducing points."""
    n, m, d = (60, 8, 3) if small else (10_000, 500, 56)
    problem = draw_problem(np.random.default_rng(0), n, d)
    x, y, scales = (jnp.asarray(problem[k], jnp.float32) for k in ("x", "y", "lengthscales"))
    z = x[:m]

    def bound(x: Any, y: Any, scales: Any, variance: Any, noise: Any, z: Any) -> Any:
        return log_marginal_bound(Matern52(scales, variance), noise, x, y, z)

    row = Row("sparse", "gradient step of the bound", f"n = {n}, M = {m}, d = {d}", "wrlso")
    if deadline.reached(20):
        row.note = "left out: no time"
        yield row
        return
    step = jax.value_and_grad(bound, argnums=(2, 3, 4, 5))
    arguments = (x, y, scales, jnp.float32(1.3), jnp.float32(0.02), z)
    yield measured(row, step, *arguments)[0]


def peers(small: bool, deadline: Deadline) -> Iterator[Row]:
    """BoTorch and GPyTorch on the same device, in a process of their own."""
    if deadline.reached(30):
        yield Row("peers", "BoTorch and GPyTorch", note="left out: no time")
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


def agreement(small: bool, deadline: Deadline) -> Iterator[Row]:
    """The same programs on the device and on the CPU: largest relative difference."""
    n, d = (20, 3) if small else (200, DIMENSIONS)
    surrogate = standard_surrogate(draw_problem(np.random.default_rng(1), n, d))
    x = np.random.default_rng(2).normal(size=(50, d)).astype(np.float32)
    scores = np.random.default_rng(3).normal(size=1000).astype(np.float32)
    programs = {
        "posterior mean and variance": (predict, (surrogate, x)),
        "rank weights": (partial(rank_weights, k=1e-3), (scores,)),
    }
    cpu = jax.devices("cpu")[0]
    for what, (function, arguments) in programs.items():
        here = jax.jit(function)(*arguments)
        there = jax.jit(function)(*jax.device_put(arguments, cpu))
        error = max(
            float(np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(np.asarray(b)).max())
            for a, b in zip(jax.tree.leaves(here), jax.tree.leaves(there), strict=True)
        )
        yield Row("agreement with the CPU", what, note=f"largest relative difference {error:.1e}")
