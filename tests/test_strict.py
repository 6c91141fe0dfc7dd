"""Whole simulations traced in strict modes, in 32 and in 64 bits: nothing is promoted silently.

Types and axes are checked where a program is traced, so nothing is compiled here. Other tests run
the loop in these modes (``strict_modes``), where ``jax_debug_nans`` has values to look at.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wrlso
from tests.builders import tiny_algorithm, tiny_bo
from wrlso import loop
from wrlso.parallel import broadcast, plan_seeds
from wrlso.resolve import PROPOSERS
from wrlso.runs.compiled import CompiledLoop, answer_like
from wrlso.runs.lanes import SeedInputs, SharedInputs

SURROGATE = tiny_bo().surrogate
CASES = {
    **{name: {"proposer": name} for name in PROPOSERS},
    "bo in batches": {"proposer": "bo", "batch": 2},
    "following the objective": {"proposer": "generator", "gradient_of": "objective"},
    **{
        name: {"proposer": "bo", "bo": tiny_bo(**changes)}
        for name, changes in {
            "thompson": {"acquisition": "thompson"},
            "ucb": {"acquisition": "ucb"},
            "region": {"region": 0.5, "max_norm": 3.0},
            "sparse": {"surrogate": dataclasses.replace(SURROGATE, kind="sparse", inversion=2)},
            "penalty": {"surrogate": dataclasses.replace(SURROGATE, penalty=0.0)},
            "lowest": {"surrogate": dataclasses.replace(SURROGATE, penalty="lowest")},
        }.items()
    },
    **{
        name: {"method": name, "proposer": "prior"} for name in ("dbas", "fb_vae", "dbas_reference")
    },
}


@pytest.mark.parametrize("double", [False, True], ids=["32 bits", "64 bits"])
@pytest.mark.parametrize("name", CASES)
def test_a_simulation_relies_on_no_promotion(name, double):
    with (
        jax.enable_x64(double),
        jax.numpy_rank_promotion("raise"),
        jax.numpy_dtype_promotion("strict"),
    ):
        task, algorithm = tiny_algorithm(budget=8, **CASES[name])
        base = wrlso.prepare_base(task.load_data())
        state, rounds = jax.eval_shape(
            partial(wrlso.simulate, algorithm, task.objective), 0, task.params, base
        )
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype(jnp.float32)}
    assert state.history.scores.dtype == state.history.latents.dtype == jnp.float32
    assert rounds.loss.shape == (2,)


@pytest.mark.parametrize("double", [False, True], ids=["32 bits", "64 bits"])
@pytest.mark.parametrize("name", ["grid", "bo", "bo in batches"])
def test_the_programs_of_a_run_rely_on_no_promotion(name, double):
    with (
        jax.enable_x64(double),
        jax.numpy_rank_promotion("raise"),
        jax.numpy_dtype_promotion("strict"),
    ):
        task, algorithm = tiny_algorithm(budget=8, **CASES[name])
        plan, base = plan_seeds(1), wrlso.prepare_base(task.load_data())
        first = loop.init(algorithm, task.params, base.dataset)
        like = answer_like(algorithm, first.history, base)
        programs = CompiledLoop(algorithm, task.objective, plan, like, lambda *_: None)
        numbers = np.zeros(1, np.int32)
        hyper = {name: np.ones(1, np.float32) for name in algorithm.numbers()}
        inputs = SeedInputs(numbers, numbers, numbers, hyper)
        shared = SharedInputs(base, np.int32(0), np.int32(0))
        state = broadcast(plan, first)

        state, _ = programs.retrain.shape(state, inputs, shared)
        changing = state.history, state.memory
        changed, batches = programs.search.shape(changing, (state.params, inputs), shared)
        assert jax.tree.map(lambda a: a.dtype, changed) == jax.tree.map(lambda a: a.dtype, changing)
        assert batches.latents.dtype == jnp.float32
        carried = programs.fit.shape(state, inputs, shared)
        candidates = programs.ask.shape(carried, inputs, shared)
        if algorithm.proposer.predict is not None:
            expected = programs.predict.shape(carried[1], candidates.latents, shared)
            assert {part.dtype for part in expected} == {jnp.dtype(jnp.float32)}
        answer = (
            candidates,
            broadcast(plan, jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), like[1])),
        )
        told = (state.history, carried[1])
        after, _ = programs.tell.shape(told, answer, shared)
        assert jax.tree.map(lambda a: a.dtype, after) == jax.tree.map(lambda a: a.dtype, told)
        if algorithm.proposer.observe is not None:
            programs.fantasize.shape(carried, inputs, shared)
