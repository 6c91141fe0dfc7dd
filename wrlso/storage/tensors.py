"""Pytrees of arrays in safetensors files, written atomically, without pickle, with a digest."""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import jax
import numpy as np
from safetensors import SafetensorError, safe_open

from wrlso.storage.files import write_atomically
from wrlso.storage.sealed import DIGEST, DamagedFile, digest_of

_TYPES = {
    **{f"float{bits}": f"F{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
    "bfloat16": "BF16",
    "bool": "BOOL",
}
"""The format's names of NumPy's types."""

REMEDY = "restore the file, as it cannot be made again"


@dataclass(frozen=True)
class StoredTree:
    """The content of a file.

    Attributes:
      path: the file.
      arrays: by name.
      metadata: texts by name, without the digest.
      sealed: whether it had a digest.
    """

    path: Path
    arrays: Mapping[str, np.ndarray]
    metadata: Mapping[str, str]
    sealed: bool

    def tree(self, like: Any) -> Any:
        """The arrays as a pytree with the structure, shapes and dtypes of ``like``.

        Raises:
          ValueError: naming the first difference, if the file holds another pytree.
        """
        leaves = []
        for name, leaf in _named_leaves(like):
            if name not in self.arrays:
                raise ValueError(
                    f"{self.path} has no tensor {name!r}: it was written by another model"
                )
            value = self.arrays[name]
            if value.shape != leaf.shape or value.dtype != leaf.dtype:
                raise ValueError(
                    f"{self.path}: tensor {name!r} is {value.dtype}{list(value.shape)}, expected "
                    f"{leaf.dtype}{list(leaf.shape)}: it was written by another model"
                )
            leaves.append(value)
        return jax.tree.unflatten(jax.tree.structure(like), leaves)


def save_tree(
    path: Path, tree: Any, metadata: Mapping[str, str] | None = None, durable: bool = True
) -> None:
    """Write a pytree of arrays and their digest; readers see the old file or the whole new one.

    A leaf may be anything with a shape, a dtype and ``__array__``, which is asked for one array at
    a time, so that a large state is never in memory twice.

    ``durable`` is as for :func:`wrlso.storage.files.write_atomically`.
    """
    named = {name: _as_array(leaf) for name, leaf in _named_leaves(tree)}
    about = dict(metadata or {})
    about[DIGEST] = _digest(named, about)
    write_atomically(path, partial(_write, named, about), durable)


def _write(named: Mapping[str, Any], metadata: Mapping[str, str], file: BinaryIO) -> None:
    """Write the format of safetensors, one array after the other: its library would hold a second
    copy of all of them, or write a file that only its owner may read."""
    # Wide types first, so that each array is aligned.
    order = sorted(named, key=lambda name: (-named[name].dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name in order:
        shape, dtype = named[name].shape, named[name].dtype
        start, end = end, end + math.prod(shape) * dtype.itemsize
        if dtype.name not in _TYPES:
            raise TypeError(
                f"{name}: files of tensors hold no {dtype}; cast it, or keep it elsewhere"
            )
        kind = _TYPES[dtype.name]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for name in order:
        file.write(_content(named[name]))


def _as_array(leaf: Any) -> Any:
    """The leaf itself if it is an array, or something that becomes one when it is asked for."""
    if hasattr(leaf, "__array__") and not isinstance(leaf, (np.ndarray, np.generic)):
        return leaf
    array = np.asarray(leaf)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _content(array: Any) -> memoryview:
    """The bytes of an array, without a copy where it is in memory."""
    return np.asarray(array, order="C").reshape(-1).view(np.uint8).data


def read_tensors(
    path: Path,
    remedy: str = REMEDY,
    about: Mapping[str, str] | None = None,
    unsealed: bool = False,
) -> StoredTree:
    """Read a file of :func:`save_tree`.

    Args:
      path: the file.
      remedy: what to do if it is damaged, for the error.
      about: metadata that the file must have.
      unsealed: take a file without a digest, of a version that wrote none.

    Raises:
      DamagedFile: if it is not as it was written, or has other metadata.
      FileNotFoundError: if there is no such file.
    """
    if path.is_file() and path.stat().st_size == 0:
        raise DamagedFile(path, "it is empty", remedy)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFile(path, f"it is no whole file of tensors ({error})", remedy) from error
    digest = metadata.pop(DIGEST, None)
    if digest is None and not unsealed:
        raise DamagedFile(path, "it has no digest", remedy)
    if digest is not None and digest != _digest(arrays, metadata):
        raise DamagedFile(path, "its digest is that of another content", remedy)
    for name, value in (about or {}).items():
        if metadata.get(name) != value:
            raise DamagedFile(
                path, f"its {name} is {metadata.get(name)!r}, expected {value!r}", remedy
            )
    return StoredTree(path, arrays, metadata, digest is not None)


def load_tree(
    path: Path,
    like: Any,
    remedy: str = REMEDY,
    about: Mapping[str, str] | None = None,
    unsealed: bool = False,
) -> Any:
    """Read a pytree with the structure, shapes and dtypes of ``like`` (arrays or their shapes).

    Args:
      path: the file.
      like: the pytree.
      remedy, about, unsealed: as for :func:`read_tensors`.

    Raises:
      ValueError: naming the first difference, if the file holds another pytree, or is damaged.
      FileNotFoundError: if there is no such file.
    """
    return read_tensors(path, remedy, about, unsealed).tree(like)


def _digest(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    parts: list[Any] = []
    for name in sorted(arrays):
        parts += [name, arrays[name]]
    for name in sorted(metadata):
        parts += [name, metadata[name]]
    return digest_of(parts).hex()


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """The leaves of a pytree, each with its path as a name."""
    with_path, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [
        (jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in with_path
    ]
