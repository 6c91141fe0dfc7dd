"""Bayesian optimisation and the gradient proposers, on a task small enough to know the answer."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.builders import make_tiny_task, simulation, tiny_algorithm
from wrlso.acquisition import log_expected_improvement
from wrlso.data import Dataset, empty_history
from wrlso.gp import exact
from wrlso.gp.fit import FitConfig
from wrlso.gp.kernels import Matern52
from wrlso.gp.standardize import Standardizer
from wrlso.loop.candidates import prepare_base
from wrlso.models.vae import encode_all
from wrlso.proposers.base import View
from wrlso.proposers.bayesian import _acquire, _rank, _within, bo, optimize
from wrlso.proposers.bo_config import BOConfig
from wrlso.proposers.gradient import gradient_ascent
from wrlso.proposers.held_out import HeldOutFit
from wrlso.proposers.starts import best_data, draw
from wrlso.proposers.surrogate import Surrogate, SurrogateConfig, fantasize, predict


def hill(x):
    return -((x - jnp.array([1.0, -0.5])) ** 2).sum(-1)


def known_surrogate(n=30):
    x = jax.random.normal(jax.random.key(0), (n, 2))
    kernel = Matern52(jnp.array([2.0, 2.0]), jnp.asarray(4.0))
    gp = exact.condition(kernel, 1e-4, x, hill(x), None)
    same = Standardizer(jnp.zeros(()), jnp.ones(()))
    return Surrogate(
        gp, same, same, x, gp.targets, gp.mask, gp.targets.max(), jnp.int32(n), HeldOutFit(0.0, 0.0)
    )


@pytest.mark.parametrize("acquisition", ["ei", "log_ei", "ucb"])
def test_the_optimum_of_a_known_hill_is_found(acquisition):
    config = BOConfig(acquisition=acquisition, ucb_beta=0.01, starts=8, candidates=64)
    points = jax.jit(lambda key, s: optimize(key, s, config))(jax.random.key(1), known_surrogate())
    np.testing.assert_allclose(points[0], [1.0, -0.5], atol=0.25)
    assert points.shape == (8 + 64 - 4, 2)
    assert (np.abs(points) <= config.bound).all()


def test_draws_are_from_the_prior_and_around_good_data():
    """Good data lie in a corner that the prior hardly reaches."""
    surrogate = known_surrogate()
    far = surrogate.latents.at[:3].set(jnp.array([2.6, 2.6]))
    surrogate = surrogate._replace(
        latents=far, scores=surrogate.scores.at[:3].set(jnp.array([10.0, 11.0, 12.0]))
    )
    config = BOConfig(starts=3, candidates=400)
    good = best_data(surrogate, config.starts)
    draws = np.asarray(draw(jax.random.key(0), surrogate, config, good).points)
    assert draws.shape == (400, 2)
    assert (np.abs(draws) <= config.bound + 1e-6).all()
    away = np.linalg.norm(draws - 2.6, axis=1)
    assert np.abs(draws[:200].mean(0)).max() < 0.3
    assert (away[200:] < 1.5).mean() > 0.8
    assert away[200:].min() > 0.01


@pytest.mark.slow
def test_climbs_stay_in_the_region_of_their_start():
    """The data lie on a slope: at its foot a region ends before the top, which is reached from
    draws near it."""
    surrogate = known_surrogate()
    low = surrogate.latents[:, 0] < -0.5
    scores = jnp.where(low, surrogate.scores, -100.0)
    surrogate = surrogate._replace(scores=scores)
    best = surrogate.latents[jnp.argsort(-scores)[:4]]
    config = BOConfig(starts=8, candidates=64, region=0.25)
    points = optimize(jax.random.key(1), surrogate, config)
    distance = np.abs(np.asarray(points[:8, None]) - best).max(-1).min(1)
    inside = distance <= 0.25 + 1e-6
    assert inside.sum() >= 4
    assert (np.abs(points[:8] - jnp.array([1.0, -0.5])).max(1) < 0.25).sum() >= 1
    draws = draw(jax.random.key(0), surrogate, config, best_data(surrogate, config.starts))
    near = slice(32, None)
    assert (draws.upper - draws.lower).max() <= 0.5 + 1e-6
    assert ((draws.points <= draws.upper) & (draws.points >= draws.lower)).all()
    # Draws from the prior stand in the middle of their region, if no bound cuts it.
    middle = 0.5 * (draws.upper + draws.lower)[:32]
    inner = np.abs(np.asarray(draws.points[:32])).max(1) < config.bound - 0.25
    assert inner.sum() > 16
    np.testing.assert_allclose(draws.points[:32][inner], middle[inner], atol=1e-6)
    apart = np.abs(np.asarray(draws.points[near] - 0.5 * (draws.upper + draws.lower)[near]))
    assert 0.05 < np.median(apart.max(1)) <= 0.25 + 1e-6


def test_points_beyond_the_norm_are_moved_towards_the_origin():
    points = jnp.array([[3.0, 4.0], [0.3, -0.4], [0.0, 0.0]])
    np.testing.assert_allclose(_within(points, 1.0), [[0.6, 0.8], [0.3, -0.4], [0, 0]], atol=1e-6)
    np.testing.assert_array_equal(_within(points, None), points)


def test_good_data_differ_in_score():
    """Many objects of equal score may be one in many spellings: they do not crowd out others."""
    surrogate = known_surrogate(8)
    scores = jnp.array([5.0, 1.0, 5.0, 4.0, 5.0, 3.0, 9.0, 2.0])
    mask = surrogate.mask.at[6].set(False)
    surrogate = surrogate._replace(scores=scores, mask=mask)
    best = best_data(surrogate, 4)
    np.testing.assert_array_equal(best, surrogate.latents[jnp.array([0, 3, 5, 7])])
    everything = best_data(surrogate, 20)
    np.testing.assert_array_equal(everything[5:], surrogate.latents[jnp.array([2, 4, 6])])


@pytest.mark.slow
def test_the_points_of_a_batch_differ():
    """Each is chosen after a fantasy of those before it."""
    task = make_tiny_task()
    config = BOConfig(starts=6, candidates=32, surrogate=task.bo.surrogate)
    proposer = bo(task.vae, batch=4, max_observations=8, config=config)
    shared = prepare_base(task.load_data())
    view = View(
        task.params, empty_history(8, shared.dataset.objects[0], 2), shared.dataset, shared.distinct
    )
    _, surrogate = proposer.fit(jax.random.key(0), view, proposer.memory)
    pool = proposer.propose(jax.random.key(1), view, surrogate)
    chosen = np.asarray(pool.latents[:4])
    distances = np.linalg.norm(chosen[:, None] - chosen[None], axis=-1)[np.triu_indices(4, 1)]
    assert distances.min() > 0.05
    assert pool.objects is None  # the loop decodes what it needs


def test_reencoded_points_stand_at_the_encodings_of_their_decodes():
    """They are ranked there, the first of a batch after fantasies of those before it."""
    task = make_tiny_task()
    config = BOConfig(
        starts=6, candidates=32, near=0.75, evaluations=0, reencode=True,
        surrogate=task.bo.surrogate,
    )  # fmt: skip
    proposer = bo(task.vae, batch=3, max_observations=8, config=config)
    shared = prepare_base(task.load_data())
    view = View(
        task.params, empty_history(8, shared.dataset.objects[0], 2), shared.dataset, shared.distinct
    )
    _, surrogate = jax.jit(proposer.fit)(jax.random.key(0), view, proposer.memory)
    pool = jax.jit(proposer.propose)(jax.random.key(1), view, surrogate)
    np.testing.assert_allclose(
        pool.latents, encode_all(task.vae, task.params, pool.objects), atol=1e-5
    )
    x = surrogate.latent_units.apply(pool.latents)
    values = np.asarray(log_expected_improvement(*predict(surrogate, x), surrogate.best))
    assert values[0] == pytest.approx(values.max(), rel=1e-4)
    learn = jax.jit(fantasize)
    after = learn(learn(surrogate, x[0]), x[1])
    later = np.asarray(log_expected_improvement(*predict(after, x[2:]), surrogate.best))
    assert later[0] == pytest.approx(later.max(), rel=1e-4)
    assert len(pool.latents) == 6 + 32 - 3


@pytest.mark.parametrize(("kind", "acquisition"), [("exact", "log_ei"), ("sparse", "ucb")])
def test_ranks_are_those_of_a_posterior_after_each_fantasy(kind, acquisition):
    task = make_tiny_task()
    config = BOConfig(
        acquisition,
        surrogate=SurrogateConfig(
            kind, inducing=20, best=10, random=40, fit=FitConfig(restarts=1, evaluations=3)
        ),
    )
    shared = prepare_base(task.load_data())
    view = View(
        task.params, empty_history(8, shared.dataset.objects[0], 2), shared.dataset, shared.distinct
    )
    proposer = bo(task.vae, batch=6, max_observations=8, config=config)
    _, surrogate = jax.jit(proposer.fit)(jax.random.key(0), view, proposer.memory)
    x = 2 * jax.random.normal(jax.random.key(1), (40, task.vae.latent_dim))

    @jax.jit
    def value_of(known, x):
        return _acquire(surrogate, config, *predict(known, x))

    def values(known):
        return np.array(value_of(known, x))

    known, expected = surrogate, []
    for _ in range(5):
        value = values(known)
        value[expected] = -np.inf
        expected.append(int(value.argmax()))
        known = fantasize(known, x[expected[-1]])
    alone = jax.jit(lambda s, x: _rank(s, config, x, 1))(surrogate, x)
    np.testing.assert_array_equal(alone, np.argsort(-values(surrogate), stable=True))
    order = np.asarray(jax.jit(lambda s, x: _rank(s, config, x, 6))(surrogate, x))
    assert order[:5].tolist() == expected
    assert sorted(order.tolist()) == list(range(40))
    rest = values(known)[order[5:]]
    np.testing.assert_allclose(rest, np.sort(rest)[::-1], rtol=1e-3, atol=1e-4)


def test_draws_grow_with_the_batch():
    config = BOConfig(candidates=60, candidates_per_query=30)
    assert [config.for_batch(q).candidates for q in (1, 2, 3, 10)] == [60, 60, 90, 300]
    assert BOConfig().for_batch(10) == BOConfig()
    bo(make_tiny_task().vae, batch=100, config=BOConfig(candidates=60, candidates_per_query=1))


@pytest.mark.parametrize("batch", [None, 5])
@pytest.mark.slow
def test_bo_beats_samples_from_the_prior(batch):
    task, by_bo = simulation("bo", batch=batch)
    _, by_chance = simulation("prior")
    ours, theirs = (np.array([f(s).history.scores for s in range(4)]) for f in (by_bo, by_chance))
    assert ours[np.isfinite(ours)].mean() > theirs[np.isfinite(theirs)].mean() + 0.5
    assert (ours.max(1) >= float(task.load_data().scores.max())).all()


def test_bo_reads_only_what_is_charged():
    """A task whose objective is not written in JAX gives it nothing else to read."""
    _, algorithm = tiny_algorithm(proposer="bo")
    assert (algorithm.proposer.uncharged, algorithm.proposer.batch) == (0, 1)
    _, blind = tiny_algorithm(proposer="bo", objective=None, host_objective=lambda thing: 0.0)
    assert blind.proposer.name == "bo"


def test_without_retraining_the_surrogate_is_fitted_every_50_queries():
    _, algorithm = tiny_algorithm("lso", "bo", budget=120)
    assert (algorithm.rounds, algorithm.asks, algorithm.steps(1, 200)) == (3, 50, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BOConfig(region=0.0), "region must be positive or None"),
        (lambda: BOConfig(max_norm=0.0), "max_norm must be positive or None"),
        (lambda: BOConfig(acquisition="pi"), "acquisition must be"),
        (lambda: BOConfig(starts=200), "starts must be between 1 and a third of candidates = 256"),
        (lambda: BOConfig(bound=0.0), "bound = 0"),
        (lambda: BOConfig(candidates_per_query=-1), "candidates_per_query must not be negative"),
        (lambda: BOConfig(near=1.5), "near must be a share in"),
        (lambda: BOConfig(reencode=True, acquisition="thompson"), "choose another acquisition"),
        (lambda: bo(make_tiny_task().vae, batch=300), "between 1 and candidates = 256"),
        (lambda: gradient_ascent("up", make_tiny_task().vae, 2), "unknown gradient method 'up'"),
        (
            lambda: gradient_ascent(
                "generator", dataclasses.replace(make_tiny_task().vae, relaxation=None), 2
            ),
            "does not have: choose 'bo' or 'prior'",
        ),
        (lambda: tiny_algorithm(proposer="bo", batch=3), "batch = 3 does not divide"),
        (lambda: tiny_algorithm(batch=2), "batch = 2 has no meaning for proposer"),
        (
            lambda: tiny_algorithm(proposer="bo", gradient_of="objective"),
            "choose proposer latent_ascent or",
        ),
        (
            lambda: tiny_algorithm(
                proposer="generator", gradient_of="objective", soft_objective=None
            ),
            "has no differentiable objective",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_one_base_object_is_enough():
    data = make_tiny_task().load_data()
    lonely = Dataset(data.objects[:1], data.scores[:1])
    _, simulate = simulation("bo", budget=4, r=2, load_data=lambda: lonely)
    history = simulate(0).history
    assert int(history.used) == 4
    assert np.isfinite(history.latents).all()


@pytest.mark.slow
def test_a_seed_alone_starts_as_it_does_in_a_batch():
    """Up to rounding, which depends on the compiled program, and later grows."""
    from wrlso.parallel import over_seeds, plan_seeds

    _, simulate = simulation("bo", budget=6, r=3)

    def latents(seeds, devices):
        plan = plan_seeds(len(seeds), devices, "map")
        lanes = jnp.concatenate([seeds, jnp.zeros(plan.lanes - len(seeds), seeds.dtype)])
        return jax.jit(over_seeds(lambda seed, _: simulate(seed).history.latents, plan))(lanes, ())

    alone = latents(jnp.array([2]), 1)[0]
    np.testing.assert_allclose(latents(jnp.arange(3), 2)[2, :3], alone[:3], atol=0.02)


def test_an_acquisition_function_of_ones_own_gives_a_number_a_point():
    """It is asked about three points when it is given, and about all when it is used."""
    with pytest.raises(ValueError, match="acquisition must return a number for each of 3 points"):
        BOConfig(acquisition=lambda mean, variance, best: mean[:, None])
    config = BOConfig(acquisition=lambda mean, variance, best: mean[:3])
    with pytest.raises(ValueError, match="acquisition must return a number for each of 7 points"):
        jax.eval_shape(lambda x: _acquire(known_surrogate(), config, x, x), jnp.zeros(7))
