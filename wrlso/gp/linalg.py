"""Factorisations that never return NaN, and their derivatives."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

matmul = partial(jnp.matmul, precision="highest")
"""Matrix product at full precision, also where an accelerator's default is lower."""


_BLOCKS, _LARGE = 4, 512


def times_lower(x: Array, lower: Array) -> Array:
    """``x [s, n] @ lower.T`` of a lower triangular matrix ``[n, n]``. A large one is taken in four
    blocks of rows without their zeros: five eighths of the work."""
    n = lower.shape[0]
    if n < _LARGE:
        return matmul(x, lower.T)
    ends = [n * (i + 1) // _BLOCKS for i in range(_BLOCKS)]
    blocks = zip([0, *ends], ends, strict=False)
    return jnp.concatenate([matmul(x[:, :j], lower[i:j, :j].T) for i, j in blocks], axis=1)


def _one_by_one_on_cpu(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Where vmapped, map on a CPU: XLA's thread pool there can wait for itself for ever when two
    large batches of LAPACK calls meet (seen in jaxlib 0.10.2)."""
    wrapped = jax.custom_batching.custom_vmap(function)

    @wrapped.def_vmap
    def _(axis_size: int, in_batched: list[bool], batch: Array) -> tuple[Array, bool]:
        mapped = lambda b: lax.map(wrapped, b)  # noqa: E731
        batched = jax.vmap(function)
        return lax.platform_dependent(batch, cpu=mapped, default=batched), True

    return wrapped


@_one_by_one_on_cpu
def _factor(matrix: Array) -> Array:
    return lax.linalg.cholesky(matrix, symmetrize_input=False)


@_one_by_one_on_cpu
def inverse_of_lower(factor: Array) -> Array:
    """Inverse of a lower triangular matrix ``[n, n]``."""
    identity = jnp.eye(factor.shape[0], dtype=factor.dtype)
    return lax.linalg.triangular_solve(factor, identity, left_side=True, lower=True)


def safe_cholesky(matrix: Array) -> Array:
    """Lower Cholesky factor ``[n, n]`` of a symmetric matrix, with jitter only where it must be.

    Rungs of the ladder: no jitter, then 8 eps times the mean of the diagonal, then four times
    more at each rung, until all is finite and no pivot is mere rounding error. The last
    rung, n times the mean, makes a covariance matrix diagonally dominant; should even
    that fail, the root of the diagonal is returned. So the result is finite for any
    finite matrix with a positive diagonal. Not differentiable; see :func:`whiten`.
    """
    n = matrix.shape[0]
    eps = jnp.finfo(matrix.dtype).eps
    diagonal = jnp.diagonal(matrix)
    scale = jnp.mean(diagonal)
    least = jnp.sqrt(eps * jnp.max(diagonal) / 4)
    rungs = 1 + math.ceil(math.log(n / (8 * float(eps)), 4))

    def failed(carry: tuple[Array, Array]) -> Array:
        rung, factor = carry
        good = jnp.isfinite(factor).all() & (jnp.diagonal(factor) > least).all()
        return ~good & (rung < rungs)

    def step(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        rung, _ = carry
        jitter = scale * 8 * eps * 4.0 ** rung.astype(matrix.dtype)
        return rung + 1, _factor(matrix + jitter * jnp.eye(n, dtype=matrix.dtype))

    _, factor = lax.while_loop(failed, step, (jnp.zeros((), jnp.int32), _factor(matrix)))
    return jnp.where(jnp.isfinite(factor).all(), factor, jnp.diag(jnp.sqrt(diagonal)))


@jax.custom_vjp
def whiten(matrix: Array) -> tuple[Array, Array]:
    """``W = L^-1 [n, n]``, so that ``W^T W`` is the inverse, and the log determinant ``[]``.

    ``L`` is from :func:`safe_cholesky`. Differentiable, the jitter held fixed.
    """
    factor = safe_cholesky(matrix)
    return inverse_of_lower(factor), 2.0 * jnp.log(jnp.diagonal(factor)).sum()


def _whiten_forward(matrix: Array) -> tuple[tuple[Array, Array], Array]:
    out = whiten(matrix)
    return out, out[0]


def _whiten_backward(inverse: Array, cotangents: tuple[Array, Array]) -> tuple[Array]:
    """``L^T Lbar = -Wbar W^T``, and for the determinant ``Kbar = W^T W``."""
    inverse_bar, log_det_bar = cotangents
    identity = jnp.eye(inverse.shape[0], dtype=inverse.dtype)
    product = 2.0 * log_det_bar * identity - matmul(inverse_bar, inverse.T)
    return (cholesky_cotangent(inverse, product),)


whiten.defvjp(_whiten_forward, _whiten_backward)


def cholesky_cotangent(inverse: Array, product: Array) -> Array:
    """Cotangent of K, given ``inverse = L^-1`` and ``product = L^T Lbar`` (Murray 2016, Eq. 10)."""
    half = jnp.tril(product) - 0.5 * jnp.diag(jnp.diagonal(product))
    out = matmul(matmul(inverse.T, half), inverse)
    return 0.5 * (out + out.T)


def refined_solve(matrix: Array, inverse: Array, y: Array) -> Array:
    """``matrix^-1 y``, given ``inverse = L^-1``: with one step of iterative refinement, O(n^2),
    which takes most of the error off in float32."""
    solve = lambda b: matmul(inverse.T, matmul(inverse, b))  # noqa: E731
    first = solve(y)
    return first + solve(y - matmul(matrix, first))


@jax.custom_vjp
def gaussian_log_density(covariance: Array, y: Array) -> Array:
    """``log N(y | 0, covariance)``, less the ``n/2 log 2 pi``.

    One Cholesky factor; its derivative one inverse: dK = (a a^T - K^-1) / 2 with
    a = K^-1 y (Rasmussen and Williams 2006, Eq. 5.9).
    """
    return _density_forward(covariance, y)[0]


def _density_forward(covariance: Array, y: Array) -> tuple[Array, tuple[Array, Array]]:
    inverse, log_det = whiten(covariance)
    alpha = refined_solve(covariance, inverse, y)
    return -0.5 * (y @ alpha + log_det), (inverse, alpha)


def _density_backward(saved: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    inverse, alpha = saved
    slope = 0.5 * (jnp.outer(alpha, alpha) - matmul(inverse.T, inverse))
    return cotangent * slope, -cotangent * alpha


gaussian_log_density.defvjp(_density_forward, _density_backward)
