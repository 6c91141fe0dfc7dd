"""Strings of symbols: lengths, columns that are left out, minibatches of like length."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wrlso.models.sequences import cut_columns, lengths, turn
from wrlso.models.training import draw_by_length, minibatches
from wrlso.models.vae import encode_all

TOKENS, LENGTH = 4, 5


def all_strings(length=LENGTH):
    """Every string of one to ``length`` tokens, padded with 0."""
    rows = [
        list(s) + [0] * (length - n)
        for n in range(1, length + 1)
        for s in itertools.product(range(1, TOKENS), repeat=n)
    ]
    return jnp.array(rows, jnp.uint16)


def test_lengths():
    rows = jnp.array([[1, 2, 3], [1, 0, 2], [0, 0, 0], [3, 3, 0]], jnp.uint16)
    assert lengths(rows).tolist() == [3, 1, 0, 2]


@pytest.mark.parametrize(("longest", "columns"), [(3, 16), (15, 16), (16, 24), (30, 30)])
def test_empty_columns_are_left_out(longest, columns):
    rows = np.zeros((3, 30), np.uint16)
    rows[1, :longest] = 1
    widths = []

    def function(x):
        widths.append(x.shape[1])
        return x.sum() + x.shape[1]

    assert cut_columns(function, jnp.asarray(rows)) == longest + columns
    assert widths == [16, 24, 30]


def test_lanes_are_cut_to_the_longest_of_all():
    """Under vmap as well, one length is computed, not all of them."""
    rows = np.zeros((3, 4, 30), np.uint16)
    for lane, longest in enumerate((3, 20, 12)):
        rows[lane, lane, :longest] = 1

    def function(x):
        return x.sum() + jnp.float32(x.shape[1])

    together = jax.vmap(lambda x: cut_columns(function, x))
    assert together(jnp.asarray(rows)).tolist() == [3 + 24, 20 + 24, 12 + 24]
    text = str(jax.make_jaxpr(together)(jnp.asarray(rows)))
    assert "cond[" in text
    assert "select_n" not in text.split("cond[")[1]
    within = jax.vmap(
        lambda go, x: jax.lax.cond(go, partial(cut_columns, function), lambda _: jnp.float32(0), x)
    )
    assert "cond[" in str(jax.make_jaxpr(within)(jnp.array([True, False, True]), jnp.asarray(rows)))


def test_turning_reverses_each_string():
    states = jnp.arange(1.0, 9).reshape(4, 2, 1)
    turned = turn(states, jnp.array([3, 1]))
    np.testing.assert_array_equal(turned[..., 0], [[5, 2], [3, 0], [1, 0], [0, 0]])
    slope = jax.grad(lambda x: (turn(x, jnp.array([3, 1]))[0] * 2).sum())(states)
    np.testing.assert_array_equal(slope[..., 0], [[0, 2], [0, 0], [2, 0], [0, 0]])


def test_encoding_in_order_of_length_keeps_the_order_of_rows():
    class Model:
        latent_dim = 1
        lengths = staticmethod(lengths)
        prepare = staticmethod(lambda params: 2 * params)

        @staticmethod
        def encode(params, objects):
            mean = params * objects.sum(1, keepdims=True).astype(jnp.float32)
            return mean, jnp.zeros_like(mean)

    rows = jnp.concatenate([all_strings(5), all_strings(5)[::-1]])
    assert len(rows) > 500
    found = encode_all(Model, 1.0, rows)
    np.testing.assert_array_equal(found[:, 0], 2 * rows.sum(1))


def test_minibatches_of_like_length_hold_what_is_drawn():
    rows = all_strings()
    weights = jax.random.uniform(jax.random.key(3), (len(rows),)).at[:5].set(0)
    weights /= weights.sum()
    batches = minibatches(weights, weights > 0)
    pick = jax.jit(
        lambda number: draw_by_length(
            jax.random.key(1), number, batches, 32, lambda i: lengths(rows[i])
        )
    )
    drawn = np.array([pick(number) for number in range(800)])
    assert drawn.shape == (800, 32)
    share = np.bincount(drawn.ravel(), minlength=len(rows)) / drawn.size
    assert share[:5].max() == 0
    error = (share - weights) / np.sqrt(np.maximum(weights, 1e-9) / drawn.size)
    assert np.abs(error[5:]).max() < 4.5
    # Together, 16 minibatches are in order of length, apart from the order they come in.
    n = np.asarray(lengths(rows))[drawn]
    spread = n.max(1) - n.min(1)
    assert spread.mean() < 1 < np.ptp(n)
    first = n[:16][np.argsort(n[:16].mean(1))].ravel()
    assert (np.diff(first) >= 0).all()
    # That order differs, so that length says nothing about when.
    assert np.abs(np.corrcoef(np.arange(16), n.mean(1).reshape(-1, 16).mean(0))[0, 1]) < 0.8
    assert len({tuple(np.argsort(m)) for m in n.mean(1).reshape(-1, 16)}) > 40
