"""Files that are either the old one or the whole new one, whenever the power goes."""

import os
import uuid
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, making its folder; a reader or a crash sees the old or the new content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by tempfile: its files are for their owner's eyes only.
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
