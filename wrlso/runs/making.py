"""The making of a run's folder, under its lock, and its end where nothing came of the run."""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from wrlso.runs.config import RunConfig
from wrlso.runs.folder import RunFolder
from wrlso.runs.lock import lock_of
from wrlso.runs.log import Told
from wrlso.scores.checks import check_kind
from wrlso.tasks import TASKS

_OWN = (".lock", "config.json", "queries.sqlite", "base.safetensors")
"""Beginnings of the names of the files that a run without queries has."""


def check_names(methods: Any) -> None:
    """Refuse methods of a sweep without names, and names that no folder can have.

    Raises:
      TypeError, ValueError: naming the first.
    """
    check_kind("methods", methods, Mapping, "{'k=0.1': wrlso.methods.weighted_retraining(0.1)}")
    for name in methods:
        if not (isinstance(name, str) and re.fullmatch(r"[\w=,+-][\w=.,+-]*", name)):
            raise ValueError(
                f"methods: {name!r} cannot name a folder: use letters, digits and -_=,+ (and dots, "
                "but not first)"
            )


@contextmanager
def created(path: Path, config: RunConfig, more: Sequence[Told]) -> Iterator[RunFolder]:
    """Make a new folder, and hold its lock from before it is a run's to the end of the block.

    The folder is deleted if the block fails before anything was scored: it would only be in the
    way of another try. It is kept if it has starting data that may have cost evaluations: those
    that were scored at the cost of the budget, and those of a task of the user's own.

    Args:
      path: the folder.
      config: the run's configuration.
      more: the measurements that join its starting data.

    Raises:
      ValueError: if it exists and holds files, or cannot be written, or if another process has
        just begun a run in it.
    """
    RunFolder.check_new(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"out = {path}: {error.strerror}: choose another folder") from error
    taken = f"another process has just begun a run in out = {path}: choose another folder"
    with lock_of(path, taken):
        folder = RunFolder.create(path, config)
        folder.is_held = True
        try:
            folder.join(more)
            yield folder
        except Exception:
            with suppress(Exception):  # the first error is the one to tell
                _drop_if_empty(folder, len(more))
            raise
        finally:
            folder.is_held = False


def _drop_if_empty(folder: RunFolder, joined: int) -> None:
    """Delete the folder of a run without queries, which began with ``joined`` measurements."""
    paid = folder.config.starting.get("initial") or folder.config.task not in TASKS
    if folder.checkpoints() or (paid and folder.base_file.exists()):
        return
    with closing(folder.open_log(read_only=True)) as log:
        if log.queries() or len(log.elsewhere()) > joined:
            return
    files = [path for path in folder.path.iterdir() if path.name != "checkpoints"]
    if all(path.name.startswith(_OWN) for path in files):
        shutil.rmtree(folder.path / "checkpoints", ignore_errors=True)  # unfinished files at most
        for path in files:
            path.unlink()
        folder.path.rmdir()
