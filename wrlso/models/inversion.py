"""Inversion: the latent point at which a model decodes a given object.

An encoder is trained on likely objects. It may encode an unlikely one, such as an object that an
optimiser found far from all data, to a point that decodes to something else. Climbing the
likelihood from there mends this
(Chu et al., "Inversion-based Latent Bayesian Optimization", NeurIPS 2024).
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from wrlso.models.descent import descend
from wrlso.models.vae import VAE

_SLICE = 64
RATE = 0.1
"""Learning rate of Adam, in units of the prior's standard deviation."""


def invert(
    vae: VAE,
    params: Any,
    latents: Array,
    objects: Array,
    *,
    steps: int,
    needed: Array | None = None,
    rate: float = RATE,
) -> Array:
    """Move latents to where the model is likelier to decode the objects.

    Args:
      vae: the model (static).
      params: its parameters.
      latents: ``[n, d]``, to start from, such as the objects' encodings.
      objects: ``[n, ...]``.
      steps: number of Adam steps on ``log p(x | z)``, each row on its own (static).
      needed: ``[n]`` booleans, true for rows to be moved; other rows cost nothing. None: all rows.
      rate: learning rate of Adam.

    Returns:
      ``[n, d]``: for each row the likeliest of the points visited, start included.
    """
    n = len(latents)
    if steps == 0 or n == 0:
        return latents
    needed = jnp.ones(n, bool) if needed is None else needed
    # Slices of rows that need it, of like length where longer objects cost more.
    cost = jnp.zeros(n, jnp.float32) if vae.lengths is None else vae.lengths(objects)
    order = jnp.lexsort((cost, ~needed))
    size = min(_SLICE, n)
    optimizer = optax.adam(rate)

    def climb(start: Array, x: Array) -> Array:
        def loss(z: Array) -> tuple[Array, Array]:
            each = -vae.log_likelihood(params, z, x).astype(jnp.float32)
            return each.sum(), each

        def step(_: Array, carry: tuple[Array, Any, Array, Array]) -> Any:
            z, state, best, least = carry
            (_, each), gradient = jax.value_and_grad(loss, has_aux=True)(z)
            better = each < least
            best = jnp.where(better[:, None], z, best)
            z, state = descend(optimizer, gradient, state, z)
            return z, state, best, jnp.where(better, each, least)

        carry = (start, optimizer.init(start), start, jnp.full(len(start), jnp.inf, jnp.float32))
        return lax.fori_loop(0, steps + 1, step, carry)[2]

    def one_slice(i: Array, moved: Array) -> Array:
        # The last slice begins earlier, so that it is full: its first rows are only moved again.
        rows = lax.dynamic_slice_in_dim(order, i * size, size)
        return moved.at[rows].set(climb(latents[rows], objects[rows]))

    slices = -(-needed.sum() // size)
    found = lax.fori_loop(0, slices, one_slice, latents)
    return jnp.where(needed[:, None], found, latents)
