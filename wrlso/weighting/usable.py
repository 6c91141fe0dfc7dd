"""Which rows count, and their scores as floats: what all weightings share."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from wrlso.scores import check_range, in_double, relative, score_offset, warn_of_merged
from wrlso.scores.checks import is_concrete
from wrlso.weighting.checks import check_kind, float_type, with_type


def usable_scores(
    scores: ArrayLike, mask: ArrayLike | None
) -> tuple[Float[Array, " n"], Bool[Array, " n"]]:
    """Scores as floats, and which rows count; complains about concrete rubbish.

    Whole numbers of 32 and 64 bits become JAX's default float; see :func:`float_type`. Those that
    JAX holds come less the largest that counts.

    Scores of 64 bits on the host that float32 would make equal come less an offset, on which no
    weighting depends; a warning says if they are equal all the same.
    """
    check_kind("scores", scores)
    given = with_type(scores)
    if np.ndim(given) != 1 or np.size(given) == 0:
        raise ValueError(
            f"scores must be a non-empty vector, got shape {np.shape(given)}; use vmap for batches"
        )
    scores = jnp.asarray(_in_single(given))
    if mask is not None:
        check_kind("mask", mask)
        mask = with_type(mask)
        if np.shape(mask) != scores.shape:
            raise ValueError(
                f"mask must have the shape of scores, {scores.shape}, got {np.shape(mask)}"
            )
    if _is_long_integer(scores.dtype):
        scores = _less_the_best(scores, mask)
    # 16 bits cannot hold the ranks of a large data set.
    scores = scores.astype(float_type(scores))
    valid = jnp.isfinite(scores)
    if mask is not None:
        valid = valid & jnp.asarray(mask, bool)
    if is_concrete(valid) and not np.asarray(valid).any():
        raise ValueError(
            "scores has no usable row: every value is NaN, infinite or masked; "
            "pass at least one finite score"
        )
    return scores, valid


def in_order(scores: ArrayLike) -> ArrayLike:
    """Whole numbers ``[N]`` of 32 or 64 bits as int32 from 0 to N - 1 in the same order, which all
    floats hold, equal ones equal; and other scores as they are."""
    given = with_type(scores)
    if np.ndim(given) != 1 or np.size(given) == 0 or not _is_long_integer(given.dtype):
        return given
    if isinstance(given, Array):
        return jnp.searchsorted(lax.sort(given), given).astype(jnp.int32)
    places = np.unique(np.ma.getdata(given), return_inverse=True)[1].astype(np.int32)
    masked = isinstance(given, np.ma.MaskedArray)
    return np.ma.array(places, mask=np.ma.getmask(given)) if masked else places


def _is_long_integer(kind: Any) -> bool:
    return jnp.issubdtype(kind, jnp.integer) and kind.itemsize >= 4


def _in_single(scores: Any) -> ArrayLike:
    """Scores as they are, but for known ones that float32 may not hold: floats of 64 bits, integers
    of 32 and more where JAX has no float64, and masked arrays."""
    if not is_concrete(scores):
        return scores
    masked = isinstance(scores, np.ma.MaskedArray)
    kind, double = scores.dtype, jax.config.jax_enable_x64  # type: ignore[attr-defined]
    short = kind.itemsize <= (2 if jnp.issubdtype(kind, jnp.integer) else 4)
    if not masked and (short or (double and _is_long_integer(kind))):
        return scores
    values = in_double(scores)
    if double:
        return values.astype(float_type(np.empty(0, kind)))
    offset = score_offset(values)
    warn_of_merged(values, offset, "the weights")
    used = relative(values, offset)
    check_range("scores", values, used)
    return used


def _less_the_best(scores: Array, mask: ArrayLike | None) -> Array:
    """Integers ``[N]`` of 32 or 64 bits less the largest that counts, in JAX's default float: exact
    near it.

    Differences are taken modulo 2^32 or 2^64, where they have room.
    """
    least = jnp.iinfo(scores.dtype).min
    counted = scores if mask is None else jnp.where(jnp.asarray(mask, bool), scores, least)
    best = counted.max(initial=least)
    unsigned = jnp.dtype(f"uint{8 * scores.dtype.itemsize}")
    below = best.astype(unsigned) - scores.astype(unsigned)
    return -jnp.where(scores > best, 0, below).astype(float_type(scores))


def normalise(weight: Float[Array, " n"]) -> Float[Array, " n"]:
    """Weights that sum to one; all zero if they are."""
    total = weight.sum()
    return weight / jnp.where(total > 0, total, 1.0)
