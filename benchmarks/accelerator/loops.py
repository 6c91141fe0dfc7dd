"""Whole simulations of shapes and expressions, many seeds in one program."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

import wrlso
from benchmarks.accelerator.measure import Program, Row

MOST_IN_TURN = 16
"""Seeds of ``map``: one after the other, a seed takes as long however many there are."""


def loops(small: bool, names: Sequence[str] = ("shapes", "expressions")) -> Iterator[Program]:
    """One short round of weighted retraining and Bayesian optimisation, by seeds and mode."""
    found = [list(_of_task(small, name)) for name in names]
    for pair in zip(*found, strict=True):  # so that both tasks are measured where time is short
        yield from pair


def _of_task(small: bool, name: str) -> Iterator[Program]:
    budget = 1 if small else 10
    task = {"shapes": wrlso.tasks.shapes, "expressions": wrlso.tasks.expressions}[name]()
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

    @jax.jit  # traced once for all numbers of seeds
    def best(seed: Any, params: Any, base: Any) -> Any:
        state, rounds = wrlso.simulate(algorithm, task.objective, seed, params, base)
        return state.history.scores.max(), rounds.loss

    counts = (2,) if small else (1, 16, 64, 256, 4)
    in_turn = [seeds for seeds in counts if seeds <= MOST_IN_TURN]
    for mode, seeds in [("vmap", n) for n in counts] + [("map", n) for n in in_turn]:
        row = Row("loop", name, f"{seeds} seeds, {budget} queries each", mode, per=seeds)
        arguments = (jnp.arange(seeds, dtype=jnp.int32), params, base)
        yield Program(row, _over(best, mode), arguments)


def _over(best: Any, mode: str) -> Any:
    if mode == "vmap":
        return jax.vmap(best, in_axes=(0, None, None))
    return lambda seeds, params, base: lax.map(lambda seed: best(seed, params, base), seeds)
