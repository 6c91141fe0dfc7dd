"""Three classical ways to generate towards a target by following gradients.

Each follows the gradient of h: a learned regressor, or the objective itself where that is
differentiable. ``latent_ascent`` moves latent points up h(g(z)) (Gómez-Bombarelli et al. 2018).
``data_ascent`` moves objects up h(x) (activation maximisation). ``generator`` trains a network
whose samples score high, as an amortised optimiser does. Each pool serves a whole round.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from wrlso.data import all_scores, gather
from wrlso.gp.standardize import standardizer
from wrlso.maximize import maximize
from wrlso.models.descent import descend
from wrlso.models.elbo import gaussian_kl
from wrlso.models.sampling import prng_key
from wrlso.models.vae import VAE, Relaxation, decode_all, encode_all
from wrlso.proposers.base import Pool, Proposer, View
from wrlso.proposers.regressor import RegressorConfig, initial_params, make_regressor
from wrlso.scores import Objective
from wrlso.scores.checks import check_whole, keep_numbers, keep_whole, values_of_rows
from wrlso.storage.digest import describe

GradientMethod = Literal["latent_ascent", "data_ascent", "generator"]
_SPARE_DRAWS = 4
"""Prior draws per climb that ``latent_ascent`` keeps in reserve."""

GRADIENT_METHODS: tuple[GradientMethod, ...] = ("latent_ascent", "data_ascent", "generator")


@dataclass(frozen=True)
class GradientConfig:
    """Settings of the gradient proposers. All static.

    Attributes:
      evaluations: number of evaluations of h and its gradient per climb.
      bound: latent points stay in ``[-bound, bound]`` in every dimension.
      regressor: settings of h, unless the objective itself is followed.
      generator_steps: number of Adam steps per round.
      generator_batch: number of samples per step.
      temperature: factor of the KL divergence between the generator's samples and the prior, in
        standard deviations of the scores per nat. A larger factor keeps the samples diverse.

    Raises:
      ValueError: if a number is out of range or not whole.
    """

    evaluations: int = 40
    bound: float = 3.0
    regressor: RegressorConfig = field(default_factory=RegressorConfig)
    generator_steps: int = 300
    generator_batch: int = 64
    temperature: float = 0.1

    def __post_init__(self) -> None:
        keep_whole(self, {"evaluations": 1, "generator_steps": 0, "generator_batch": 1})
        keep_numbers(self, "bound", "temperature")


def gradient_ascent(
    method: GradientMethod,
    vae: VAE,
    batch: int,
    soft_objective: Objective | None = None,
    config: GradientConfig | None = None,
) -> Proposer:
    """A proposer that follows gradients.

    Args:
      method: ``"latent_ascent"``, ``"data_ascent"`` or ``"generator"``.
      vae: a model with a relaxation.
      batch: q, queries per pool. Half as many again are climbed to, as a reserve.
      soft_objective: the objective on soft objects, to follow it directly; these evaluations count
        as uncharged. Higher is better: of a task that minimises, that of ``task.maximized()``.
        None: a regressor is learned from charged scores.
      config: effort, bounds, regressor.

    Raises:
      ValueError: if the method is unknown, the model has no relaxation, or the batch is not whole.
    """
    if method not in GRADIENT_METHODS:
        raise ValueError(
            f"unknown gradient method {method!r}; there are: {', '.join(GRADIENT_METHODS)}"
        )
    if vae.relaxation is None:
        raise ValueError(
            f"proposer {method!r} follows gradients through soft objects, which this task's model "
            "does not have: choose 'bo' or 'prior', or give its VAE a relaxation"
        )
    config, batch = config or GradientConfig(), check_whole("batch", batch, 1)
    lanes = batch + (batch + 1) // 2
    climb = {"latent_ascent": _latent, "data_ascent": _data, "generator": _generator}[method]
    chosen = climb(vae, lanes, config)
    fit: Any
    memory: Any = ()
    h: Any
    if soft_objective is None:
        fit, h = make_regressor(vae, config.regressor)
        memory = initial_params(prng_key(0), _a_soft_object(vae), config.regressor)
        uncharged = 0
    else:
        h = lambda surrogate, soft: _soft_scores(soft_objective, soft) / surrogate  # noqa: E731
        fit = _unit_of_scores
        uncharged = {
            "latent_ascent": lanes * (config.evaluations + _SPARE_DRAWS),
            "data_ascent": lanes * config.evaluations,
            "generator": config.generator_steps * config.generator_batch,
        }[method]

    def propose(key: Array, view: View, surrogate: Any) -> Pool:
        return chosen(key, view, lambda soft: h(surrogate, soft))

    follows = "regressor" if soft_objective is None else "objective"
    settings = {"gradient_of": follows, **describe(config)}
    return Proposer(method, propose, batch, uncharged, fit=fit, memory=memory, settings=settings)


def _soft_scores(soft_objective: Callable[[Array], Array], soft: Array) -> Array:
    """Scores ``[B]`` of soft objects ``[B, ...]``.

    Raises:
      ValueError: if the function returns anything but a real number for each.
    """
    task = f"map soft objects {list(soft.shape)} to scores {list(soft.shape[:1])}"
    return values_of_rows(
        "soft_objective", lambda: soft_objective(soft), len(soft), task, values="scores"
    )


def _unit_of_scores(key: Array, view: View, memory: Any) -> tuple[Any, Array]:
    """The scores' standard deviation, of any scale. In this unit of the objective, one temperature
    suits all tasks."""
    return memory, standardizer(*all_scores(view.base, view.history)).deviation


Climb = Callable[[Array, View, Callable[[Array], Array]], Pool]


def _latent(vae: VAE, lanes: int, config: GradientConfig) -> Climb:
    """z <- z + grad h(g(z)), from good data and prior draws alike."""
    relaxation = _relaxation(vae)

    def climb(key: Array, view: View, h: Callable[[Array], Array]) -> Pool:
        corner = jnp.full(vae.latent_dim, config.bound, jnp.float32)
        good_key, draw_key, spare_key = jax.random.split(key, 3)
        good = encode_all(vae, view.params, _good_objects(good_key, view, lanes // 2))
        draws = jax.random.normal(draw_key, (lanes - len(good), vae.latent_dim), jnp.float32)
        score = lambda z: h(relaxation.decode(view.params, z))  # noqa: E731
        starts = jnp.concatenate([good.astype(jnp.float32), draws])
        found = maximize(score, starts, -corner, corner, config.evaluations)
        # The best of more draws fill the pool where many climbs end on one summit.
        more = jax.random.normal(spare_key, (_SPARE_DRAWS * lanes, vae.latent_dim), jnp.float32)
        more = jnp.clip(more, -config.bound, config.bound)
        more = more[jnp.argsort(-lax.map(lambda z: score(z[None])[0], more, batch_size=lanes))]
        z = jnp.concatenate([found.points, more])
        return Pool(z, decode_all(vae, view.params, z))

    return climb


def _data(vae: VAE, lanes: int, config: GradientConfig) -> Climb:
    """x <- x + grad h(x) from good data, then the nearest object; its latent is its encoding.

    Nothing keeps x near the objects that the model can decode.
    """
    relaxation = _relaxation(vae)

    def climb(key: Array, view: View, h: Callable[[Array], Array]) -> Pool:
        good_key, noise_key = jax.random.split(key)
        soft = relaxation.soften(_good_objects(good_key, view, lanes))
        flat = soft.reshape(len(soft), -1)
        # Noise moves starts off the corners of the cube, and no two are alike.
        noise = jax.random.uniform(noise_key, flat.shape, flat.dtype, -1, 1)
        start = 0.1 + 0.8 * flat + 0.1 * noise
        edge = jnp.ones(flat.shape[1], flat.dtype)
        found = maximize(
            lambda x: h(x.reshape(-1, *soft.shape[1:])), start, 0 * edge, edge, config.evaluations
        )
        objects = relaxation.harden(found.points.reshape(soft.shape))
        return Pool(encode_all(vae, view.params, objects), objects)

    return climb


class _Network(nn.Module):
    latent_dim: int

    @nn.compact
    def __call__(self, noise: Array) -> Array:
        x = nn.relu(nn.Dense(64)(noise))
        x = nn.relu(nn.Dense(64)(x))
        return noise + nn.Dense(self.latent_dim, kernel_init=nn.initializers.zeros)(x)


def _generator(vae: VAE, lanes: int, config: GradientConfig) -> Climb:
    """Train G on E[h(g(G(noise)))] - temperature * KL(G's samples, prior), then sample it.

    The divergence is that of the normal distribution with the batch's moments. G starts as the
    identity, so that its samples start as the prior's.
    """
    relaxation, network = _relaxation(vae), _Network(vae.latent_dim)
    optimizer = optax.adam(3e-3)

    def climb(key: Array, view: View, h: Callable[[Array], Array]) -> Pool:
        def sample(params: Any, key: Array, n: int) -> Array:
            noise = jax.random.normal(key, (n, vae.latent_dim), jnp.float32)
            z = jnp.asarray(network.apply(params, noise))
            return jnp.clip(z, -config.bound, config.bound)

        def loss(params: Any, key: Array) -> Array:
            z = sample(params, key, config.generator_batch)
            log_std = 0.5 * jnp.log(z.var(0) + 1e-6)
            kl = gaussian_kl(z.mean(0)[None], log_std[None])[0]
            return config.temperature * kl - h(relaxation.decode(view.params, z)).mean()

        def step(i: Array, carry: tuple[Any, Any]) -> tuple[Any, Any]:
            params, state = carry
            grads = jax.grad(loss)(params, jax.random.fold_in(key, i))
            grads = jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), g, 0.0), grads)
            return descend(optimizer, grads, state, params)

        params = network.init(key, jnp.zeros((1, vae.latent_dim), jnp.float32))
        start = (params, optimizer.init(params))
        params, _ = lax.fori_loop(0, config.generator_steps, step, start)
        z = sample(params, jax.random.fold_in(key, config.generator_steps), 4 * lanes)
        return Pool(z, decode_all(vae, view.params, z))

    return climb


def _a_soft_object(vae: VAE) -> Array:
    def make(key: Array) -> Array:
        return _relaxation(vae).decode(vae.init(key), jnp.zeros((1, vae.latent_dim), jnp.float32))

    like = jax.eval_shape(make, prng_key(0))
    return jnp.zeros(like.shape, like.dtype)


def _relaxation(vae: VAE) -> Relaxation:
    assert vae.relaxation is not None
    return vae.relaxation


def _good_objects(key: Array, view: View, n: int) -> Array:
    """The n best distinct objects of base and queries ``[n, ...]``; random base ones to fill up."""
    scores, usable = all_scores(view.base, view.history)
    distinct = jnp.concatenate([view.distinct, jnp.ones(view.history.scores.shape, bool)])
    _, rows = lax.top_k(jnp.where(usable & distinct, scores, -jnp.inf), min(n, len(scores)))
    filler = jax.random.randint(key, (n,), 0, view.base.scores.shape[0], jnp.int32)
    rows = jnp.where(usable[rows] & distinct[rows], rows, filler[: len(rows)])
    rows = jnp.concatenate([rows, filler[len(rows) :]])
    return gather(view.base, view.history, rows)
