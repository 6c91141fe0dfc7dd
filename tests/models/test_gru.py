"""The recurrent unit against flax's, in values and gradients."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wrlso.models import gru as recurrent
from wrlso.models.gru import GRU, gru_states, gru_step, init_gru, over_steps

T, B, INPUTS, UNITS = 5, 3, 4, 6


def problem():
    gru = init_gru(jax.random.key(0), INPUTS, UNITS)
    noise = jax.random.normal(jax.random.key(1), (2, 3 * UNITS))
    gru = gru._replace(bias=noise[0], recurrent_bias=noise[1])
    start = jax.random.normal(jax.random.key(2), (B, UNITS))
    return gru, start, jax.random.normal(jax.random.key(3), (T, B, INPUTS))


def flax_states(gru, start, x):
    """flax's cell has no bias of its own on the recurrent reset and update gates."""
    kernels = dict(zip(("ir", "iz", "in"), jnp.split(gru.input, 3, 1), strict=True))
    kernels |= dict(zip(("hr", "hz", "hn"), jnp.split(gru.recurrent, 3, 1), strict=True))
    r, z, n = jnp.split(gru.bias, 3)
    hr, hz, hn = jnp.split(gru.recurrent_bias, 3)
    biases = {"ir": r + hr, "iz": z + hz, "in": n, "hn": hn}
    params = {name: {"kernel": kernel} for name, kernel in kernels.items()}
    for name, bias in biases.items():
        params[name]["bias"] = bias
    cell, state, states = nn.GRUCell(UNITS), start, []
    for t in range(T):
        state, _ = cell.apply({"params": params}, state, x[t])
        states.append(state)
    return jnp.stack(states)


@pytest.mark.parametrize("unrolled", [0, T])
def test_states_and_gradients_equal_flaxs(unrolled, monkeypatch):
    monkeypatch.setattr(recurrent, "_UNROLLED", unrolled)
    gru, start, x = problem()
    np.testing.assert_allclose(gru_states(gru, start, x), flax_states(gru, start, x), atol=1e-6)

    def loss(states, gru, start, x):
        return (states(gru, start, x) ** 3).sum()

    ours = jax.grad(loss, argnums=(1, 2, 3))(gru_states, gru, start, x)
    theirs = jax.grad(loss, argnums=(1, 2, 3))(flax_states, gru, start, x)
    chex.assert_trees_all_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_steps_one_by_one_are_the_states():
    gru, state, x = problem()
    states = gru_states(gru, state, x)
    for t in range(T):
        state = gru_step(gru, state, x[t])
        np.testing.assert_allclose(state, states[t], atol=1e-6)


@pytest.mark.parametrize("lift", [jax.vmap, lambda f: lambda *a: jax.lax.map(lambda b: f(*b), a)])
def test_a_batch_is_one_sequence_after_the_other(lift):
    gru, start, x = problem()
    twice = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), (gru, start, x))
    both = lift(jax.grad(lambda *a: gru_states(*a).sum()))(*twice)
    for i in range(2):
        one = jax.grad(lambda *a: gru_states(*a).sum())(*jax.tree.map(lambda a, i=i: a[i], twice))
        chex.assert_trees_all_close(GRU(*(leaf[i] for leaf in both)), one, rtol=1e-4, atol=1e-5)


def test_double_precision_is_kept():
    with jax.enable_x64(True):
        args = jax.tree.map(lambda a: a.astype(jnp.float64), problem())
        assert gru_states(*args).dtype == jnp.float64
        grads = jax.grad(lambda *a: gru_states(*a).sum())(*args)
        assert all(leaf.dtype == jnp.float64 for leaf in grads)


@pytest.mark.parametrize("steps", [1, 7, 60])
def test_sums_over_steps_and_their_gradients(steps):
    x = jax.random.normal(jax.random.key(4), (steps, B, UNITS))
    np.testing.assert_allclose(over_steps(x), x.sum(0), rtol=1e-4, atol=1e-5)
    slope = jax.grad(lambda x: (over_steps(x) ** 2).sum())(x)
    np.testing.assert_allclose(slope, jnp.broadcast_to(2 * x.sum(0), x.shape), rtol=1e-4, atol=1e-4)
    with jax.enable_x64(True):
        assert jax.grad(lambda x: over_steps(x).sum())(x.astype(jnp.float64)).dtype == jnp.float64


def test_forward_mode_is_refused():
    """As docs/jax.md says; the gradient of reverse mode is compared with flax's above."""
    gru, start, x = problem()
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda gru: gru_states(gru, start, x), (gru,), (gru,))
