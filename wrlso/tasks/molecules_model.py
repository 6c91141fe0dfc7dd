"""A VAE of token strings: recurrent encoder in both directions, recurrent decoder with feedback.

Objects are ``[B, L] uint8``: token numbers, ended by a 0 where shorter than L. The same
parameters work for any L.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from wrlso.recurrent import GRU, advance, init_gru, states_from
from wrlso.vae import VAE

_CUTS = (24, 32, 40, 48, 56, 64, 72, 88, 112, 144, 184, 232)
"""Lengths at which a batch may be cut, so that padding is not computed."""


def make_vae(
    tokens: int,
    length: int,
    latent_dim: int = 56,
    encoder_units: int = 256,
    decoder_units: int = 512,
) -> VAE:
    """A VAE of strings of at most ``length`` of ``tokens`` different tokens, the 0 included."""
    encoder_init, encode = _encoder(tokens, latent_dim, encoder_units)
    decoder_init, log_likelihood, decode = _decoder(tokens, length, latent_dim, decoder_units)

    def init(key: Array) -> dict[str, Any]:
        a, b = jax.random.split(key)
        return {"encoder": encoder_init(a), "decoder": decoder_init(b)}

    return VAE(
        latent_dim,
        init,
        lambda params, objects: _cut(partial(encode, params["encoder"]), objects),
        lambda params, latents: decode(params["decoder"], latents),
        lambda params, latents, objects: _cut(
            partial(log_likelihood, params["decoder"], latents), objects
        ),
    )


def lengths(objects: Array) -> Array:
    """``[B]``: tokens before the first 0."""
    ended = objects == 0
    return jnp.where(ended.any(-1), jnp.argmax(ended, -1), objects.shape[-1])


def _cut(function: Callable[[Array], Any], objects: Array) -> Any:
    """``function(objects)``, without columns that are empty in the whole batch."""
    full = objects.shape[-1]
    cuts = [c for c in _CUTS if c < full] + [full]
    # One more than the longest: the 0 that ends it counts.
    longest = jnp.minimum(lengths(objects).max() + 1, full)
    which = jnp.searchsorted(jnp.asarray(cuts), longest)
    return lax.switch(which, [partial(lambda c, x: function(x[:, :c]), c) for c in cuts], objects)


def _dense(key: Array, inputs: int, outputs: int) -> dict[str, Array]:
    kernel = jax.nn.initializers.lecun_normal()(key, (inputs, outputs))
    return {"kernel": kernel, "bias": jnp.zeros(outputs)}


def _apply(layer: dict[str, Array], x: Array) -> Array:
    return x @ layer["kernel"] + layer["bias"]


def _token_gru(key: Array, tokens: int, units: int) -> dict[str, Array]:
    """A recurrent unit whose input kernel is a table, a row a token."""
    return (
        init_gru(key, tokens, units)
        ._replace(input=jax.random.normal(key, (tokens, 3 * units)) / jnp.sqrt(units))
        ._asdict()
    )


def _encoder(tokens: int, latent_dim: int, units: int) -> tuple[Callable, Callable]:
    def init(key: Array) -> dict[str, Any]:
        keys = jax.random.split(key, 4)
        return {
            "forward": _token_gru(keys[0], tokens, units),
            "backward": _token_gru(keys[1], tokens, units),
            "pooled": _dense(keys[2], 2 * units, 2 * units),
            "out": _dense(keys[3], 4 * units, 2 * latent_dim),
        }

    def read(gru: GRU, rows: Array) -> Array:
        start = jnp.zeros((rows.shape[0], units))
        return states_from(gru, start, gru.input[rows.T] + gru.bias)

    def encode(params: dict, objects: Array) -> tuple[Array, Array]:
        n, steps = lengths(objects), objects.shape[1]
        rows = objects.astype(jnp.int32)
        # Backwards from the last token, so that neither direction reads padding first.
        turned = jnp.clip(n[:, None] - 1 - jnp.arange(steps), 0)
        ahead = read(GRU(**params["forward"]), rows)
        back = read(GRU(**params["backward"]), jnp.take_along_axis(rows, turned, 1))
        last = jnp.clip(n - 1, 0)
        final = jnp.concatenate([s[last, jnp.arange(len(n))] for s in (ahead, back)], -1)
        # The state at a place, from either side.
        back = back[turned.T, jnp.arange(len(n))]
        both = jax.nn.relu(_apply(params["pooled"], jnp.concatenate([ahead, back], -1)))
        used = (jnp.arange(steps)[:, None] < n)[..., None]
        pooled = jnp.where(used, both, 0.0).sum(0) / jnp.sqrt(jnp.maximum(n, 1.0))[:, None]
        out = _apply(params["out"], jnp.concatenate([final, pooled], -1))
        return out[:, :latent_dim], out[:, latent_dim:]

    return init, encode


def _decoder(
    tokens: int, length: int, latent_dim: int, units: int
) -> tuple[Callable, Callable, Callable]:
    def init(key: Array) -> dict[str, Any]:
        keys = jax.random.split(key, 4)
        return {
            "gru": _token_gru(keys[0], tokens, units),
            "start": _dense(keys[1], latent_dim, units),
            "gates": _dense(keys[2], latent_dim, 3 * units),
            "logits": _dense(keys[3], units, tokens),
        }

    def begin(params: dict, latents: Array) -> tuple[Array, Array, GRU]:
        latents = latents.astype(jnp.float32)
        start = jnp.tanh(_apply(params["start"], latents))
        return start, _apply(params["gates"], latents), GRU(**params["gru"])

    def log_likelihood(params: dict, latents: Array, objects: Array) -> Array:
        state, gates, gru = begin(params, latents)
        rows = objects.astype(jnp.int32).T
        before = jnp.concatenate([jnp.zeros_like(rows[:1]), rows[:-1]])
        states = states_from(gru, state, gru.input[before] + gates)
        log_p = jax.nn.log_softmax(_apply(params["logits"], states))
        chosen = jnp.take_along_axis(log_p, rows[..., None], -1)[..., 0]
        # The 0 that ends a string counts, what follows does not.
        counts = jnp.arange(len(rows))[:, None] <= lengths(objects)
        return jnp.where(counts, chosen, 0.0).sum(0)

    def decode(params: dict, latents: Array) -> Array:
        state, gates, gru = begin(params, latents)
        table = gru.input

        def step(carry: Any) -> Any:
            place, state, before, ended, out = carry
            state = advance(gru, state, table[before] + gates)
            logits = _apply(params["logits"], state)
            # A string of no token would be no molecule.
            logits = logits.at[:, 0].add(jnp.where(place == 0, -jnp.inf, 0.0))
            token = jnp.argmax(logits, -1)
            token = jnp.where(ended, 0, token)
            out = out.at[place].set(token.astype(jnp.uint8))
            return place + 1, state, token, ended | (token == 0), out

        batch = latents.shape[0]
        carry = (
            jnp.int32(0),
            state,
            jnp.zeros(batch, jnp.int32),
            jnp.zeros(batch, bool),
            jnp.zeros((length, batch), jnp.uint8),
        )
        unfinished = lambda carry: (carry[0] < length) & ~carry[3].all()  # noqa: E731
        return lax.while_loop(unfinished, step, carry)[-1].T

    return init, log_likelihood, decode
