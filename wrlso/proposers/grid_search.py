"""The paper's proposer for shapes, which reads the true objective on a grid."""

from typing import Any

import jax.numpy as jnp
from jax import Array

from wrlso.models.vae import VAE, decode_all
from wrlso.proposers.base import Pool, Proposer, View
from wrlso.scores import Objective, evaluate
from wrlso.scores.checks import as_number, check_whole


def grid(
    vae: VAE, objective: Objective, batch: int, bound: float = 3.0, side: int = 50
) -> Proposer:
    """The paper's "optimal model" for the shapes task.

    It decodes a ``side x side`` grid on ``[-bound, bound]^2`` and ranks it by the true objective.
    The budget does not pay for these evaluations. Results with this proposer therefore show what
    retraining does to the model, not what an optimiser could do with it.

    Args:
      vae: the model, of two latent dimensions.
      objective: in JAX, higher is better: of a task that minimises, that of ``task.maximized()``.
      batch: q, at most ``side**2``.
      bound: half the side of the square, in standard deviations of the prior.
      side: points per dimension.

    Raises:
      ValueError: if the latent space does not have two dimensions, a batch is larger than the
        grid, or a number is not whole.
    """
    if vae.latent_dim != 2:
        raise ValueError(f"the grid proposer needs 2 latent dimensions, got {vae.latent_dim}")
    batch, side = check_whole("batch", batch, 1), check_whole("side", side, 1)
    bound = as_number("bound", bound)
    if batch > side**2:
        raise ValueError(
            f"the grid proposer has {side**2} points, too few for batches of {batch}: lower "
            "retrain_every (or, for a method that never retrains, the budget)"
        )
    line = jnp.linspace(-bound, bound, side, dtype=jnp.float32)
    points = jnp.stack(jnp.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)

    def propose(key: Array, view: View, surrogate: Any) -> Pool:
        objects = decode_all(vae, view.params, points)
        best_first = jnp.argsort(-evaluate(objective, objects, view.offset), stable=True)
        return Pool(points[best_first], objects[best_first])

    settings = {"bound": bound, "side": side}
    return Proposer("grid", propose, batch, uncharged=side * side, settings=settings)
