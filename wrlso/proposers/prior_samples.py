"""Samples of the model's prior: random search in latent space."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from wrlso.models.vae import VAE, decode_all
from wrlso.proposers.base import Pool, Proposer, View
from wrlso.scores.checks import check_whole


def prior(vae: VAE, batch: int, oversample: int = 4) -> Proposer:
    """Samples from the model's prior, in random order, without a surrogate.

    Args:
      vae: the model.
      batch: q, queries per pool.
      oversample: the pool has ``oversample * batch`` points, so that a batch can be filled with new
        objects where a model repeats itself.

    Raises:
      ValueError: if a number is below 1 or not whole.
    """
    batch, oversample = check_whole("batch", batch, 1), check_whole("oversample", oversample, 1)

    def propose(key: Array, view: View, surrogate: Any) -> Pool:
        latents = jax.random.normal(key, (oversample * batch, vae.latent_dim), jnp.float32)
        return Pool(latents, decode_all(vae, view.params, latents))

    return Proposer("prior", propose, batch, settings={"oversample": oversample})
