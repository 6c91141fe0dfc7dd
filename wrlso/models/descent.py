"""One step of an optax optimizer, also in a program that forbids implicit promotion of types."""

from typing import Any

import jax
import optax


def descend(
    optimizer: optax.GradientTransformation, gradients: Any, opt_state: Any, params: Any
) -> tuple[Any, Any]:
    """The parameters and the optimizer's state after one step.

    Optimizers divide floats by whole numbers of steps, so types are promoted in here, whatever
    ``jax_numpy_dtype_promotion`` says.
    """
    with jax.numpy_dtype_promotion("standard"):
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), opt_state
