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
      ValueError: if it is a folder, an input, or a file of a run, or nothing can be written there.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file in it")
    if why := why_not_made(path):
        raise ValueError(f"{path} cannot be written ({why}): name another file for the output")
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


def why_not_made(path: Path) -> str | None:
    """Why no file can be made at a path, or in a folder at it, as far as can be seen before; None:
    it can, or there is a file."""
    try:
        if os.path.lexists(path) and not path.is_dir():
            return None
        whole = Path(os.path.abspath(path))
        parent = next(one for one in (whole, *whole.parents) if one.exists())
    except OSError as error:
        return error.strerror
    if not parent.is_dir():
        return f"{parent} is a file, not a folder"
    if not os.access(parent, os.W_OK | os.X_OK):
        return f"you may not write in {parent}"
    return None


def files_named(options: Mapping[str, Any]) -> list[Path]:
    """The files that the options of a task name."""
    found = []
    for value in options.values():
        with suppress(OSError, ValueError):
            if isinstance(value, str) and Path(value).is_file():
                found.append(Path(value))
    return found
