"""The lock of a run's folder, which one process has while it changes the run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PATIENCE = 0.2
"""Seconds for which a lock is waited for: a report that looks whether it is free holds it so
briefly."""

_PAUSE = 0.02


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of a folder, as far as can be seen."""
    if not (path / ".lock").exists():
        return False
    lock = FileLock(path / ".lock")
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError) as error:
        return isinstance(error, Timeout)
    lock.release()
    return False


@contextmanager
def lock_of(path: Path, refused: str, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock of a folder in this block; the system releases the lock of a dead process.

    Args:
      path: the folder, which exists.
      refused: the message of the error if another process holds it.
      patience: seconds for which it is waited for.

    Raises:
      ValueError: if another process holds it.
    """
    lock, end = FileLock(path / ".lock"), time.monotonic() + patience
    while True:
        try:
            lock.acquire(blocking=False)
            break
        except Timeout:
            if time.monotonic() > end:
                raise ValueError(refused) from None
            time.sleep(_PAUSE)
    try:
        yield
    finally:
        lock.release()
