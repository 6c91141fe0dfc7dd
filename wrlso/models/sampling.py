"""Drawing rows in proportion to weights, exactly, in 32 bits.

A cumulative sum of 250,000 float32 weights loses the small ones and can give a
zero-weight row a sliver of probability. Here the weights become integers first:
their cumulative sum is exact, so a row of weight zero owns no integer and can
never be drawn, and a row of positive weight always owns at least one.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from wrlso.scores import in_double, over_largest
from wrlso.scores.checks import is_concrete
from wrlso.weighting.checks import as_float, check_kind, float_type

_SCALE = 2.0**31
_SLACK = 1e-3
"""The distance from one that a sum of weights may have by rounding."""


def build_cdf(weights: ArrayLike) -> Array:
    """Integer cumulative distribution, built once for many draws.

    Args:
      weights: ``[N]`` non-negative weights that sum to one. If their sum is further than 1e-3
        from one, they are divided by it.

    Returns:
      ``[N]`` uint32, non-decreasing. Each weight in float32 is represented to within
      2^-32 absolute, or as 2^-31 if it is positive but smaller. A weight of a wider type, and one
      that is divided, is rounded to float32 first, by up to 2^-24 of itself where its value is
      concrete. Not differentiable.

    Raises:
      ValueError: if there are none, and for what is no real number. For concrete weights, if one
        is negative, NaN or infinite. Under ``jit`` nothing is raised for values, and such a weight
        counts as zero. With all weights zero there is no table: see :func:`draw`.
    """
    if np.ndim(weights) != 1 or np.size(weights) == 0:
        raise ValueError(f"weights must be a non-empty vector, got shape {np.shape(weights)}")
    check_kind("weights", weights)
    if is_concrete(weights):
        values = in_double(weights, "weights")
        if not (np.isfinite(values) & (values >= 0)).all():
            raise ValueError(
                "weights must be finite and not negative, got "
                f"{values[~(np.isfinite(values) & (values >= 0))][:5].tolist()}"
            )
    share, positive = _summing_to_one(weights)
    share = jnp.round(share * _SCALE).astype(jnp.uint32)
    share = jnp.where(positive, jnp.maximum(share, 1), 0)
    return jnp.cumsum(share, dtype=jnp.uint32)


def _summing_to_one(weights: ArrayLike) -> tuple[Array, Array]:
    """Float32 weights ``[N]`` that do not overflow a table, as they are if they sum to one; and
    which of them are positive and finite."""
    if is_concrete(weights):
        values = in_double(weights, "weights")
        with np.errstate(over="ignore"):
            total = values.sum()
        positive = jnp.asarray(values > 0)
        if total == 0 or abs(total - 1) <= _SLACK:
            return jnp.asarray(values.astype(np.float32)), positive
        unit = values / values.max()
        return jnp.asarray((unit / unit.sum()).astype(np.float32)), positive
    given = as_float("weights", weights, float_type(weights))
    positive = jnp.isfinite(given) & (given > 0)
    counted = jnp.where(positive, given, 0)
    unit = over_largest(counted).astype(jnp.float32)
    parts = jnp.maximum(unit.sum(), 1)
    near = jnp.abs(parts * counted.max().astype(jnp.float32) - 1) <= _SLACK
    return jnp.where(near, counted.astype(jnp.float32), unit / parts), positive


def draw(key: Array, cdf: Array, n: int) -> Array:
    """``[n]`` int32 row numbers, independent, with replacement. O(n log N).

    With all weights zero there is nothing to draw from and the answer is the
    last row; ``wrlso.models.training.train`` then reports that it is not finite.
    """
    total = cdf[-1]
    target = _multiply_high(jax.random.bits(key, (n,), jnp.uint32), total)
    row = jnp.searchsorted(cdf, target, side="right")
    return jnp.minimum(row, cdf.shape[0] - 1).astype(jnp.int32)


def _multiply_high(a: Array, b: Array) -> Array:
    """High 32 bits of a 32 x 32-bit product: a uniform word scaled to [0, b)."""
    a_low, a_high = a & 0xFFFF, a >> 16
    b_low, b_high = b & 0xFFFF, b >> 16
    middle = a_high * b_low + ((a_low * b_low) >> 16)
    carry = (middle & 0xFFFF) + a_low * b_high
    return a_high * b_high + (middle >> 16) + (carry >> 16)


def prng_key(seed: ArrayLike) -> Array:
    """A typed PRNG key of the implementation that every stream here uses, ``threefry2x32``.

    ``jax.random.key`` follows the default of the process, under which the same seed could give
    other queries. With ``threefry2x32`` a seed also gives the same numbers under ``vmap``.

    Args:
      seed: a whole number, which may be traced.

    Raises:
      ValueError: for a key, an array, and anything else but a whole number, also under ``jit``; for
        a concrete number outside [0, 2^32): in 32 bits it would be another seed.
    """
    rule = "seed must be a whole number from 0 to 2^32 - 1, got"
    given = seed if isinstance(seed, Array) else np.asarray(seed)
    if jnp.issubdtype(given.dtype, jax.dtypes.prng_key):
        raise ValueError(
            f"{rule} a key ({given.dtype}): give the number that the key is made from, such as 0 "
            "in place of jax.random.key(0)"
        )
    if given.ndim != 0:
        raise ValueError(f"{rule} an array of shape {given.shape}; use vmap for many seeds")
    known = is_concrete(seed)
    whole = isinstance(seed, int) or jnp.issubdtype(given.dtype, jnp.integer)
    if isinstance(seed, bool) or not whole or (known and not 0 <= int(given) < 2**32):
        shown = repr(seed) if known else given.dtype
        raise ValueError(f"{rule} {shown}: give a number such as 0 or jnp.uint32(0)")
    return jax.random.key(seed, impl="threefry2x32")
