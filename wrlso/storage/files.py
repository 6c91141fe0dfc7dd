"""Atomic writes: after a crash a file has either its old or its whole new content."""

import errno
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

Writer = Callable[[BinaryIO], None]
"""Writes the content of an open file."""

_PART = ".part"
"""Ending of files that are being written."""

_LONGEST = 150
"""Maximum number of bytes of a name that a temporary file repeats: most systems allow 255."""


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


def write_atomically(path: Path, content: bytes | Writer, durable: bool = True) -> None:
    """Write a file and make its folder; readers see the old or the new content.

    Large content may be a function that writes it piece by piece. With
    ``durable``, the content is on the disk before its name is. Without it, a power failure may
    leave a damaged file. A link stays a link to the new content. A pipe or a device, such as
    /dev/stdout, is written to and never replaced.

    Raises:
      OSError: naming the file.
    """
    with _named(path):
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as file:
                _write(file, content)
            return
        if path.is_symlink():
            path = Path(os.path.realpath(path))  # unlike resolve, it takes links in a circle
        with _temporary_file(path, content, durable) as temporary:
            os.replace(temporary, path)


def force(path: Path) -> None:
    """Put the content of a file on the disk, where a power failure leaves it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8 as :func:`write_atomically` does. Bytes of names that are no UTF-8,
    which Python reads as lone surrogates, are written as escapes."""
    write_atomically(path, text.encode("utf-8", "backslashreplace"))


def write_new(path: Path, content: bytes) -> None:
    """Write a file that must not exist, and make its folder; only one of several writers succeeds.

    Raises:
      FileExistsError: if the file exists.
    """
    with _named(path), _temporary_file(path, content) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # the file system has no hard links
            if path.exists():
                raise FileExistsError(f"{path} exists") from None
            os.replace(temporary, path)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in an error of the machine: that of a write names none."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise OSError(error.errno, f"it cannot be written ({error.strerror})", str(path)) from error


@contextmanager
def _temporary_file(path: Path, content: bytes | Writer, durable: bool = True) -> Iterator[Path]:
    """A temporary file beside ``path`` that holds the whole content."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        why = "a part of its path is a file, not a folder"
        raise NotADirectoryError(errno.ENOTDIR, why, str(path)) from None
    # The tempfile module would make a file that only its owner can read.
    name = os.fsdecode(os.fsencode(path.name)[:_LONGEST])
    temporary = path.with_name(f"{name}.{uuid.uuid4().hex}{_PART}")
    try:
        with temporary.open("xb") as file:
            _write(file, content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _write(file: BinaryIO, content: bytes | Writer) -> None:
    if callable(content):
        content(file)
    else:
        file.write(content)
