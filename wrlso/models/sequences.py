"""Strings of symbols as arrays ``[B, L]``: a 0 ends each string that is shorter than L."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from wrlso.parallel import largest_of_lanes

_SWITCHED = (16, 24, 34, 72, 168)
"""Lengths at which a batch may be cut. One compiled program chooses between them: each is compiled
into it, and a batch drawn at random has a long string in it anyway."""


def lengths(objects: Array) -> Array:
    """``[B]``: symbols before the first 0."""
    ended = objects == 0
    return jnp.where(ended.any(-1), jnp.argmax(ended, -1).astype(jnp.int32), objects.shape[-1])


def cut_columns(function: Callable[[Array], Any], objects: Array) -> Any:
    """``function(objects)``, without columns that are empty in the whole batch, of all lanes."""
    full = objects.shape[-1]
    cuts = [c for c in _SWITCHED if c < full] + [full]
    # One more than the longest: the 0 that ends it counts.
    longest = jnp.minimum(lengths(objects).max() + 1, full)
    which = largest_of_lanes(jnp.searchsorted(jnp.asarray(cuts, jnp.int32), longest))
    return lax.switch(which, [partial(lambda c, x: function(x[:, :c]), c) for c in cuts], objects)


@jax.custom_vjp
def turn(states: Array, n: Array) -> Array:
    """``[T, B, ...]``: the first ``n [B]`` steps of each string in reverse order, zero behind."""
    steps = jnp.arange(states.shape[0], dtype=n.dtype)[:, None]
    place = jnp.clip(n[None] - 1 - steps, 0)
    turned = states[place, jnp.arange(states.shape[1], dtype=n.dtype)[None]]
    inside = (steps < n[None]).reshape(*turned.shape[:2], *[1] * (turned.ndim - 2))
    return jnp.where(inside, turned, jnp.zeros_like(turned))


# Turning is its own inverse and its own adjoint.
turn.defvjp(lambda states, n: (turn(states, n), n), lambda n, bar: (turn(bar, n), None))
