"""When a method retrains, and the keys of its queries."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.builders import tiny_algorithm
from wrlso import loop
from wrlso.loop.candidates import prepare_base
from wrlso.loop.retraining import RetrainConfig


def test_the_method_decides_when_the_model_is_retrained():
    _, weighted = tiny_algorithm("weighted_retraining")
    _, once = tiny_algorithm("weight_only")
    assert (weighted.rounds, once.rounds) == (3, 1)
    assert weighted.steps(0, 160) == 10
    assert weighted.steps(2, 168) == 6
    assert once.steps(1, 168) == 0

    def retraining(algorithm, **changes):
        changed = dataclasses.replace(algorithm.retraining, **changes)
        return dataclasses.replace(algorithm, retraining=changed)

    least = retraining(weighted, min_steps=8)
    assert [least.steps(0, 160), least.steps(2, 168)] == [10, 8]
    assert retraining(least, epochs=0.0).steps(2, 168) == 0
    stated = retraining(weighted, first_steps=5, steps=3)
    assert [stated.steps(0, 160), stated.steps(2, 100_000)] == [5, 3]


def test_seed_round_and_ask_all_change_the_key():
    keys = [
        loop.query_key(s, r, a)
        for s in range(3)
        for r in range(3)
        for a in [*range(-1, 3), loop.FIT]
    ]
    assert len({tuple(np.asarray(jax.random.key_data(k)).tolist()) for k in keys}) == len(keys)


def test_the_numbers_of_keys_never_change():
    """Committed results hang on them: Threefry of fold_in(fold_in(key(seed), round), ask + 1)."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(7), 3), 6)
    assert loop.query_key(7, 3, 5) == key
    assert loop.query_key(7, 3, loop.RETRAIN) == jax.random.fold_in(
        jax.random.fold_in(jax.random.key(7), 3), 0
    )
    assert (loop.RETRAIN, loop.FIT) == (-1, 2**31 - 2)


def test_a_model_stays_as_it_is_where_no_row_has_weight():
    task, algorithm = tiny_algorithm()
    base = prepare_base(task.load_data())
    state = loop.init(algorithm, task.params, base.dataset)
    nothing = dataclasses.replace(algorithm, weighting=lambda s, m, r, h: jnp.zeros_like(s))
    after, info = loop.retrain(nothing, jax.random.key(0), state, base, 5)
    assert not bool(info.finite)
    jax.tree.map(np.testing.assert_array_equal, after.params, task.params)


@pytest.mark.parametrize("name", ["first_steps", "steps", "min_steps"])
def test_numbers_of_steps_are_whole(name):
    with pytest.raises(ValueError, match=f"{name} must be a whole number, got 2.5"):
        RetrainConfig(**({"first_epochs": 1.0, "epochs": 1.0} | {name: 2.5}))
