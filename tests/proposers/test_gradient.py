"""Proposers that follow gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.builders import count_bits, make_tiny_task, simulation, tiny_algorithm, tiny_data
from wrlso.data import empty_history
from wrlso.loop.candidates import prepare_base
from wrlso.proposers.base import View
from wrlso.proposers.gradient import (
    GRADIENT_METHODS,
    GradientConfig,
    _unit_of_scores,
    gradient_ascent,
)

pytestmark = pytest.mark.usefixtures("strict_modes")


@pytest.mark.parametrize(
    "gradient_of", ["regressor", pytest.param("objective", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("way", GRADIENT_METHODS)
def test_following_gradients_beats_the_data(way, gradient_of):
    task, simulate = simulation(way, gradient_of=gradient_of)
    history = simulate(0).history
    assert int(history.used) > 0
    assert float(history.scores.max()) > float(task.load_data().scores.max())


@pytest.mark.parametrize("way", GRADIENT_METHODS)
def test_evaluations_of_the_objective_for_its_gradient_are_counted_as_uncharged(way):
    for gradient_of in ("regressor", "objective"):
        _, algorithm = tiny_algorithm(proposer=way, gradient_of=gradient_of)
        assert (algorithm.proposer.uncharged > 0) == (gradient_of == "objective")


def test_data_ascent_climbs_to_the_top_of_a_known_hill():
    """Every bit adds one to the score: the gradient of the objective itself sets them all."""
    task = make_tiny_task()
    proposer = gradient_ascent(
        "data_ascent", task.vae, 4, task.soft_objective, GradientConfig(evaluations=20)
    )
    shared = prepare_base(task.load_data())
    view = View(
        task.params, empty_history(8, shared.dataset.objects[0], 2), shared.dataset, shared.distinct
    )
    memory, unit = proposer.fit(jax.random.key(0), view, proposer.memory)
    pool = proposer.propose(jax.random.key(1), view, unit)
    assert memory == ()
    assert count_bits(pool.objects).tolist() == [16.0] * 6
    encoded, _ = task.vae.encode(task.params, pool.objects)
    np.testing.assert_allclose(pool.latents, encoded, rtol=1e-6)


def test_the_generator_keeps_its_samples_apart():
    """The divergence from the prior keeps the samples' spread, where h alone would not."""
    task = make_tiny_task()
    shared = prepare_base(task.load_data())
    view = View(
        task.params, empty_history(8, shared.dataset.objects[0], 2), shared.dataset, shared.distinct
    )
    spread = []
    for temperature in (0.0, 3.0):
        config = GradientConfig(temperature=temperature, generator_steps=150)
        proposer = gradient_ascent("generator", task.vae, 20, task.soft_objective, config)
        _, unit = proposer.fit(jax.random.key(0), view, proposer.memory)
        pool = proposer.propose(jax.random.key(1), view, unit)
        spread.append(float(pool.latents.std(0).mean()))
        better = float(count_bits(pool.objects).mean())
        assert better > float(count_bits(task.vae.decode(task.params, jnp.zeros((1, 2))))[0]) - 1
    assert spread[1] > 1.2 * spread[0]


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_unit_of_scores_is_their_deviation_at_any_scale(scale):
    scores = np.asarray(tiny_data().scores) * np.float32(scale)
    base = prepare_base(tiny_data()._replace(scores=scores))
    history = empty_history(2, base.dataset.objects[0], 2)
    view = View(None, history, base.dataset, base.distinct, base.offset)
    _, unit = _unit_of_scores(jax.random.key(0), view, ())
    assert float(unit) == pytest.approx(np.std(scores.astype(np.float64)), rel=1e-5)
