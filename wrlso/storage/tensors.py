"""Pytrees of arrays in safetensors files, written atomically and without pickle."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save

from wrlso.storage.files import write_atomically


def save_tree(path: Path, tree: Any, metadata: dict[str, str] | None = None) -> None:
    """Write a pytree of arrays; readers see the old file or the whole new one."""
    named = {name: np.asarray(leaf, order="C") for name, leaf in _named_leaves(tree)}
    write_atomically(path, save(named, metadata=metadata))


def load_tree(path: Path, like: Any) -> Any:
    """Read a pytree with the structure, shapes and dtypes of ``like`` (arrays or their shapes).

    Raises:
      ValueError: naming the first difference, if the file holds another pytree.
    """
    with safe_open(path, framework="numpy") as file:
        stored = set(file.keys())
        leaves = []
        for name, leaf in _named_leaves(like):
            if name not in stored:
                raise ValueError(f"{path} has no tensor {name!r}: it was written by another model")
            value = file.get_tensor(name)
            if value.shape != leaf.shape or value.dtype != leaf.dtype:
                raise ValueError(
                    f"{path}: tensor {name!r} is {value.dtype}{list(value.shape)}, expected "
                    f"{leaf.dtype}{list(leaf.shape)}: it was written by another model"
                )
            leaves.append(value)
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def join_files(paths: Sequence[Path], out: Path) -> None:
    """Write the pytree of the arrays of several files, concatenated along the first axis."""
    parts = [load_file(path) for path in paths]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    write_atomically(out, save(joined))


def load_metadata(path: Path) -> dict[str, str]:
    """The metadata that :func:`save_tree` wrote."""
    with safe_open(path, framework="numpy") as file:
        return file.metadata() or {}


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """The leaves of a pytree, each with its path as a name."""
    with_path, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [
        (jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in with_path
    ]
