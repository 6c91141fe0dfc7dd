"""Whole simulations traced in strict modes, in 32 and in 64 bits: nothing is promoted silently.

Types and axes are checked where a program is traced, so nothing is compiled here. Other tests run
the loop in these modes (``strict_modes``), where ``jax_debug_nans`` has values to look at.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import pytest

import wrlso
from tests.builders import tiny_algorithm, tiny_bo
from wrlso.resolve import PROPOSERS

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
