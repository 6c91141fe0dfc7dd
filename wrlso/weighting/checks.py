"""Checks of the numbers of a weighting, and the floats that they become.

Shapes and types are checked under ``jit``, too, and values where they are concrete.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from wrlso.scores import at_least_single, in_double
from wrlso.scores.checks import check_scalar, is_concrete, native


def with_type(values: Any) -> Any:
    """Numbers in a form that has a type: a list as an array, Python's other numbers in float64.

    Its own numbers stay as they are, since an array's type counts more than theirs.
    """
    if isinstance(values, (list, tuple)) and not is_concrete(values):
        return jnp.asarray(values)
    if isinstance(values, (Array, bool, int, float, complex)):
        return values
    given = values if isinstance(values, (np.generic, np.ma.MaskedArray)) else np.asarray(values)
    return given.astype(np.float64) if given.dtype.kind == "O" else native(given)


def check_kind(name: str, values: ArrayLike) -> None:
    """Refuse complex numbers, text, times and keys, also under ``jit``.

    Raises:
      ValueError: if so.
    """
    given = with_type(values)
    kind = given.dtype if hasattr(given, "dtype") else np.dtype(type(given))
    kinds = (jnp.floating, jnp.integer, jnp.bool_)
    if not any(jnp.issubdtype(kind, real) for real in kinds):
        imaginary = jnp.issubdtype(kind, np.complexfloating)
        advice = "give their real parts" if imaginary else "convert them to floats"
        raise ValueError(f"{name} must be real numbers, got {kind}: {advice}")


def float_type(*numbers: ArrayLike) -> DTypeLike:
    """The float in which numbers are computed together: float32, or the widest of their floats.

    Whole numbers of 32 bits and more, and Python's own numbers, alone become JAX's default float:
    float64 where ``jax_enable_x64`` is set, and float32 elsewhere.
    """
    with jax.numpy_dtype_promotion("standard"):
        return at_least_single(jnp.result_type(*(_float_like(with_type(n)) for n in numbers)))


def _float_like(number: Any) -> Any:
    """A number that is a float, or the float of one that is whole."""
    kind = getattr(number, "dtype", None)
    if kind is None or getattr(number, "weak_type", False):
        return 1.0
    if jnp.issubdtype(kind, jnp.floating):
        return number
    long = jnp.issubdtype(kind, jnp.integer) and kind.itemsize >= 4
    return jax.dtypes.canonicalize_dtype(np.float64) if long else np.float32


def as_float(name: str, values: ArrayLike, dtype: DTypeLike) -> Array:
    """Numbers of any real type in a float, infinite where it does not hold them.

    Raises:
      ValueError: as :func:`check_kind`.
    """
    check_kind(name, values)
    if not is_concrete(values):
        return jnp.asarray(with_type(values)).astype(dtype)
    with np.errstate(over="ignore"):
        return jnp.asarray(in_double(with_type(values), name).astype(dtype))


def check_number(
    name: str, value: ArrayLike, rule: str, holds: Callable[[np.ndarray], Any]
) -> None:
    """Refuse an array in place of a number, and a concrete number for which the rule does not hold.

    Raises:
      ValueError: if so. NaN fulfils no rule.
    """
    check_scalar(name, value)
    check_all(name, value, rule, holds)


def check_rate(name: str, value: ArrayLike) -> None:
    """Refuse an array in place of a number, and a concrete one that is negative, NaN or infinite.

    Raises:
      ValueError: if so.
    """
    check_number(name, value, "at least 0 and finite", lambda v: (v >= 0) & (v < np.inf))


def check_all(name: str, values: ArrayLike, rule: str, holds: Callable[[np.ndarray], Any]) -> None:
    """Refuse what is no real number, and concrete values for one of which the rule does not hold.

    Raises:
      ValueError: if so. NaN fulfils no rule.
    """
    check_kind(name, values)
    if not is_concrete(values):
        return
    if not np.all(holds(in_double(values, name))):
        raise ValueError(f"{name} must be {rule}, got {values}")


def check_between(name: str, value: ArrayLike, low: ArrayLike, high: ArrayLike) -> None:
    """Refuse concrete values outside [low, high].

    Raises:
      ValueError: if there is one.
    """
    if is_concrete(low, high):
        check_all(name, value, f"in [{low}, {high}]", lambda v: (v >= low) & (v <= high))
