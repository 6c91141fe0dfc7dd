"""Shift and scale to mean zero and deviation one, for numbers of any scale."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from wrlso.scores import at_least_single


class Standardizer(NamedTuple):
    """``(x - mean) / deviation``, elementwise over the columns, in the wider of both types; whole
    numbers in the type of ``mean``."""

    mean: Array
    deviation: Array

    def apply(self, x: Array) -> Array:
        """To standard units."""
        x = _wide(x, self)
        return (x - _as_row(self.mean, x)) / _as_row(self.deviation, x)

    def invert(self, x: Array) -> Array:
        """From standard units."""
        x = _wide(x, self)
        return x * _as_row(self.deviation, x) + _as_row(self.mean, x)


def standardizer(x: Array, mask: Array, least: float = 0.0) -> Standardizer:
    """Mean and standard deviation of the masked rows of ``x [n]`` or ``[n, d]``, by column.

    No deviation is taken to be below ``least``. A column that is constant, up to rounding, is
    shifted to zero, and divided by ``least`` or, if there is none, by its size where that is above
    one. Squares neither overflow nor vanish: float32 may reach from 1e-37 to 6e37. Whole
    numbers and types of 16 bits are computed, and returned, in float32.
    """
    x = jnp.asarray(x)
    x = x.astype(at_least_single(x.dtype))
    rows = mask.reshape(-1, *([1] * (x.ndim - 1)))
    n = jnp.maximum(mask.sum(), 1).astype(x.dtype)
    x = jnp.where(rows, x, 0.0)
    size = jnp.maximum(jnp.abs(x).max(0), jnp.finfo(x.dtype).tiny)
    unit = x / size[None]
    mean = unit.sum(0) / n
    spread = jnp.sqrt((jnp.where(rows, unit - mean[None], 0.0) ** 2).sum(0) / n)
    constant = jnp.maximum(size, 1) if least == 0 else jnp.full_like(size, least)
    deviation = jnp.where(spread > 8 * jnp.finfo(x.dtype).eps, spread * size, constant)
    return Standardizer(mean * size, jnp.maximum(deviation, least))


def _as_row(column_values: Array, x: Array) -> Array:
    """One value a column, ``[]`` or ``[d]``, with as many axes as ``x``."""
    return jnp.expand_dims(column_values, range(jnp.ndim(x) - jnp.ndim(column_values)))


def _wide(x: Array, units: Standardizer) -> Array:
    kind = units.mean.dtype
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return x.astype(kind)
    kind = np.promote_types(x.dtype, kind)
    return x.astype(kind if isinstance(x, np.ndarray) else jax.dtypes.canonicalize_dtype(kind))
