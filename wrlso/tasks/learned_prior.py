"""A task whose latent space is bent by a learned prior, while its model stays as it is."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from wrlso.models.flow import flow_optimizer, init_flow, with_flow
from wrlso.models.sampling import prng_key
from wrlso.tasks.base import Task


def with_learned_prior(
    task: Task,
    params: Any = None,
    *,
    layers: int = 8,
    hidden: int = 128,
    first_steps: int = 300,
    steps: int = 60,
    learning_rate: float = 5e-3,
) -> Task:
    """The task in the base space of a normalising flow over its model's latents.

    Where other tasks retrain the model, this one fits the flow, with the same weights: a prior that
    is learned from good objects. The model, and so what a latent decodes to, stays as it is. The
    search takes place in the flow's base space, whose prior is N(0, I).

    Args:
      task: such as ``wrlso.tasks.molecules()``.
      params: the model's parameters, such as ``wrlso.pretrained(task)``. Default: the task's own.
      layers, hidden: affine couplings of the flow, and units of each one's hidden layer.
      first_steps, steps: training steps of the first retraining, and of each later one.
      learning_rate: of Adam.

    Returns:
      The task with model, parameters and retraining replaced.

    Raises:
      ValueError: if there are no parameters, or the flow cannot be made.

    Example:
      >>> import wrlso
      >>> task = wrlso.tasks.molecules("qed")
      >>> wrlso.tasks.with_learned_prior(task).retrain.steps
      60
    """
    params = task.params if params is None else params
    if params is None:
        raise ValueError(
            f"task {task.name!r} has no parameters of its own: give params = wrlso.pretrained(task)"
        )
    flow = init_flow(prng_key(0), task.vae.latent_dim, layers, hidden)
    kind = jnp.result_type(*jax.tree.leaves(params))
    retrain = replace(
        task.retrain, first_steps=first_steps, steps=steps, learning_rate=learning_rate,
        optimizer=flow_optimizer,
    )  # fmt: skip
    return replace(
        task,
        vae=with_flow(task.vae),
        params={"vae": params, "flow": jax.tree.map(lambda a: a.astype(kind), flow)},
        pretrain=None,
        retrain=retrain,
    )
