"""Bayesian optimisation in latent space: the proposer ``bo``.

It reads nothing but charged scores. Each query maximises an acquisition function of the surrogate
within a box of the latent space. Climbs start at good data, near them, and at draws of the prior.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from wrlso import acquisition as acq
from wrlso.gp.linalg import matmul
from wrlso.maximize import maximize
from wrlso.models.vae import VAE, decode_all, encode_all
from wrlso.proposers.base import Pool, Proposer, View
from wrlso.proposers.bo_config import ACQUISITIONS, BOConfig, acquisition_of_own
from wrlso.proposers.pending import fantasize_all
from wrlso.proposers.starts import Starts, best_data, draw, near_data
from wrlso.proposers.surrogate import (
    Surrogate,
    fantasize,
    fit_surrogate,
    initial_memory,
    measures,
    observe,
    predict,
    predict_joint,
    predict_scores,
    predict_with_covariance,
)
from wrlso.scores.checks import as_whole, check_whole


def bo(
    vae: VAE, batch: int = 1, max_observations: int = 100, config: BOConfig | None = None
) -> Proposer:
    """Bayesian optimisation in latent space.

    Args:
      vae: the model.
      batch: q, queries chosen together. Each is chosen after a fantasy that the ones before it
        scored the surrogate's mean (Thompson sampling: by a sample of its own).
      max_observations: maximum number of queries between two fits. Their duplicates come on top.
      config: acquisition, maximiser and surrogate.

    Raises:
      ValueError: if a number is not whole, or a batch is larger than the number of candidates.
    """
    batch = as_whole("batch", batch)
    max_observations = check_whole("max_observations", max_observations, 1)
    config = (config or BOConfig()).for_batch(batch)
    if not 1 <= batch <= config.candidates:
        raise ValueError(
            f"batch must be between 1 and candidates = {config.candidates}, got {batch}: lower it, "
            "or raise candidates"
        )

    def propose(key: Array, view: View, surrogate: Surrogate) -> Pool:
        if config.reencode:
            x = _unranked(key, surrogate, config)
        elif config.acquisition == "thompson":
            x = _thompson(key, surrogate, config, batch)
        else:
            x = _climb(key, surrogate, config, batch)
        latents = surrogate.latent_units.invert(x)
        latents = jnp.clip(latents, -config.bound, config.bound)
        latents = _within(latents, config.max_norm).astype(jnp.float32)
        if config.reencode:
            return _reencoded(vae, view, surrogate, config, latents, batch)
        return Pool(latents)

    return Proposer(
        "bo",
        propose,
        batch,
        fit=partial(
            fit_surrogate,
            vae=vae,
            config=config.surrogate,
            max_observations=(max_observations // batch) * (batch + config.max_duplicates) + batch,
        ),
        observe=partial(observe, penalty=config.surrogate.penalty),
        fantasize=fantasize_all,
        decode_first=max(batch - 1 + config.starts, config.max_duplicates),
        max_duplicates=config.max_duplicates,
        memory=initial_memory(vae, config.surrogate),
        settings=config,
        predict=predict_scores,
        measures=measures,
    )


def _reencoded(
    vae: VAE, view: View, surrogate: Surrogate, config: BOConfig, latents: Array, batch: int
) -> Pool:
    """The decodes of points, at their own encodings, ranked by the acquisition function there.

    The first of a batch are ranked one after the other, each after fantasies of those before it.
    """
    objects = decode_all(vae, view.params, latents)
    encoded = encode_all(vae, view.params, objects)
    x = surrogate.latent_units.apply(encoded)

    order = _rank(surrogate, config, x, batch)
    return Pool(encoded[order], objects[order])


def _rank(surrogate: Surrogate, config: BOConfig, x: Array, batch: int) -> Array:
    """The order ``[s]`` of points ``x [s, d]``, the best first.

    A fantasy that a point scored its mean leaves all means as they are. It lowers each variance by
    the squared covariance with the point, over the point's variance and noise: O(s n), where a
    posterior costs O(s n^2).
    """
    mean, variance, covariance = predict_with_covariance(surrogate, x)
    function = partial(_acquire, surrogate, config, mean)

    def rank_next(
        carry: tuple[Array, Array, Array], place: Array
    ) -> tuple[tuple[Array, Array, Array], None]:
        variance, explained, rank = carry
        best = jnp.where(jnp.isinf(rank), function(variance), -jnp.inf).argmax()
        remaining = covariance(best) - matmul(explained, explained[best])
        share = remaining / jnp.sqrt(jnp.maximum(remaining[best], 0.0) + surrogate.gp.noise)
        variance = jnp.maximum(variance - share**2, 0.0)
        explained = explained.at[:, place].set(share)
        return (variance, explained, rank.at[best].set(place.astype(rank.dtype))), None

    # A column per fantasy; that of the last query stays empty.
    start = (variance, jnp.zeros((len(x), batch), x.dtype), jnp.full(len(x), jnp.inf))
    (variance, _, rank), _ = lax.scan(rank_next, start, jnp.arange(batch - 1))
    return jnp.lexsort((-function(variance), rank))


def _unranked(key: Array, surrogate: Surrogate, config: BOConfig) -> Array:
    """Points ``[P, d]`` whose decodes are ranked: those of :func:`optimize`, or where nothing
    climbs, all starts in no order."""
    if config.evaluations > 0:
        return optimize(key, surrogate, config)
    near, draws = _starts_and_draws(key, surrogate, config)
    return jnp.concatenate([near.points, draws.points])


def _within(latents: Array, max_norm: float | None) -> Array:
    """Points ``[P, d]``, moved towards the origin where they are further away."""
    if max_norm is None:
        return latents
    norm = jnp.linalg.norm(latents, axis=1, keepdims=True)
    return latents * jnp.minimum(1.0, max_norm / jnp.maximum(norm, 1e-12))


def optimize(key: Array, surrogate: Surrogate, config: BOConfig) -> Array:
    """Maximise the acquisition function of a surrogate in the box.

    Args:
      key: typed PRNG key, for the starts.
      surrogate: from :func:`wrlso.proposers.surrogate.fit_surrogate`.
      config: acquisition function, starts, effort, bounds (static).

    Returns:
      ``[P, d]`` points in standard units: first the maxima, then the draws that no climb started
      from, each with the best first. The draws are there so that new objects are among the points.
    """
    score = partial(_acquisition, surrogate, config)
    near, draws = _starts_and_draws(key, surrogate, config)
    best_first = jnp.argsort(-score(draws.points))
    draws = jax.tree.map(lambda a: a[best_first], draws)
    n = config.starts - len(near.points)
    starts = jax.tree.map(lambda a, b: jnp.concatenate([a, b[:n]]), near, draws)
    if config.evaluations == 0:
        return jnp.concatenate([starts.points, draws.points[n:]])
    found = maximize(
        score,
        starts.points,
        starts.lower,
        starts.upper,
        config.evaluations,
        until_arrived=True,
    )
    return jnp.concatenate([found.points, draws.points[n:]])


def _starts_and_draws(key: Array, surrogate: Surrogate, config: BOConfig) -> tuple[Starts, Starts]:
    """Good data, each moved a little, and draws, in no order."""
    draw_key, near_key = jax.random.split(key)
    good = best_data(surrogate, config.starts)
    draws = draw(draw_key, surrogate, config, good)
    return near_data(near_key, surrogate, config, good[: config.starts // 2]), draws


def _climb(key: Array, surrogate: Surrogate, config: BOConfig, batch: int) -> Array:
    """Points ``[P, d]``: those of the batch by fantasies, then the other maxima of the last one."""

    def choose(surrogate: Surrogate, key: Array) -> tuple[Surrogate, Array]:
        points = optimize(key, surrogate, config)
        return fantasize(surrogate, points[0]), points

    if batch == 1:
        return optimize(key, surrogate, config)
    _, points = lax.scan(choose, surrogate, jax.random.split(key, batch))
    return jnp.concatenate([points[:, 0], points[-1, 1:]])


def _thompson(key: Array, surrogate: Surrogate, config: BOConfig, batch: int) -> Array:
    """Points ``[P, d]``, each the best of its own joint posterior sample at the draws."""
    draw_key, sample_key = jax.random.split(key)
    x = draw(draw_key, surrogate, config, best_data(surrogate, config.starts)).points
    rows = acq.thompson(sample_key, *predict_joint(surrogate, x), max(batch, 3 * config.starts))
    return x[rows]


def _acquisition(surrogate: Surrogate, config: BOConfig, x: Array) -> Array:
    return _acquire(surrogate, config, *predict(surrogate, x))


def _acquire(surrogate: Surrogate, config: BOConfig, mean: Array, variance: Array) -> Array:
    if config.acquisition == "ucb":
        return acq.upper_confidence_bound(mean, variance, config.ucb_beta)
    if callable(config.acquisition):
        return acquisition_of_own(config.acquisition, mean, variance, surrogate.best)
    return ACQUISITIONS[config.acquisition](mean, variance, surrogate.best)
