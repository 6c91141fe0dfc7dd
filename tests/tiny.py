"""A tiny task with a linear VAE over strings of 16 bits, for tests that need a whole task."""

import jax
import jax.numpy as jnp

from wrlso.data import Dataset
from wrlso.gp.fit import FitConfig
from wrlso.loop.retraining import RetrainConfig
from wrlso.models.elbo import bernoulli_log_likelihood
from wrlso.models.vae import VAE, Relaxation
from wrlso.proposers.bayesian import BOConfig
from wrlso.proposers.surrogate import SurrogateConfig
from wrlso.tasks.base import Task

BITS = 16


def bits_of(objects):
    return (
        ((objects[..., None] >> jnp.arange(8, dtype=jnp.uint8)) & 1)
        .reshape(*objects.shape[:-1], BITS)
        .astype(jnp.float32)
    )


def tiny_vae() -> VAE:
    """A linear VAE over strings of 16 bits, stored as two bytes."""

    def init(key):
        a, b = jax.random.split(key)
        return {
            "encoder": 0.3 * jax.random.normal(a, (BITS, 4)),
            "decoder": jax.random.normal(b, (2, BITS)),
            "bias": jnp.linspace(-1.0, 1.0, BITS),
        }

    def encode(params, objects):
        out = (bits_of(objects) - 0.5) @ params["encoder"]
        return out[:, :2], out[:, 2:]

    def logits(params, z):
        return z @ params["decoder"] + params["bias"][None]

    def decode(params, z):
        return jnp.packbits(logits(params, z) > 0, axis=-1, bitorder="little")

    def log_likelihood(params, z, objects):
        return bernoulli_log_likelihood(logits(params, z), bits_of(objects)).sum(-1)

    relaxation = Relaxation(
        decode=lambda params, z: jax.nn.sigmoid(logits(params, z)),
        soften=bits_of,
        harden=lambda soft: jnp.packbits(soft > 0.5, axis=-1, bitorder="little"),
    )
    return VAE(2, init, encode, decode, log_likelihood, relaxation=relaxation)


def count_bits(objects):
    return bits_of(objects).sum(-1)


def tiny_data() -> Dataset:
    """200 strings with few bits set, some of them equal."""
    bits = jax.random.uniform(jax.random.key(3), (200, BITS)) < 0.25
    objects = jnp.packbits(bits, axis=-1, bitorder="little")
    return Dataset(objects, count_bits(objects))


def make_tiny_task(**changes) -> Task:
    vae = tiny_vae()
    settings = dict(
        name="bits",
        summary="set as many of 16 bits as possible",
        vae=vae,
        load_data=tiny_data,
        objective=count_bits,
        soft_objective=lambda soft: soft.sum(-1),
        bo=BOConfig(
            starts=4,
            candidates=12,
            evaluations=8,
            surrogate=SurrogateConfig(
                best=10, random=20, inducing=8, fit=FitConfig(restarts=1, evaluations=4)
            ),
        ),
        params=vae.init(jax.random.key(1)),
        retrain=RetrainConfig(1.0, 0.5, 16, 1e-2, 1.0),
        proposer="grid",
    )
    return Task(**(settings | changes))
