"""Weights of the methods that the paper compares with, as functions of scores.

As for rank weights: non-negative, summing to one, exactly zero for rows that do not count;
all zero where no row counts, which leaves a model as it is.

DbAS and CEM-PI come in two forms. The paper pooled all data, base data included, and took
the threshold anew each round, so that it could fall. In the reference form (Brookes and
Listgarten 2018; Rubinstein 1999) only the samples of the last round count, base data never do,
and the threshold never falls. Rows that hardly reach it have no weight at all there, as in the
reference's code: a round in which nothing does leaves the model as it is.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from wrlso.weighting.checks import as_float, check_kind, check_number, with_type
from wrlso.weighting.ratio import ratio
from wrlso.weighting.usable import normalise, usable_scores

_FAR = 40.0
"""Units of noise beyond which a row's chance of reaching the threshold is 0 or 1 in any float."""

_NO_EXPONENTIAL = 400.0
"""The exponential of minus twice this is zero in any float."""

BASE = -1
"""The round of base rows."""

_CUTOFF = 1e-6
"""Chance of reaching the threshold below which the reference form of DbAS leaves a row out."""


def dbas_weights(
    scores: ArrayLike, quantile: ArrayLike, noise: ArrayLike, mask: ArrayLike | None = None
) -> Float[Array, " n"]:
    """Design by adaptive sampling: the probability that a noisy score reaches the threshold.

    ``w ~ Phi((f - t) / noise)``, ``t`` the ``quantile`` of all scores (Brookes and Listgarten
    2018, with the paper's pooled data and Gaussian noise).

    Args:
      scores: ``[N]``, higher is better.
      quantile: in [0, 1], may be traced.
      noise: standard deviation, positive, in the units of the scores.
      mask: ``[N]``, true where a row counts.

    Returns:
      ``[N]``.

    Raises:
      ValueError: for concrete arguments, as ``wrlso.rank_weights``.
    """
    scores, valid = usable_scores(scores, mask)
    return _reaching(scores, valid, masked_quantile(scores, valid, quantile), noise)


def cem_pi_weights(
    scores: ArrayLike, quantile: ArrayLike, mask: ArrayLike | None = None
) -> Float[Array, " n"]:
    """Cross-entropy method: equal weights for scores not below the ``quantile`` of all.

    Arguments, returns and errors as of :func:`dbas_weights`.
    """
    scores, valid = usable_scores(scores, mask)
    return _above(scores, valid, masked_quantile(scores, valid, quantile))


def rwr_weights(
    scores: ArrayLike, alpha: ArrayLike, mask: ArrayLike | None = None
) -> Float[Array, " n"]:
    """Reward-weighted regression (Peters and Schaal 2007): ``w ~ exp(alpha f)``.

    ``alpha`` is positive, per unit of the scores, and may be traced; otherwise arguments, returns
    and errors as of :func:`dbas_weights`.
    """
    scores, valid = usable_scores(scores, mask)
    check_number("alpha", alpha, "positive", lambda a: a > 0)
    alpha = as_float("alpha", alpha, scores.dtype)
    # The best comes off first: alpha times a large score may overflow. No weight depends on it.
    # Halves of scores have room for their difference.
    top = lax.stop_gradient(jnp.where(valid, scores, -jnp.inf).max())
    half = jnp.where(valid, 0.5 * scores, 0.0) - jnp.where(valid.any(), 0.5 * top, 0.0)
    # Neither zero times infinity is computed, nor the slope of a weight that is zero in any float.
    infinite = jnp.isinf(alpha)
    finite = jnp.where(infinite, 1.0, alpha)
    none = (infinite & (half < 0)) | (finite * half < -_NO_EXPONENTIAL)
    part = finite * jnp.where(none, 0.0, half)
    power = jnp.where(none, -jnp.inf, part + part)
    return normalise(jnp.where(valid, jnp.exp(power), 0.0))


def feedback_weights(
    scores: ArrayLike,
    rounds: ArrayLike,
    quantile: ArrayLike,
    mask: ArrayLike | None = None,
) -> Float[Array, " n"]:
    """Feedback (FB-VAE, after Gupta and Zou 2019): equal weights for a buffer of fixed size.

    It begins with the base data. After each round, those new points enter that reach the
    ``quantile`` of this round's scores, each in the place of the oldest row.

    Args:
      scores: ``[N]``; base rows first, then queries in their order.
      rounds: ``[N]`` int32, -1 for base rows, else the round of the query.
      quantile: in [0, 1].
      mask: ``[N]``, true where a row counts.

    Returns:
      ``[N]``.

    Raises:
      ValueError: for concrete arguments, as ``wrlso.rank_weights``.
    """
    scores, valid = usable_scores(scores, mask)
    rounds = _round_of_each(rounds, scores)
    threshold = _by_round(scores, valid, rounds, quantile)
    base = valid & (rounds == BASE)
    entered = valid & (rounds != BASE) & (scores >= threshold)
    # The newest as many rows as the base data had, of all that ever were in the buffer.
    ever = base | entered
    newer = ever[::-1].cumsum(dtype=jnp.int32)[::-1] - ever.astype(jnp.int32)
    kept = ever & (newer < base.sum(dtype=jnp.int32))
    return normalise(kept.astype(scores.dtype))


def dbas_reference_weights(
    scores: ArrayLike,
    rounds: ArrayLike,
    quantile: ArrayLike,
    noise: ArrayLike,
    mask: ArrayLike | None = None,
) -> Float[Array, " n"]:
    """DbAS on the samples of the last round that has any score; the threshold never falls.

    Arguments, returns and errors as of :func:`feedback_weights`; ``noise`` as of
    :func:`dbas_weights`.
    """
    scores, valid, threshold = _last_round(scores, rounds, quantile, mask)
    check_number("noise", noise, "positive", lambda n: n > 0)
    chance = jax.scipy.stats.norm.cdf(_in_noise(scores, threshold, noise))
    return normalise(jnp.where(valid & (chance >= _CUTOFF), chance, 0.0))


def cem_pi_reference_weights(
    scores: ArrayLike,
    rounds: ArrayLike,
    quantile: ArrayLike,
    mask: ArrayLike | None = None,
) -> Float[Array, " n"]:
    """The cross-entropy method on the samples of the last round that has any score; the threshold
    never falls.

    Arguments, returns and errors as of :func:`feedback_weights`.
    """
    scores, valid, threshold = _last_round(scores, rounds, quantile, mask)
    return _above(scores, valid, threshold)


def masked_quantile(
    scores: Float[Array, " n"], valid: Bool[Array, " n"], quantile: ArrayLike
) -> Float[Array, ""]:
    """``[]``: as ``np.quantile`` of the valid scores, between neighbours linear; infinite, so
    that nothing reaches it, of none."""
    ordered = jnp.sort(jnp.where(valid, scores, jnp.inf))
    count = valid.sum(dtype=jnp.int32)
    return _quantile_of_part(ordered, jnp.int32(0), count, quantile)


def _quantile_of_part(ordered: Array, first: Array, count: Array, quantile: ArrayLike) -> Array:
    """The quantile of the ``count`` sorted values from place ``first`` on, both int32; infinite,
    so that nothing reaches it, of none."""
    check_number("quantile", quantile, "in [0, 1]", lambda q: (q >= 0) & (q <= 1))
    place = as_float("quantile", quantile, ordered.dtype) * (count - 1).astype(ordered.dtype)
    below = jnp.clip(jnp.floor(place).astype(jnp.int32), 0, jnp.maximum(count - 1, 0))
    above = jnp.minimum(below + 1, jnp.maximum(count - 1, 0))
    low, high = (ordered[jnp.minimum(first + at, len(ordered) - 1)] for at in (below, above))
    low, high = (jnp.where(count > 0, a, 0.0) for a in (low, high))
    beyond = place - below.astype(ordered.dtype)
    apart = high - low
    too_far = jnp.isinf(apart)
    between = jnp.where(
        too_far,
        (1 - beyond) * low + beyond * high,
        low + beyond * jnp.where(too_far, 0.0, apart),
    )
    # Not beyond its neighbours by rounding: of equal scores none is below their quantile.
    found = jnp.where(beyond > 0, jnp.minimum(between, high), low)
    return jnp.where(count > 0, found, jnp.inf)


def _reaching(scores: Array, valid: Array, threshold: Array, noise: ArrayLike) -> Array:
    """In logarithms, so that rows far below the threshold still differ."""
    check_number("noise", noise, "positive", lambda n: n > 0)
    scores = jnp.where(valid, scores, 0.0)
    log_w = jax.scipy.stats.norm.logcdf(_in_noise(scores, threshold, noise))
    log_w = jnp.where(valid, log_w, -jnp.inf)
    top = jnp.where(valid.any(), log_w.max(), 0.0)
    return normalise(jnp.where(valid, jnp.exp(log_w - top), 0.0))


def _in_noise(scores: Array, threshold: Array, noise: ArrayLike) -> Array:
    """Distances from the threshold in units of the noise, none beyond ``_FAR``, with finite
    derivatives also where no row counts, and the threshold is infinite."""
    threshold = jnp.where(jnp.isfinite(threshold), threshold, 0.0)
    half = 0.5 * scores - 0.5 * threshold  # which does not overflow
    unit = 0.5 * as_float("noise", noise, scores.dtype)
    unit = jnp.maximum(unit, jnp.finfo(scores.dtype).tiny)
    far = jnp.abs(half / unit) > _FAR
    near = ratio(jnp.where(far, 0.0, half), jnp.where(far, 1.0, unit))
    return jnp.where(far, jnp.where(half > 0, _FAR, -_FAR).astype(scores.dtype), near)


def _above(scores: Array, valid: Array, threshold: Array) -> Array:
    return normalise((valid & (scores >= threshold)).astype(scores.dtype))


def _last_round(
    scores: ArrayLike, rounds: ArrayLike, quantile: ArrayLike, mask: ArrayLike | None
) -> tuple[Array, Array, Array]:
    """Scores, which are of the last round with any, and the highest threshold of all rounds."""
    scores, valid = usable_scores(scores, mask)
    rounds = _round_of_each(rounds, scores)
    valid &= rounds != BASE
    threshold = _by_round(scores, valid, rounds, quantile)
    last = jnp.where(valid, rounds, BASE).max()
    highest = jnp.where(valid & jnp.isfinite(threshold), threshold, -jnp.inf).max()
    return jnp.where(valid, scores, 0.0), valid & (rounds == last), highest


def _round_of_each(rounds: ArrayLike, scores: Array) -> Array:
    check_kind("rounds", rounds)
    rounds = with_type(rounds)
    if np.shape(rounds) != scores.shape:
        raise ValueError(
            f"rounds must be of the shape of scores, {scores.shape}, got {np.shape(rounds)}"
        )
    return jnp.asarray(rounds).astype(jnp.int32)


def _by_round(scores: Array, valid: Array, rounds: Array, quantile: ArrayLike) -> Array:
    """``[N]``: the ``quantile`` of the valid scores of each row's round. One sort."""
    last = jnp.iinfo(jnp.int32).max
    keys = jnp.where(valid, rounds, last), jnp.where(valid, scores, jnp.inf)
    in_order, ordered = lax.sort(keys, num_keys=2)
    first, end = (
        jnp.searchsorted(in_order, rounds, side=side).astype(jnp.int32)
        for side in ("left", "right")
    )
    return _quantile_of_part(ordered, first, end - first, quantile)
