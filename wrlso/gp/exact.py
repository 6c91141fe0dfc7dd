"""Exact Gaussian process regression with masked rows (Rasmussen and Williams 2006, Ch. 2).

A masked row is replaced by a row of a diagonal matrix with target zero, so that it
adds nothing to the determinant, the quadratic form or a prediction. Its pivot is 1, or the
others' mean where that is far from 1. Only where a matrix needs jitter, which is in
proportion to its whole diagonal, does it play a part in how much.

The noise is at least rounding error: eps times the trace of K, which no eigenvalue of K exceeds.
Less would be lost against the largest of them, and the solution with it. In single precision that
is 6e-5 of the variance for 500 points, in double 1e-13. A posterior counts its masked rows, which
:func:`add` may fill.

The posterior keeps W with ``W^T W = (K + noise I)^-1``: a prediction is then two
matrix products, its variance a difference that only rounding can take below zero,
and a new observation replaces one row of W. That row is refined against K, as the rounding of W
would otherwise grow from one observation to the next.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Bool, Float
from tinygp.kernels import Kernel

from wrlso.gp.checks import (
    as_floats,
    check_noise,
    check_observation,
    check_problem,
    points_like,
    slot_of,
)
from wrlso.gp.linalg import (
    AnyArray,
    gaussian_log_density,
    matmul,
    refined_solve,
    times_lower,
    whiten,
)
from wrlso.scores.checks import native

_FAR = 64.0
"""Up to this factor, and down to its inverse, variances are near 1."""


class ExactGP(NamedTuple):
    """A posterior. ``points [n, d]``, ``targets [n]``, ``mask [n]``, ``noise []`` (variance),
    ``covariance [n, n]`` (of the observations, with their noise), ``whitening [n, n]`` (W above,
    lower triangular), ``alpha [n]`` (``W^T W targets``)."""

    kernel: Kernel
    noise: AnyArray
    points: AnyArray
    targets: AnyArray
    mask: AnyArray
    covariance: AnyArray
    whitening: AnyArray
    alpha: AnyArray


def log_marginal_likelihood(
    kernel: Kernel,
    noise: ArrayLike,
    points: Float[AnyArray, "n d"],
    targets: Float[AnyArray, " n"],
    mask: Bool[AnyArray, " n"] | None = None,
) -> Float[AnyArray, ""]:
    """``log p(targets | points)`` of the rows in ``mask``.

    Args:
      kernel: any tinygp kernel.
      noise: variance of the observations' noise; below rounding error, that is taken instead.
      points: ``[n, d]``.
      targets: ``[n]``, of mean zero.
      mask: ``[n]`` booleans; all rows if None.

    Returns:
      ``[]`` nats. O(n^3); so is its gradient. Twice differentiable in either mode, in kernel,
      noise, points and targets.

    Raises:
      ValueError: for shapes that do not fit, and types other than float32 and float64. For
        concrete arguments, if a row in use, the noise or the kernel's variance is NaN or infinite,
        the noise negative, or a lengthscale or the kernel's variance not positive. Under ``jit``
        nothing is raised for values: the result, and means predicted from NaN and infinity, are
        NaN.
    """
    covariance, _, y, rows, filler = _masked(kernel, noise, points, targets, mask)
    count = rows.sum().astype(covariance.dtype)
    masked = (len(rows) - count) * jnp.log(filler)
    density = gaussian_log_density(covariance, y) + 0.5 * masked
    return density - 0.5 * math.log(2 * math.pi) * count


def condition(
    kernel: Kernel,
    noise: ArrayLike,
    points: Float[AnyArray, "n d"],
    targets: Float[AnyArray, " n"],
    mask: Bool[AnyArray, " n"] | None = None,
) -> ExactGP:
    """The posterior given the rows in ``mask``; arguments as :func:`log_marginal_likelihood`."""
    covariance, noise, y, rows, _ = _masked(kernel, noise, points, targets, mask, filled=True)
    whitening, _ = whiten(covariance)
    alpha = refined_solve(covariance, whitening, y)
    return ExactGP(
        kernel, noise, jnp.asarray(native(points)), y, rows, covariance, whitening, alpha
    )


def predict(
    gp: ExactGP, x: Float[AnyArray, "s d"]
) -> tuple[Float[AnyArray, " s"], Float[AnyArray, " s"]]:
    """Mean and variance ``[s]`` of the function (without noise) at ``x [s, d]``; O(s n^2)."""
    return predict_with_covariance(gp, x)[:2]


def predict_with_covariance(
    gp: ExactGP, x: Float[AnyArray, "s d"]
) -> tuple[
    Float[AnyArray, " s"],
    Float[AnyArray, " s"],
    Callable[[ArrayLike], Float[AnyArray, " s"]],
]:
    """Mean and variance ``[s]`` at ``x [s, d]`` in O(s n^2), and a function of the number of a row
    to the covariance ``[s]`` of all rows with it, in O(s n)."""
    x = points_like("x", x, gp.points)
    cross = _cross(gp, x)
    root = times_lower(cross, gp.whitening)

    def covariance(row: ArrayLike) -> Float[AnyArray, " s"]:
        return gp.kernel(x, x[row][None])[:, 0] - matmul(root, root[row])

    variance = jnp.maximum(gp.kernel(x) - (root**2).sum(1), 0.0)
    return matmul(cross, gp.alpha), variance, covariance


def predict_joint(
    gp: ExactGP, x: Float[AnyArray, "s d"]
) -> tuple[Float[AnyArray, " s"], Float[AnyArray, "s s"]]:
    """Mean ``[s]`` and covariance ``[s, s]`` of the function at ``x [s, d]``."""
    x = points_like("x", x, gp.points)
    cross = _cross(gp, x)
    root = times_lower(cross, gp.whitening)
    return matmul(cross, gp.alpha), gp.kernel(x, x) - matmul(root, root.T)


def add(gp: ExactGP, slot: ArrayLike, point: Float[AnyArray, " d"], target: ArrayLike) -> ExactGP:
    """The posterior with one more observation, at fixed hyperparameters, in O(n^2).

    The new row of W and ``alpha`` have one step of iterative refinement each (Higham 2002, Ch. 12),
    which keeps their rounding from growing with the number of observations.

    Args:
      gp: the posterior.
      slot: number of a masked row behind all rows in use, which the observation fills. No
        change if it is another: W would not stay triangular.
      point: ``[d]``.
      target: its target.

    Raises:
      ValueError: for a slot that is no whole number, a target that is no number, complex numbers,
        and a concrete point or target that is NaN or infinite.
    """
    check_observation(point, target, gp.points)
    n = gp.points.shape[0]
    slot = slot_of(slot, n)
    point = jnp.asarray(native(point)).astype(gp.points.dtype)
    target = jnp.asarray(native(target), gp.targets.dtype)
    free = (slot < n) & (slot > jnp.where(gp.mask, jnp.arange(n, dtype=jnp.int32), -1).max())
    slot = jnp.where(free, slot, n)
    cross, prior = _cross(gp, point[None])[0], gp.kernel(point[None])[0]
    root = matmul(gp.whitening, cross)
    root += matmul(gp.whitening, cross - matmul(gp.covariance, matmul(gp.whitening.T, root)))
    trace = prior + jnp.where(gp.mask, jnp.diagonal(gp.covariance), 0.0).sum()
    floor = jnp.finfo(root.dtype).eps * trace  # what condition takes for rounding error
    pivot = jnp.sqrt(jnp.maximum(prior - matmul(root, root), floor) + gp.noise)
    row = -matmul(gp.whitening.T, root).at[slot].add(-1.0, mode="drop") / pivot
    targets = gp.targets.at[slot].set(target, mode="drop")
    covariance = gp.covariance.at[slot].set(cross, mode="drop").at[:, slot].set(cross, mode="drop")
    new = gp._replace(
        points=gp.points.at[slot].set(point, mode="drop"),
        targets=targets,
        mask=gp.mask.at[slot].set(True, mode="drop"),
        covariance=covariance.at[slot, slot].set(prior + gp.noise, mode="drop"),
        whitening=gp.whitening.at[slot].set(row, mode="drop"),
    )
    alpha = gp.alpha + row * matmul(row, targets)
    left = targets - matmul(new.covariance, alpha)
    alpha += matmul(new.whitening.T, matmul(new.whitening, left))
    return new._replace(alpha=jnp.where(free, alpha, gp.alpha))


def _masked(
    kernel: Kernel,
    noise: ArrayLike,
    points: AnyArray,
    targets: AnyArray,
    mask: AnyArray | None,
    filled: bool = False,
) -> tuple[AnyArray, AnyArray, AnyArray, AnyArray, AnyArray]:
    """Covariance of the observations ``[n, n]``, their noise ``[]``, targets, the mask, and the
    variance ``[]`` on the diagonal in masked rows. The noise is at least the rounding error; that
    of all rows if masked ones are to be ``filled``."""
    points, targets = (jnp.asarray(native(a)) for a in (points, targets))
    check_problem(kernel, points, targets, mask)
    check_noise(noise, zero=True)
    targets = as_floats(targets, points)
    rows = jnp.ones(targets.shape, bool) if mask is None else jnp.asarray(mask, bool)
    points = jnp.where(rows[:, None], points, 0.0)
    identity = jnp.eye(points.shape[0], dtype=points.dtype)
    trace = jnp.where(rows, kernel(points), 0.0).sum()
    mean = trace / jnp.maximum(rows.sum(), 1).astype(trace.dtype)
    trace = jnp.maximum(trace, mean * len(rows)) if filled else trace
    noise = jnp.maximum(jnp.asarray(noise, points.dtype), jnp.finfo(points.dtype).eps * trace)
    covariance = kernel(points, points) + noise * identity
    pivot = lax.stop_gradient(mean + noise)
    near = (pivot > 1 / _FAR) & (pivot < _FAR)
    filler = jnp.where(near | ~(pivot > 0) | jnp.isinf(pivot), 1.0, pivot).astype(trace.dtype)
    covariance = jnp.where(rows[:, None] & rows[None, :], covariance, filler * identity)
    return covariance, noise, jnp.where(rows, targets, 0.0), rows, filler


def _cross(gp: ExactGP, x: AnyArray) -> AnyArray:
    points = jnp.where(gp.mask[:, None], gp.points, 0.0)
    return jnp.where(gp.mask[None, :], gp.kernel(x, points), 0.0)
