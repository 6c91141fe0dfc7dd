"""Sealed content: what was written carries a digest, and is checked when it is read.

A digest is no signature. It finds damage, mixed-up files and edits, not an adversary.
"""

import hashlib
import json
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

DIGEST = "digest"
"""Name under which a record, a row or a tree keeps its digest."""


class DamagedFile(ValueError):
    """A file is not as it was written.

    Args:
      path: the file.
      why: what is wrong with it, in words.
      remedy: what to do about it, as an imperative.
    """

    def __init__(self, path: Path, why: str, remedy: str) -> None:
        super().__init__(f"{path} is damaged: {why}; {remedy}")


def digest_of(parts: Iterable[Any], size: int = 16) -> bytes:
    """A digest of numbers, texts, bytes, None and arrays; equal parts of other types differ."""
    state = hashlib.blake2b(digest_size=size)
    for part in parts:
        if hasattr(part, "__array__") and not isinstance(part, np.generic):
            array = np.asarray(part, order="C")
            header = f"{array.dtype.str}{array.shape}".encode()
            state.update(struct.pack("<cQ", b"a", len(header) + array.nbytes) + header)
            state.update(array.reshape(-1).view(np.uint8).data)  # large arrays are not copied
            continue
        kind, content = _as_bytes(part)
        state.update(struct.pack("<cQ", kind, len(content)) + content)
    return state.digest()


def _as_bytes(part: Any) -> tuple[bytes, bytes]:
    if part is None:
        return b"n", b""
    if isinstance(part, bytes):
        return b"b", part
    if isinstance(part, str):
        return b"s", part.encode("utf-8", "surrogatepass")
    if isinstance(part, (bool, int, np.integer)):
        return b"i", str(int(part)).encode()
    if isinstance(part, (float, np.floating)):
        return b"f", struct.pack("<d", part)
    raise TypeError(f"no digest of a {type(part).__name__}")


def sealed_json(content: Mapping[str, Any]) -> str:
    """A record as JSON text with its digest at the end."""
    return json.dumps({**content, DIGEST: _record_digest(content)}, indent=2) + "\n"


def parse_json(text: str) -> dict[str, Any]:
    """A record from JSON text, with its digest if it has one. NaN and infinities are no JSON.

    Raises:
      ValueError: if it is no JSON object.
    """

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no number of JSON")

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            twice = min(name for name, count in counts.items() if count > 1)
            raise ValueError(f"the key {twice!r} is there twice")
        return content

    if not text.strip():
        raise ValueError("it is empty")
    try:
        content = json.loads(text, parse_constant=refuse, object_pairs_hook=object_of)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, not names and values")
    return content


def check_seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """A record without its digest.

    Raises:
      ValueError: if it has no digest, or that of another content.
    """
    rest = {name: value for name, value in content.items() if name != DIGEST}
    if DIGEST not in content:
        raise ValueError("it has no digest")
    if content[DIGEST] != _record_digest(rest):
        raise ValueError("its digest is that of another content")
    return rest


def _record_digest(content: Mapping[str, Any]) -> str:
    plain = json.dumps(content, sort_keys=True)
    return digest_of([plain]).hex()


def sealed_bytes(name: str, content: bytes) -> bytes:
    """Content and, after it, a digest of it and of the name under which it is kept."""
    return content + digest_of([name, content])


def open_bytes(name: str, stored: bytes) -> bytes | None:
    """The inverse of :func:`sealed_bytes`; None for anything else."""
    content, digest = stored[:-16], stored[-16:]
    return content if digest_of([name, content]) == digest else None
