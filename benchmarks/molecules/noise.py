"""Local search without a surrogate: noise around the best molecules that are known."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from wrlso.data import in_use
from wrlso.models.vae import VAE, decode_all, encode_all
from wrlso.proposers.base import Pool, Proposer, View
from wrlso.status import Status


def noise_search(vae: VAE, best: int = 20, pool: int = 256, batch: int = 1) -> Proposer:
    """Propose encodings of the best molecules known, with noise.

    The noise has 0.1 to 1 standard deviations of the prior in each dimension, drawn per point.

    Args:
      vae: the model.
      best: number of molecules.
      pool: number of points per ask.
      batch: number of queries per ask.
    """

    def propose(key: Array, view: View, surrogate: Any) -> Pool:
        base = jnp.where(view.distinct, view.base.scores, -jnp.inf)
        ok = in_use(view.history) & (view.history.status == Status.OK)
        own = jnp.where(ok, view.history.scores, -jnp.inf)
        top, rows = lax.top_k(base, best)
        own_top, own_rows = lax.top_k(own, min(best, len(own)))
        objects = jnp.concatenate([view.base.objects[rows], view.history.objects[own_rows]])
        _, chosen = lax.top_k(jnp.concatenate([top, own_top]), best)
        centres = encode_all(vae, view.params, objects[chosen])
        scale_key, noise_key, centre_key = jax.random.split(key, 3)
        scale = 10.0 ** jax.random.uniform(scale_key, (pool, 1), minval=-1.0, maxval=0.0)
        at = jax.random.randint(centre_key, (pool,), 0, best)
        latents = centres[at] + scale * jax.random.normal(noise_key, (pool, vae.latent_dim))
        return Pool(latents, decode_all(vae, view.params, latents))

    return Proposer("noise", propose, batch, settings={"best": best, "pool": pool})
