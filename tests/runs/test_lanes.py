"""The inputs of compiled functions: right after any calls, and sent to the devices once."""

import jax
import numpy as np
import pytest

import wrlso
from tests.builders import METHOD, make_tiny_task
from wrlso.loop.candidates import prepare_base
from wrlso.parallel import plan_seeds
from wrlso.runs.config import make_config
from wrlso.runs.lanes import Lanes
from wrlso.runs.settings import RunSettings


@pytest.fixture
def lanes():
    task, settings = make_tiny_task(), RunSettings(budget=12, seeds=3, first_seed=5)
    algorithm = wrlso.algorithm(task, METHOD, budget=12)
    config = make_config(task, METHOD, settings, algorithm)
    return Lanes([config], plan_seeds(3, 2), prepare_base(task.load_data()))


def test_inputs_are_those_of_the_last_call(lanes):
    for limits, steps in [([1, 2, 3], [7, 8, 9]), ([1, 2, 3], None), ([4, 2, 3], [7, 8, 9])]:
        given = lanes.seed_inputs(limits, steps)
        np.testing.assert_array_equal(given.seed, [5, 6, 7, 0])
        np.testing.assert_array_equal(given.limit, [*limits, 0])
        np.testing.assert_array_equal(given.steps, [*(steps or [0, 0, 0]), 0])
    for round, ask in [(0, 0), (0, 1), (1, 1), (0, 0)]:
        shared = lanes.shared_inputs(round, ask)
        assert (int(shared.round), int(shared.ask)) == (round, ask)


def test_what_has_not_changed_is_not_sent_again(lanes):
    first, second = (lanes.seed_inputs([1, 2, 3]) for _ in range(2))
    assert all(a is b for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))
    third = lanes.seed_inputs([1, 2, 4])
    assert third.seed is first.seed
    assert third.limit is not first.limit
    assert lanes.shared_inputs(3, 0).round is lanes.shared_inputs(3, 1).round
