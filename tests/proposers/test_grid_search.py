"""The grid ranks by the true objective, and says so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.builders import count_bits, make_tiny_task, tiny_algorithm
from wrlso import proposers
from wrlso.data import empty_history
from wrlso.proposers.base import View


def test_grid_ranks_by_the_objective_and_states_its_price():
    task, algorithm = tiny_algorithm()
    view = View(task.params, empty_history(1, jnp.zeros(2, jnp.uint8), 2), None, None)
    pool = algorithm.proposer.propose(jax.random.key(0), view, ())
    scores = np.asarray(count_bits(pool.objects))
    assert len(scores) == algorithm.proposer.uncharged == 2500
    assert (np.diff(scores) <= 0).all()
    np.testing.assert_array_equal(task.vae.decode(task.params, pool.latents), pool.objects)


def test_a_grid_smaller_than_the_batch_is_refused():
    with pytest.raises(ValueError, match="too few for batches of 2501"):
        proposers.grid(make_tiny_task().vae, count_bits, 2501)


def test_grid_ranks_unsigned_scores():
    task, _ = tiny_algorithm()
    bits = lambda o: jax.lax.population_count(o).sum(-1) // 8  # noqa: E731
    grid = proposers.grid(task.vae, bits, 4)
    view = View(task.params, empty_history(1, jnp.zeros(2, jnp.uint8), 2), None, None)
    pool = grid.propose(jax.random.key(0), view, ())
    assert (np.diff(np.asarray(bits(pool.objects)).astype(int)) <= 0).all()
