import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from wrlso.models.conv import adjoint, conv, fold, folded_kernel, strided_kernel, unfold

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def plain(x, kernel, stride=1):
    r = kernel.shape[0] // 2
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), ((r, r), (r, r)), dimension_numbers=DIMENSIONS
    )


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize(("c_in", "c_out"), [(2, 5), (5, 2), (3, 3), (1, 1)])
def test_value_and_gradients_equal_plain_autodiff(size, c_in, c_out):
    x, kernel = normal(0, 2, 6, 7, c_in), normal(1, size, size, c_in, c_out)
    cotangent = normal(2, 2, 6, 7, c_out)
    out, pullback = jax.vjp(conv, x, kernel)
    expected, expected_pullback = jax.vjp(plain, x, kernel)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)
    for got, want in zip(pullback(cotangent), expected_pullback(cotangent), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_gradients_inside_a_loop_and_under_vmap():
    x, kernels = normal(0, 2, 6, 6, 3), normal(1, 4, 3, 3, 3, 2)

    def loss(kernel, convolution):
        return (convolution(x, kernel) ** 2).sum()

    want = jax.vmap(jax.grad(lambda k: loss(k, plain)))(kernels)
    got = jax.vmap(jax.grad(lambda k: loss(k, conv)))(kernels)
    looped = lax.map(jax.grad(lambda k: loss(k, conv)), kernels)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(looped, want, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("block", [2, 4])
def test_unfold_inverts_fold(block):
    x = normal(0, 2, 8, 8, 3)
    np.testing.assert_array_equal(unfold(fold(x, block), block), x)
    top_left = x[:, :block, :block].reshape(2, -1)
    np.testing.assert_array_equal(fold(x, block)[:, 0, 0], top_left)


def test_strided_convolution_by_folding():
    x, kernel = normal(0, 2, 12, 12, 3), normal(1, 5, 5, 3, 4)
    np.testing.assert_allclose(
        conv(fold(x), strided_kernel(kernel)), plain(x, kernel, stride=2), rtol=1e-4, atol=1e-4
    )


def test_transposed_convolution_is_the_adjoint_of_the_strided_one():
    x, kernel = normal(0, 2, 6, 6, 4), normal(1, 5, 5, 3, 4)
    _, transposed = jax.vjp(lambda image: plain(image, kernel, stride=2), normal(2, 2, 12, 12, 3))
    np.testing.assert_allclose(
        unfold(conv(x, adjoint(strided_kernel(kernel)))), transposed(x)[0], rtol=1e-4, atol=1e-4
    )


def test_convolution_that_stays_folded():
    x, kernel = normal(0, 2, 8, 8, 3), normal(1, 3, 3, 3, 2)
    np.testing.assert_allclose(
        unfold(conv(fold(x), folded_kernel(kernel))), plain(x, kernel), rtol=1e-4, atol=1e-4
    )


def test_second_convolution_gradient_with_float64():
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 5, 5, 2)))
        kernel = jnp.asarray(np.random.default_rng(1).normal(size=(3, 3, 2, 3)))
        got = jax.grad(lambda k: jnp.sin(conv(x, k)).sum())(kernel)
        want = jax.grad(lambda k: jnp.sin(plain(x, k)).sum())(kernel)
        assert got.dtype == jnp.float64
        np.testing.assert_allclose(got, want, rtol=1e-12)
