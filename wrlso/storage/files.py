"""Atomic writes: after a crash a file has either its old or its whole new content."""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PART = ".part"
"""Ending of files that are being written."""


def sweep_parts(folder: Path, older_than: float = 0.0) -> None:
    """Delete what killed processes have left of files that they were writing.

    Args:
      folder: the folder; the folders in it are left as they are.
      older_than: age in seconds of the files to delete; another process may be writing younger
        ones.
    """
    latest = time.time() - older_than
    for path in folder.glob(f"*{_PART}"):
        with suppress(OSError):  # another process has swept it
            if path.stat().st_mtime <= latest:
                path.unlink()


def write_atomically(path: Path, content: bytes, durable: bool = True) -> None:
    """Write a file and make its folder; readers see the old or the new content.

    With ``durable``, the content is on the disk before its name is. Without it, a power failure may
    leave a damaged file.
    """
    with _temporary_file(path, content, durable) as temporary:
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
def _temporary_file(path: Path, content: bytes, durable: bool = True) -> Iterator[Path]:
    """A temporary file beside ``path`` that holds the whole content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The tempfile module would make a file that only its owner can read.
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}{_PART}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
