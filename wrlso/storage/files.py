"""Atomic writes: after a crash a file has either its old or its whole new content."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file and make its folder; readers see the old or the new content."""
    with _temporary_file(path, content) as temporary:
        os.replace(temporary, path)


def write_new(path: Path, content: bytes) -> None:
    """Write a file that must not exist, and make its folder; only one of several writers succeeds.

    Raises:
      FileExistsError: if the file exists.
    """
    with _temporary_file(path, content) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # the file system has no hard links
            if path.exists():
                raise FileExistsError(f"{path} exists") from None
            os.replace(temporary, path)


@contextmanager
def _temporary_file(path: Path, content: bytes) -> Iterator[Path]:
    """A temporary file beside ``path`` that holds the whole content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The tempfile module would make a file that only its owner can read.
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
