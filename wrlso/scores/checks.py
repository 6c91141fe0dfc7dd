"""Checks of numbers, and of what users' functions return, which hold under ``jit``, too."""

import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

_LONGEST = 120
"""Maximum number of characters of an argument in a message."""


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


def as_plain(value: Any) -> Any:
    """A concrete number of NumPy or JAX as Python's, and anything else as it is."""
    kind = getattr(value, "dtype", None)
    if kind is None or np.ndim(value) != 0 or not is_concrete(value):
        return value
    is_number = jnp.issubdtype(kind, jnp.number) or jnp.issubdtype(kind, jnp.bool_)
    return value.item() if is_number else value


def all_plain(values: Any) -> Any:
    """Dictionaries, lists and tuples with each number of NumPy or JAX as Python's."""
    if isinstance(values, Mapping):
        return {name: all_plain(value) for name, value in values.items()}
    if type(values) in (list, tuple):
        return type(values)(all_plain(value) for value in values)
    return as_plain(values)


def as_whole(name: str, value: Any) -> int:
    """A whole number of Python, NumPy or JAX as Python's.

    Raises:
      ValueError: for booleans, floats and anything else, and for a number that ``jit`` traces.
    """
    plain = as_plain(value)
    if not isinstance(plain, bool):
        try:
            return operator.index(plain)
        except TypeError:
            pass
    static = "" if is_concrete(value) else ", which is known outside of jit"
    raise ValueError(f"{name} must be a whole number{static}, got {value!r}")


def check_whole(name: str, value: Any, least: int) -> int:
    """A whole number of at least ``least`` as Python's.

    Raises:
      ValueError: for anything else.
    """
    whole = as_whole(name, value)
    if whole < least:
        raise ValueError(f"{name} must be at least {least}, got {whole}")
    return whole


def as_number(name: str, value: Any) -> Any:
    """A real number: a concrete one as Python's, a traced one as it is.

    Raises:
      ValueError: for booleans, text, None, complex numbers and arrays of more than one number.
    """
    plain = as_plain(value)
    if isinstance(plain, (int, float)) and not isinstance(plain, bool):
        return plain
    if isinstance(plain, Real) and not isinstance(plain, bool):
        return float(plain)
    if getattr(plain, "shape", ()) != ():
        check_scalar(name, plain)
    if not is_concrete(plain):
        check_real(name, plain)
        return plain
    raise ValueError(f"{name} must be a number, got {value!r}")


def keep_whole(config: Any, least: Mapping[str, int], of: str = "") -> None:
    """Check whole numbers of a frozen dataclass, by name with the least value of each, and keep
    them as Python's: no file holds those of NumPy.

    Raises:
      ValueError: as :func:`check_whole`; ``of`` says whose number it is.
    """
    for name, lowest in least.items():
        whole = check_whole(f"{name}{of}", getattr(config, name), lowest)
        object.__setattr__(config, name, whole)


def keep_numbers(config: Any, *names: str, of: str = "") -> None:
    """The same for real numbers of any value; see :func:`as_number`."""
    for name in names:
        object.__setattr__(config, name, as_number(f"{name}{of}", getattr(config, name)))


def check_kind(argument: str, value: Any, kind: type, example: str) -> None:
    """Refuse an argument of another type; ``example`` says where to get the right one.

    Raises:
      TypeError: if so.
    """
    if not isinstance(value, kind):
        name = kind.__name__
        article = "an" if name[0] in "AEIOU" else "a"
        raise TypeError(
            f"{argument} must be {article} {name}, such as {example}, got {shown(value)}"
        )


def shown(value: Any) -> str:
    """An argument of a wrong type in a message: its type alone, if the rest takes many words."""
    text = repr(value)
    hint = " (it has to be called)" if callable(value) else ""
    return f"{text if len(text) <= _LONGEST else f'a {type(value).__name__}'}{hint}"


def check_function(name: str, value: Any) -> None:
    """Refuse what cannot be called.

    Raises:
      TypeError: if so.
    """
    if not callable(value):
        raise TypeError(f"{name} must be a function, got {shown(value)}")


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
