"""Checks of what is passed to a Gaussian process: of shapes and types always, of values where they
are concrete."""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from tinygp.kernels import Kernel

from wrlso.gp.kernels import Stationary
from wrlso.gp.linalg import AnyArray, check_finite
from wrlso.scores.checks import check_scalar, is_concrete


def check_problem(
    kernel: Kernel, points: AnyArray, targets: AnyArray, mask: AnyArray | None
) -> None:
    """Refuse observations and hyperparameters of a kernel that no posterior has.

    Raises:
      ValueError: for shapes and types; for concrete arguments, also if a row in use is not finite,
        or a lengthscale or variance is not positive.
    """
    check_points(points)
    _check_per_point("targets", targets, points)
    check_mask(mask, points)
    check_type("points", points)
    if jnp.issubdtype(jnp.result_type(targets), jnp.inexact):
        check_type("targets", targets)
    check_finite("points", points, mask)
    check_finite("targets", targets, mask)
    if isinstance(kernel, Stationary):
        if np.ndim(kernel.lengthscales) > 1:
            raise ValueError(
                f"lengthscales must be [d] or one number, got shape {np.shape(kernel.lengthscales)}"
            )
        check_scalar("variance of the kernel", kernel.variance)
        check_positive("lengthscales", kernel.lengthscales)
        check_positive("variance of the kernel", kernel.variance)


def check_points(points: AnyArray) -> None:
    """Refuse what is no points ``[n, d]``, or none of them.

    Raises:
      ValueError: if so.
    """
    if np.ndim(points) != 2 or 0 in np.shape(points):
        raise ValueError(
            f"points must be [n, d] with n and d at least 1, got shape {np.shape(points)}"
        )


def check_mask(mask: AnyArray | None, points: AnyArray) -> None:
    """Refuse a mask that is not of the rows of ``points [n, d]``; None is all of them.

    Raises:
      ValueError: if so; one of a single row would count for all.
    """
    if mask is not None:
        _check_per_point("mask", mask, points)


def _check_per_point(name: str, part: ArrayLike, points: AnyArray) -> None:
    if np.shape(part) != (len(points),):
        raise ValueError(
            f"{name} must be [n] = [{len(points)}], one per point, got shape {np.shape(part)}"
        )


def check_like(name: str, points: AnyArray, like: AnyArray) -> None:
    """Refuse points ``[s, d]`` of other dimensions than those of ``like [n, d]``.

    Raises:
      ValueError: if so; a kernel may broadcast them without a word.
    """
    if np.ndim(points) != 2 or np.shape(points)[1] != np.shape(like)[1]:
        raise ValueError(
            f"{name} must be points [s, {np.shape(like)[1]}], of the same number of dimensions as "
            f"those of the posterior, got shape {np.shape(points)}"
        )


def check_noise(noise: ArrayLike, zero: bool = False) -> None:
    """Refuse a noise variance that is an array, and a concrete one that is not positive and finite,
    or with ``zero`` not zero either.

    Raises:
      ValueError: if so.
    """
    check_scalar("noise", noise)
    check_finite("noise", noise)
    check_positive("noise", noise, zero)


def check_type(name: str, values: ArrayLike) -> None:
    """Refuse arrays that LAPACK has no factorisations for.

    Raises:
      ValueError: unless the type is float32 or float64.
    """
    kind = jnp.result_type(values)
    if kind not in (jnp.float32, jnp.float64):
        raise ValueError(
            f"{name} must be float32 or float64, got {kind}: cast them, as with astype"
        )


def check_positive(name: str, values: ArrayLike, zero: bool = False) -> None:
    """Refuse concrete numbers that are not positive, or with ``zero`` those below zero.

    Raises:
      ValueError: if there is one.
    """
    if not is_concrete(values):
        return
    numbers = np.asarray(values)
    if not ((numbers >= 0) if zero else (numbers > 0)).all():
        raise ValueError(f"{name} must be {'at least 0' if zero else 'positive'}, got {numbers}")
