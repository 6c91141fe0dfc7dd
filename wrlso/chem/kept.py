"""What was found out about many molecules, kept in files that its ingredients name."""

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import rdkit

from wrlso.host.files import write_atomically

Arrays = dict[str, np.ndarray]


def kept_path(directory: Path | str, kind: str, smiles: Sequence[str], *recipe: object) -> Path:
    """Where arrays about ``smiles`` are kept: the name changes with these, the recipe, and the
    versions of RDKit and SELFIES."""
    digest = hashlib.sha256(json.dumps(list(smiles)).encode())
    digest.update(repr((rdkit.__version__, version("selfies"), *recipe)).encode())
    return Path(directory) / f"{kind}-{digest.hexdigest()[:24]}.npz"


def read_arrays(path: Path) -> Arrays | None:
    """The arrays of a file, or None if it is not there or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (FileNotFoundError, zipfile.BadZipFile, EOFError, ValueError):
        return None


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays, compressed; a kill leaves the file as it was."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def from_texts(texts: Sequence[str]) -> np.ndarray:
    """Texts as one array of bytes."""
    return np.frombuffer(json.dumps(list(texts)).encode(), np.uint8)


def to_texts(array: np.ndarray) -> list[str]:
    """The texts of :func:`from_texts`."""
    return json.loads(array.tobytes())
