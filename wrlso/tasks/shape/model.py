"""Convolutional VAEs for 64 x 64 binary images, stored as packed bits."""

from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from wrlso.models.conv import adjoint, conv, fold, folded_kernel, strided_kernel, unfold
from wrlso.models.elbo import bernoulli_log_likelihood
from wrlso.models.vae import VAE, Relaxation

SIZE = 64
Architecture = Literal["coordinate", "paper"]


def unpack(objects: Array) -> Array:
    """Packed images ``[B, 64, 8] uint8`` to pixels ``[B, 64, 64] float32`` of 0 and 1."""
    bits = (objects[..., None] >> jnp.arange(7, -1, -1, dtype=jnp.uint8)) & 1
    return bits.reshape(*objects.shape[:-1], SIZE).astype(jnp.float32)


def pack(pixels: Array) -> Array:
    """The inverse of :func:`unpack`: booleans ``[B, 64, 64]`` to ``[B, 64, 8] uint8``."""
    return jnp.packbits(pixels, axis=-1)


def make_vae(architecture: Architecture = "coordinate", latent_dim: int = 2) -> VAE:
    """A VAE with Bernoulli pixels; decoding rounds each pixel's probability.

    Raises:
      ValueError: if the architecture is unknown.
    """
    if architecture not in _ARCHITECTURES:
        raise ValueError(
            f"unknown architecture {architecture!r}; there are: {', '.join(_ARCHITECTURES)}"
        )
    make_encoder, make_decoder = _ARCHITECTURES[architecture]
    encoder, decoder = make_encoder(latent_dim), make_decoder()

    def init(key: Array) -> dict[str, object]:
        encoder_key, decoder_key = jax.random.split(key)
        return {
            "encoder": encoder.init(encoder_key, jnp.zeros((1, SIZE, SIZE, 1), jnp.float32)),
            "decoder": decoder.init(decoder_key, jnp.zeros((1, latent_dim), jnp.float32)),
        }

    def encode(params: dict, objects: Array) -> tuple[Array, Array]:
        out = jnp.asarray(encoder.apply(params["encoder"], unpack(objects)[..., None]))
        return out[:, :latent_dim], out[:, latent_dim:]

    def logits(params: dict, latents: Array) -> Array:
        return jnp.asarray(decoder.apply(params["decoder"], latents.astype(jnp.float32)))[..., 0]

    def decode(params: dict, latents: Array) -> Array:
        return pack(logits(params, latents) > 0)

    def log_likelihood(params: dict, latents: Array, objects: Array) -> Array:
        pixels = bernoulli_log_likelihood(logits(params, latents), unpack(objects))
        return pixels.sum((-2, -1))

    relaxation = Relaxation(
        decode=lambda params, latents: jax.nn.sigmoid(logits(params, latents)),
        soften=unpack,
        harden=lambda soft: pack(soft > 0.5),
    )
    return VAE(latent_dim, init, encode, decode, log_likelihood, relaxation=relaxation)


class Conv(nn.Module):
    """A convolution with bias; ``wrlso.models.conv`` explains why it replaces flax's.

    Attributes:
      features: number of output channels.
      kind: ``same`` (stride 1), ``down`` (5 x 5, stride 2, on a folded input), ``up`` (5 x 5,
        transposed, stride 2, to a folded output) or ``folded`` (3 x 3, stride 1, folded input and
        output).
      size: width of the kernel for ``same`` and ``folded``.
    """

    features: int
    kind: str = "same"
    size: int = 3

    @nn.compact
    def __call__(self, x: Array) -> Array:
        size = 5 if self.kind in ("down", "up") else self.size
        c_in = x.shape[-1] // (4 if self.kind in ("down", "folded") else 1)
        initial = nn.initializers.he_normal()
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        if self.kind == "up":  # the parameter is the kernel of the convolution that it transposes
            kernel = self.param("kernel", initial, (size, size, self.features, c_in), jnp.float32)
        else:
            kernel = self.param("kernel", initial, (size, size, c_in, self.features), jnp.float32)
        if self.kind == "down":
            return conv(x, strided_kernel(kernel)) + bias
        if self.kind == "up":
            return conv(x, adjoint(strided_kernel(kernel))) + jnp.tile(bias, 4)
        if self.kind == "folded":
            return conv(x, folded_kernel(kernel)) + jnp.tile(bias, 4)
        return conv(x, kernel) + bias


class PaperEncoder(nn.Module):
    """The original encoder: eleven convolutions, four of them with stride 2."""

    latent_dim: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = nn.relu(Conv(4, "folded")(fold(x)))
        x = nn.relu(Conv(8, "down")(x))
        x = nn.relu(Conv(8)(x))
        x = nn.relu(Conv(16, "down")(fold(x)))
        x = nn.relu(Conv(16)(nn.relu(Conv(16)(x))))
        x = nn.relu(Conv(16, "down")(fold(x)))
        x = nn.relu(Conv(16)(nn.relu(Conv(16)(x))))
        x = nn.relu(Conv(16, "down")(fold(x)))
        x = nn.relu(Conv(16)(x))
        x = nn.relu(nn.Dense(32)(x.reshape(x.shape[0], -1)))
        return nn.Dense(2 * self.latent_dim)(x)


class PaperDecoder(nn.Module):
    """The original decoder: eleven transposed convolutions, four of them with stride 2."""

    @nn.compact
    def __call__(self, z: Array) -> Array:
        x = nn.relu(nn.Dense(256)(nn.relu(nn.Dense(32)(z))))
        x = nn.relu(Conv(32)(x.reshape(-1, 4, 4, 16)))
        x = nn.relu(unfold(Conv(32, "up")(x)))
        x = nn.relu(Conv(32)(x))
        x = nn.relu(unfold(Conv(16, "up")(x)))
        x = nn.relu(Conv(16)(nn.relu(Conv(16)(x))))
        x = nn.relu(unfold(Conv(16, "up")(x)))
        x = nn.relu(Conv(8)(nn.relu(Conv(8)(x))))
        x = nn.relu(Conv(8, "up")(x))
        return unfold(Conv(1, "folded")(x))


class CoordinateEncoder(nn.Module):
    """A convolution of size and stride 4 on patches with coordinates, then 1 x 1 convolutions.

    Each patch sees its coordinates (CoordConv, Liu et al. 2018), and the patches are averaged, so
    the code depends on a square's position as smoothly as on its size. The convolutions are matrix
    products over all patches of a batch.
    """

    latent_dim: int
    width: int = 32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        patches = fold(x, _PATCH).reshape(x.shape[0], -1, _PATCH**2)
        position = nn.Dense(self.width, use_bias=False)(_coordinates())
        x = nn.relu(_on_patches(nn.Dense(self.width), patches) + position)
        x = nn.relu(_on_patches(nn.Dense(self.width), x)).mean(1)
        x = nn.relu(nn.Dense(self.width)(x))
        return nn.Dense(2 * self.latent_dim)(x)


class CoordinateDecoder(nn.Module):
    """1 x 1 convolutions on patches that hold the latent and their coordinates.

    In this spatial broadcast decoder (Watters et al. 2019) a patch is a function of the latent and
    of its coordinates. A move along a latent direction moves the edges of a shape, also beyond the
    data.
    """

    width: int = 64
    depth: int = 2

    @nn.compact
    def __call__(self, z: Array) -> Array:
        position = nn.Dense(self.width, use_bias=False)(_coordinates())
        x = nn.relu(nn.Dense(self.width)(z)[:, None] + position)
        for _ in range(self.depth):
            x = nn.relu(_on_patches(nn.Dense(self.width), x))
        x = _on_patches(nn.Dense(_PATCH**2), x)
        side = SIZE // _PATCH
        return unfold(x.reshape(-1, side, side, _PATCH**2), _PATCH)


_PATCH = 4


def _coordinates() -> Array:
    """``[patches, 2]``: row and column of every patch, from -1 to 1."""
    line = jnp.linspace(-1.0, 1.0, SIZE // _PATCH, dtype=jnp.float32)
    return jnp.stack(jnp.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)


def _on_patches(layer: nn.Module, x: Array) -> Array:
    """Apply a dense layer to ``[B, patches, C]`` as one flat matrix product.

    For a product in three dimensions, XLA's CPU backend chooses a layout in which the gradient of
    the kernel takes three times as long.
    """
    out = layer(x.reshape(-1, x.shape[-1]))
    return out.reshape(*x.shape[:-1], -1)


_ARCHITECTURES: dict[str, tuple[Callable[[int], nn.Module], Callable[[], nn.Module]]] = {
    "coordinate": (CoordinateEncoder, CoordinateDecoder),
    "paper": (PaperEncoder, PaperDecoder),
}
