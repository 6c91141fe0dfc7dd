"""The surrogate while objects are being measured."""

import jax.numpy as jnp
from jax import Array, lax

from wrlso.proposers.surrogate import Surrogate, fantasize


def fantasize_all(surrogate: Surrogate, latents: Array, pending: Array) -> Surrogate:
    """A fantasy at each of the latents ``[C, d]`` that is ``pending [C]``, one after the other."""
    x = surrogate.latent_units.apply(latents)
    first = jnp.argsort(~pending, stable=True)
    return lax.fori_loop(
        0, pending.sum(), lambda i, fantasy: fantasize(fantasy, x[first[i]]), surrogate
    )
