"""Objectives written in JAX: a batch of objects to a batch of scores."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

Objective = Callable[[Array], Array]
"""``objects [B, ...] -> scores [B]``, higher is better."""


def at_least_single(dtype: DTypeLike) -> DTypeLike:
    """The type itself where it is a float of more than 32 bits, else float32."""
    kind = jnp.dtype(dtype)
    return kind if jnp.issubdtype(kind, jnp.floating) and kind.itemsize > 4 else jnp.float32


def evaluate(objective: Objective, objects: Array) -> Array:
    """``[B] float32`` scores of ``[B, ...]`` objects.

    Raises:
      ValueError: if the objective does not return one score per object.
    """
    scores = jnp.asarray(objective(objects), jnp.float32)
    if scores.shape != objects.shape[:1]:
        raise ValueError(
            f"objective must map objects {list(objects.shape)} to scores {list(objects.shape[:1])}"
            f", got {list(scores.shape)}; give a function of one object as host_objective"
        )
    return scores
