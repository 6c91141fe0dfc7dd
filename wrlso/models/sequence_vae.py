"""A VAE of strings: recurrent encoder in both directions, recurrent decoder with feedback.

Objects are ``[B, L] uint8``: numbers of symbols, ended by a 0 where shorter than L. The same
parameters work for any L.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from wrlso.models.dense import Compute, dense, init_dense, lookup
from wrlso.models.gru import GRU, advance, init_gru, over_steps, states_from
from wrlso.models.vae import VAE

_CUTS = (8, 10, 12, 14, 16, 18, 20, 24, 28, 34, 48, 72, 112, 168, 232)
"""Lengths at which a batch may be cut, so that padding is not computed."""

_SWITCHED = (16, 24, 34, 72, 168)
"""The lengths between which one compiled program chooses. Each is compiled into it, so there are
few: a batch drawn at random has a long string in it anyway."""


def make_vae(
    symbols: int,
    length: int,
    latent_dim: int = 56,
    encoder_units: int = 256,
    decoder_units: int = 512,
    sizes: Sequence[int] | np.ndarray | None = None,
    compute: Compute = None,
    cut: bool = True,
) -> VAE:
    """A VAE of strings of at most ``length`` of ``symbols`` different symbols, the 0 included.

    Args:
      symbols: number of symbols, the 0 included.
      length: L. A decode ends where one more symbol would exceed it.
      latent_dim: d.
      encoder_units: units of the encoder in each direction.
      decoder_units: units of the decoder.
      sizes: ``[symbols]``, the number of places of ``length`` that each symbol takes; None: one.
      compute: type in which products are computed while training; None: float32.
      cut: leave out columns that are empty in a whole batch. There is less to compute, and a few
        lengths to compile. False where batches come cut.
    """
    encoder_init, encode = _encoder(symbols, latent_dim, encoder_units, compute)
    places = np.ones(symbols, np.int32) if sizes is None else np.asarray(sizes, np.int32)
    decoder_init, log_likelihood, decode = _decoder(
        symbols, length, latent_dim, decoder_units, places, compute
    )

    def init(key: Array) -> dict[str, Any]:
        a, b = jax.random.split(key)
        return {"encoder": encoder_init(a), "decoder": decoder_init(b)}

    short = cut_columns if cut else lambda function, objects: function(objects)
    return VAE(
        latent_dim,
        init,
        lambda params, objects: short(partial(encode, params["encoder"]), objects),
        lambda params, latents: decode(params["decoder"], latents),
        lambda params, latents, objects: short(
            partial(log_likelihood, params["decoder"], latents), objects
        ),
        lengths=lengths if cut else None,
    )


def standardize_latents(params: Any, shift: Array, scale: Array) -> Any:
    """The same model in other coordinates of its latent space.

    A KL term of small weight hardly determines where the data lie: they end up in a small part of
    the prior. The first layers of the decoder and the last of the encoder are linear, so they can
    absorb the change of coordinates; encodings and decodes stay the same.

    Args:
      params: of :func:`make_vae`.
      shift, scale: ``[d]``; the point ``shift + scale * z`` becomes ``z``.
    """
    latent_dim = len(shift)
    out = params["encoder"]["out"]
    factor = jnp.concatenate([1 / scale, jnp.ones(latent_dim, scale.dtype)])
    moved = jnp.concatenate([-shift / scale, -jnp.log(scale)])
    encoder = {"kernel": out["kernel"] * factor[None], "bias": out["bias"] * factor + moved}
    decoder = {
        name: {
            "kernel": params["decoder"][name]["kernel"] * scale[:, None],
            "bias": params["decoder"][name]["bias"] + shift @ params["decoder"][name]["kernel"],
        }
        for name in ("start", "gates")
    }
    return {
        "encoder": {**params["encoder"], "out": encoder},
        "decoder": {**params["decoder"], **decoder},
    }


def lengths(objects: Array) -> Array:
    """``[B]``: symbols before the first 0."""
    ended = objects == 0
    return jnp.where(ended.any(-1), jnp.argmax(ended, -1).astype(jnp.int32), objects.shape[-1])


def cut_lengths(full: int) -> list[int]:
    """The lengths at which batches of strings of at most ``full`` symbols may be cut."""
    return [c for c in _CUTS if c < full] + [full]


def cut_columns(function: Callable[[Array], Any], objects: Array) -> Any:
    """``function(objects)``, without columns that are empty in the whole batch."""
    full = objects.shape[-1]
    cuts = [c for c in _SWITCHED if c < full] + [full]
    # One more than the longest: the 0 that ends it counts.
    longest = jnp.minimum(lengths(objects).max() + 1, full)
    which = jnp.searchsorted(jnp.asarray(cuts, jnp.int32), longest)
    return lax.switch(which, [partial(lambda c, x: function(x[:, :c]), c) for c in cuts], objects)


def _token_gru(key: Array, symbols: int, units: int) -> dict[str, Array]:
    """A recurrent unit whose input kernel is a table, a row a symbol."""
    gru_key, table_key = jax.random.split(key)
    table = jax.random.normal(table_key, (symbols, 3 * units), jnp.float32) / math.sqrt(units)
    return init_gru(gru_key, symbols, units)._replace(input=table)._asdict()


@jax.custom_vjp
def turn(states: Array, n: Array) -> Array:
    """``[T, B, H]``: the first ``n [B]`` steps of each string in reverse order, zero behind."""
    steps = jnp.arange(states.shape[0], dtype=n.dtype)[:, None]
    place = jnp.clip(n[None] - 1 - steps, 0)
    turned = states[place, jnp.arange(states.shape[1], dtype=n.dtype)[None]]
    return jnp.where((steps < n[None])[..., None], turned, 0.0)


# Turning is its own inverse and its own adjoint.
turn.defvjp(lambda states, n: (turn(states, n), n), lambda n, bar: (turn(bar, n), None))


def _encoder(
    symbols: int, latent_dim: int, units: int, compute: Compute
) -> tuple[Callable, Callable]:
    def init(key: Array) -> dict[str, Any]:
        keys = jax.random.split(key, 4)
        return {
            "forward": _token_gru(keys[0], symbols, units),
            "backward": _token_gru(keys[1], symbols, units),
            "pooled": init_dense(keys[2], 2 * units, 2 * units),
            "out": init_dense(keys[3], 4 * units, 2 * latent_dim),
        }

    def read(gru: GRU, rows: Array) -> Array:
        start = jnp.zeros((rows.shape[0], units), gru.input.dtype)
        bias = jnp.broadcast_to(gru.bias[None], (rows.shape[0], 3 * units))
        return states_from(gru, start, lookup(gru.input, rows.T, compute), bias, compute)

    def encode(params: dict, objects: Array) -> tuple[Array, Array]:
        n, place = lengths(objects), jnp.arange(objects.shape[1], dtype=jnp.int32)
        rows = objects.astype(jnp.int32)
        # Backwards from the last symbol, so that neither direction reads padding first.
        turned = jnp.take_along_axis(rows, jnp.clip(n[:, None] - 1 - place[None], 0), 1)
        ahead = read(GRU(**params["forward"]), rows)
        back = read(GRU(**params["backward"]), turned)
        used = (place[:, None] < n[None])[..., None]
        last = (place[:, None] == jnp.clip(n - 1, 0)[None])[..., None]
        final = [over_steps(jnp.where(last, states, 0.0)) for states in (ahead, back)]
        # The state at a place, from either side.
        both = jnp.concatenate([ahead, turn(back, n)], -1)
        both = jax.nn.relu(dense(params["pooled"], both, compute))
        count = jnp.maximum(n, 1).astype(both.dtype)
        pooled = over_steps(jnp.where(used, both, 0.0)) / jnp.sqrt(count)[:, None]
        out = dense(params["out"], jnp.concatenate([*final, pooled], -1))
        return out[:, :latent_dim], out[:, latent_dim:]

    return init, encode


def _decoder(
    symbols: int,
    length: int,
    latent_dim: int,
    units: int,
    sizes: np.ndarray,
    compute: Compute,
) -> tuple[Callable, Callable, Callable]:
    def init(key: Array) -> dict[str, Any]:
        keys = jax.random.split(key, 4)
        return {
            "gru": _token_gru(keys[0], symbols, units),
            "start": init_dense(keys[1], latent_dim, units),
            "gates": init_dense(keys[2], latent_dim, 3 * units),
            "logits": init_dense(keys[3], units, symbols),
        }

    def log_likelihood(params: dict, latents: Array, objects: Array) -> Array:
        state, gates, gru = _begin(params, latents)
        rows = objects.astype(jnp.int32).T
        before = jnp.concatenate([jnp.zeros_like(rows[:1]), rows[:-1]])
        states = states_from(gru, state, lookup(gru.input, before, compute), gates, compute)
        log_p = jax.nn.log_softmax(dense(params["logits"], states, compute))
        symbol = jnp.arange(symbols, dtype=jnp.int32)[None, None]
        chosen = jnp.where(symbol == rows[..., None], log_p, 0.0).sum(-1)
        # The 0 that ends a string counts, what follows does not.
        counts = jnp.arange(len(rows), dtype=jnp.int32)[:, None] <= lengths(objects)[None]
        return jnp.where(counts, chosen, 0.0).sum(0)

    def decode(params: dict, latents: Array) -> Array:
        return _most_likely(params, latents, length, sizes)

    return init, log_likelihood, decode


def _begin(params: dict, latents: Array) -> tuple[Array, Array, GRU]:
    """The decoder's first state, what a latent adds to the gates, and the recurrent unit."""
    latents = latents.astype(params["start"]["kernel"].dtype)
    start = jnp.tanh(dense(params["start"], latents))
    return start, dense(params["gates"], latents), GRU(**params["gru"])


def _most_likely(params: dict, latents: Array, length: int, sizes: np.ndarray) -> Array:
    """``[B, length] uint8``: the most likely symbol at each step, as long as there is space for it.

    ``sizes [symbols]`` is the number of places that each symbol takes.
    """
    state, gates, gru = _begin(params, latents)
    table = gru.input

    def step(carry: Any) -> Any:
        position, state, before, places_left, out = carry
        state = advance(gru, state, table[before] + gates)
        logits = dense(params["logits"], state)
        # A string of no symbol would be no object.
        logits = logits.at[:, 0].add(jnp.where(position == 0, -jnp.inf, 0.0))
        symbol = jnp.argmax(logits, -1).astype(jnp.int32)
        places_left = places_left - jnp.asarray(sizes, jnp.int32)[symbol]
        symbol = jnp.where(places_left < 0, 0, symbol)
        places_left = jnp.where(symbol == 0, -1, places_left)
        out = out.at[position].set(symbol.astype(jnp.uint8))
        return position + 1, state, symbol, places_left, out

    batch = latents.shape[0]
    carry = (
        jnp.int32(0),
        state,
        jnp.zeros(batch, jnp.int32),
        jnp.full(batch, length, jnp.int32),
        jnp.zeros((length, batch), jnp.uint8),
    )
    unfinished = lambda carry: (carry[0] < length) & (carry[3] >= 0).any()  # noqa: E731
    return lax.while_loop(unfinished, step, carry)[-1].T
