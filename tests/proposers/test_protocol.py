"""Every proposer, and one of a user's own, keeps the protocol of ``wrlso.Proposer``."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.builders import make_tiny_task, tiny_bo
from wrlso import proposers
from wrlso.data import NO_SCORE, append, empty_history, in_use
from wrlso.fingerprint import fingerprint
from wrlso.loop.candidates import prepare_base
from wrlso.models.vae import decode_all
from wrlso.proposers.base import Observations, Pool, Proposer, View
from wrlso.proposers.gradient import GRADIENT_METHODS, GradientConfig
from wrlso.proposers.regressor import RegressorConfig

pytestmark = pytest.mark.usefixtures("strict_modes")

TASK = make_tiny_task()
BASE = prepare_base(TASK.load_data())


def bo(batch=2, **changes):
    return proposers.bo(TASK.vae, batch, max_observations=8, config=tiny_bo(**changes))


def probability_of_improvement(mean, variance, best):
    """An acquisition function of a user's own."""
    return jax.scipy.stats.norm.cdf((mean - best) / jnp.sqrt(variance + 1e-6))


def follow(method, soft_objective=None):
    config = GradientConfig(
        evaluations=5, generator_steps=5, regressor=RegressorConfig(width=16, steps=20)
    )
    return proposers.gradient_ascent(method, TASK.vae, 2, soft_objective, config)


def best_neighbour():
    """A proposer of a user's own: steps from the best point so far, which it remembers."""

    def fit(key, view, memory):
        used = in_use(view.history)
        scores = jnp.where(used, view.history.scores, -jnp.inf)
        best = jnp.where(used.any(), view.history.latents[jnp.argmax(scores)], memory)
        return best, (best, jnp.float32(-jnp.inf))

    def propose(key, view, surrogate):
        step = 0.5 * jax.random.normal(key, (8, 2))
        return Pool(jnp.clip(surrogate[0] + step, -3, 3))

    def observe(surrogate, observations):
        best = jnp.argmax(observations.scores)
        better = observations.scores[best] > surrogate[1]
        return jax.tree.map(
            lambda new, old: jnp.where(better, new, old),
            (observations.latents[best], observations.scores[best]),
            surrogate,
        )

    return Proposer("best_neighbour", propose, 2, fit=fit, observe=observe, memory=jnp.zeros(2))


CASES = {
    "grid": lambda: proposers.grid(TASK.vae, TASK.objective, 2, side=8),
    "prior": lambda: proposers.prior(TASK.vae, 2),
    **{f"bo-{name}": lambda name=name: bo(acquisition=name)
       for name in ("log_ei", "ei", "ucb", "thompson")},
    "bo-own": lambda: bo(acquisition=probability_of_improvement),
    "bo-one": lambda: bo(batch=1),
    "bo-sparse": lambda: bo(
        surrogate=dataclasses.replace(tiny_bo().surrogate, kind="sparse"),
    ),
    **{name: lambda name=name: follow(name) for name in GRADIENT_METHODS},
    **{f"{name}-objective": lambda name=name: follow(name, TASK.soft_objective)
       for name in GRADIENT_METHODS},
    "own": best_neighbour,
}  # fmt: skip


def view(seed=0):
    """The data after three queries, one of which failed."""
    latents = jax.random.normal(jax.random.key(100 + seed), (3, 2))
    objects = TASK.vae.decode(TASK.params, latents)
    scores = jnp.where(jnp.arange(3) == 1, NO_SCORE, TASK.objective(objects))
    status = jnp.where(jnp.arange(3) == 1, 2, 0)
    prints = fingerprint(objects)
    history = append(
        empty_history(8, objects[0], 2), objects, latents, scores, status, prints, prints,
        jnp.ones(3, bool),
    )  # fmt: skip
    return View(TASK.params, history, BASE.dataset, BASE.distinct)


class Compiled:
    """The three functions of a proposer, each compiled by itself: many proposers share a fit."""

    def __init__(self, proposer, lift=lambda function, in_axes: function):
        seeds = View(None, 0, None, None, None)
        self.proposer = proposer
        self.fit = jax.jit(lift(proposer.fit, (0, seeds, None)))
        self.propose = jax.jit(lift(proposer.propose, (0, seeds, 0)))
        self.observe = jax.jit(lift(proposer.observe, (0, 0)))

    def round(self, keys, view, observed):
        """All that a round asks of a proposer."""
        memory, surrogate = self.fit(keys, view, self.proposer.memory)
        pool = self.propose(keys, view, surrogate)
        told = self.observe(surrogate, observed)
        return memory, surrogate, told, pool, self.propose(keys, view, told)


def observations(proposer, seed=0):
    """Good scores, and a failure, at points of the prior."""
    n = proposer.batch + proposer.max_duplicates
    failed = jnp.arange(n) == 1
    latents = jax.random.normal(jax.random.key(200 + seed), (n, 2))
    return Observations(
        latents, jnp.where(failed, NO_SCORE, jnp.arange(n) + 15.0), failed, jnp.zeros(n, bool)
    )


@cache
def compiled(name):
    return Compiled(CASES[name]())


@cache
def rounds_of(name):
    """Rounds of two seeds, each alone."""
    one = compiled(name)
    return [
        one.round(jax.random.key(seed), view(seed), observations(one.proposer, seed))
        for seed in range(2)
    ]


def stack(parts):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)


pytestmark = pytest.mark.parametrize("name", CASES)


def test_pools_hold_finite_points_and_their_own_decodes(name):
    proposer = compiled(name).proposer
    for *_, first, second in rounds_of(name):
        for pool in (first, second):
            assert len(pool.latents) >= max(proposer.batch, proposer.decode_first, 1)
            assert len(pool.latents) >= proposer.max_duplicates
            assert pool.latents.shape[1] == 2
            assert pool.latents.dtype == jnp.float32
            assert np.isfinite(pool.latents).all()
            if pool.objects is not None:
                assert pool.objects.dtype == jnp.uint8
                if not name.startswith("data_ascent"):  # which moves objects, and encodes them
                    decoded = decode_all(TASK.vae, TASK.params, pool.latents)
                    np.testing.assert_array_equal(pool.objects, decoded)


def test_memory_and_surrogate_keep_their_shapes(name):
    """They are carried through a scan, so a round must give back what it was given."""
    proposer = compiled(name).proposer
    for memory, surrogate, told, *_ in rounds_of(name):
        for before, after in ((proposer.memory, memory), (surrogate, told)):
            assert jax.tree.structure(before) == jax.tree.structure(after)
            for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
                assert jnp.shape(old) == jnp.shape(new)
                assert jnp.result_type(old) == jnp.result_type(new)


def test_vmap_over_seeds_gives_the_first_point_of_each_alone(name):
    """Up to rounding, which a climb that ends early may make visible in later points."""
    proposer = compiled(name).proposer
    lifted = Compiled(proposer, lambda function, in_axes: jax.vmap(function, in_axes))
    views = view()._replace(history=stack([view(seed).history for seed in range(2)]))
    keys = jnp.stack([jax.random.key(seed) for seed in range(2)])
    observed = stack([observations(proposer, seed) for seed in range(2)])
    batched = lifted.round(keys, views, observed)
    for seed, (*_, first, second) in enumerate(rounds_of(name)):
        for alone, of_batch in ((first, batched[3]), (second, batched[4])):
            found = of_batch.latents[seed]
            assert found.shape == alone.latents.shape
            if "thompson" in name:  # rounding turns the eigenvectors that its samples are made of
                continue
            np.testing.assert_allclose(found[0], alone.latents[0], atol=0.05)


def test_a_pool_depends_on_the_key_unless_it_is_a_grid(name):
    one = compiled(name)
    _, surrogate, *_ = rounds_of(name)[0]
    first, again, other = (
        one.propose(jax.random.key(seed), view(), surrogate).latents for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) == (name == "grid")


def test_only_proposers_with_a_surrogate_learn_within_a_round(name):
    proposer = compiled(name).proposer
    for _, surrogate, told, *_ in rounds_of(name):
        leaves = [
            np.array_equal(old, new)
            for old, new in zip(jax.tree.leaves(surrogate), jax.tree.leaves(told), strict=True)
        ]
        learns = name.startswith("bo") or name == "own"
        assert all(leaves) != learns
        assert (proposer.uncharged > 0) == (name == "grid" or name.endswith("objective"))
