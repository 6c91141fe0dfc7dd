"""Damage to a file: each kind as a function from its path to the file's new content."""

import resource
from contextlib import contextmanager

import numpy as np

TRUNCATIONS = 20


def damages(content: bytes, other: bytes | None, flips: int, seed: int = 0):
    """Names and new contents: None for a deleted file.

    Args:
      content: of the file.
      other: content of the same file of another run; None: there is none.
      flips: number of bit flips, one at a time.
      seed: of their places.
    """
    yield "deleted", None
    yield "emptied", b""
    for i in range(TRUNCATIONS):
        size = i * len(content) // TRUNCATIONS
        if size:
            yield f"truncated to {size} bytes", content[:size]
    if other is not None and other != content:
        yield "swapped with another run's", other
    rng = np.random.default_rng(seed)
    for _ in range(flips if content else 0):
        place, bit = int(rng.integers(len(content))), int(rng.integers(8))
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        yield f"bit {bit} of byte {place} flipped", bytes(flipped)


@contextmanager
def full_disk(size):
    """No file of this process grows beyond so many bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
