"""A generative model as the rest of the library sees it: a record of pure functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
from jax import Array, lax

from wrlso.models.checks import check_decoded, check_encoding, check_rows
from wrlso.models.sampling import prng_key


@dataclass(frozen=True, eq=False)
class Relaxation:
    """Objects made continuous, for methods that follow gradients through them.

    Attributes:
      decode: ``(params, latents [B, d]) -> soft objects [B, ...]``, differentiable,
        such as the pixels' probabilities.
      soften: ``objects [B, ...] -> soft objects [B, ...]`` in [0, 1].
      harden: the nearest objects of soft ones.
    """

    decode: Callable[[Any, Array], Array]
    soften: Callable[[Array], Array]
    harden: Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class VAE:
    """A variational autoencoder as pure functions of its parameters.

    Objects are arrays in the model's *storage form*, the compact form in which
    data sets keep them: packed bits for images, token indices for strings. Only
    the model looks inside, so the loop never needs to know what it optimises.

    Attributes:
      latent_dim: d, the number of latent dimensions.
      init: ``key -> params``, any pytree of arrays.
      encode: ``(params, objects [B, ...]) -> (mean [B, d], log_std [B, d])``.
      decode: ``(params, latents [B, d]) -> objects [B, ...]``; deterministic, the
        same object for the same latent whatever the rest of the batch.
      log_likelihood: ``(params, latents [B, d], objects [B, ...]) -> [B]`` nats.
      valid: ``objects [B, ...] -> [B]`` booleans, false where a decode is not an
        object at all; None if every decode is one.
      relaxation: continuous objects, None if there are none.
      lengths: ``objects [B, ...] -> [B]``, where a minibatch costs as much as its longest object:
        training then puts objects of like length together. None if all cost the same.
      loss: ``(key, params, objects [B, ...], beta) -> [B]``, what training minimises for each
        object, in nats. None: beta times the KL divergence from N(0, I), less the log-likelihood.
      prepare: ``params -> params`` with tables from which ``encode`` and ``decode`` find the same
        at less cost, where rows fill several slices: it runs once for all of them. None if there
        are none.
    """

    latent_dim: int
    init: Callable[[Array], Any]
    encode: Callable[[Any, Array], tuple[Array, Array]]
    decode: Callable[[Any, Array], Array]
    log_likelihood: Callable[[Any, Array, Array], Array]
    valid: Callable[[Array], Array] | None = None
    relaxation: Relaxation | None = None
    lengths: Callable[[Array], Array] | None = None
    loss: Callable[[Array, Any, Array, Any], Array] | None = None
    prepare: Callable[[Any], Any] | None = None


def object_like(vae: VAE) -> jax.ShapeDtypeStruct:
    """Shape and dtype of one object as the model decodes it; nothing is computed.

    It is found once per model, as tracing a model takes a while.
    """
    known = _likes.setdefault(vae, {})
    wide = bool(jax.config.jax_enable_x64)  # type: ignore[attr-defined]
    if wide not in known:
        known[wide] = _object_like(vae)
    return known[wide]


_likes: WeakKeyDictionary[VAE, dict[bool, jax.ShapeDtypeStruct]] = WeakKeyDictionary()


def _object_like(vae: VAE) -> jax.ShapeDtypeStruct:
    def one(key: Array, latents: Array) -> Array:
        return check_decoded(vae.decode(vae.init(key), latents), latents)[0]

    key = jax.eval_shape(lambda: prng_key(0))
    latents = jax.ShapeDtypeStruct((1, vae.latent_dim), jnp.float32)
    try:
        return jax.eval_shape(one, key, latents)
    except Exception as error:
        error.add_note(
            f"The model's decode was called with the parameters of its init and latents "
            f"{list(latents.shape)}, as latent_dim = {vae.latent_dim}"
        )
        raise


_SLICE = 250
"""Maximum number of rows per slice of :func:`decode_all` and :func:`encode_all`."""


def decode_all(vae: VAE, params: Any, latents: Array) -> Array:
    """Decode ``[P, d]`` latents in slices, so that memory does not grow with P."""
    params = _prepared(vae, params, latents)
    return _in_slices(lambda z: vae.decode(params, z), latents)


def encode_all(vae: VAE, params: Any, objects: Array) -> Array:
    """Means ``[P, d]`` of the encoder for ``[P, ...]`` objects, in slices.

    Where objects differ in length, slices hold objects of like length, which cost less.
    """
    params = _prepared(vae, params, objects)

    def encode(objects: Array) -> Array:
        return check_encoding(vae.encode(params, objects), objects, vae.latent_dim)[0]

    if vae.lengths is None or objects.shape[0] <= _SLICE:
        return _in_slices(encode, objects)
    order = jnp.argsort(check_rows("lengths", vae.lengths(objects), objects))
    return _in_slices(encode, objects[order])[jnp.argsort(order)]


def _prepared(vae: VAE, params: Any, rows: Array) -> Any:
    """The parameters for all slices of rows; a single one may cost less than the tables."""
    if vae.prepare is None or rows.shape[0] <= _SLICE:
        return params
    return vae.prepare(params)


def _in_slices(function: Callable[[Array], Array], rows: Array) -> Array:
    """``function(rows)`` for a function whose rows do not depend on one another.

    Slices are of one size, so the last one is filled up with copies of the last row, which are few.
    """
    n = rows.shape[0]
    slices = -(-n // _SLICE)
    if slices <= 1:
        return function(rows)
    size = -(-n // slices)
    filled = rows[jnp.minimum(jnp.arange(slices * size), n - 1)]
    out = lax.map(function, filled.reshape(slices, size, *rows.shape[1:]))
    return out.reshape(-1, *out.shape[2:])[:n]
