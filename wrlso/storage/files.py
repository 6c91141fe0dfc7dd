"""Files that are either the old one or the whole new one, whenever the power goes."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, making its folder; a reader or a crash sees the old or the new content."""
    with _whole(path, content) as temporary:
        os.replace(temporary, path)


def write_new(path: Path, content: bytes) -> None:
    """Write a file that must not exist, making its folder; of several writers one succeeds.

    Raises:
      FileExistsError: if it exists.
    """
    with _whole(path, content) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if path.exists():
                raise FileExistsError(f"{path} exists") from None
            os.replace(temporary, path)


@contextmanager
def _whole(path: Path, content: bytes) -> Iterator[Path]:
    """The content in a file beside ``path``, gone afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by tempfile: its files are for their owner's eyes only.
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
