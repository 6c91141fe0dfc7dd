"""Shift and scale to mean zero and deviation one, for numbers of any scale."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from wrlso.scores import at_least_single
from wrlso.scores.checks import check_real, native


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
    numbers and types of 16 bits are computed, and returned, in float32. Gradients are finite, also
    where a column is constant or has no row: there its deviation does not depend on its spread.

    Raises:
      ValueError: for complex numbers, and a mask that is not ``[n]``, also under ``jit``.
    """
    x, mask = jnp.asarray(native(x)), jnp.asarray(mask, bool)
    _check(x, mask)
    x = x.astype(at_least_single(x.dtype))
    rows = mask.reshape(-1, *([1] * (x.ndim - 1)))
    n = jnp.maximum(mask.sum(), 1).astype(x.dtype)
    x = jnp.where(rows, x, 0.0)
    largest = jnp.abs(x).max(0)
    size = jnp.where(largest == 0, 1.0, jnp.maximum(largest, jnp.finfo(x.dtype).tiny))
    size = lax.stop_gradient(size)  # neither the mean nor the deviation depends on it
    unit = x / size[None]
    mean = unit.sum(0) / n
    squared = (jnp.where(rows, unit - mean[None], 0.0) ** 2).sum(0) / n
    varies = jnp.sqrt(lax.stop_gradient(squared)) > 8 * jnp.finfo(x.dtype).eps
    spread = jnp.sqrt(jnp.where(varies, squared, 1.0))  # the slope of a root is infinite at 0
    constant = jnp.maximum(largest, 1) if least == 0 else jnp.full_like(size, least)
    deviation = jnp.where(varies, spread * size, constant)
    return Standardizer(mean * size, jnp.maximum(deviation, least))


def _check(x: Array, mask: Array) -> None:
    check_real("x", x)
    if x.ndim == 0 or mask.shape != x.shape[:1]:
        raise ValueError(
            f"mask must be [n] booleans, one for each row of x [n] or [n, d], got shapes "
            f"{list(mask.shape)} and {list(x.shape)}"
        )


def _as_row(column_values: Array, x: Array) -> Array:
    """One value a column, ``[]`` or ``[d]``, with as many axes as ``x``."""
    return jnp.expand_dims(column_values, range(jnp.ndim(x) - jnp.ndim(column_values)))


def _wide(x: Array, units: Standardizer) -> Array:
    x = native(x if hasattr(x, "dtype") else np.asarray(x))
    check_real("x", x)
    kind = units.mean.dtype
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return x.astype(kind)
    kind = np.promote_types(x.dtype, kind)
    return x.astype(kind if isinstance(x, np.ndarray) else jax.dtypes.canonicalize_dtype(kind))
