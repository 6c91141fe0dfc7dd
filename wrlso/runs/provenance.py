"""The origin of a run: versions, machine, date and command."""

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jax

from wrlso.runs.config import RunConfig
from wrlso.tasks import TASKS

_PACKAGES = ("wrlso", "jax", "jaxlib", "flax", "optax", "numpy", "scipy", "rdkit")


def provenance() -> dict[str, Any]:
    """Versions of Python and of the packages, platform, date (UTC) and command of this process."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([os.path.basename(sys.argv[0] or "python"), *sys.argv[1:]]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": f"{jax.devices()[0].device_kind} x {jax.device_count()}",
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def task_option(config: RunConfig) -> str:
    """The option by which commands name the task of a run: empty for a built-in task.

    It has the file that the run was begun with, or stands for it where the record holds none.
    """
    words = shlex.split(config.provenance.get("command", ""))
    if len(words) > 2 and words[1] in ("run", "open") and ".py:" in words[2]:
        return f" --task {shlex.quote(words[2])}"
    return "" if config.task in TASKS else " --task FILE.py:NAME"


def _version(name: str) -> str | None:
    if name == "wrlso":  # it may run without having been installed
        return getattr(sys.modules.get("wrlso"), "__version__", None)
    try:
        return version(name)
    except PackageNotFoundError:
        return None
