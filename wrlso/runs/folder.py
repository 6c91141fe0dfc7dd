"""The folder of a run: configuration, log, checkpoints, summary, figures."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from wrlso.runs.config import RunConfig
from wrlso.runs.log import QueryLog
from wrlso.storage.files import write_atomically, write_new
from wrlso.storage.tensors import load_tree, save_tree


def _is_content(path: Path) -> bool:
    """Whether a file is more than the remains of a process that was killed at its first write."""
    return not (path.name.startswith("config.json") and path.name.endswith(".part"))


class RunFolder:
    """The files of one run. ``RunFolder(path)`` opens a folder; :meth:`create` makes a new one.

    Attributes:
      path: the folder.
      config: the run's configuration.

    Raises:
      ValueError: if the folder holds no run, or its configuration cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not self.config_file.is_file():
            raise ValueError(f"{path} is not a run folder: it has no config.json")
        try:
            self.config = RunConfig.from_json(self.config_file.read_text())
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.config_file} cannot be read: {error}") from error

    @staticmethod
    def check_new(path: Path) -> None:
        """Check that a folder is empty or does not exist.

        Raises:
          ValueError: if it holds files, is a file, or cannot be read.
        """
        try:
            taken = path.exists() and (not path.is_dir() or any(map(_is_content, path.iterdir())))
        except OSError as error:
            raise ValueError(f"out = {path} cannot be read ({error.strerror})") from error
        if taken:
            raise ValueError(
                f"out = {path} exists already and is never overwritten: choose another "
                f"folder, or continue that run with 'wrlso resume {path}'"
            )

    @staticmethod
    def create(path: Path, config: RunConfig) -> "RunFolder":
        """Make a new folder.

        Raises:
          ValueError: if it exists and holds files, or cannot be written.
        """
        RunFolder.check_new(path)
        try:
            write_new(path / "config.json", config.to_json().encode())
        except FileExistsError:
            raise ValueError(
                f"another process has just begun a run in out = {path}: choose another folder"
            ) from None
        except OSError as error:
            raise ValueError(
                f"out = {path} cannot be written ({error.strerror}): choose another folder"
            ) from error
        return RunFolder(path)

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def base_file(self) -> Path:
        """The base data, if their scores are those of a Python objective."""
        return self.path / "base.safetensors"

    @property
    def summary_file(self) -> Path:
        return self.path / "summary.json"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    def open_log(self, *, read_only: bool = False) -> QueryLog:
        """Open the query log; it is made if it does not exist."""
        return QueryLog(self.path / "queries.sqlite", read_only=read_only)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other processes; the system releases the lock of a dead process.

        Raises:
          ValueError: if another process is running or resuming this run.
        """
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise ValueError(
                f"{self.path} is being run by another process: wait for it, or end it first"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def save_summary(self, summary: dict[str, Any]) -> None:
        """Write ``summary.json``."""
        text = json.dumps(summary, indent=2) + "\n"
        write_atomically(self.summary_file, text.encode())

    def load_summary(self) -> dict[str, Any]:
        """Read ``summary.json``."""
        return json.loads(self.summary_file.read_text())

    def checkpoints(self) -> list[int]:
        """The numbers of completed rounds with a checkpoint, ascending."""
        return sorted(int(f.stem[-5:]) for f in self._checkpoint_dir.glob("round*.safetensors"))

    def save_checkpoint(self, rounds_done: int, state: Any) -> None:
        """Write the state after a round."""
        save_tree(self.checkpoint_file(rounds_done), state)

    def forget_checkpoints(self, rounds_done: int, keep: set[int]) -> None:
        """Delete the checkpoints of later rounds, and of earlier rounds outside ``keep``."""
        for other in self.checkpoints():
            if other > rounds_done or (other < rounds_done and other not in keep):
                self.checkpoint_file(other).unlink()

    def load_checkpoint(self, rounds_done: int, like: Any) -> Any:
        """Read the state after a round."""
        return load_tree(self.checkpoint_file(rounds_done), like)

    @property
    def _checkpoint_dir(self) -> Path:
        return self.path / "checkpoints"

    def checkpoint_file(self, rounds_done: int) -> Path:
        """The file of the state after a round."""
        return self._checkpoint_dir / f"round{rounds_done:05d}.safetensors"
