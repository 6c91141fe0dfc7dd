"""How well a surrogate predicts data that it was not conditioned on."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

_FEWEST = 10
"""Least number of held-out points that say anything."""


class HeldOutFit(NamedTuple):
    """The fit on held-out points; -inf where there are fewer than ten, or all score the same.

    Attributes:
      r2: ``[]`` coefficient of determination, 1 at best; the mean of the scores has 0.
      spearman: ``[]`` rank correlation in [-1, 1].
    """

    r2: Array
    spearman: Array


def held_out_fit(
    mean: Float[Array, " n"], scores: Float[Array, " n"], mask: Bool[Array, " n"]
) -> HeldOutFit:
    """Compare predictions with scores.

    Args:
      mean: ``[n]`` predictions.
      scores: ``[n]``.
      mask: ``[n]``, true for the points that count.
    """
    if len(scores) < _FEWEST:
        return HeldOutFit(*(jnp.full((), -jnp.inf, scores.dtype) for _ in range(2)))
    enough = mask.sum() >= _FEWEST
    ranks = _correlation(_ranks(mean, mask), _ranks(scores, mask), mask)
    centred = jnp.where(mask, scores - _mean(scores, mask), 0.0)
    total = (centred**2).sum()
    differ = _differ(scores, mask) & (total > 0)
    error = jnp.where(mask, scores - mean, 0.0)
    r2 = 1.0 - (error**2).sum() / jnp.where(differ, total, 1.0)
    return HeldOutFit(jnp.where(enough & differ, r2, -jnp.inf), jnp.where(enough, ranks, -jnp.inf))


def _mean(values: Array, mask: Array) -> Array:
    return jnp.where(mask, values, 0.0).sum() / jnp.maximum(mask.sum(dtype=values.dtype), 1)


def _differ(values: Array, mask: Array) -> Array:
    """Whether the masked values differ. Their deviations from the mean may be those of rounding."""
    largest = jnp.where(mask, values, -jnp.inf).max()
    return largest > jnp.where(mask, values, jnp.inf).min()


def _ranks(values: Array, mask: Array) -> Array:
    """Ranks among the masked values; equal values share the mean of theirs."""
    ordered = jnp.sort(jnp.where(mask, values, jnp.inf))
    below, upto = (jnp.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + upto).astype(values.dtype) / 2.0


def _correlation(a: Array, b: Array, mask: Array) -> Array:
    differ = _differ(a, mask) & _differ(b, mask)
    a, b = (jnp.where(mask, one - _mean(one, mask), 0.0) for one in (a, b))
    spread = (a**2).sum() * (b**2).sum()
    differ &= spread > 0
    product = (a * b).sum() / jnp.sqrt(jnp.where(differ, spread, 1.0))
    return jnp.where(differ, product, -jnp.inf)
