"""One step of an optax optimizer, also in a program that forbids implicit promotion of types."""

from collections.abc import Mapping
from typing import Any

import jax
import optax


def descend(
    optimizer: optax.GradientTransformation,
    gradients: Any,
    opt_state: Any,
    params: Any,
    known: Mapping[str, Any] | None = None,
) -> tuple[Any, Any]:
    """The parameters and the optimizer's state after one step.

    ``known`` holds what some optimizers ask for besides, such as line searches: the loss
    (``value``), its gradient (``grad``), and the loss as a function of parameters (``value_fn``).

    Optimizers divide floats by whole numbers of steps, so types are promoted in here, whatever
    ``jax_numpy_dtype_promotion`` says.
    """
    with jax.numpy_dtype_promotion("standard"):
        update = optax.with_extra_args_support(optimizer).update
        updates, opt_state = update(gradients, opt_state, params, **(known or {}))
        return optax.apply_updates(params, updates), opt_state
