"""Compiled programs on disk, each with a digest of itself and of its name.

JAX's own cache writes a program in place and reads whatever it finds: after a kill, or a flipped
bit, it warns at each start, and a program in another's place would be run. Here a damaged one is
compiled again.
"""

import logging
from pathlib import Path
from typing import Any

from wrlso.storage.files import write_atomically
from wrlso.storage.sealed import open_bytes, sealed_bytes

_logger = logging.getLogger("wrlso")


class CheckedPrograms:
    """A cache as JAX's compiler uses it.

    Args:
      folder: the folder that holds the programs.
    """

    def __init__(self, folder: Path) -> None:
        self._path = self._folder = folder

    def get(self, key: str) -> bytes | None:
        """The program under a key; None if there is none, or it is damaged."""
        file = self._folder / f"{key}.program"
        try:
            stored = file.read_bytes()
        except OSError:
            return None
        found = open_bytes(key, stored)
        if found is None:
            _logger.info("%s is damaged and is compiled again", file)
        return found

    def put(self, key: str, value: bytes) -> None:
        """Keep a program, in place of a damaged one."""
        # Not durable: what a power failure leaves has another digest.
        write_atomically(self._folder / f"{key}.program", sealed_bytes(key, value), durable=False)


def check_programs(folder: Path) -> bool:
    """Let JAX, whose cache has been reset, keep its programs in a folder with digests.

    JAX has no public way to set this. With a version that has changed its insides, the programs are
    kept without digests.

    Returns:
      Whether it does.
    """
    try:
        from jax._src import compilation_cache
    except ImportError:
        return False
    inside: Any = compilation_cache
    if not (hasattr(inside, "_cache") and hasattr(inside, "_cache_initialized")):
        return False
    inside._cache, inside._cache_initialized = CheckedPrograms(folder), True
    return True
