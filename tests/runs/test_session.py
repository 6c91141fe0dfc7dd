"""Seeds whose models repeat themselves."""

import dataclasses
from collections import Counter

import jax.numpy as jnp

from tests.builders import make_tiny_task, tiny_run


def test_a_seed_that_ends_early_is_pointed_out(tmp_path):
    """All 65,536 strings can be asked for, but this model only ever makes one."""
    task = make_tiny_task()
    constant = dataclasses.replace(
        task.vae, decode=lambda params, z: jnp.full((len(z), 2), 255, jnp.uint8)
    )
    result = tiny_run(tmp_path / "run", make_tiny_task(vae=constant, params=task.params), seeds=2)
    assert "Seed 0 ended after 1 of 12 queries" in result.table()
    assert result.summary["seeds"][1]["charged"] == 1
    # Every extra round was tried, and the first round's ask twice, as it brought something.
    assert result.summary["seeds"][1]["status"] == {"OK": 1, "DUPLICATE": 6 * 4 + 3 - 1}


def test_a_seed_that_gets_stuck_asks_as_often_as_alone(tmp_path):
    """A model of few objects: whether others find something new is nothing to a seed."""
    task = make_tiny_task()
    coarse = dataclasses.replace(
        task.vae, decode=lambda params, z: (jnp.round(1.5 * z) + 8).astype(jnp.uint8)
    )
    few = make_tiny_task(vae=coarse, params=task.params)
    together = tiny_run(tmp_path / "all", few, proposer="prior", budget=40, seeds=3)
    for seed in range(3):
        out = tmp_path / f"seed{seed}"
        alone = tiny_run(out, few, proposer="prior", budget=40, seeds=1, first_seed=seed)
        assert alone.queries() == [q for q in together.queries() if q.seed == seed]
    asked = Counter((q.seed, q.round) for q in together.queries())
    assert len(set(asked.values())) > 1  # some got stuck before others
