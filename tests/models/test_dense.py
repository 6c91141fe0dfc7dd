"""Products and tables: values and gradients against plain indexing and matmul."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wrlso.models.dense import dense, init_dense, lookup, product


def both(ours, plain, *arguments):
    """Values and gradients of the sum of cubes."""
    numbers = tuple(range(len(arguments)))
    return [
        jax.value_and_grad(lambda *a, f=f: (f(*a) ** 3).sum(), argnums=numbers)(*arguments)
        for f in (ours, plain)
    ]


@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 4), (0, 4)])
def test_the_product_and_its_gradients_equal_numpys(shape):
    x = jax.random.normal(jax.random.key(0), shape)
    kernel = jax.random.normal(jax.random.key(1), (4, 6))
    (value, slope), (expected, expected_slope) = both(product, jnp.matmul, x, kernel)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    for a, b in zip(slope, expected_slope, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [[0, 2, 2, 1], [[1, 1], [0, 2]], []])
def test_a_lookup_and_its_gradients_equal_indexing(rows):
    rows = jnp.array(rows, jnp.int32)
    table = jax.random.normal(jax.random.key(0), (3, 5))
    (value, slope), (expected, expected_slope) = both(
        lambda t: lookup(t, rows), lambda t: t[rows], table
    )
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(slope[0], expected_slope[0], rtol=1e-5, atol=1e-6)


def test_low_precision_is_of_the_factors_only():
    """Three digits a factor, and sums in float32, in gradients too."""
    layer = init_dense(jax.random.key(0), 256, 32)
    x = jax.random.normal(jax.random.key(1), (64, 256))
    exact = jax.grad(lambda p: (dense(p, x) ** 2).sum())(layer)
    rough = jax.grad(lambda p: (dense(p, x, jnp.bfloat16) ** 2).sum())(layer)
    for a, b in zip(jax.tree.leaves(rough), jax.tree.leaves(exact), strict=True):
        assert a.dtype == jnp.float32
        np.testing.assert_allclose(a, b, atol=0.02 * float(jnp.abs(b).max()))
    assert not np.array_equal(rough["kernel"], exact["kernel"])


def test_double_precision_is_kept():
    with jax.enable_x64(True):
        x, table = jnp.ones((2, 3)), jnp.ones((3, 4))
        assert product(x, table).dtype == jnp.float64
        assert jax.grad(lambda t: lookup(t, jnp.array([0, 1])).sum())(table).dtype == jnp.float64
