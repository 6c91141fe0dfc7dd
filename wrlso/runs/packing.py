"""Pytrees as one array of bytes: one transfer between host and device instead of one per array."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from wrlso.parallel import SeedPlan


def pack(tree: Any) -> Array:
    """``[bytes]`` of a pytree, within a program."""
    parts = []
    for leaf in map(jnp.asarray, jax.tree.leaves(tree)):
        plain = leaf.astype(jnp.uint8) if leaf.dtype == bool else leaf
        parts.append(lax.bitcast_convert_type(plain, jnp.uint8).reshape(-1))
    return jnp.concatenate(parts)


def unpack(packed: Array, like: Any) -> Any:
    """The pytree of ``[bytes]``, with the shapes and types of ``like``, within a program."""
    leaves, end = [], 0
    for leaf in jax.tree.leaves(like):
        kind = np.dtype(leaf.dtype)
        begin, end = end, end + leaf.size * kind.itemsize
        wide = leaf.shape if kind.itemsize == 1 else (*leaf.shape, kind.itemsize)
        part = packed[begin:end].reshape(wide)
        is_bool = kind.kind == "b"
        leaves.append(part != 0 if is_bool else lax.bitcast_convert_type(part, kind))
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def unpack_lanes(packed: np.ndarray, like: Any) -> Any:
    """On the host: the pytree with leading axes ``[lanes]`` of ``[lanes, bytes]``; ``like`` is that
    of one lane."""
    leaves, end = [], 0
    for leaf in jax.tree.leaves(like):
        kind = np.dtype(leaf.dtype)
        begin, end = end, end + leaf.size * kind.itemsize
        part = np.ascontiguousarray(packed[:, begin:end])
        leaves.append(part.view(kind).reshape(len(packed), *leaf.shape))
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def pack_lanes(tree: Any, like: Any, plan: SeedPlan) -> np.ndarray:
    """On the host: ``[lanes, bytes]`` of a pytree with leading axes ``[lanes]``."""
    rows = [
        np.ascontiguousarray(leaf, one.dtype).reshape(plan.lanes, -1).view(np.uint8)
        for leaf, one in zip(jax.tree.leaves(tree), jax.tree.leaves(like), strict=True)
    ]
    return np.concatenate(rows, axis=1)
