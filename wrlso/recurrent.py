"""A gated recurrent unit (Cho et al. 2014, reset gate after the product) for fast training.

What does not depend on the state is one large matrix product before the loop, and the
gradient of the recurrent kernel one after it, so the loop itself holds a single product a
step in either direction. Time is the leading axis.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax


class GRU(NamedTuple):
    """Parameters for H units and I inputs: ``input [I, 3H]``, ``recurrent [H, 3H]`` and the
    ``bias [3H]`` of the first, ``recurrent_bias [3H]`` of the second. Gates in the order
    reset, update, new."""

    input: Array
    recurrent: Array
    bias: Array
    recurrent_bias: Array


def init_gru(key: Array, inputs: int, units: int) -> GRU:
    """LeCun-normal input kernel, orthogonal recurrent one, zero biases."""
    key_in, key_rec = jax.random.split(key)
    blocks = jax.vmap(lambda k: jax.nn.initializers.orthogonal()(k, (units, units)))(
        jax.random.split(key_rec, 3)
    )
    return GRU(
        jax.nn.initializers.lecun_normal()(key_in, (inputs, 3 * units)),
        jnp.concatenate(list(blocks), axis=1),
        jnp.zeros(3 * units),
        jnp.zeros(3 * units),
    )


def gru_step(gru: GRU, state: Array, x: Array) -> Array:
    """One step: ``state [B, H]``, ``x [B, I]`` to the next state."""
    return advance(gru, state, x @ gru.input + gru.bias)


def advance(gru: GRU, state: Array, projected: Array) -> Array:
    """One step, given ``projected [B, 3H]``, the input's part of the gates with its bias."""
    return _advance(gru.recurrent, gru.recurrent_bias, state, projected)[0]


def gru_states(gru: GRU, start: Array, x: Array) -> Array:
    """All states ``[T, B, H]`` after inputs ``x [T, B, I]``, from ``start [B, H]``."""
    return states_from(gru, start, x @ gru.input + gru.bias)


def states_from(gru: GRU, start: Array, projected: Array) -> Array:
    """All states ``[T, B, H]``, given ``projected [T, B, 3H]`` as for :func:`advance`. Where
    inputs are tokens, a table of projected tokens saves a matrix product."""
    return _states(gru.recurrent, gru.recurrent_bias, start, projected)


def _advance(
    recurrent: Array, bias: Array, state: Array, projected: Array
) -> tuple[Array, tuple[Array, ...]]:
    x_reset, x_update, x_new = jnp.split(projected, 3, axis=-1)
    h_reset, h_update, h_new = jnp.split(state @ recurrent + bias, 3, axis=-1)
    reset = jax.nn.sigmoid(x_reset + h_reset)
    update = jax.nn.sigmoid(x_update + h_update)
    new = jnp.tanh(x_new + reset * h_new)
    return (1 - update) * new + update * state, (reset, update, new, h_new)


@jax.custom_vjp
def _states(recurrent: Array, bias: Array, start: Array, projected: Array) -> Array:
    return _states_forward(recurrent, bias, start, projected)[0]


def _states_forward(
    recurrent: Array, bias: Array, start: Array, projected: Array
) -> tuple[Array, tuple]:
    def step(state: Array, x: Array) -> tuple[Array, tuple]:
        after, gates = _advance(recurrent, bias, state, x)
        return after, (after, gates)

    _, (states, gates) = lax.scan(step, start, projected)
    before = jnp.concatenate([start[None], states[:-1]])
    return states, (recurrent, before, gates)


def _states_backward(saved: tuple, states_bar: Array) -> tuple[Array, Array, Array, Array]:
    recurrent, before, gates = saved

    def step(state_bar: Array, at: tuple) -> tuple[Array, tuple[Array, Array]]:
        out_bar, state, (reset, update, new, h_new) = at
        total = state_bar + out_bar
        new_bar = total * (1 - update) * (1 - new * new)
        update_bar = total * (state - new) * update * (1 - update)
        reset_bar = new_bar * h_new * reset * (1 - reset)
        product_bar = jnp.concatenate([reset_bar, update_bar, new_bar * reset], -1)
        return total * update + product_bar @ recurrent.T, (product_bar, new_bar)

    start_bar, (product_bar, new_bar) = lax.scan(
        step, jnp.zeros_like(before[0]), (states_bar, before, gates), reverse=True
    )
    units = new_bar.shape[-1]
    projected_bar = jnp.concatenate([product_bar[..., : 2 * units], new_bar], -1)
    recurrent_bar = jnp.tensordot(before, product_bar, ((0, 1), (0, 1)))
    return recurrent_bar, product_bar.sum((0, 1)), start_bar, projected_bar


_states.defvjp(_states_forward, _states_backward)
