"""Points at which Bayesian optimisation starts: good data, near them, and draws of the prior."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from wrlso.proposers.bo_config import BOConfig
from wrlso.proposers.surrogate import Surrogate


class Starts(NamedTuple):
    """Starts of climbs.

    Attributes:
      points: ``[n, d]``.
      lower, upper: ``[n, d]``, the box of each climb.
    """

    points: Array
    lower: Array
    upper: Array


def _box(surrogate: Surrogate, config: BOConfig) -> tuple[Array, Array]:
    corner = jnp.full((1, surrogate.latents.shape[1]), config.bound, jnp.float32)
    return surrogate.latent_units.apply(-corner), surrogate.latent_units.apply(corner)


def _near(surrogate: Surrogate, config: BOConfig, points: Array, step: Array) -> Starts:
    """Points moved by steps that stay within their regions."""
    lower, upper = _box(surrogate, config)
    centres = jnp.clip(points, lower, upper)
    region = jnp.inf if config.region is None else config.region
    reach = (region / surrogate.latent_units.deviation)[None]
    lower, upper = jnp.maximum(lower, centres - reach), jnp.minimum(upper, centres + reach)
    return Starts(jnp.clip(points + step.astype(points.dtype), lower, upper), lower, upper)


def draw(key: Array, surrogate: Surrogate, config: BOConfig, good: Array) -> Starts:
    """Draws from the prior, and draws around good data.

    The latter are up to 1 away in each dimension, as a model may map a whole region to one object,
    or as far away as a region reaches.
    """
    prior_key, near_key, scale_key = jax.random.split(key, 3)
    n, d = int(config.candidates * config.near), surrogate.latents.shape[1]
    lower, upper = _box(surrogate, config)
    prior = jax.random.normal(prior_key, (config.candidates - n, d), jnp.float32)
    draws = surrogate.latent_units.apply(prior)
    if config.region is None:
        box = (jnp.broadcast_to(side, draws.shape) for side in (lower, upper))
        anywhere = Starts(jnp.clip(draws, lower, upper), *box)
    else:
        anywhere = _near(surrogate, config, draws, jnp.zeros_like(draws))
    least = math.log10(config.least_step)
    scale = 10.0 ** jax.random.uniform(scale_key, (n, 1), jnp.float32, minval=least, maxval=0.0)
    step = scale * jax.random.normal(near_key, (n, d), jnp.float32)
    step = step.astype(good.dtype) / surrogate.latent_units.deviation[None]
    farthest = min(1.0, config.region or 1.0)
    near = _near(surrogate, config, good[jnp.arange(n) % len(good)], farthest * step)
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), anywhere, near)


def near_data(key: Array, surrogate: Surrogate, config: BOConfig, good: Array) -> Starts:
    """Good data, each moved a little."""
    return _near(surrogate, config, good, 0.1 * jax.random.normal(key, good.shape, jnp.float32))


def best_data(surrogate: Surrogate, n: int) -> Array:
    """At most n latents of highest score.

    One of several latents with equal scores comes first, the others last, as they may be one object
    in many spellings.
    """
    known = jnp.where(surrogate.mask, surrogate.scores, -jnp.inf)
    scores, rows = lax.top_k(known, known.shape[0])
    repeated = jnp.concatenate([jnp.zeros(1, bool), scores[1:] == scores[:-1]])
    # Masked rows come last of all.
    order = jnp.where(jnp.isfinite(scores), repeated.astype(jnp.int32), 2)
    return surrogate.latents[rows[jnp.argsort(order, stable=True)[:n]]]
