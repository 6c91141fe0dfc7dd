"""The VAE of token strings: what it computes does not depend on padding or on the batch."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from wrlso.models.elbo import constant_beta
from wrlso.models.sequence_vae import lengths, make_vae, standardize_latents
from wrlso.models.training import draw_by_length, minibatches, train
from wrlso.weighting.ranks import uniform_weights

TOKENS, LENGTH = 4, 5
SMALL = {"latent_dim": 3, "encoder_units": 6, "decoder_units": 8}


def all_strings(length=LENGTH):
    """Every string of one to ``length`` tokens, padded with 0."""
    rows = [
        list(s) + [0] * (length - n)
        for n in range(1, length + 1)
        for s in itertools.product(range(1, TOKENS), repeat=n)
    ]
    return jnp.array(rows, jnp.uint8)


def model(length=LENGTH, tokens=TOKENS, **sizes):
    vae = make_vae(tokens, length, **(SMALL | sizes))
    compiled = {
        name: jax.jit(getattr(vae, name)) for name in ("encode", "decode", "log_likelihood")
    }
    return dataclasses.replace(vae, **compiled), jax.jit(vae.init)(jax.random.key(0))


def test_lengths():
    rows = jnp.array([[1, 2, 3], [1, 0, 2], [0, 0, 0], [3, 3, 0]], jnp.uint8)
    assert lengths(rows).tolist() == [3, 1, 0, 2]


def test_likelihoods_of_all_strings_sum_to_one():
    """The empty string included, which is never decoded."""
    vae, params = model()
    rows = jnp.concatenate([jnp.zeros((1, LENGTH), jnp.uint8), all_strings()])
    z = jnp.broadcast_to(jax.random.normal(jax.random.key(1), (1, 3)), (len(rows), 3))
    total = jnp.exp(vae.log_likelihood(params, z, rows)).sum()
    assert float(total) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("length", [23, pytest.param(80, marks=pytest.mark.slow)])
def test_padding_and_the_rest_of_the_batch_do_not_matter(length):
    vae, params = model(length)
    rows = all_strings()[::7]
    padded = jnp.pad(rows, ((0, 0), (0, length - LENGTH)))
    short, _ = model()
    z = jax.random.normal(jax.random.key(1), (len(rows), 3))
    # Of five tokens without an end, a longer space asks for the end as well: leave those out.
    ended = np.asarray(lengths(rows)) < LENGTH
    both = [
        vae.log_likelihood(params, z, padded)[ended],
        short.log_likelihood(params, z, rows)[ended],
    ]
    np.testing.assert_allclose(*both, rtol=1e-5)
    for one, other in zip(vae.encode(params, padded), short.encode(params, rows), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    # What stands behind the end is not read.
    rubbish = padded.at[:, -1].set(jnp.where(lengths(padded) < length - 1, 3, padded[:, -1]))
    np.testing.assert_allclose(
        vae.encode(params, rubbish)[0], vae.encode(params, padded)[0], atol=1e-6
    )
    # Longer strings in the batch move the cut, not the result.
    if length > LENGTH:
        longer = jnp.concatenate([padded, jnp.ones((1, length), jnp.uint8)])
        np.testing.assert_allclose(
            vae.encode(params, longer)[0][:-1], vae.encode(params, padded)[0], rtol=1e-4, atol=1e-6
        )


def test_decodes_are_greedy_and_end_with_their_first_zero():
    vae, params = model(12)
    z = 3 * jax.random.normal(jax.random.key(1), (50, 3))
    decodes = np.asarray(jax.jit(vae.decode)(params, z))
    assert decodes.shape == (50, 12)
    assert decodes.dtype == np.uint8
    assert (decodes[:, 0] != 0).all()
    for row, n in zip(decodes, np.asarray(lengths(jnp.asarray(decodes))), strict=True):
        assert (row[n:] == 0).all()
    np.testing.assert_array_equal(vae.decode(params, z[4:6]), decodes[4:6])
    one_by_one = jax.vmap(lambda latent: vae.decode(params, latent[None])[0])(z)
    np.testing.assert_array_equal(one_by_one, decodes)
    # Greedy: of all first tokens the one chosen is the most likely. A string of one token and
    # all its continuations have that token's probability.
    rows = all_strings(3)
    vae, params = model(3)
    chosen = np.asarray(vae.decode(params, z[:5]))[:, 0]
    for latent, token in zip(z[:5], chosen, strict=True):
        p = np.exp(vae.log_likelihood(params, jnp.broadcast_to(latent, (len(rows), 3)), rows))
        share = [p[np.asarray(rows)[:, 0] == t].sum() for t in range(1, TOKENS)]
        assert token == 1 + int(np.argmax(share))


@pytest.mark.slow
def test_training_reconstructs_the_data():
    rng = np.random.default_rng(0)
    rows = jnp.asarray(rng.permutation(np.asarray(all_strings()))[:60])
    vae, params = model(latent_dim=8, encoder_units=32, decoder_units=48)
    batches = minibatches(uniform_weights(jnp.zeros(60)), jnp.ones(60, bool))
    params, _, info = jax.jit(
        lambda p: train(
            jax.random.key(0), p, vae, lambda r: rows[r], batches, steps=250, batch_size=40,
            optimizer=optax.adam(5e-3), beta=constant_beta(0.02),
        )
    )(params)  # fmt: skip
    assert bool(info.finite)
    back = vae.decode(params, vae.encode(params, rows)[0])
    assert float((back == rows).all(1).mean()) > 0.9


def test_other_coordinates_are_the_same_model():
    vae, params = model()
    shift, scale = jnp.array([0.5, -1.0, 2.0]), jnp.array([0.3, 1.0, 4.0])
    moved = standardize_latents(params, shift, scale)
    objects = all_strings()
    mean, log_std = vae.encode(params, objects)
    new_mean, new_log_std = vae.encode(moved, objects)
    np.testing.assert_allclose(shift + scale * new_mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(jnp.log(scale) + new_log_std, log_std, rtol=1e-4, atol=1e-5)
    z = jax.random.normal(jax.random.key(1), (len(objects), 3))
    np.testing.assert_allclose(
        vae.log_likelihood(moved, z, objects),
        vae.log_likelihood(params, shift + scale * z, objects),
        rtol=1e-4,
    )


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


def test_decodes_keep_their_type_in_double_precision_mode():
    with jax.enable_x64(True):
        vae = make_vae(6, 9, latent_dim=3, encoder_units=8, decoder_units=8)
        params = vae.init(jax.random.key(0))
        objects = jax.jit(vae.decode)(params, jnp.ones((2, 3)))
        assert objects.dtype == jnp.uint8
        assert np.isfinite(vae.log_likelihood(params, jnp.ones((2, 3)), objects)).all()
