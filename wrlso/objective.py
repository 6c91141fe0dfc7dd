"""Objectives written in JAX: a batch of objects to a batch of scores."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from wrlso.scores import less

Objective = Callable[[Array], Array]
"""``objects [B, ...] -> scores [B]``, higher is better."""


def evaluate(objective: Objective, objects: Array, offset: ArrayLike = 0.0) -> Array:
    """``[B] float32`` scores of ``[B, ...]`` objects, less an offset (:mod:`wrlso.scores`).

    Raises:
      ValueError: if the objective does not return one score per object.
    """
    scores = jnp.asarray(objective(objects))
    if scores.shape != objects.shape[:1]:
        raise ValueError(
            f"objective must map objects {list(objects.shape)} to scores {list(objects.shape[:1])}"
            f", got {list(scores.shape)}; give a function of one object as host_objective"
        )
    return less(scores, offset)
