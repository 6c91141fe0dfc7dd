"""A gated recurrent unit (Cho et al. 2014, reset gate after the product) for fast training.

The input's part of the gates is one large matrix product before the loop, and the gradient of the
recurrent kernel is one after it. The loop itself holds a single product per step in either
direction. The gradient is one of reverse mode: JAX refuses ``jvp``. Time is the leading axis.
"""

import functools
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from wrlso.models.dense import Compute, contract, product, with_bias

_UNROLLED = 40
"""Maximum number of steps of a loop that is unrolled where no gradient is asked for.

XLA on a CPU shares the work outside products among cores only outside of loops. Training gains
nothing by unrolling, and takes several times as long to compile. ``benchmarks.speed.molecule_loop``
measures the former; the latter was measured when loops of training ceased to be unrolled."""


class GRU(NamedTuple):
    """Parameters for H units and I inputs, gates in the order reset, update, new.

    Attributes:
      input: ``[I, 3H]``.
      recurrent: ``[H, 3H]``.
      bias: ``[3H]``, of the input's part.
      recurrent_bias: ``[3H]``, of the state's part.
    """

    input: Array
    recurrent: Array
    bias: Array
    recurrent_bias: Array


def init_gru(key: Array, inputs: int, units: int) -> GRU:
    """LeCun-normal input kernel, orthogonal recurrent one, zero biases, in float32."""
    key_in, key_rec = jax.random.split(key)
    orthogonal = jax.nn.initializers.orthogonal()
    # One by one: XLA's thread pool on a CPU can wait for itself for ever when several batches of
    # LAPACK calls meet in a program (jaxlib 0.10.2).
    blocks = [orthogonal(k, (units, units), jnp.float32) for k in jax.random.split(key_rec, 3)]
    return GRU(
        jax.nn.initializers.lecun_normal()(key_in, (inputs, 3 * units), jnp.float32),
        jnp.concatenate(blocks, axis=1),
        jnp.zeros(3 * units, jnp.float32),
        jnp.zeros(3 * units, jnp.float32),
    )


def gru_step(gru: GRU, state: Array, x: Array) -> Array:
    """One step: ``state [B, H]``, ``x [B, I]`` to the next state."""
    return advance(gru, state, with_bias(x @ gru.input, gru.bias))


def advance(gru: GRU, state: Array, projected: Array) -> Array:
    """One step, given ``projected [B, 3H]``, the input's part of the gates with its bias."""
    return _gates(with_bias(state @ gru.recurrent, gru.recurrent_bias), state, projected)[0]


def gru_states(gru: GRU, start: Array, x: Array, compute: Compute = None) -> Array:
    """All states ``[T, B, H]`` after inputs ``x [T, B, I]``, from ``start [B, H]``."""
    projected = with_bias(product(x, gru.input, compute), gru.bias)
    return states_from(gru, start, projected, compute=compute)


def states_from(
    gru: GRU,
    start: Array,
    projected: Array,
    constant: Array | None = None,
    compute: Compute = None,
) -> Array:
    """All states ``[T, B, H]``, given ``projected [T, B, 3H]`` as for :func:`advance`, and
    ``constant [B, 3H]``, added at every step. Where inputs are tokens, a table of projected
    tokens saves a matrix product. States are in the widest type among the arguments."""
    start = start.astype(jnp.result_type(start, projected, gru.recurrent, gru.recurrent_bias))
    if constant is None:
        constant = jnp.zeros_like(projected[0])
    return _states(compute, gru.recurrent, gru.recurrent_bias, start, projected, constant)


@jax.custom_vjp
def over_steps(x: Array) -> Array:
    """The sum over the leading axis, step by step where these are few: XLA's own sum of a
    ``[13, 256, 1536]`` takes a CPU as long as three matrix products."""
    return functools.reduce(jnp.add, list(x)) if len(x) <= _UNROLLED else x.sum(0)


# Derived step by step, the adjoint would be a sum of as many padded arrays as there are steps.
over_steps.defvjp(
    lambda x: (over_steps(x), jnp.zeros((len(x), 0), x.dtype)),
    lambda steps, bar: (jnp.broadcast_to(bar, (len(steps), *bar.shape)),),
)


def _gates(product: Array, state: Array, projected: Array) -> tuple[Array, tuple[Array, ...]]:
    x_reset, x_update, x_new = jnp.split(projected, 3, axis=-1)
    h_reset, h_update, h_new = jnp.split(product, 3, axis=-1)
    reset = jax.nn.sigmoid(x_reset + h_reset)
    update = jax.nn.sigmoid(x_update + h_update)
    new = jnp.tanh(x_new + reset * h_new)
    return (1 - update) * new + update * state, (reset, update, new, h_new)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _states(compute: Compute, *inputs: Array) -> Array:
    """All states, of the inputs of :func:`_run`."""
    return _run(_UNROLLED, compute, *inputs)[0]


def _run(
    unrolled: int,
    compute: Compute,
    recurrent: Array,
    bias: Array,
    start: Array,
    projected: Array,
    constant: Array,
) -> tuple[Array, tuple]:
    """All states, and the parts that the gradient needs. Loops of up to ``unrolled`` steps are
    unrolled."""
    kernel = recurrent.astype(compute or recurrent.dtype)
    kept = compute or projected.dtype

    def step(state: Array, x: Array) -> tuple[Array, tuple]:
        product = with_bias(contract(state, kernel, 1, 0, compute).astype(state.dtype), bias)
        after, gates = _gates(product, state, x + constant)
        return after, (after, tuple(gate.astype(kept) for gate in gates))

    whole = 0 < len(projected) <= unrolled
    _, (states, gates) = lax.scan(step, start, projected, unroll=len(projected) if whole else 1)
    before = jnp.concatenate([start[None], states[:-1]])
    types = tuple(jnp.zeros(0, a.dtype) for a in (bias, start, projected, constant))
    return states, (recurrent, before.astype(kept), gates, types)


def _states_backward(compute: Compute, saved: tuple, states_bar: Array) -> tuple[Array, ...]:
    recurrent, before, gates, types = saved
    kernel = recurrent.astype(compute or recurrent.dtype)
    kept = before.dtype

    def step(carry: tuple[Array, Array, Array], at: tuple) -> tuple[Any, tuple[Array, Array]]:
        state_bar, constant_bar, bias_bar = carry
        out_bar, *rest = at
        state, reset, update, new, h_new = (a.astype(state_bar.dtype) for a in rest)
        total = state_bar + out_bar
        new_bar = total * (1 - update) * (1 - new * new)
        update_bar = total * (state - new) * update * (1 - update)
        reset_bar = new_bar * h_new * reset * (1 - reset)
        product_bar = jnp.concatenate([reset_bar, update_bar, new_bar * reset], -1)
        projected_bar = jnp.concatenate([reset_bar, update_bar, new_bar], -1)
        through = contract(product_bar, kernel, 1, 1, compute).astype(total.dtype)
        carry = (total * update + through, constant_bar + projected_bar, bias_bar + product_bar)
        return carry, (product_bar.astype(kept), projected_bar)

    zeros = jnp.zeros((before.shape[1], recurrent.shape[1]), states_bar.dtype)
    (start_bar, constant_bar, bias_bar), (product_bar, projected_bar) = lax.scan(
        step,
        (jnp.zeros_like(states_bar[0]), zeros, zeros),
        (states_bar, before, *gates),
        reverse=True,
    )
    states, flat_bar = (a.reshape(-1, a.shape[-1]) for a in (before, product_bar))
    recurrent_bar = contract(states, flat_bar, 0, 0).astype(recurrent.dtype)
    bars = (bias_bar.sum(0), start_bar, projected_bar, constant_bar)
    return recurrent_bar, *(b.astype(t.dtype) for b, t in zip(bars, types, strict=True))


_states.defvjp(partial(_run, 0), _states_backward)
