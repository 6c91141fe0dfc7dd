"""Inversion: from an object to the latent point that decodes to it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.builders import tiny_vae
from wrlso.models.inversion import invert

VAE = tiny_vae()
PARAMS = VAE.init(jax.random.key(1))


def decodes(n, seed=0):
    """Points ``[n, 2]`` and what they decode to."""
    z = 2 * jax.random.normal(jax.random.key(seed), (n, 2))
    return z, VAE.decode(PARAMS, z)


def same(z, objects):
    return (VAE.decode(PARAMS, z) == objects).all(1)


@pytest.mark.parametrize("n", [1, 64, 150])
def test_it_climbs_the_likelihood_towards_points_that_decode_to_the_objects(n):
    _, objects = decodes(n)
    start, _ = VAE.encode(PARAMS, objects)  # an encoder without any training
    found = invert(VAE, PARAMS, start, objects, steps=100)
    before, after = (VAE.log_likelihood(PARAMS, z, objects) for z in (start, found))
    assert (after > before).all()
    if n > 1:  # where a likelihood is greatest, this coarse model may round to a neighbour
        assert same(start, objects).mean() < 0.1
        assert same(found, objects).mean() > 0.6


def test_it_is_never_worse_than_where_it_started():
    z, objects = decodes(40)
    best = invert(VAE, PARAMS, z, objects, steps=300)
    wild = invert(VAE, PARAMS, best, objects, steps=3, rate=50.0)
    likelihood = VAE.log_likelihood(PARAMS, best, objects)
    assert (VAE.log_likelihood(PARAMS, wild, objects) >= likelihood).all()


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 130])
def test_only_what_needs_it_moves_and_each_on_its_own(count):
    start, objects = decodes(130, seed=1)[0], decodes(130, seed=2)[1]
    needed = (
        jnp.zeros(130, bool).at[jax.random.permutation(jax.random.key(0), 130)[:count]].set(True)
    )
    found = invert(VAE, PARAMS, start, objects, steps=5, needed=needed)
    moved = (found != start).any(1)
    np.testing.assert_array_equal(moved, needed)
    for i in np.flatnonzero(needed)[:3]:
        alone = invert(VAE, PARAMS, start[i : i + 1], objects[i : i + 1], steps=5)
        np.testing.assert_allclose(found[i], alone[0], rtol=1e-4, atol=1e-5)


def test_no_steps_or_no_rows_change_nothing():
    z, objects = decodes(3)
    np.testing.assert_array_equal(invert(VAE, PARAMS, z, objects, steps=0), z)
    assert invert(VAE, PARAMS, z[:0], objects[:0], steps=3).shape == (0, 2)


def test_vmap_over_models_inverts_each_alone():
    """Under vmap over models, each with rows of its own that need it."""
    params = jax.vmap(VAE.init)(jax.random.split(jax.random.key(4), 3))
    z, objects = decodes(70)
    needed = jax.random.uniform(jax.random.key(5), (3, 70)) < jnp.array([[0.0], [0.5], [1.0]])

    def run(p, n):
        return invert(VAE, p, z, objects, steps=4, needed=n)

    together = jax.jit(jax.vmap(run))(params, needed)
    for i in range(3):
        alone = run(jax.tree.map(lambda leaf, i=i: leaf[i], params), needed[i])
        np.testing.assert_allclose(together[i], alone, rtol=1e-4, atol=1e-5)


def test_an_impossible_object_stays_where_it_is():
    """NaN likelihoods are no improvement."""
    z, objects = decodes(4)
    broken = {**PARAMS, "bias": PARAMS["bias"] * jnp.nan}
    np.testing.assert_array_equal(invert(VAE, broken, z, objects, steps=3), z)


def test_double_precision():
    z, objects = decodes(4)
    with jax.enable_x64(True):
        double = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), PARAMS)
        found = invert(VAE, double, z.astype(jnp.float64), objects, steps=5)
    assert found.dtype == jnp.float64
    np.testing.assert_allclose(
        found, invert(VAE, PARAMS, z, objects, steps=5), rtol=1e-3, atol=1e-4
    )
