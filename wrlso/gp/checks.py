"""Checks of what is passed to a Gaussian process: of shapes and types always, of values where they
are concrete."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from tinygp.kernels import Kernel

from wrlso.gp.kernels import Stationary
from wrlso.gp.linalg import AnyArray, check_finite
from wrlso.scores.checks import check_real, check_scalar, is_concrete, native


def check_problem(
    kernel: Kernel, points: AnyArray, targets: AnyArray, mask: AnyArray | None
) -> None:
    """Refuse observations and hyperparameters of a kernel that no posterior has.

    Raises:
      ValueError: for shapes and types; for concrete arguments, also if a row in use is not finite,
        or a lengthscale or variance of a kernel of wrlso, or of one in a sum or product, is not
        positive, or the variance infinite.
    """
    check_points(points)
    _check_per_point("targets", targets, points)
    check_mask(mask, points)
    check_type("points", points)
    check_numbers("targets", targets)
    if jnp.issubdtype(jnp.result_type(targets), jnp.floating):
        check_type("targets", targets)
    check_finite("points", points, mask)
    check_finite("targets", targets, mask)
    for part in jax.tree.leaves(kernel, is_leaf=lambda part: isinstance(part, Stationary)):
        if isinstance(part, Stationary):
            _check_stationary(part)


def _check_stationary(kernel: Stationary) -> None:
    check_numbers("lengthscales", kernel.lengthscales)
    if np.ndim(kernel.lengthscales) > 1:
        raise ValueError(
            f"lengthscales must be [d] or one number, got shape {np.shape(kernel.lengthscales)}"
        )
    check_positive("lengthscales", kernel.lengthscales)
    check_number("variance of the kernel", kernel.variance)
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
    """Refuse points ``[s, d]`` of other dimensions than those of ``like [n, d]``, and complex ones.

    Raises:
      ValueError: if so; a kernel may broadcast them without a word.
    """
    check_numbers(name, points)
    if np.ndim(points) != 2 or np.shape(points)[1] != np.shape(like)[1]:
        raise ValueError(
            f"{name} must be points [s, {np.shape(like)[1]}], of the same number of dimensions as "
            f"those of the posterior, got shape {np.shape(points)}"
        )


def points_like(name: str, points: ArrayLike, like: AnyArray) -> Array:
    """The points ``[s, d]`` as an array, whole numbers in the type of ``like [n, d]``.

    Raises:
      ValueError: as :func:`check_like`.
    """
    given = jnp.asarray(native(points))
    check_like(name, given, like)
    return as_floats(given, like)


def as_floats(numbers: Array, like: AnyArray) -> Array:
    """Whole numbers in the type of ``like``, and floats as they are."""
    floating = jnp.issubdtype(numbers.dtype, jnp.floating)
    return numbers if floating else numbers.astype(like.dtype)


def check_observation(point: ArrayLike, target: ArrayLike, like: AnyArray) -> None:
    """Refuse a point that is not ``[d]``, as those of ``like [n, d]``, a target that is no number,
    and concrete ones that are NaN or infinite.

    Raises:
      ValueError: if so.
    """
    check_number("target", target)
    check_like("point[None]", jnp.asarray(native(point))[None], like)
    if is_concrete(point) and not np.isfinite(np.asarray(point, np.float64)).all():
        raise ValueError(f"point must be finite, got {point}: leave the observation out")


def slot_of(slot: Any, n: int) -> Array:
    """The number ``[]`` of one of n rows in 32 bits; -1 or n for a number outside of them.

    Raises:
      ValueError: for an array, and what is no whole number.
    """
    check_scalar("slot", slot)
    kind = jnp.result_type(int) if type(slot) is int else getattr(slot, "dtype", type(slot))
    if not jnp.issubdtype(kind, jnp.integer):
        raise ValueError(f"slot must be an integer, got {kind}")
    if is_concrete(slot):
        return jnp.asarray(min(max(int(slot), -1), n), jnp.int32)
    if kind.itemsize > 4:  # numbers that 32 bits do not hold would be others
        slot = jnp.minimum(slot, n) if kind.kind == "u" else jnp.clip(slot, -1, n)
    return jnp.asarray(slot).astype(jnp.int32)


def check_noise(noise: ArrayLike, zero: bool = False) -> None:
    """Refuse a noise variance that is an array, and a concrete one that is not positive and finite,
    or with ``zero`` not zero either.

    Raises:
      ValueError: if so.
    """
    check_number("noise", noise)
    check_positive("noise", noise, zero)


def check_number(name: str, value: Any) -> None:
    """Refuse anything but one real number, and a concrete one that is NaN or infinite.

    Raises:
      ValueError: if so.
    """
    check_numbers(name, value)
    check_scalar(name, value)
    if is_concrete(value) and not np.isfinite(np.asarray(value, np.float64)):
        raise ValueError(f"{name} must be finite, not NaN or infinity, got {value}")


def check_numbers(name: str, values: Any) -> None:
    """Refuse complex numbers, None and text, also under ``jit``.

    Raises:
      ValueError: if so.
    """
    if values is None or isinstance(values, (str, bytes)):
        raise ValueError(f"{name} must be real numbers, got {values!r}")
    check_real(name, jnp.asarray(values) if isinstance(values, (list, tuple)) else values)


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
