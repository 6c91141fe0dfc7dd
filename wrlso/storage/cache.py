"""Where things are kept between runs."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """Where pretrained models and compiled programs are kept between runs.

    ``WRLSO_CACHE`` if set, else ``wrlso`` in ``XDG_CACHE_HOME`` or ``~/.cache``.
    """
    if chosen := os.environ.get("WRLSO_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wrlso"
