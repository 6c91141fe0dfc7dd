"""Convolutions that stay fast inside a compiled training loop.

XLA's CPU backend rewrites convolutions into the form that its fast kernel
needs only at the top level of a program. Inside ``scan`` or ``while_loop``,
where all training here happens, the gradient of a convolution and everything
strided or transposed falls back to a naive loop, an order of magnitude slower.
So there is one convolution, of stride one, whose gradients are written as
convolutions of the fast form, and everything strided is that convolution on
*folded* images: a folded image keeps each 2 x 2 block of pixels as the channels
of one pixel. The mathematics is the textbook layer's.

Images are ``[B, H, W, C]``, kernels ``[K, K, C_in, C_out]``.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax


@jax.custom_vjp
def conv(x: Array, kernel: Array) -> Array:
    """Cross-correlation of stride one, zero-padded to keep the size; K is odd.

    Args:
      x: ``[B, H, W, C_in]``.
      kernel: ``[K, K, C_in, C_out]``.

    Returns:
      ``[B, H, W, C_out]``.
    """
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _conv_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return conv(x, kernel), (x, kernel)


def _conv_backward(saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = saved
    return conv(g, adjoint(kernel)), _kernel_gradient(x, g, kernel.shape[0])


conv.defvjp(_conv_forward, _conv_backward)


def adjoint(kernel: Array) -> Array:
    """The kernel of the transposed linear map: flipped in space, channels exchanged."""
    return jnp.flip(kernel, (0, 1)).swapaxes(2, 3)


def _kernel_gradient(x: Array, g: Array, size: int) -> Array:
    """d(sum g * conv(x, kernel)) / d kernel, ``[K, K, C_in, C_out]``.

    A convolution itself, in which batch and channels have changed places. The
    transposes are spelled out: left to ``dimension_numbers``, XLA's CPU backend
    takes its slow path inside loops.
    """
    r = size // 2
    taps = lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0),
        g.transpose(1, 2, 0, 3),
        (1, 1),
        ((r, r), (r, r)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return taps.transpose(1, 2, 0, 3)


def fold(x: Array, block: int = 2) -> Array:
    """Space to depth: ``[B, H, W, C] -> [B, H/b, W/b, b*b*C]``."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // block, block, w // block, block, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, h // block, w // block, block * block * c)


def unfold(x: Array, block: int = 2) -> Array:
    """Depth to space, the inverse of :func:`fold`."""
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, block, block, c // block**2)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, h * block, w * block, c // block**2)


def strided_kernel(kernel: Array) -> Array:
    """Kernel of a 5 x 5 convolution of stride 2 and padding 2, acting on folded images.

    ``[5, 5, C_in, C_out] -> [3, 3, 4 C_in, C_out]``: output pixel i of the
    strided layer reads input pixels 2i-2 ... 2i+2, that is folded pixels i-1,
    i and the first half of i+1. Its :func:`adjoint` is the kernel of the 5 x 5
    transposed convolution of stride 2 (padding 2, output padding 1), whose
    output is folded.
    """
    c_in, c_out = kernel.shape[2:]
    even = jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0)))
    blocks = even.reshape(3, 2, 3, 2, c_in, c_out).transpose(0, 2, 1, 3, 4, 5)
    return blocks.reshape(3, 3, 4 * c_in, c_out)


def folded_kernel(kernel: Array) -> Array:
    """Kernel of a 3 x 3 convolution of stride one whose input and output stay folded.

    ``[3, 3, C_in, C_out] -> [3, 3, 4 C_in, 4 C_out]``.
    """
    c_in, c_out = kernel.shape[2:]
    place = jnp.asarray(_PLACE, kernel.dtype)
    grid = jnp.einsum("aiyp,bjxq,ijcd->yxpqcabd", place, place, kernel)
    return grid.reshape(3, 3, 4 * c_in, 4 * c_out)


# _PLACE[a, i, y, p]: does pixel a of a block, reading tap i, meet pixel p of folded neighbour y?
_PLACE = np.array(
    [[[[2 * (y - 1) + p == a + i - 1 for p in range(2)] for y in range(3)] for i in range(3)]
     for a in range(2)],
    np.float32,
)  # fmt: skip
