"""Rank weights (Eq. 1 of the paper), and what all weightings share.

Every weighting maps scores ``[N]`` and a mask ``[N]`` to weights ``[N]`` that
are non-negative, sum to one, and are exactly zero where the mask is false or
the score is not finite. If no row is usable the weights are all zero.

The paper is Tripp, Daxberger and Hernández-Lobato, "Sample-Efficient
Optimization in the Latent Space of Deep Generative Models via Weighted
Retraining", NeurIPS 2020.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.scipy.special import digamma, polygamma
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int32

from wrlso.scores import (
    at_least_single,
    check_range,
    computing_type,
    in_double,
    over_largest,
    relative,
    score_offset,
    warn_of_merged,
)
from wrlso.scores.checks import is_concrete, native
from wrlso.weighting.checks import check_all, check_between, check_number


def rank_weights(
    scores: ArrayLike, k: ArrayLike = 1e-3, mask: ArrayLike | None = None
) -> Float[Array, " n"]:
    r"""Rank weights, Eq. 1 of the paper.

    .. math:: w(x) \propto \frac{1}{kN + \mathrm{rank}(x)}, \qquad
              \mathrm{rank}(x) = |\{x_i : f(x_i) > f(x)\}|

    Equal scores share a rank, and so a weight. ``k = inf`` gives uniform
    weights; small ``k`` concentrates the weight on the best rows.

    Args:
      scores: ``[N]`` scores, higher is better.
      k: scalar in (0, inf]; may be traced, and is differentiable.
      mask: ``[N]`` booleans, true where the row counts. All rows by default.

    Returns:
      ``[N]`` weights that sum to one, in float32 or the scores' wider type.
      Masked, NaN and infinite rows get zero;
      N in the formula is the number of the others.

    Raises:
      ValueError: for concrete arguments, if ``k`` is not positive, or scores
        are empty or have no usable row. Under ``jit`` nothing is raised and a
        batch without usable rows gets all-zero weights.

    Example:
      >>> weights = rank_weights(jnp.array([3.0, 1.0, 3.0]), k=1.0)  # 1/3, 1/5, 1/3 of 13/15
      >>> jnp.round(100 * weights).astype(int).tolist()
      [38, 23, 38]
    """
    scores, valid = usable_scores(scores, mask)
    check_number("k", k, "positive (inf for uniform weights)", lambda k: k > 0)
    dtype = scores.dtype
    n = valid.sum()
    # 1 / (kN + rank) up to a factor, in the form that is 1 for every row at k = inf.
    # The floor keeps a k that underflows from giving 0 / 0 to the best row.
    scale = jnp.asarray(native(k), dtype) * jnp.maximum(n, 1).astype(dtype)
    scale = jnp.maximum(scale, jnp.finfo(dtype).tiny)
    weight = _over_rank(ranks(scores, valid).astype(dtype), scale)
    return normalise(jnp.where(valid, weight, 0.0))


@jax.custom_jvp
def _over_rank(rank: Array, scale: Array) -> Array:
    """``1 / (1 + rank / scale)``, whose slope in the scale, from the least float to infinity,
    is written so that no part of it overflows."""
    return 1.0 / (1.0 + rank / scale)


@_over_rank.defjvp
def _over_rank_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    rank, scale = primals
    total = scale + rank
    return _over_rank(rank, scale), (rank / total) * (tangents[1] / total)


def uniform_weights(scores: ArrayLike, mask: ArrayLike | None = None) -> Float[Array, " n"]:
    """Equal weights for all usable rows: ``rank_weights`` at ``k = inf``.

    Args and returns as in :func:`rank_weights`.
    """
    scores, valid = usable_scores(scores, mask)
    return normalise(valid.astype(scores.dtype))


def ranks(scores: Float[Array, " n"], valid: Bool[Array, " n"]) -> Int32[Array, " n"]:
    """``[N]`` int32: how many valid rows score strictly higher. O(N log N).

    One sort of integers, which XLA sorts several times faster than floats,
    then one binary search per row, which makes ties share a rank.
    """
    key = _ordered_integers(jnp.where(valid, scores, -jnp.inf))
    ordered = lax.sort(key)
    not_higher = jnp.searchsorted(ordered, key, side="right")
    return (scores.shape[0] - not_higher).astype(jnp.int32)


def cumulative_weight(weights: ArrayLike, quantiles: ArrayLike) -> Float[Array, "*q"]:
    """Share of the total weight that the heaviest fraction of rows holds (Fig. 6).

    Args:
      weights: ``[N]`` weights that sum to one.
      quantiles: ``[Q]`` fractions of rows in [0, 1], heaviest first.

    Returns:
      ``[Q]`` shares in [0, 1], linear between rows.

    Raises:
      ValueError: for weights that are no vector.
    """
    given = jnp.asarray(native(weights))
    _check_vector("weights", given)
    heaviest_first = jnp.sort(given.astype(at_least_single(given.dtype)), descending=True)
    held = jnp.concatenate([jnp.zeros(1, heaviest_first.dtype), jnp.cumsum(heaviest_first)])
    share = jnp.asarray(native(quantiles))
    position = share.astype(at_least_single(share.dtype)) * heaviest_first.shape[0]
    return jnp.interp(position, jnp.arange(held.shape[0], dtype=held.dtype), held)


def rank_weight_share(k: ArrayLike, low: ArrayLike, high: ArrayLike) -> Float[Array, "*q"]:
    """Limit of the weight between rank quantiles ``low`` and ``high`` as N grows (Sec. 4.2).

    ``ln((k + high) / (k + low)) / ln((k + 1) / k)``: independent of N. ``high - low`` at
    ``k = inf``.

    Raises:
      ValueError: for concrete arguments, unless k is positive and 0 <= low <= high <= 1.
    """
    check_all("k", k, "positive", lambda k: k > 0)
    check_between("low", low, 0, 1)
    check_between("high", high, low, 1)
    k, low, high = map(native, (k, low, high))
    dtype = at_least_single(jnp.result_type(k, low, high, 1.0))
    k, low, high = (jnp.asarray(a, dtype) for a in (k, low, high))
    finite = jnp.maximum(jnp.where(jnp.isinf(k), 1.0, k), jnp.finfo(dtype).tiny)
    share = jnp.log1p((high - low) / (finite + low)) / jnp.log1p(1 / finite)
    return jnp.where(jnp.isinf(k), high - low, share)


def effective_sample_size(weights: ArrayLike) -> Float[Array, ""]:
    """Kish's effective sample size, ``(sum w)^2 / sum w^2``, in [1, N]; 0 if all are zero.

    Raises:
      ValueError: for weights that are no vector; for concrete ones, if one is negative, NaN or
        infinite.
    """
    _check_vector("weights", weights)
    check_all("weights", weights, "finite and not negative", lambda w: (w >= 0) & (w < np.inf))
    w = over_largest(native(weights), "weights")
    total, squares = w.sum(), (w * w).sum()
    return jnp.where(squares > 0, total**2 / jnp.where(squares > 0, squares, 1.0), 0.0)


def _check_vector(name: str, values: ArrayLike) -> None:
    if np.ndim(values) != 1:
        raise ValueError(
            f"{name} must be a vector, got shape {np.shape(values)}; use vmap for batches"
        )


def k_of_effective_rows(n: ArrayLike, effective: ArrayLike) -> Float[Array, ""]:
    """The k at which rank weights of n different scores have a given effective sample size.

    The sums of ``1 / (k n + rank)`` and of its square are differences of digamma and trigamma
    functions; k is found by bisection, and differentiated implicitly.

    Args:
      n: ``[]`` number of rows.
      effective: ``[]`` effective sample size, in (1, n); outside, the nearest k in [1e-9, 1e3] is
        given, and so it is for fewer than two rows.

    Raises:
      ValueError: for an array in place of a number, and for a concrete one that is NaN.
    """
    check_number("n", n, "at least 0", lambda n: n >= 0)
    check_number("effective", effective, "a number of rows", lambda e: ~np.isnan(e))
    n, effective = native(n), native(effective)
    dtype = computing_type(effective)
    rows = jnp.maximum(jnp.asarray(n).astype(dtype), 1.0)
    wanted = jnp.asarray(effective).astype(dtype)
    wanted = jnp.where(jnp.isinf(wanted), jnp.sign(wanted) * rows, wanted)  # inf - inf is NaN
    fixed = lax.stop_gradient(rows)

    def size(log_k: Array, n: Array) -> Array:
        first = jnp.exp(log_k) * n
        total = digamma(first + n) - digamma(first)
        squares = polygamma(1, first) - polygamma(1, first + n)
        return total**2 / squares

    def halve(_: Array, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = (low + high) / 2
        larger = size(middle, fixed) < lax.stop_gradient(wanted)
        return jnp.where(larger, middle, low), jnp.where(larger, high, middle)

    start = jnp.asarray(np.log(1e-9), dtype), jnp.asarray(np.log(1e3), dtype)
    low, high = lax.fori_loop(0, 40, halve, start)
    log_k = lax.stop_gradient((low + high) / 2)
    # A Newton step of no length, as both sides are equal where an answer exists.
    slope = lax.stop_gradient(jax.grad(size)(log_k, fixed))
    slope = jnp.where(slope > 0, slope, jnp.inf)  # beyond the ends k does not move
    error = size(log_k, rows) - wanted
    return jnp.exp(log_k - (error - lax.stop_gradient(error)) / slope)


def usable_scores(
    scores: ArrayLike, mask: ArrayLike | None
) -> tuple[Float[Array, " n"], Bool[Array, " n"]]:
    """Scores as floats, and which rows count; complains about concrete rubbish.

    Scores of 64 bits on the host that float32 would make equal come less an offset, on which no
    weighting depends; a warning says if they are equal all the same.
    """
    scores = jnp.asarray(_in_single(native(scores)))
    mask = None if mask is None else native(mask)
    if scores.ndim != 1 or scores.shape[0] == 0:
        raise ValueError(
            f"scores must be a non-empty vector, got shape {scores.shape}; use vmap for batches"
        )
    if mask is not None and np.shape(mask) != scores.shape:
        raise ValueError(
            f"mask must have the shape of scores, {scores.shape}, got {np.shape(mask)}"
        )
    if jnp.issubdtype(scores.dtype, jnp.complexfloating):
        raise ValueError("scores must be real numbers, got complex ones")
    if jnp.issubdtype(scores.dtype, jnp.integer) and scores.dtype.itemsize >= 4:
        scores = _less_the_best(scores, mask)
    # 16 bits cannot hold the ranks of a large data set.
    scores = scores.astype(at_least_single(scores.dtype))
    valid = jnp.isfinite(scores)
    if mask is not None:
        valid = valid & jnp.asarray(mask, bool)
    if is_concrete(valid) and not np.asarray(valid).any():
        raise ValueError(
            "scores has no usable row: every value is NaN, infinite or masked; "
            "pass at least one finite score"
        )
    return scores, valid


def _in_single(scores: ArrayLike) -> ArrayLike:
    """Scores as they are, but for known ones that float32 may not hold: floats of 64 bits, integers
    of 32 and more, and masked arrays. Those that are no real numbers are refused."""
    if not is_concrete(scores):
        return scores
    masked = isinstance(scores, np.ma.MaskedArray)
    given: Any = scores if masked or isinstance(scores, Array) else np.asarray(scores)
    kind = given.dtype
    short = jnp.issubdtype(kind, jnp.floating) and kind.itemsize <= 4
    short |= jnp.issubdtype(kind, jnp.bool_) or (
        jnp.issubdtype(kind, jnp.integer) and kind.itemsize <= 2
    )
    if short and not masked:
        return given
    values = in_double(given)
    if jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        return values
    offset = score_offset(values)
    warn_of_merged(values, offset, "the weights")
    used = relative(values, offset)
    check_range("scores", values, used)
    return used


def _less_the_best(scores: Array, mask: ArrayLike | None) -> Array:
    """Integers ``[N]`` of 32 or 64 bits less the largest that counts, in float32: exact near it.

    Differences are taken modulo 2^32 or 2^64, where they have room.
    """
    least = jnp.iinfo(scores.dtype).min
    counted = scores if mask is None else jnp.where(jnp.asarray(mask, bool), scores, least)
    best = counted.max(initial=least)
    unsigned = jnp.dtype(f"uint{8 * scores.dtype.itemsize}")
    below = best.astype(unsigned) - scores.astype(unsigned)
    return -jnp.where(scores > best, 0, below).astype(at_least_single(jnp.float32))


def normalise(weight: Float[Array, " n"]) -> Float[Array, " n"]:
    """Weights that sum to one; all zero if they are."""
    total = weight.sum()
    return weight / jnp.where(total > 0, total, 1.0)


def _ordered_integers(x: Array) -> Array:
    """Integers in the same order as the floats (IEEE bit patterns, -0 equal to 0)."""
    signed = jnp.dtype(f"int{8 * x.dtype.itemsize}")
    largest = jnp.iinfo(signed).max
    bits = lax.bitcast_convert_type(x, signed)
    bits = jnp.where(bits == -largest - 1, 0, bits)  # -0; a float comparison would flush denormals
    return jnp.where(bits < 0, bits ^ largest, bits)
