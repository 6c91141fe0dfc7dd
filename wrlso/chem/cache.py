"""What was found out about many molecules, kept in files that its ingredients name."""

import hashlib
import io
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import rdkit

from wrlso.storage.files import write_atomically

Arrays = dict[str, np.ndarray]

_DIGEST = 32
"""Bytes at a file's end."""


def kept_path(directory: Path | str, kind: str, smiles: Sequence[str], *recipe: object) -> Path:
    """Where arrays about ``smiles`` are kept: the name changes with these, the recipe, and the
    versions of RDKit and SELFIES."""
    digest = hashlib.sha256(json.dumps(list(smiles)).encode())
    digest.update(repr((rdkit.__version__, version("selfies"), *recipe)).encode())
    return Path(directory) / f"{kind}-{digest.hexdigest()[:24]}.arrays"


def read_arrays(path: Path) -> Arrays | None:
    """The arrays of a file, or None if it is not there or damaged."""
    if not path.is_file():
        return None
    stored = path.read_bytes()
    content, digest = stored[:-_DIGEST], stored[-_DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays, compressed, and a digest of these bytes; a kill leaves the file as it was."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    content = buffer.getvalue()
    write_atomically(path, content + hashlib.sha256(content).digest())


def pack(value: Any) -> np.ndarray:
    """Anything that JSON can hold, as an array of bytes."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def unpack(array: np.ndarray) -> Any:
    """The value of :func:`pack`."""
    return json.loads(array.tobytes())
