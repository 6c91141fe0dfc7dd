"""The folder of a run: configuration, log, checkpoints, summary, figures."""

import re
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from wrlso.runs.config import RunConfig
from wrlso.runs.log import REMEDY, Describe, QueryLog
from wrlso.runs.outputs import why_not_made
from wrlso.storage.files import force, sweep_parts, write_atomically, write_new
from wrlso.storage.sealed import DamagedFile, check_seal, parse_json, sealed_json
from wrlso.storage.tensors import StoredTree, read_tensors, save_tree

_CHECKPOINT = re.compile(r"round(\d{5,})\.safetensors")


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
            self.config = RunConfig.from_json(self.config_file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(
                f"{self.config_file} cannot be read: {error}. Restore it as it was written: the "
                "run goes on with nothing else"
            ) from error

    @staticmethod
    def check_new(path: Path) -> None:
        """Check that a folder is empty, or does not exist and can be made.

        Raises:
          ValueError: if it holds files, is a file, or cannot be read or made.
        """
        if why := why_not_made(path):
            raise ValueError(f"out = {path} cannot be written ({why}): choose another folder")
        if path.exists() and not path.is_dir():
            raise ValueError(f"out = {path} is a file, and a run has a folder: choose another name")
        try:
            taken = path.exists() and any(map(_is_content, path.iterdir()))
        except OSError as error:
            raise ValueError(f"out = {path} cannot be read ({error.strerror})") from error
        if taken and (path / "config.json").exists():
            raise ValueError(
                f"out = {path} exists already and is never overwritten: choose another "
                f"folder, or continue that run with 'wrlso resume {path}'"
            )
        if taken:
            raise ValueError(
                f"out = {path} exists already, holds files that are no run's, and is never "
                "overwritten: choose another folder"
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
            raise ValueError(f"out = {path}: {error.strerror}: choose another folder") from error
        return RunFolder(path)

    @property
    def config_file(self) -> Path:
        """The file of the settings."""
        return self.path / "config.json"

    @property
    def base_file(self) -> Path:
        """The base data, if their scores are those of a Python objective."""
        return self.path / "base.safetensors"

    @property
    def summary_file(self) -> Path:
        """The file of the summary; a finished run has it."""
        return self.path / "summary.json"

    @property
    def figures(self) -> Path:
        """The folder of the figures."""
        return self.path / "figures"

    def open_log(
        self,
        *,
        read_only: bool = False,
        describe: Describe | None = None,
        durable: bool = True,
    ) -> QueryLog:
        """Open the query log. It may be missing or empty as long as nothing follows from it.

        Args:
          read_only: open it without write access.
          describe: see :class:`wrlso.runs.log.QueryLog`.
          durable: see :class:`wrlso.runs.log.QueryLog`.

        Raises:
          DamagedFile: if it is missing, is not as it was written, or is another run's.
        """
        path, run = self.path / "queries.sqlite", self.config.run or None
        later = (self.summary_file, self.base_file, self.asked_file)
        fresh = not (self.checkpoints() or any(file.exists() for file in later))
        if not path.exists() and not fresh and self.config.sealed:
            raise DamagedFile(path, "it is missing", REMEDY)
        if read_only and not path.exists():  # the run was stopped before its first query
            return QueryLog(Path(":memory:"))
        log = QueryLog(
            path, read_only=read_only, describe=describe, run=run, fresh=fresh, durable=durable
        )
        if log.begun:
            return log
        log.close()  # the run was stopped while it made the file
        return QueryLog(Path(":memory:"))

    @contextmanager
    def dropped_if_nothing_came(self) -> Iterator[None]:
        """Delete the folder if the block fails before anything was scored: it would only be in the
        way of another try."""
        try:
            yield
        except Exception:
            with suppress(Exception):  # the first error is the one to tell
                self._drop_if_empty()
            raise

    def _drop_if_empty(self) -> None:
        if self.base_file.exists() or self.checkpoints():
            return
        with closing(self.open_log(read_only=True)) as log:
            if log.queries() or log.elsewhere():
                return
        shutil.rmtree(self._checkpoint_dir, ignore_errors=True)  # at most unfinished files
        for path in self.path.iterdir():
            if path.name in (".lock", "config.json") or path.name.startswith("queries.sqlite"):
                path.unlink()
        self.path.rmdir()

    def is_locked(self) -> bool:
        """Whether another process is running this run, as far as can be seen."""
        if not (self.path / ".lock").exists():
            return False
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(blocking=False)
        except (Timeout, OSError) as error:
            return isinstance(error, Timeout)
        lock.release()
        return False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other processes; the system releases the lock of a dead process.

        Files that killed processes have left unfinished are deleted.

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
            sweep_parts(self.path)
            sweep_parts(self._checkpoint_dir)
            yield
        finally:
            lock.release()

    def save_config(self) -> None:
        """Write ``config.json`` again, as a run that has grown does."""
        write_atomically(self.config_file, self.config.to_json().encode())

    def save_summary(self, summary: dict[str, Any]) -> None:
        """Write ``summary.json``."""
        text = sealed_json({**summary, "run": self.config.run})
        write_atomically(self.summary_file, text.encode())

    def load_summary(self) -> dict[str, Any]:
        """Read ``summary.json``.

        Raises:
          DamagedFile: if it is not as it was written, or is another run's.
        """
        try:
            found = parse_json(self.summary_file.read_text(encoding="utf-8"))
            if self.config.sealed:
                found = check_seal(found)
                if found.pop("run", None) != self.config.run:
                    raise ValueError("it is another run's")
        except ValueError as error:
            remedy = "delete it, and 'wrlso resume' makes it again"
            raise DamagedFile(self.summary_file, str(error), remedy) from error
        return found

    def checkpoints(self) -> list[int]:
        """The numbers of completed rounds with a checkpoint, ascending."""
        names = (_CHECKPOINT.fullmatch(file.name) for file in self._checkpoint_dir.glob("round*"))
        return sorted(int(name[1]) for name in names if name)

    @property
    def asked_file(self) -> Path:
        """The state after the last ask of a run whose objects people measure."""
        return self._checkpoint_dir / "asked.safetensors"

    def save_checkpoint(self, rounds_done: int, state: Any, durable: bool = True) -> None:
        """Write the state after a round. Without ``durable``, a power failure may damage it."""
        about = self.about("checkpoint", rounds_done)
        save_tree(self.checkpoint_file(rounds_done), state, about, durable)

    def force_checkpoint(self, rounds_done: int) -> None:
        """Put the state after a round on the disk."""
        force(self.checkpoint_file(rounds_done))

    def forget_checkpoints(self, rounds_done: int, keep: set[int]) -> None:
        """Delete the checkpoints of later rounds, and of earlier rounds outside ``keep``."""
        for other in self.checkpoints():
            if other > rounds_done or (other < rounds_done and other not in keep):
                self.checkpoint_file(other).unlink()

    def load_checkpoint(self, rounds_done: int) -> StoredTree:
        """Read the state after a round.

        Raises:
          DamagedFile: if the file is not as it was written, or is of another run or round.
        """
        remedy = "delete it, and the run goes on from an earlier one, or from its start"
        file = self.checkpoint_file(rounds_done)
        return self.read_tensors(file, remedy, self.about("checkpoint", rounds_done))

    def about(self, kind: str, round: int | None = None) -> dict[str, str]:
        """Metadata of a file of the run: its kind, and the round after which it was written."""
        found = {"run": self.config.run, "kind": kind}
        return found if round is None else {**found, "round": str(round)}

    def read_tensors(self, file: Path, remedy: str, about: dict[str, str]) -> StoredTree:
        """Read a file of the run, whose metadata must be ``about``."""
        sealed = self.config.sealed
        return read_tensors(file, remedy, about if sealed else None, unsealed=not sealed)

    @property
    def _checkpoint_dir(self) -> Path:
        return self.path / "checkpoints"

    def checkpoint_file(self, rounds_done: int) -> Path:
        """The file that holds the state after a round."""
        return self._checkpoint_dir / f"round{rounds_done:05d}.safetensors"
