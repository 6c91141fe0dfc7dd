"""Grammar VAEs of derivations of at most 15 productions."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

from wrlso.models.gru import GRU, gru_states, gru_step, init_gru
from wrlso.models.vae import VAE
from wrlso.tasks.expression.grammar import MAX_STEPS, NOTHING, PRODUCTIONS
from wrlso.tasks.expression.rules import allowed, begin, is_complete, push, stacks

Architecture = Literal["feedback", "paper"]
Decoding = Literal["argmax", "majority"]

SYMBOLS = len(PRODUCTIONS)
_SAMPLES = 5


def _left() -> Array:
    """``[15]``: number of remaining steps at each step. A module constant would start JAX."""
    return MAX_STEPS - jnp.arange(MAX_STEPS, dtype=jnp.int32)


def make_vae(
    architecture: Architecture = "feedback", latent_dim: int = 25, decoding: Decoding = "argmax"
) -> VAE:
    """A VAE of derivations ``[B, 15] uint8``.

    Args:
      architecture: with ``"feedback"`` the decoder sees the last production and the productions
        that the stack allows. A production is allowed only if the derivation can still be completed
        in 15 steps, so every decode is an expression. ``"paper"`` is the grammar VAE of Kusner et
        al. (2017) as the paper used it: without feedback, and with invalid decodes, which are
        incomplete derivations.
      latent_dim: number of latent dimensions d.
      decoding: ``"argmax"`` takes the most likely production at each step. ``"majority"`` takes the
        most frequent of 5 samples, which depend on the latent only.

    Raises:
      ValueError: if architecture or decoding is unknown.
    """
    if architecture not in _MODELS:
        raise ValueError(f"unknown architecture {architecture!r}; there are: {', '.join(_MODELS)}")
    if decoding not in ("argmax", "majority"):
        raise ValueError(f"decoding must be 'argmax' or 'majority', got {decoding!r}")
    return _MODELS[architecture](latent_dim, decoding)


def _one_hot(derivations: Array, dtype: DTypeLike) -> Array:
    return jax.nn.one_hot(derivations, SYMBOLS, dtype=dtype)


def _type(params: Any) -> DTypeLike:
    """The parameters' type, which everything that meets them takes."""
    return jax.tree.leaves(params)[0].dtype


def _masked(logits: Array, possible: Array) -> Array:
    return jnp.where(possible, logits, -jnp.inf)


def _log_likelihood(logits: Array, possible: Array, derivations: Array) -> Array:
    """``[B]`` nats from ``[B, 15, 12]`` logits."""
    log_p = jax.nn.log_softmax(jnp.where(possible, logits, -1e9))
    chosen = jnp.take_along_axis(log_p, derivations.astype(jnp.int32)[..., None], -1)
    return chosen[..., 0].sum(-1)


def _decoder(
    decode: Callable[[Any, Array, Array], Array], decoding: Decoding
) -> Callable[[Any, Array], Array]:
    """A decoder from a function of ``(params, latents, noise [B, 15, 12])``.

    The function adds the noise to its logits.
    """

    def argmax(params: Any, latents: Array) -> Array:
        shape = (*latents.shape[:1], MAX_STEPS, SYMBOLS)
        return decode(params, latents, jnp.zeros(shape, _type(params)))

    def majority(params: Any, latents: Array) -> Array:
        shape = (_SAMPLES, MAX_STEPS, SYMBOLS)
        draw = partial(jax.random.gumbel, shape=shape, dtype=jnp.float32)
        noise = jax.vmap(draw)(jax.vmap(_key_of)(latents)).astype(_type(params))
        samples = jax.vmap(decode, (None, None, 1), 1)(params, latents, noise)
        equal = (samples[:, :, None] == samples[:, None]).all(-1)
        most_frequent = jnp.argmax(equal.sum(-1), axis=-1)
        return jnp.take_along_axis(samples, most_frequent[:, None, None], 1)[:, 0]

    return argmax if decoding == "argmax" else majority


def _key_of(latent: Array) -> Array:
    """A key that depends on the bits of a latent ``[d]``, so that decoding is a function of it,
    whatever the process's default generator is."""
    words = lax.bitcast_convert_type(latent.astype(jnp.float32), jnp.uint32)
    start = jax.random.key(0, impl="threefry2x32")
    return lax.fori_loop(0, len(words), lambda i, key: jax.random.fold_in(key, words[i]), start)


class FeedbackEncoder(nn.Module):
    """Two dense hidden layers on the concatenated productions."""

    latent_dim: int
    width: int = 256

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = nn.relu(nn.Dense(self.width)(x.reshape(x.shape[0], -1)))
        x = nn.relu(nn.Dense(self.width)(x))
        return nn.Dense(2 * self.latent_dim)(x)


class FeedbackEnds(nn.Module):
    """The layers before and after the recurrent unit: its first state, and the logits."""

    units: int

    def setup(self) -> None:
        """Make the two layers."""
        self.start = nn.Dense(self.units)
        self.logits = nn.Dense(SYMBOLS)

    def first(self, latents: Array) -> Array:
        """Latents ``[B, d]`` to the first states ``[B, units]``."""
        return jnp.tanh(self.start(latents))

    def last(self, states: Array) -> Array:
        """States ``[..., units]`` to the logits of symbols ``[..., symbols]``."""
        return self.logits(states)

    def __call__(self, latents: Array) -> Array:
        return self.last(self.first(latents))


def _feedback(latent_dim: int, decoding: Decoding, units: int = 128) -> VAE:
    encoder, ends = FeedbackEncoder(latent_dim), FeedbackEnds(units)
    inputs = latent_dim + 2 * SYMBOLS + MAX_STEPS

    def init(key: Array) -> dict[str, Any]:
        keys = jax.random.split(key, 3)
        return {
            "encoder": encoder.init(keys[0], jnp.zeros((1, MAX_STEPS, SYMBOLS), jnp.float32)),
            "ends": ends.init(keys[1], jnp.zeros((1, latent_dim), jnp.float32)),
            "gru": init_gru(keys[2], inputs, units)._asdict(),
        }

    def encode(params: dict, objects: Array) -> tuple[Array, Array]:
        out = jnp.asarray(encoder.apply(params["encoder"], _one_hot(objects, _type(params))))
        return out[:, :latent_dim], out[:, latent_dim:]

    def unit_input(latents: Array, before: Array, possible: Array, step: Array) -> Array:
        """The latent, the last production, the allowed productions, and the step's number."""
        number = jnp.broadcast_to(
            jax.nn.one_hot(step, MAX_STEPS, dtype=latents.dtype), (*before.shape, MAX_STEPS)
        )
        shown = [latents, _one_hot(before, latents.dtype), possible.astype(latents.dtype), number]
        return jnp.concatenate(shown, axis=-1)

    def log_likelihood(params: dict, latents: Array, objects: Array) -> Array:
        latents = latents.astype(_type(params))
        possible = allowed(stacks(objects)[:, :-1], _left())
        before = jnp.concatenate([jnp.full_like(objects[:, :1], NOTHING), objects[:, :-1]], 1)
        repeated = jnp.broadcast_to(latents[:, None], (*objects.shape, latent_dim))
        x = unit_input(repeated, before, possible, jnp.arange(MAX_STEPS)).swapaxes(0, 1)
        start = jnp.asarray(ends.apply(params["ends"], latents, method="first"))
        states = gru_states(GRU(**params["gru"]), start, x).swapaxes(0, 1)
        logits = jnp.asarray(ends.apply(params["ends"], states, method="last"))
        return _log_likelihood(logits, possible, objects)

    def decode(params: dict, latents: Array, noise: Array) -> Array:
        latents = latents.astype(_type(params))
        gru = GRU(**params["gru"])

        def step(carry: tuple[Array, ...], at: tuple[Array, Array, Array]) -> Any:
            state, stack, before = carry
            number, left, added = at
            possible = allowed(stack, left)
            state = gru_step(gru, state, unit_input(latents, before, possible, number))
            logits = jnp.asarray(ends.apply(params["ends"], state, method="last")) + added
            chosen = jnp.argmax(_masked(logits, possible), -1).astype(jnp.uint8)
            return (state, push(stack, chosen), chosen), chosen

        rows = latents.shape[:1]
        start = jnp.asarray(ends.apply(params["ends"], latents, method="first"))
        start = start.astype(jnp.result_type(start, *gru))  # float64 if the parameters are
        carry = (start, begin(*rows), jnp.full(rows, NOTHING, jnp.uint8))
        at = (jnp.arange(MAX_STEPS), _left(), noise.swapaxes(0, 1))
        _, chosen = lax.scan(step, carry, at)
        return chosen.swapaxes(0, 1)

    return VAE(latent_dim, init, encode, _decoder(decode, decoding), log_likelihood)


class PaperEncoder(nn.Module):
    """Three convolutions over the productions, of widths 2, 3 and 4, and a dense layer."""

    latent_dim: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for width in (2, 3, 4):
            x = nn.relu(nn.Conv(width, (width,), padding="VALID")(x))
        x = nn.relu(nn.Dense(100)(x.reshape(x.shape[0], -1)))
        return nn.Dense(2 * self.latent_dim)(x)


def _paper(latent_dim: int, decoding: Decoding, units: int = 100, layers: int = 3) -> VAE:
    encoder = PaperEncoder(latent_dim)
    first, last = nn.Dense(latent_dim), nn.Dense(SYMBOLS)

    def init(key: Array) -> dict[str, Any]:
        keys = jax.random.split(key, 3 + layers)
        sizes = [latent_dim] + [units] * (layers - 1)
        return {
            "encoder": encoder.init(keys[0], jnp.zeros((1, MAX_STEPS, SYMBOLS), jnp.float32)),
            "first": first.init(keys[1], jnp.zeros((1, latent_dim), jnp.float32)),
            "last": last.init(keys[2], jnp.zeros((1, units), jnp.float32)),
            "grus": [init_gru(k, n, units)._asdict() for k, n in zip(keys[3:], sizes, strict=True)],
        }

    def encode(params: dict, objects: Array) -> tuple[Array, Array]:
        out = jnp.asarray(encoder.apply(params["encoder"], _one_hot(objects, _type(params))))
        return out[:, :latent_dim], out[:, latent_dim:]

    def logits(params: dict, latents: Array) -> Array:
        latents = latents.astype(_type(params))
        x = nn.relu(jnp.asarray(first.apply(params["first"], latents)))
        x = jnp.broadcast_to(x[None], (MAX_STEPS, *x.shape))
        for gru in params["grus"]:
            x = gru_states(GRU(**gru), jnp.zeros((x.shape[1], units), x.dtype), x)
        return jnp.asarray(last.apply(params["last"], x)).swapaxes(0, 1)

    def log_likelihood(params: dict, latents: Array, objects: Array) -> Array:
        possible = allowed(stacks(objects)[:, :-1])
        return _log_likelihood(logits(params, latents), possible, objects)

    def decode(params: dict, latents: Array, noise: Array) -> Array:
        def step(stack: Array, scores: Array) -> tuple[Array, Array]:
            possible = allowed(stack)
            chosen = jnp.argmax(_masked(scores, possible), -1).astype(jnp.uint8)
            return push(stack, chosen), chosen

        scores = (logits(params, latents) + noise).swapaxes(0, 1)
        return lax.scan(step, begin(len(latents)), scores)[1].swapaxes(0, 1)

    return VAE(
        latent_dim, init, encode, _decoder(decode, decoding), log_likelihood, valid=is_complete
    )


_MODELS: dict[str, Callable[[int, Decoding], VAE]] = {"feedback": _feedback, "paper": _paper}
