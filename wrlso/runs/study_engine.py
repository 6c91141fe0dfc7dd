"""The engine of a study: the state at which it asks, which one process has at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from wrlso.data import Dataset
from wrlso.loop.algorithm import Algorithm
from wrlso.methods import Method
from wrlso.proposers.base import Proposer
from wrlso.runs.ask_and_tell import AskTell, stored_position
from wrlso.runs.base_data import with_elsewhere
from wrlso.runs.checkpoints import OpenRun
from wrlso.runs.events import Callback
from wrlso.runs.folder import RunFolder
from wrlso.runs.interrupt import remembered_interrupts
from wrlso.runs.lock import PATIENCE
from wrlso.runs.log import QueryLog
from wrlso.runs.plan import note_starting
from wrlso.runs.pretrained import pretrained_params
from wrlso.runs.process import few_blas_threads, programs_on_disk
from wrlso.runs.progress import pretrain_bar
from wrlso.runs.reopen import resolve_again
from wrlso.runs.session import Session
from wrlso.status import Status
from wrlso.tasks.base import Task

_TO_FINISH = 60.0
"""Seconds for which the end of a study waits for another process, such as one that also finishes
it."""


class StudyEngine:
    """Drives a study that other processes may drive, tell and let grow meanwhile.

    Args:
      folder: the study's folder; its configuration is read again before each step.
      log: its log.
      task: the task.
      algorithm: of the budget in the configuration.
      base: the starting data.
      own: the method and the proposer, where no record holds them.
      progress: show a bar while a model is pretrained.
      callback: as for :func:`wrlso.run`.
    """

    def __init__(
        self,
        folder: RunFolder,
        log: QueryLog,
        task: Task,
        algorithm: Algorithm,
        base: Dataset,
        own: tuple[Method | None, Proposer | None],
        progress: bool,
        callback: Callback | None,
    ) -> None:
        self._folder, self._log, self._task, self._algorithm = folder, log, task, algorithm
        self._base, self._own = base, own
        self._progress, self._callback = progress, callback
        self._params: Any = None
        self._engine: AskTell | None = None

    @contextmanager
    def driving(self, patience: float = PATIENCE) -> Iterator[AskTell]:
        """The engine, at the state that the folder has, while no other process asks.

        Raises:
          ValueError: if another process has the run's lock for longer than ``patience`` seconds.
        """
        with ExitStack() as stack:
            stack.enter_context(self._folder.locked(patience))
            stack.enter_context(remembered_interrupts(say=self._progress))
            stack.enter_context(programs_on_disk())
            stack.enter_context(few_blas_threads(1))
            try:
                self.read_budget()
                yield self._current()
            except BaseException:
                self.forget()  # the folder has the last whole state
                raise

    def read_budget(self) -> None:
        """Go on with the budget that the folder has now: another process may have raised it."""
        stored, known = self._folder.stored_config(), self._folder.config
        if stored.budget != known.budget:
            self.forget()
            self._folder.config = replace(stored, devices=known.devices)
            self._algorithm = resolve_again(self._folder, self._task, *self._own)

    def is_finished(self) -> bool:
        """Whether the study has the summary of its present budget."""
        self.read_budget()
        return self._folder.is_finished()

    def finish(
        self, summarize: Callable[[Sequence[OpenRun], Task, dict[str, int]], None], again: bool
    ) -> None:
        """Write the last checkpoint and the summary once every query of the budget has a result.

        Args:
          summarize: writes the summary, given the number of compilations of each function.
          again: the study was finished before, and its results have changed.
        """
        if not again and (self.is_finished() or not self._is_complete()):
            return
        budget = self._folder.config.budget
        with self.driving(_TO_FINISH) as engine:
            grown = self._folder.config.budget != budget
            if self._is_complete() or (again and not grown):
                engine.finish()
                summarize(engine.session.runs, self._task, engine.session.compilations)

    def _is_complete(self) -> bool:
        self.read_budget()
        queries = self._log.queries(self._folder.config.first_seed)
        charged = sum(query.status.charged for query in queries)
        is_open = any(query.status == Status.PENDING for query in queries)
        return charged >= self._folder.config.queries and not is_open

    def forget(self) -> None:
        """Let go of the model and its programs. Nothing is lost."""
        if self._engine is not None:
            self._engine.close()
        self._engine = None

    def _current(self) -> AskTell:
        stored = stored_position(self._folder)
        if self._engine is not None and (stored is None or stored.saved == self._engine.saved):
            engine = self._engine
        else:
            engine = self._new(None if stored is None else stored.elsewhere)
        if len(self._log.elsewhere()) > engine.position.elsewhere:
            engine.take_in(len(self._log.elsewhere()))
            engine = self._new(engine.position.elsewhere)
        return engine

    def _new(self, elsewhere: int | None) -> AskTell:
        self.forget()
        told = self._log.elsewhere()[:elsewhere]
        if self._params is None:
            bar = pretrain_bar() if self._progress else None
            self._params = pretrained_params(self._task, self._base, bar)
        run = OpenRun(self._folder, self._log)
        base = with_elsewhere(self._base, told, self._task.sign)
        note_starting(self._folder, self._task, base)
        session = Session(
            [run], self._task, self._algorithm, base, self._params, True, self._callback
        )
        self._engine = AskTell(session, len(told))
        return self._engine
