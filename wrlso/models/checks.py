"""Checks of what a model's functions return: of shapes and types, which are known under ``jit``."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from wrlso.scores.checks import form_of


def check_rows(name: str, found: Any, objects: Any) -> Array:
    """Numbers ``[B]``, one for each object; a mean over them would lose the weights.

    Raises:
      ValueError: for another shape; it names the function.
    """
    rows = np.shape(objects)[:1]
    if np.shape(found) != rows:
        raise ValueError(
            f"{name} must give a number for each of {rows[0]} objects, {list(rows)}, got "
            f"{form_of(found)}: neither sum nor average over the objects"
        )
    return jnp.asarray(found)


def check_encoding(found: Any, objects: Any, latent_dim: int) -> tuple[Array, Array]:
    """Mean and log standard deviation of encodings, each ``[B, d]``.

    Raises:
      ValueError: for something else.
    """
    expected = (np.shape(objects)[0], latent_dim)
    pair = isinstance(found, (tuple, list)) and len(found) == 2
    shapes = [np.shape(part) for part in found] if pair else None
    if shapes != [expected, expected]:
        given = f"shapes {[list(s) for s in shapes]}" if shapes else form_of(found)
        raise ValueError(
            f"encode must map params and {expected[0]} objects to a pair of arrays, mean and "
            f"log_std, each {list(expected)}, got {given}"
        )
    return jnp.asarray(found[0]), jnp.asarray(found[1])


def check_decoded(found: Any, latents: Any) -> Array:
    """Decoded objects ``[B, ...]`` as one array.

    Raises:
      ValueError: for something else, such as a dictionary of arrays.
    """
    rows = np.shape(latents)[0]
    array = hasattr(found, "dtype") and hasattr(found, "shape")
    if not array or np.shape(found)[:1] != (rows,):
        raise ValueError(
            f"decode must map params and {rows} latents to one array of objects [{rows}, ...], got "
            f"{form_of(found)}"
        )
    return found


def check_storable(params: Any) -> None:
    """Refuse parameters that no file holds: a typed key of JAX is no array of numbers.

    Raises:
      ValueError: if there is one; it names its place and the remedy.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        kind = getattr(leaf, "dtype", None)
        if kind is not None and jnp.issubdtype(kind, jax.dtypes.extended):
            raise ValueError(
                f"the model's parameters hold a typed key at {jax.tree_util.keystr(path)}, which "
                "no file can hold: keep jax.random.key_data(key) in them, and use "
                "jax.random.wrap_key_data where the key is needed"
            )
