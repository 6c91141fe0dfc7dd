"""Whole simulations of shapes and expressions, many seeds in one program."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

import wrlso
from benchmarks.accelerator.measure import Deadline, Row, measured


def loops(
    small: bool, deadline: Deadline, names: Sequence[str] = ("shapes", "expressions")
) -> Iterator[Row]:
    """One short round of weighted retraining and Bayesian optimisation, by seeds and mode.

    Where one mode is measured for many seeds and the other is far slower, the slower one is not
    measured for more.
    """
    counts = (2,) if small else (1, 4, 16, 64, 256)
    budget = 1 if small else 10
    tasks = {"shapes": wrlso.tasks.shapes, "expressions": wrlso.tasks.expressions}
    for name in names:
        task = tasks[name]()
        method = wrlso.methods.weighted_retraining(retrain_every=budget).with_options(
            epochs=0.001 if small else 0.02
        )
        proposer = "prior" if small else "bo"
        algorithm = wrlso.algorithm(task, method, budget=budget, proposer=proposer)
        params, base = wrlso.pretrained(task, progress=False), wrlso.base_data(task)
        if small:
            base = wrlso.prepare_base(
                wrlso.Dataset(base.dataset.objects[:500], base.dataset.scores[:500]), task.dedup_key
            )
        run = partial(wrlso.simulate, algorithm, task.objective)
        last: dict[str, float] = {}
        for seeds in counts:
            for mode in ("vmap",) if small and name == "expressions" else ("vmap", "map"):
                row = Row("loop", name, f"{seeds} seeds, {budget} queries each", mode, per=seeds)
                if deadline.reached(4 * last.get(mode, 0.0)):
                    row.note = "left out: no time"
                    yield row
                    continue
                function = _over(run, mode)
                seed = jnp.arange(seeds, dtype=jnp.int32)
                row, _ = measured(row, function, seed, params, base, repeats=1 if small else 2)
                last[mode] = 2 * (row.seconds or 0.0) + (row.compile_seconds or 0.0)
                yield row


def _over(run: Any, mode: str) -> Any:
    def best(seed: Any, params: Any, base: Any) -> Any:
        state, rounds = run(seed, params, base)
        return state.history.scores.max(), rounds.loss

    if mode == "vmap":
        return jax.vmap(best, in_axes=(0, None, None))
    return lambda seeds, params, base: lax.map(lambda seed: best(seed, params, base), seeds)
