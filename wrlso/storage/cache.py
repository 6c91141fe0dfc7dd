"""The cache folder."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """The folder that keeps pretrained models and compiled programs between runs.

    It is ``WRLSO_CACHE`` if this variable is set, else ``wrlso`` in ``XDG_CACHE_HOME`` or
    ``~/.cache``.
    """
    if chosen := os.environ.get("WRLSO_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wrlso"
