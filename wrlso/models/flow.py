"""A learned prior over latents: a normalising flow between a model's latents and a base space.

The flow maps the base space, whose prior is N(0, I), to the latents of a model that stays as it is.
Fitted with the weights of the loop, it makes good objects likely under the base space's prior, as
weighted retraining does by changing the whole model. The layers are those of Dinh, Sohl-Dickstein
and Bengio, "Density estimation using Real NVP" (ICLR 2017); a flow as a VAE's prior is that of Chen
et al., "Variational Lossy Autoencoder" (ICLR 2017).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jax.typing import ArrayLike

from wrlso.models.dense import init_dense, with_bias
from wrlso.models.vae import VAE, Relaxation

Layer = dict[str, Any]
"""The two dense layers of a coupling: from half of the coordinates to what moves the others."""


def init_flow(key: Array, dim: int, layers: int = 8, hidden: int = 128) -> list[Layer]:
    """The parameters of a flow of affine couplings; at first it maps each point to itself.

    Args:
      key: typed PRNG key.
      dim: d, the number of dimensions.
      layers: number of couplings.
      hidden: units of each coupling's hidden layer.

    Raises:
      ValueError: if a number is out of range; one dimension alone cannot be coupled.
    """
    if dim < 2 or layers < 1 or hidden < 1:
        raise ValueError(
            "a flow needs at least 2 dimensions, 1 layer and 1 hidden unit, got dim = "
            f"{dim}, layers = {layers}, hidden = {hidden}"
        )

    def layer(key: Array) -> Layer:
        out = jax.tree.map(jnp.zeros_like, init_dense(key, hidden, 2 * dim))
        return {"hidden": init_dense(key, dim, hidden), "out": out}

    return [layer(one) for one in jax.random.split(key, layers)]


def flow_forward(flow: Sequence[Layer], base: Array) -> Array:
    """Latents ``[B, d]`` of base points ``[B, d]``."""
    for number, layer in enumerate(flow):
        log_scale, shift = _coupling(layer, number, base)
        base = base * jnp.exp(log_scale) + shift
    return base


def flow_inverse(flow: Sequence[Layer], latents: Array) -> tuple[Array, Array]:
    """Base points of latents ``[B, d]``, and the logarithms of the factors by which each dimension
    is stretched on the way there, ``[B, d]``: their sum over d is the log-determinant."""
    stretched = jnp.zeros_like(latents)
    for number, layer in reversed(list(enumerate(flow))):
        log_scale, shift = _coupling(layer, number, latents)
        latents = (latents - shift) * jnp.exp(-log_scale)
        stretched = stretched - log_scale
    return latents, stretched


def flow_log_prob(flow: Sequence[Layer], latents: Array) -> Array:
    """``[B]`` log-densities of latents ``[B, d]`` under the flow, in nats."""
    base, stretched = flow_inverse(flow, latents)
    return _log_normal(base) + stretched.sum(-1)


def _coupling(layer: Layer, number: int, points: Array) -> tuple[Array, Array]:
    """``log_scale, shift [B, d]`` of one layer: zero where the layer reads, so that the points
    before and after it give the same."""
    d = points.shape[-1]
    half = np.random.default_rng(number // 2).permutation(d) < d // 2
    reads = jnp.asarray(half if number % 2 else ~half)[None]  # each half moves the other in turn
    flow_type = layer["out"]["bias"].dtype
    seen = jnp.where(reads, points, 0).astype(flow_type)
    out = _dense(layer["out"], jax.nn.relu(_dense(layer["hidden"], seen)))
    log_scale, shift = (jnp.where(reads, 0, part) for part in jnp.split(out, 2, -1))
    return jnp.tanh(log_scale).astype(points.dtype), shift.astype(points.dtype)


def _dense(layer: dict[str, Array], x: Array) -> Array:
    """As :func:`wrlso.models.dense.dense`, with derivatives in both modes."""
    return with_bias(x @ layer["kernel"], layer["bias"])


def _log_normal(x: Array) -> Array:
    return -0.5 * (x**2).sum(-1) - 0.5 * math.log(2 * math.pi) * x.shape[-1]


def with_flow(vae: VAE) -> VAE:
    """The model with the base space of a flow as its latent space.

    Its parameters are ``{"vae": those of the model, "flow": those of the flow}``. Training
    minimises the KL divergence of the encoder's posterior from the flow. It changes the flow alone,
    as the likelihood does not depend on it.

    Args:
      vae: the model; its own training is over.

    Returns:
      The new model. ``log_std`` of its encoder leaves out how coordinates move one another.
    """

    def init(key: Array) -> dict[str, Any]:
        own, more = jax.random.split(key)
        return {"vae": vae.init(own), "flow": init_flow(more, vae.latent_dim)}

    def encode(params: Any, objects: Array) -> tuple[Array, Array]:
        mean, log_std = vae.encode(params["vae"], objects)
        base, stretched = flow_inverse(params["flow"], mean)
        return base, log_std + stretched

    def decode(params: Any, base: Array) -> Array:
        return vae.decode(params["vae"], flow_forward(params["flow"], base))

    def log_likelihood(params: Any, base: Array, objects: Array) -> Array:
        return vae.log_likelihood(params["vae"], flow_forward(params["flow"], base), objects)

    def loss(key: Array, params: Any, objects: Array, beta: ArrayLike) -> Array:
        mean, log_std = vae.encode(lax.stop_gradient(params["vae"]), objects)
        noise = jax.random.normal(key, mean.shape, mean.dtype)
        latents = mean + jnp.exp(log_std) * noise
        posterior = _log_normal(noise) - log_std.sum(-1)
        return posterior - flow_log_prob(params["flow"], latents)

    changes: dict[str, Any] = {}
    if vae.relaxation is not None:
        soft = vae.relaxation
        changes["relaxation"] = Relaxation(
            lambda params, base: soft.decode(params["vae"], flow_forward(params["flow"], base)),
            soft.soften,
            soft.harden,
        )
    if vae.prepare is not None:
        make = vae.prepare
        changes["prepare"] = lambda params: {**params, "vae": make(params["vae"])}
    return replace(
        vae, init=init, encode=encode, decode=decode, log_likelihood=log_likelihood, loss=loss,
        **changes,
    )  # fmt: skip


def flow_optimizer(learning_rate: ArrayLike) -> optax.GradientTransformation:
    """Adam for the flow of a model of :func:`with_flow`; the rest stays as it is, and costs
    nothing."""
    by_part = {"flow": optax.adam(learning_rate), "vae": optax.set_to_zero()}
    return optax.partition(by_part, {"flow": "flow", "vae": "vae"})
