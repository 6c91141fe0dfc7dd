"""Factorisations that never return NaN, and their derivatives."""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from wrlso.scores.checks import is_concrete

if TYPE_CHECKING:
    AnyArray: TypeAlias = Array
else:
    AnyArray = Array | np.ndarray
    """Arrays of JAX or NumPy; to a type checker both are JAX's, as in ``jax.numpy``."""

matmul = partial(jnp.matmul, precision="highest")
"""Matrix product at full precision, also where an accelerator's default is lower."""


def check_finite(name: str, values: ArrayLike, mask: ArrayLike | None = None) -> None:
    """Refuse NaN and infinity in a concrete array ``[n, ...]``, but for rows outside ``mask [n]``.

    Nothing is checked under ``jit``, and nothing on a device that other processes own.

    Raises:
      ValueError: if a row in use is not finite.
    """
    if not is_concrete(values, mask):
        return
    rows = np.asarray(values, np.float64)
    good = np.isfinite(rows).reshape(*rows.shape[:1], -1).all(-1)
    bad = ~good if mask is None else ~good & np.asarray(mask, bool)
    if bad.any():
        raise ValueError(
            f"{name} must be finite in every row in use, but is NaN or infinite in row(s) "
            f"{np.flatnonzero(np.atleast_1d(bad))[:5].tolist()}: leave them out, or mask them"
        )


_BLOCKS, _LARGE = 4, 512


def times_lower(x: Float[AnyArray, "s n"], lower: Float[AnyArray, "n n"]) -> Float[Array, "s n"]:
    """``x [s, n] @ lower.T`` of a lower triangular matrix ``[n, n]``. A large one is taken in four
    blocks of rows without their zeros: five eighths of the work."""
    n = lower.shape[0]
    if n < _LARGE:
        return matmul(x, lower.T)
    ends = [n * (i + 1) // _BLOCKS for i in range(_BLOCKS)]
    blocks = zip([0, *ends], ends, strict=False)
    return jnp.concatenate([matmul(x[:, :j], lower[i:j, :j].T) for i, j in blocks], axis=1)


def _one_by_one_on_cpu(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Under ``vmap``, map on a CPU: XLA's thread pool there can wait for itself for ever when two
    large batches of LAPACK calls meet (seen in jaxlib 0.10.2)."""
    wrapped = jax.custom_batching.custom_vmap(function)

    @partial(jax.jit, inline=True)  # once, also for calls outside of jit
    def of_batch(batch: Array) -> Array:
        mapped = lambda b: lax.map(wrapped, b)  # noqa: E731
        return lax.platform_dependent(batch, cpu=mapped, default=jax.vmap(function))

    @wrapped.def_vmap
    def _(axis_size: int, in_batched: list[bool], batch: Array) -> tuple[Array, bool]:
        return of_batch(batch), True

    return wrapped


@_one_by_one_on_cpu
def _factor(matrix: Array) -> Array:
    return lax.linalg.cholesky(matrix, symmetrize_input=False)


@_one_by_one_on_cpu
def inverse_of_lower(factor: Array) -> Array:
    """Inverse of a lower triangular matrix ``[n, n]``."""
    identity = jnp.eye(factor.shape[0], dtype=factor.dtype)
    return lax.linalg.triangular_solve(factor, identity, left_side=True, lower=True)


@jax.jit
def safe_cholesky(matrix: Float[AnyArray, "n n"]) -> Float[Array, "n n"]:
    """Lower Cholesky factor ``[n, n]`` of a symmetric matrix, with jitter only where it must be.

    Rungs of the ladder: no jitter, then 8 eps times the mean of the diagonal, then four times
    more at each rung, until all is finite and no pivot is mere rounding error. The last
    rung, n times the mean, makes a covariance matrix diagonally dominant; should even
    that fail, the root of the diagonal is returned. So the result is finite for any
    finite matrix with a positive diagonal. Not differentiable; see :func:`whiten`.
    Compiled on its own, so that ``jax_debug_nans`` sees the result alone: a rung that
    fails is NaN by design.
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


@jax.custom_jvp
def whiten(matrix: Array) -> tuple[Array, Array]:
    """``W = L^-1 [n, n]``, so that ``W^T W`` is the inverse, and the log determinant ``[]``.

    ``L`` is from :func:`safe_cholesky`. Differentiable in either mode and to any order, the
    jitter held fixed; a derivative that is not symmetric counts by its symmetric part.
    """
    factor = safe_cholesky(matrix)
    return inverse_of_lower(factor), 2.0 * jnp.log(jnp.diagonal(factor)).sum()


@whiten.defjvp
def _(
    primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """``dW = -Phi W`` and ``d log|K| = tr(W dK W^T)``: three products, in reverse mode, too."""
    out = whiten(*primals)
    inverse = out[0]
    whitened = relative_change(inverse, *tangents)
    return out, (-matmul(half_lower(whitened), inverse), jnp.trace(whitened))


def relative_change(inverse: Array, change: Array) -> Array:
    """``W dK W^T [n, n]`` of a symmetric dK, given ``inverse = W = L^-1``.

    ``L^-1 dL`` is its :func:`half_lower` (Murray 2016, Eq. 8).
    """
    change = 0.5 * (change + change.T)
    return matmul(matmul(inverse, change), inverse.T)


def half_lower(matrix: Array) -> Array:
    """Phi: the lower triangle ``[n, n]``, its diagonal halved."""
    return jnp.tril(matrix) - 0.5 * jnp.diag(jnp.diagonal(matrix))


def refined_solve(
    matrix: Float[AnyArray, "n n"], inverse: Float[AnyArray, "n n"], y: Float[AnyArray, " n"]
) -> Float[Array, " n"]:
    """``matrix^-1 y``, given ``inverse = L^-1``: with one step of iterative refinement, O(n^2),
    which takes most of the error off in float32."""
    solve = lambda b: matmul(inverse.T, matmul(inverse, b))  # noqa: E731
    first = solve(y)
    return first + solve(y - matmul(matrix, first))


@jax.custom_jvp
def gaussian_log_density(covariance: Array, y: Array) -> Array:
    """``log N(y | 0, covariance)``, less the ``n/2 log 2 pi``.

    One Cholesky factor; its derivative, in either mode, one inverse: dK = (a a^T - K^-1) / 2 with
    a = K^-1 y (Rasmussen and Williams 2006, Eq. 5.9).
    """
    return _density(covariance, y)[0]


@gaussian_log_density.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    value, inverse, alpha = _density(*primals)
    change, y_dot = tangents
    slope = 0.5 * (jnp.outer(alpha, alpha) - matmul(inverse.T, inverse))
    return value, (slope * change).sum() - matmul(alpha, y_dot)


def _density(covariance: Array, y: Array) -> tuple[Array, Array, Array]:
    """The log density ``[]``, ``W [n, n]`` of :func:`whiten` and ``K^-1 y [n]``."""
    inverse, log_det = whiten(covariance)
    alpha = refined_solve(covariance, inverse, y)
    return -0.5 * (matmul(y, alpha) + log_det), inverse, alpha
