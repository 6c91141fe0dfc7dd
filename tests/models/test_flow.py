"""A learned prior: a flow fitted with the loop's weights, in place of the model's retraining."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import wrlso
from tests.builders import METHOD, make_tiny_task, tiny_data, tiny_params, tiny_run
from wrlso import loop
from wrlso.models.flow import (
    flow_forward,
    flow_inverse,
    flow_log_prob,
    init_flow,
    with_flow,
)
from wrlso.models.sampling import prng_key
from wrlso.tasks import with_learned_prior


def random_flow(dim=5, layers=6, hidden=16, size=0.3):
    """A flow that moves points, unlike a new one."""
    flow = init_flow(prng_key(0), dim, layers, hidden)
    leaves, form = jax.tree.flatten(flow)
    rng = np.random.default_rng(1)
    moved = [a + size * rng.standard_normal(a.shape).astype(np.float32) for a in leaves]
    return jax.tree.unflatten(form, moved)


POINTS = np.random.default_rng(2).standard_normal((7, 5)).astype(np.float32)


def test_a_new_flow_maps_each_point_to_itself():
    flow = init_flow(prng_key(3), 5)
    np.testing.assert_array_equal(flow_forward(flow, POINTS), POINTS)
    base, stretched = flow_inverse(flow, POINTS)
    np.testing.assert_array_equal(base, POINTS)
    assert not np.asarray(stretched).any()
    normal = jax.scipy.stats.norm.logpdf(POINTS).sum(-1)
    np.testing.assert_allclose(flow_log_prob(flow, POINTS), normal, rtol=1e-5)


@pytest.mark.parametrize("dim", [2, 3, 5])
def test_the_inverse_is_the_inverse_and_its_determinant_the_jacobians(dim):
    flow, points = random_flow(dim), POINTS[:, :dim]
    latents = flow_forward(flow, points)
    assert np.abs(np.asarray(latents) - points).max(0).min() > 0.05  # every dimension is moved
    base, stretched = flow_inverse(flow, latents)
    np.testing.assert_allclose(base, points, atol=1e-4)
    jacobian = jax.vmap(jax.jacfwd(lambda z: flow_inverse(flow, z[None])[0][0]))(latents)
    np.testing.assert_allclose(
        stretched.sum(-1), np.linalg.slogdet(np.asarray(jacobian)).logabsdet, atol=1e-3
    )


def test_the_density_integrates_to_one():
    flow = random_flow(2, 4, 8)
    axis = np.linspace(-15, 15, 601, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    mass = (
        np.exp(np.asarray(flow_log_prob(flow, grid), np.float64)).sum() * (axis[1] - axis[0]) ** 2
    )
    assert mass == pytest.approx(1.0, abs=0.02)


def test_a_fitted_flow_finds_the_density_of_a_bent_ridge():
    """Its mean log-likelihood on held-out points nears the true one, which no Gaussian reaches."""
    rng = np.random.default_rng(0)

    def sample(n):
        x = rng.standard_normal(n)
        return np.stack([x, x**2 + 0.3 * rng.standard_normal(n)], -1).astype(np.float32)

    def true_density(z):
        first = jax.scipy.stats.norm.logpdf(z[:, 0])
        return (first + jax.scipy.stats.norm.logpdf(z[:, 1], z[:, 0] ** 2, 0.3)).mean()

    train, held_out = sample(4000), sample(2000)
    flow, optimizer = init_flow(prng_key(0), 2, 6, 32), optax.adam(5e-3)

    @jax.jit
    def step(flow, state, rows):
        grads = jax.grad(lambda flow: -flow_log_prob(flow, rows).mean())(flow)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(flow, updates), state

    state = optimizer.init(flow)
    for _ in range(600):
        flow, state = step(flow, state, train[rng.integers(len(train), size=256)])
    covariance = np.cov(train.T)
    gaussian = jax.scipy.stats.multivariate_normal.logpdf(held_out, train.mean(0), covariance)
    best, found = true_density(held_out), flow_log_prob(flow, held_out).mean()
    assert gaussian.mean() < best - 1.0
    assert found > best - 0.15


def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match=r"at least 2 dimensions.*dim = 1"):
        init_flow(prng_key(0), 1)
    with pytest.raises(ValueError, match="layers = 0"):
        init_flow(prng_key(0), 4, layers=0)


def test_the_model_of_a_new_flow_is_the_model():
    task = make_tiny_task()
    bent = with_flow(task.vae)
    params = {"vae": task.params, "flow": init_flow(prng_key(0), task.vae.latent_dim)}
    objects, key = tiny_data().objects[:20], prng_key(4)
    means = task.vae.encode(task.params, objects)[0]
    assert jax.eval_shape(bent.init, key)["flow"][0]["out"]["bias"].shape == (4,)
    for mine, theirs in (
        (bent.encode(params, objects), task.vae.encode(task.params, objects)),
        (bent.decode(params, means), task.vae.decode(task.params, means)),
        (
            bent.log_likelihood(params, means, objects),
            task.vae.log_likelihood(task.params, means, objects),
        ),
        (
            bent.relaxation.decode(params, means),
            task.vae.relaxation.decode(task.params, means),
        ),
    ):
        jax.tree.map(np.testing.assert_array_equal, mine, theirs)


def test_the_loss_is_the_divergence_from_the_prior():
    """With a flow that moves nothing it is the closed form, in the mean over many draws."""
    task = make_tiny_task()
    bent = with_flow(task.vae)
    params = {"vae": task.params, "flow": init_flow(prng_key(0), task.vae.latent_dim)}
    objects = tiny_data().objects[:3]
    draws = jax.vmap(lambda key: bent.loss(key, params, objects, 1.0))(
        jax.random.split(prng_key(5), 4000)
    )
    exact = wrlso.gaussian_kl(*task.vae.encode(task.params, objects))
    error = np.asarray(draws).std(0) / np.sqrt(len(draws))
    assert (np.abs(np.asarray(draws).mean(0) - exact) < 4 * error).all()


def preference(task, params):
    """The mean log-density of the best twenty objects' latents, less that of all, in nats."""
    data = task.load_data()
    means = task.vae.encode(params, data.objects)[0]
    latents = flow_forward(params["flow"], means)
    density = np.asarray(flow_log_prob(params["flow"], latents))
    return density[np.argsort(-np.asarray(data.scores))[:20]].mean() - density.mean()


@pytest.mark.slow
def test_weights_bend_the_prior_towards_good_objects_and_leave_the_model():
    column = np.full(16, 0.5, np.float32)  # the latent is the number of bits, nearly without noise
    encoder = np.stack([column, tiny_params()["encoder"][:, 1], column, column], -1)
    params = {**tiny_params(), "encoder": encoder}
    task = with_learned_prior(make_tiny_task(params=params), first_steps=200, learning_rate=1e-2)
    base, found = wrlso.base_data(task), {}
    for k in (1e-2, np.inf):
        algorithm = wrlso.algorithm(task, METHOD.with_options(k=k), proposer="prior")
        retrain = jax.jit(partial(loop.retrain, algorithm, prng_key(0), base=base, steps=200))
        state, info = retrain(loop.init(algorithm, task.params, base.dataset))
        jax.tree.map(np.testing.assert_array_equal, state.params["vae"], params)
        assert info.finite
        assert np.isfinite(info.loss)
        found[k] = preference(task, state.params)
    assert found[1e-2] > found[np.inf] + 1.0, found


@pytest.mark.slow
def test_a_run_with_a_learned_prior_is_resumed_and_equals_a_simulation(tmp_path):
    def task():
        return with_learned_prior(make_tiny_task(), first_steps=20, steps=5)

    whole = tiny_run(tmp_path / "whole", task(), proposer="prior")
    grown = tiny_run(tmp_path / "grown", task(), proposer="prior", budget=4)
    assert len(grown.queries()) < len(whole.queries())
    grown = wrlso.resume(tmp_path / "grown", task=task(), budget=12, progress=False)
    assert [q.object for q in grown.queries()] == [q.object for q in whole.queries()]
    made = task()
    algorithm = wrlso.algorithm(made, METHOD, budget=12, proposer="prior")
    state, _ = jax.jit(wrlso.simulate, static_argnums=(0, 1))(
        algorithm, made.objective, 1, made.params, wrlso.base_data(made)
    )
    mine = [q.object for q in whole.queries() if q.seed == 1 and q.score is not None]
    simulated = np.asarray(state.history.objects)[: int(state.history.used)]
    assert mine == [row.tobytes() for row in simulated]


def test_a_task_without_parameters_needs_them():
    with pytest.raises(ValueError, match=r"no parameters.*wrlso\.pretrained"):
        with_learned_prior(make_tiny_task(params=None))


def test_parameters_keep_their_type():
    task = make_tiny_task()
    half = jax.tree.map(lambda a: jnp.asarray(a, jnp.bfloat16), task.params)
    bent = with_learned_prior(task, half)
    assert {leaf.dtype for leaf in jax.tree.leaves(bent.params)} == {jnp.dtype(jnp.bfloat16)}
