"""Bayesian optimisation in latent space: the proposer ``bo``.

It reads nothing but charged scores. Each query maximises an acquisition function of the surrogate
within a box of the latent space. Climbs start at good data, near them, and at draws of the prior.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from wrlso import acquisition as acq
from wrlso.maximize import maximize
from wrlso.models.vae import VAE, decode_all, encode_all
from wrlso.proposers.base import Pool, Proposer, View
from wrlso.proposers.pending import fantasize_all
from wrlso.proposers.surrogate import (
    Surrogate,
    SurrogateConfig,
    fantasize,
    fit_surrogate,
    initial_memory,
    measures,
    observe,
    predict,
    predict_joint,
    predict_scores,
)

AcquisitionName = Literal["log_ei", "ei", "ucb", "thompson"]
AcquisitionFunction = Callable[[Array, Array, Array], Array]
"""``(mean [s], variance [s], best_f []) -> values [s]`` in standard units of the scores; higher is
better. Each value depends on its own point only, and is differentiable."""

ACQUISITIONS: dict[str, AcquisitionFunction] = {
    "log_ei": acq.log_expected_improvement,
    "ei": acq.expected_improvement,
}
"""Acquisition functions that need nothing but mean, variance and best score, by name. ``bo`` also
knows ``"ucb"`` and ``"thompson"``."""

_OTHER_ACQUISITIONS = ("ucb", "thompson")


@dataclass(frozen=True)
class BOConfig:
    """Settings of the search for the next points. All static.

    Attributes:
      acquisition: ``"log_ei"``, ``"ei"``, ``"ucb"`` (with ``ucb_beta``), ``"thompson"`` (which
        samples at the draws instead of climbing), or a function of your own
        (:data:`AcquisitionFunction`).
      ucb_beta: factor of the variance in the upper confidence bound, under a square root.
      starts: number of climbs side by side, half from the best draws and half from good data.
      candidates: number of draws from the prior and around good data. Starts are chosen among them,
        and so are Thompson's samples, and the proposals where all maxima are known.
      near: share of the draws that are around good data, in [0, 1].
      least_step: the smallest step of such a draw, as a share of the largest, in (0, 1]. That
        one is 1 in each dimension, or ``region``.
      evaluations: maximum number of evaluations of the acquisition function per climb; 0: nothing
        climbs, the draws and the good data themselves are proposed.
      max_duplicates: maximum number of maxima per ask that decode to known objects and are observed
        although nothing is evaluated.
      bound: latent points stay in ``[-bound, bound]`` in every dimension.
      region: distance per dimension that a climb may go from its start; None: anywhere within the
        bounds. In many dimensions nearly all of the box is far from all data, where a model may
        decode to anything.
      max_norm: points further from the origin are moved to this distance; None: no limit. Nearly
        all of the prior lies within 1.1 sqrt(d).
      reencode: rank the decodes of all points by the acquisition function at their own encodings,
        which is where the surrogate's data lie. A point far from all data may decode to an object
        whose encoding is elsewhere; what the surrogate expects at the point then says little.
      surrogate: the model of the scores.
    """

    acquisition: AcquisitionName | AcquisitionFunction = "log_ei"
    ucb_beta: float = 4.0
    starts: int = 20
    candidates: int = 256
    near: float = 0.5
    least_step: float = 10**-0.5
    evaluations: int = 60
    max_duplicates: int = 2
    bound: float = 3.0
    region: float | None = None
    max_norm: float | None = None
    reencode: bool = False
    surrogate: SurrogateConfig = field(default_factory=SurrogateConfig)

    def __post_init__(self) -> None:
        names = (*ACQUISITIONS, *_OTHER_ACQUISITIONS)
        if not callable(self.acquisition) and self.acquisition not in names:
            raise ValueError(
                f"acquisition must be a function or one of {', '.join(names)}, got "
                f"{self.acquisition!r}"
            )
        if not 1 <= self.starts <= self.candidates // 3:
            raise ValueError(
                f"starts must be between 1 and a third of candidates = {self.candidates}, got "
                f"{self.starts}"
            )
        if self.region is not None and not self.region > 0:
            raise ValueError(f"region must be positive or None, got {self.region:g}")
        if self.max_norm is not None and not self.max_norm > 0:
            raise ValueError(f"max_norm must be positive or None, got {self.max_norm:g}")
        if self.reencode and self.acquisition == "thompson":
            raise ValueError(
                "reencode = True ranks by an acquisition function of mean and variance, which "
                "'thompson' is not: choose another acquisition"
            )
        if not (0 <= self.near <= 1 and 0 < self.least_step <= 1):
            raise ValueError(
                "near must be a share in [0, 1] and least_step one in (0, 1], got near = "
                f"{self.near:g}, least_step = {self.least_step:g}"
            )
        if self.evaluations < 0 or self.bound <= 0 or min(self.ucb_beta, self.max_duplicates) < 0:
            raise ValueError(
                "evaluations must be at least 0, bound positive, ucb_beta and max_duplicates not "
                f"negative, got evaluations = {self.evaluations}, bound = {self.bound:g}, "
                f"ucb_beta = {self.ucb_beta:g}, max_duplicates = {self.max_duplicates}"
            )


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
      ValueError: if a batch is larger than the number of candidates.
    """
    config = config or BOConfig()
    if not 1 <= batch <= config.candidates:
        raise ValueError(
            f"batch must be between 1 and candidates = {config.candidates}, got {batch}: lower it, "
            "or raise candidates"
        )

    def propose(key: Array, view: View, surrogate: Surrogate) -> Pool:
        choose = _thompson if config.acquisition == "thompson" else _climb
        x = choose(key, surrogate, config, 1 if config.reencode else batch)
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

    def rank_next(
        carry: tuple[Surrogate, Array], place: Array
    ) -> tuple[tuple[Surrogate, Array], None]:
        surrogate, rank = carry
        open_ = jnp.isinf(rank)
        best = jnp.where(open_, _acquisition(surrogate, config, x), -jnp.inf).argmax()
        return (fantasize(surrogate, x[best]), rank.at[best].set(place)), None

    rank = jnp.full(len(x), jnp.inf)
    places = jnp.arange(batch - 1, dtype=rank.dtype)
    (surrogate, rank), _ = lax.scan(rank_next, (surrogate, rank), places)
    order = jnp.lexsort((-_acquisition(surrogate, config, x), rank))
    return Pool(encoded[order], objects[order])


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
    draw_key, near_key = jax.random.split(key)
    good = _best_data(surrogate, config.starts)
    draws = _draws(draw_key, surrogate, config, good)
    best_first = jnp.argsort(-score(draws.points))
    draws = jax.tree.map(lambda a: a[best_first], draws)
    near = _good_data(near_key, surrogate, config, good[: config.starts // 2])
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
    x = _draws(draw_key, surrogate, config, _best_data(surrogate, config.starts)).points
    rows = acq.thompson(sample_key, *predict_joint(surrogate, x), max(batch, 3 * config.starts))
    return x[rows]


def _acquisition(surrogate: Surrogate, config: BOConfig, x: Array) -> Array:
    mean, variance = predict(surrogate, x)
    if config.acquisition == "ucb":
        return acq.upper_confidence_bound(mean, variance, config.ucb_beta)
    function = config.acquisition
    if not callable(function):
        function = ACQUISITIONS[function]
    return function(mean, variance, surrogate.best)


class _Starts(NamedTuple):
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


def _near(surrogate: Surrogate, config: BOConfig, points: Array, step: Array) -> _Starts:
    """Points moved by steps that stay within their regions."""
    lower, upper = _box(surrogate, config)
    centres = jnp.clip(points, lower, upper)
    region = jnp.inf if config.region is None else config.region
    reach = (region / surrogate.latent_units.deviation)[None]
    lower, upper = jnp.maximum(lower, centres - reach), jnp.minimum(upper, centres + reach)
    return _Starts(jnp.clip(points + step.astype(points.dtype), lower, upper), lower, upper)


def _draws(key: Array, surrogate: Surrogate, config: BOConfig, good: Array) -> _Starts:
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
        anywhere = _Starts(jnp.clip(draws, lower, upper), *box)
    else:
        anywhere = _near(surrogate, config, draws, jnp.zeros_like(draws))
    least = math.log10(config.least_step)
    scale = 10.0 ** jax.random.uniform(scale_key, (n, 1), jnp.float32, minval=least, maxval=0.0)
    step = scale * jax.random.normal(near_key, (n, d), jnp.float32)
    step = step.astype(good.dtype) / surrogate.latent_units.deviation[None]
    farthest = min(1.0, config.region or 1.0)
    near = _near(surrogate, config, good[jnp.arange(n) % len(good)], farthest * step)
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), anywhere, near)


def _good_data(key: Array, surrogate: Surrogate, config: BOConfig, good: Array) -> _Starts:
    """Good data, each moved a little."""
    return _near(surrogate, config, good, 0.1 * jax.random.normal(key, good.shape, jnp.float32))


def _best_data(surrogate: Surrogate, n: int) -> Array:
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
