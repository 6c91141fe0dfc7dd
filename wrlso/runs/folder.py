"""The folder of a run: configuration, log, checkpoints, summary, figures."""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from wrlso.runs.config import RunConfig
from wrlso.runs.lock import PATIENCE, is_held, lock_of
from wrlso.runs.log import REMEDY, Describe, QueryLog, Told
from wrlso.runs.outputs import why_not_made
from wrlso.runs.provenance import task_option
from wrlso.storage.files import force, sweep_parts, write_atomically, write_new
from wrlso.storage.sealed import DamagedFile, check_seal, parse_json, sealed_json
from wrlso.storage.tensors import StoredTree, read_tensors, save_tree

_CHECKPOINT = re.compile(r"round(\d{5,})\.safetensors")


def _is_content(path: Path) -> bool:
    """Whether a file is more than the remains of a process that was killed at its first write."""
    part = path.name.startswith("config.json") and path.name.endswith(".part")
    return not part and path.name != ".lock"


class RunFolder:
    """The files of one run. ``RunFolder(path)`` opens a folder; :meth:`create` makes a new one.

    Attributes:
      path: the folder.
      config: the run's configuration.
      is_held: whether this object has the folder's lock.

    Raises:
      ValueError: if the folder holds no run, or its configuration cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = self.stored_config()
        self.is_held = False

    def stored_config(self) -> RunConfig:
        """The configuration as the folder has it now: another process may have let the run grow.

        Raises:
          ValueError: if the folder holds no run, or its configuration cannot be read.
        """
        if not self.config_file.is_file():
            raise ValueError(f"{self.path} is not a run folder: it has no config.json")
        try:
            return RunConfig.from_json(self.config_file.read_text(encoding="utf-8"))
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
    def id(self) -> str:
        """The run's id, which its copies have, too; of a run without one, its place."""
        return self.config.run or str(self.path.resolve())

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

    def finished_summary(self) -> dict[str, Any] | None:
        """The summary, if it is of the budget that the run has now; None: it is not finished.

        Raises:
          DamagedFile: if the summary is not as it was written, or is another run's.
        """
        budget = self.config.budget
        if not self.summary_file.exists():  # or it is a link to nothing
            return None
        try:
            found = self.load_summary()
        except FileNotFoundError:  # another process has just deleted it
            return None
        return found if found.get("budget", budget) == budget else None

    def is_finished(self) -> bool:
        """Whether the run has spent the budget that it has now.

        Raises:
          DamagedFile: if the summary is not as it was written, or is another run's.
        """
        return self.finished_summary() is not None

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

    def join(self, more: Sequence[Told]) -> None:
        """Record the measurements that join the starting data of a new run."""
        with closing(self.open_log()) as log:
            log.add_results(more)

    def is_locked(self) -> bool:
        """Whether another process is running this run, as far as can be seen."""
        return is_held(self.path)

    @contextmanager
    def locked(self, patience: float = PATIENCE) -> Iterator[None]:
        """Lock the folder against other processes; the system releases the lock of a dead process.

        Files that killed processes have left unfinished are deleted.

        Args:
          patience: seconds for which the lock is waited for.

        Raises:
          ValueError: if another process is running or resuming this run.
        """
        refused = f"{self.path} is being run by another process: wait for it, or end it first"
        with lock_of(self.path, refused, patience):
            self.is_held = True
            try:
                sweep_parts(self.path)
                sweep_parts(self._checkpoint_dir)
                yield
            finally:
                self.is_held = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """The lock as this object has it already, or else as :meth:`locked`, for the run that its
        configuration states.

        Raises:
          ValueError: if another process is running this run, or has let it grow.
        """
        with nullcontext() if self.is_held else self.locked():
            budget = self.stored_config().budget
            if budget != self.config.budget:
                raise ValueError(
                    f"{self.path} has got budget = {budget} from another process, in place of "
                    f"{self.config.budget}: give the command again"
                )
            yield

    def save_config(self) -> None:
        """Write ``config.json`` again, as a run that has grown does."""
        write_atomically(self.config_file, self.config.to_json().encode())

    def save_summary(self, summary: dict[str, Any]) -> None:
        """Write ``summary.json``."""
        text = sealed_json({**summary, "run": self.config.run})
        write_atomically(self.summary_file, text.encode())

    def forget_summary(self) -> None:
        """Delete ``summary.json``, before results change: it would state the old ones."""
        self.summary_file.unlink(missing_ok=True)

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
            raise DamagedFile(self.summary_file, str(error), self.summary_remedy) from error
        return found

    @property
    def summary_remedy(self) -> str:
        """How a summary that cannot be used is made again."""
        verb = "ask" if self.config.task_record.get("measured") else "resume"
        option = task_option(self.config)
        return f"delete it, and 'wrlso {verb} {self.path}{option}' makes it again"

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
