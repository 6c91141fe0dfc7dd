"""Cached results for many molecules; the name of a file is a digest of the inputs."""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rdkit

from wrlso.storage.files import write_atomically

Arrays = dict[str, np.ndarray]

_DIGEST = 32
"""Number of bytes of the SHA-256 at the end of a file."""


def cache_path(directory: Path | str, kind: str, smiles: Sequence[str], *recipe: object) -> Path:
    """The file that caches arrays about ``smiles``.

    Its name depends on the molecules, the recipe, and the version of RDKit.
    """
    digest = hashlib.sha256(json.dumps(list(smiles)).encode())
    digest.update(repr((rdkit.__version__, *recipe)).encode())
    return Path(directory) / f"{kind}-{digest.hexdigest()[:24]}.arrays"


def read_arrays(path: Path) -> Arrays | None:
    """The arrays of a file, or None if the file is missing or damaged."""
    if not path.is_file():
        return None
    stored = path.read_bytes()
    content, digest = stored[:-_DIGEST], stored[-_DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write compressed arrays and the digest of their bytes; a kill leaves the old file intact."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    content = buffer.getvalue()
    write_atomically(path, content + hashlib.sha256(content).digest())


def pack(value: Any) -> np.ndarray:
    """A JSON value as an array of bytes."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def unpack(array: np.ndarray) -> Any:
    """The inverse of :func:`pack`."""
    return json.loads(array.tobytes())
