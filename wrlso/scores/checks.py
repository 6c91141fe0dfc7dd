"""Checks of numbers, and of what users' functions return, which hold under ``jit``, too."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike


def is_concrete(*arrays: Any) -> bool:
    """Whether the values of all arrays are known now and here, so that they can be checked.

    Those of an argument under ``jit``, ``vmap`` or ``grad`` are not, and neither are those of an
    array of which other processes hold a part. None and numbers are known. Lists may hold either.
    """
    return not any(
        isinstance(leaf, jax.core.Tracer) or not getattr(leaf, "is_fully_addressable", True)
        for leaf in jax.tree.leaves(arrays)
    )


def native(values: Any) -> Any:
    """A NumPy array in the machine's byte order, which JAX asks for, and anything else as it is."""
    if isinstance(values, (np.ndarray, np.generic)) and not values.dtype.isnative:
        return values.astype(values.dtype.newbyteorder("="))
    return values


def check_scalar(name: str, value: ArrayLike) -> None:
    """Refuse an array in place of a number, also under ``jit``.

    Raises:
      ValueError: if so.
    """
    if np.ndim(value) != 0:
        raise ValueError(
            f"{name} must be a single number, got shape {np.shape(value)}; use vmap for more"
        )


def check_whole(name: str, value: Any, least: int) -> None:
    """Refuse what is no whole number, and one below ``least``.

    Raises:
      ValueError: if so.
    """
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    if int(value) < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def check_real(name: str, values: Any) -> None:
    """Refuse arrays that are neither floats nor whole numbers nor booleans, also under ``jit``.

    Raises:
      ValueError: if so; it names what and the type.
    """
    kind = getattr(values, "dtype", None) or jnp.result_type(values)
    if not any(jnp.issubdtype(kind, real) for real in (jnp.floating, jnp.integer, jnp.bool_)):
        raise ValueError(f"{name} must be real numbers, got {kind}")


def values_of_rows(
    name: str,
    call: Callable[[], Any],
    rows: int,
    task: str,
    otherwise: str = "",
    values: str = "values",
) -> Array:
    """The values ``[rows]`` of a user's function; their form is checked, also under ``jit``.

    Args:
      name: that of the argument that is the function.
      call: calls it.
      rows: number of values.
      task: what it must do, after "must".
      otherwise: another remedy.
      values: the word for the values.

    Raises:
      ValueError: for anything but a real number for each row.
    """
    with in_a_program(name, otherwise):
        found = call()
        found = jnp.asarray(found) if isinstance(found, (list, tuple)) else found
    if getattr(found, "shape", None) != (rows,):
        advice = f"; {otherwise}" * bool(otherwise)
        raise ValueError(f"{name} must {task}, got {form_of(found)}{advice}")
    check_real(f"{values} of the {name}", found)
    return jnp.asarray(found)


@contextmanager
def in_a_program(name: str, otherwise: str = "") -> Iterator[None]:
    """Say what to do beside JAX's error about a user's function that is no program of JAX."""
    try:
        yield
    except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError) as error:
        error.add_note(
            f"The {name} is part of a compiled program: write it with jax.numpy and jax.lax"
            f"{f', or {otherwise}' * bool(otherwise)}."
        )
        raise


def form_of(found: Any) -> str:
    """The shape of an array, or the type of anything else, for messages."""
    shape = getattr(found, "shape", None)
    if shape is not None:
        return str(list(shape))
    length = f" of {len(found)}" if isinstance(found, (tuple, list, dict)) else ""
    return f"a {type(found).__name__}{length}"
