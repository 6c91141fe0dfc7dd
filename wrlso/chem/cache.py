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
from wrlso.storage.sealed import open_bytes, sealed_bytes

Arrays = dict[str, np.ndarray]


def cache_path(directory: Path | str, kind: str, smiles: Sequence[str], *recipe: object) -> Path:
    """The file that caches arrays about ``smiles``.

    Its name depends on the molecules, the recipe, and the version of RDKit.
    """
    digest = hashlib.sha256(json.dumps(list(smiles)).encode())
    digest.update(repr((rdkit.__version__, *recipe)).encode())
    return Path(directory) / f"{kind}-{digest.hexdigest()[:24]}.arrays"


def read_arrays(path: Path) -> Arrays | None:
    """The arrays of a file, or None if it is missing, damaged, or was kept under another name."""
    content = open_bytes(path.name, path.read_bytes()) if path.is_file() else None
    if content is None:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write compressed arrays with a digest; a kill leaves the old file intact."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, sealed_bytes(path.name, buffer.getvalue()))


def pack(value: Any) -> np.ndarray:
    """A JSON value as an array of bytes."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def unpack(array: np.ndarray) -> Any:
    """The inverse of :func:`pack`."""
    return json.loads(array.tobytes())
