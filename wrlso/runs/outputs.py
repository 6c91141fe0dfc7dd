"""Files that users name for output: they replace no input and no file of a run."""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_OF_RUNS = ("config.json", "queries.sqlite", "summary.json", "base.safetensors", ".lock")
"""Beginnings of the names of a run's own files."""

_FOLDERS = ("checkpoints", "processes")
"""Folders of a run that hold its own files only."""


def check_output(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Check that a file may be written, before any work.

    Args:
      path: the file that the user named.
      inputs: files that the user named as input.

    Raises:
      ValueError: if it is a folder, an input, or a file of a run.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file in it")
    for one in inputs:
        with suppress(OSError):
            if path.exists() and path.samefile(one):
                raise ValueError(
                    f"{path} would be replaced, and it is an input: name another file for the "
                    "output"
                )
    place = Path(os.path.realpath(path))
    runs = [folder for folder in place.parents[:4] if (folder / "config.json").is_file()]
    for run in runs:
        within = place.relative_to(run).parts
        own = len(within) == 1 and within[0].startswith(_OF_RUNS)
        if own or within[0] in _FOLDERS:
            raise ValueError(
                f"{path} is a file of the run in {run}, and is never overwritten: name another file"
            )


def files_named(options: Mapping[str, Any]) -> list[Path]:
    """The files that the options of a task name."""
    found = []
    for value in options.values():
        with suppress(OSError, ValueError):
            if isinstance(value, str) and Path(value).is_file():
                found.append(Path(value))
    return found
