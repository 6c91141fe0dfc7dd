"""Rank weights (Eq. 1 of the paper), and what all weightings share.

Every weighting maps scores ``[N]`` and a mask ``[N]`` to weights ``[N]`` that
are non-negative, sum to one, and are exactly zero where the mask is false or
the score is not finite. If no row is usable the weights are all zero.

The paper is Tripp, Daxberger and Hernández-Lobato, "Sample-Efficient
Optimization in the Latent Space of Deep Generative Models via Weighted
Retraining", NeurIPS 2020.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.scipy.special import digamma, polygamma
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Bool, Float, Int32

from wrlso.scores import over_largest
from wrlso.weighting.checks import (
    as_float,
    check_all,
    check_between,
    check_kind,
    check_number,
    float_type,
    with_type,
)
from wrlso.weighting.ratio import ratio
from wrlso.weighting.usable import in_order, normalise, usable_scores

_LEAST, _LARGEST = np.log(1e-9), np.log(1e3)
"""Bounds of ln k of effective rows."""


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
      ``[N]`` weights that sum to one, in float32 or the scores' wider float.
      Whole numbers of 32 or 64 bits are ranked exactly, and their weights are
      in JAX's default float: float64 where ``jax_enable_x64`` is set.
      Masked, NaN and infinite rows get zero;
      N in the formula is the number of the others.

    Raises:
      ValueError: for scores that are no vector or empty, for a mask of another
        shape, and for what is no real number. For concrete arguments, if ``k``
        is not positive, or no row is usable. Under ``jit`` no value is refused
        and a batch without usable rows gets all-zero weights.

    Example:
      >>> weights = rank_weights(jnp.array([3.0, 1.0, 3.0]), k=1.0)  # 1/3, 1/5, 1/3 of 13/15
      >>> jnp.round(100 * weights).astype(int).tolist()
      [38, 23, 38]
    """
    scores, valid = usable_scores(in_order(scores), mask)
    check_number("k", k, "positive (inf for uniform weights)", lambda k: k > 0)
    dtype = scores.dtype
    n = valid.sum()
    # 1 / (kN + rank) up to a factor, in the form that is 1 for every row at k = inf.
    # The floor keeps a k that underflows from giving 0 / 0 to the best row.
    scale = as_float("k", k, dtype) * jnp.maximum(n, 1).astype(dtype)
    scale = jnp.maximum(scale, jnp.finfo(dtype).tiny)
    weight = _over_rank(ranks(scores, valid).astype(dtype), scale)
    return normalise(jnp.where(valid, weight, 0.0))


@jax.custom_jvp
def _over_rank(rank: Array, scale: Array) -> Array:
    """``1 / (1 + rank / scale)``, whose slopes in the scale, from the least float to infinity,
    are written so that no part of them overflows."""
    return 1.0 / (1.0 + rank / scale)


@_over_rank.defjvp
def _over_rank_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    rank, scale = primals
    # The best row's weight is one at every scale. Of the others, no power of the total overflows.
    total = jnp.where(rank > 0, scale + rank, 1.0)
    return _over_rank(rank, scale), (rank / total) * (tangents[1] / total)


def uniform_weights(scores: ArrayLike, mask: ArrayLike | None = None) -> Float[Array, " n"]:
    """Equal weights for all usable rows: ``rank_weights`` at ``k = inf``.

    Args and returns as in :func:`rank_weights`.
    """
    scores, valid = usable_scores(in_order(scores), mask)
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
      ValueError: for weights that are no vector, and for what is no real number.
    """
    weights, quantiles = with_type(weights), with_type(quantiles)
    _check_vector("weights", weights)
    check_kind("quantiles", quantiles)
    dtype = float_type(weights, quantiles)
    heaviest_first = jnp.sort(as_float("weights", weights, dtype), descending=True)
    held = jnp.concatenate([jnp.zeros(1, dtype), jnp.cumsum(heaviest_first)])
    position = as_float("quantiles", quantiles, dtype) * heaviest_first.shape[0]
    return jnp.interp(position, jnp.arange(held.shape[0], dtype=held.dtype), held)


def rank_weight_share(k: ArrayLike, low: ArrayLike, high: ArrayLike) -> Float[Array, "*q"]:
    """Limit of the weight between rank quantiles ``low`` and ``high`` as N grows (Sec. 4.2).

    ``ln((k + high) / (k + low)) / ln((k + 1) / k)``: independent of N. ``high - low`` at
    ``k = inf``.

    Raises:
      ValueError: for what is no real number; for concrete arguments, unless k is positive and
        0 <= low <= high <= 1.
    """
    check_all("k", k, "positive", lambda k: k > 0)
    check_between("low", low, 0, 1)
    check_between("high", high, low, 1)
    dtype = float_type(k, low, high)
    k, low, high = (as_float(n, a, dtype) for n, a in (("k", k), ("low", low), ("high", high)))
    far = k > jnp.finfo(dtype).eps ** (-1 / 3)
    near = jnp.maximum(jnp.where(far, 1.0, k), jnp.finfo(dtype).tiny)
    share = _log_growth(near + low, high - low) / _log_growth(near, jnp.ones_like(near))
    # The series in 1 / k, to the rounding of the type.
    u = 1 / jnp.where(far, k, 1.0)
    second = (jnp.square(low) + low * high + jnp.square(high)) / 3 - (low + high) / 4 - 1 / 12
    series = (high - low) * (1 + u * ((1 - low - high) / 2 + u * second))
    return jnp.where(far, series, share)


@jax.custom_jvp
def _log_growth(start: Array, growth: Array) -> Array:
    """``ln((start + growth) / start)``, whose slopes are written so that no part of them overflows,
    from the least start."""
    return jnp.log1p(growth / start)


@_log_growth.defjvp
def _log_growth_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    start, growth = primals
    change = tangents[1] - ratio(growth, start) * tangents[0]
    return _log_growth(start, growth), change / (start + growth)


def effective_sample_size(weights: ArrayLike) -> Float[Array, ""]:
    """Kish's effective sample size, ``(sum w)^2 / sum w^2``, in [1, N]; 0 if all are zero.

    In float32 or the weights' wider float. Whole numbers of 32 or 64 bits give JAX's default float:
    float64 where ``jax_enable_x64`` is set.

    Raises:
      ValueError: for weights that are no vector or no real numbers; for concrete ones, if one is
        negative, NaN or infinite.
    """
    weights = with_type(weights)
    _check_vector("weights", weights)
    check_all("weights", weights, "finite and not negative", lambda w: (w >= 0) & (w < np.inf))
    w = over_largest(as_float("weights", weights, float_type(weights)), "weights")
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
    functions; k is found by bisection. Derivatives of every order are those of the equation that k
    solves, and zero where it has no solution in [1e-9, 1e3].

    Args:
      n: ``[]`` number of rows.
      effective: ``[]`` effective sample size, in (1, n); outside, the nearest k in [1e-9, 1e3] is
        given, and so it is for fewer than two rows.

    Returns:
      ``[]``, in float32 or the wider float of ``effective``.

    Raises:
      ValueError: for an array in place of a number, for what is no real number, and for a concrete
        number that is NaN.
    """
    check_number("n", n, "at least 0", lambda n: n >= 0)
    check_number("effective", effective, "a number of rows", lambda e: ~np.isnan(e))
    dtype = float_type(effective)
    rows = jnp.maximum(as_float("n", n, dtype), 1.0)
    return jnp.exp(_log_k(rows, as_float("effective", effective, dtype)))


def _bounds(dtype: DTypeLike) -> tuple[Array, Array]:
    return jnp.asarray(_LEAST, dtype), jnp.asarray(_LARGEST, dtype)


def _size(log_k: Array, n: Array) -> Array:
    """The effective sample size of n rows, no two of which are equal."""
    first = jnp.exp(log_k) * n
    total = digamma(first + n) - digamma(first)
    squares = polygamma(1, first) - polygamma(1, first + n)
    return total**2 / squares


@jax.custom_jvp
def _log_k(n: Array, effective: Array) -> Array:
    """``ln k``; one of the bounds where no k between them has that effective sample size."""

    def halve(_: Array, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = (low + high) / 2
        larger = _size(middle, n) < effective
        return jnp.where(larger, middle, low), jnp.where(larger, high, middle)

    least, largest = _bounds(n.dtype)
    low, high = lax.fori_loop(0, 40 if n.dtype.itemsize <= 4 else 60, halve, (least, largest))
    # Rounding decides nothing beyond the sizes that n rows can have.
    none, all_rows = effective <= 1, effective >= n
    found = jnp.where(none | (low == least), least, (low + high) / 2)
    found = jnp.where(all_rows | (high == largest), largest, found)
    return jnp.where(jnp.isnan(n + effective), jnp.nan, found)


@_log_k.defjvp
def _log_k_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    """The equation ``size(ln k, n) = effective``, differentiated. Its ln k comes from the function,
    so that the slope can be differentiated again."""
    log_k = _log_k(*primals)
    least, largest = _bounds(log_k.dtype)
    between = (log_k > least) & (log_k < largest)
    slope, slope_in_n = jax.grad(_size, (0, 1))(jnp.where(between, log_k, 0.0), primals[0])
    solved = between & (slope > 0)
    change = (tangents[1] - slope_in_n * tangents[0]) / jnp.where(solved, slope, 1.0)
    return log_k, jnp.where(solved, change, 0.0)


def _ordered_integers(x: Array) -> Array:
    """Integers in the same order as the floats (IEEE bit patterns, -0 equal to 0)."""
    signed = jnp.dtype(f"int{8 * x.dtype.itemsize}")
    largest = jnp.iinfo(signed).max
    bits = lax.bitcast_convert_type(x, signed)
    bits = jnp.where(bits == -largest - 1, 0, bits)  # -0; a float comparison would flush denormals
    return jnp.where(bits < 0, bits ^ largest, bits)
