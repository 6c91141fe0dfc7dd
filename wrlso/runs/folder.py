"""A run's folder on disk: configuration, log, checkpoints, summary, figures."""

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


def _counts(path: Path) -> bool:
    """Not what a process left behind that was killed while it wrote the first file."""
    return not (path.name.startswith("config.json") and path.name.endswith(".part"))


class RunFolder:
    """Paths and files of one run. ``RunFolder(path)`` opens one; see also :meth:`create`."""

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
        """Refuse a folder that exists with anything in it.

        Raises:
          ValueError: if it does, or cannot be read.
        """
        try:
            taken = path.exists() and (not path.is_dir() or any(map(_counts, path.iterdir())))
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
          ValueError: if it exists with anything in it, or cannot be written.
        """
        RunFolder.check_new(path)
        try:
            write_new(path / "config.json", config.to_json().encode())
        except FileExistsError:
            raise ValueError(
                f"out = {path} was begun by another process meanwhile: choose another folder"
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
    def summary_file(self) -> Path:
        return self.path / "summary.json"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    def open_log(self, *, read_only: bool = False) -> QueryLog:
        """The query log, made if it does not exist."""
        return QueryLog(self.path / "queries.sqlite", read_only=read_only)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against other processes; released by the system if this one dies.

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
        """Numbers of completed rounds for which a state is kept, ascending."""
        return sorted(int(f.stem[-5:]) for f in self._checkpoint_dir.glob("round*.safetensors"))

    def save_checkpoint(self, rounds_done: int, state: Any) -> None:
        """Keep the state after a round."""
        save_tree(self._checkpoint(rounds_done), state)

    def forget_checkpoints(self, rounds_done: int, keep: set[int]) -> None:
        """Of the states before a round's, only those in ``keep`` stay; of those after it none."""
        for other in self.checkpoints():
            if other > rounds_done or (other < rounds_done and other not in keep):
                self._checkpoint(other).unlink()

    def load_checkpoint(self, rounds_done: int, like: Any) -> Any:
        """The state after a round."""
        return load_tree(self._checkpoint(rounds_done), like)

    @property
    def _checkpoint_dir(self) -> Path:
        return self.path / "checkpoints"

    def _checkpoint(self, rounds_done: int) -> Path:
        return self._checkpoint_dir / f"round{rounds_done:05d}.safetensors"
