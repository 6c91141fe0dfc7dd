"""Ask and tell: a run whose objects are measured by people, or by programs of one's own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from wrlso.data import Dataset
from wrlso.evaluation.objective import HostObjective
from wrlso.evaluation.pools import evaluating
from wrlso.loop.algorithm import Algorithm
from wrlso.methods import Method, weighted_retraining
from wrlso.models.vae import object_like
from wrlso.proposers.base import Proposer
from wrlso.resolve import record as record_of
from wrlso.resolve import task_record
from wrlso.results.record import task_of
from wrlso.results.result import Result
from wrlso.results.summary import write_summaries
from wrlso.runs import telling
from wrlso.runs.base_data import base_of, keep_base, load_base, scores_of_base
from wrlso.runs.config import plan_run
from wrlso.runs.events import Callback
from wrlso.runs.folder import RunFolder
from wrlso.runs.log import Query
from wrlso.runs.plan import announce, begin, create, queries_of_runs, with_all_measurements
from wrlso.runs.process import request_devices
from wrlso.runs.reopen import check_given, check_same, check_start, resolve_again
from wrlso.runs.settings import RunSettings, SettingsArguments
from wrlso.runs.study_engine import StudyEngine
from wrlso.runs.telling import Candidate, TellReport
from wrlso.status import Status
from wrlso.tasks.base import Task, describer, read_object


class Study:
    """A run that asks for objects and is told their scores; :func:`open` makes one.

    All that was asked and told is in the run's folder, so that a study may be opened again in
    another process at any time. Two processes may tell at once; they ask one after the other.

    Attributes:
      folder: the run's folder.
    """

    def __init__(
        self,
        folder: RunFolder,
        task: Task,
        algorithm: Algorithm,
        base: Dataset,
        own: tuple[Method | None, Proposer | None],
        progress: bool,
        callback: Callback | None = None,
    ) -> None:
        self.folder = folder
        self._task, self._base = task, base
        self._like = object_like(task.vae)
        self._describe = describer(task)
        self._log = folder.open_log(describe=self._describe)
        self._engine = StudyEngine(
            folder, self._log, task, algorithm, base, own, progress, callback
        )

    def __enter__(self) -> "Study":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        asked = f"{self.charged} of {self.folder.config.queries} asked for"
        return f"Study({str(self.folder.path)!r}: {asked}, {len(self.pending)} open)"

    def ask(self, n: int | None = None) -> list[Candidate]:
        """New candidates to measure.

        Candidates that are still open stay so. The search counts on their scores being as the
        surrogate expects, and proposes others.

        Args:
          n: number of candidates. None: the batch that ``run`` would score next; it has fewer than
            ``batch`` candidates where proposals are other spellings of known objects.

        Returns:
          The candidates; fewer than n, or none, once the budget is spent.

        Raises:
          ValueError: if n is below 1, or another process is asking.
        """
        if n is not None and (isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1):
            raise ValueError(f"n must be a whole number of at least 1 candidate, got {n!r}")
        with self._engine.driving() as engine:
            found = engine.ask(None if n is None else int(n))
        self._log.fold()
        if not found:
            self._engine.finish(write_summaries, again=False)
        return self._candidates(found)

    def tell(
        self,
        results: Mapping[Any, float | None] | Iterable[tuple[Any, float | None]],
        *,
        reasons: Mapping[str, str] | None = None,
        source: str | None = None,
        replace: bool = False,
    ) -> TellReport:
        """Tell results: any part of them, in any order, as often as you like.

        Args:
          results: scores by id, or pairs of a :class:`Candidate` or id and its score. None or NaN
            is a failure, which is charged as any other. An array in the place of an id is an object
            that was measured elsewhere: it joins the data, and is not charged.
          reasons: reasons for failures, by id.
          source: their origin, for the log.
          replace: let a result replace a different one that was told before, or that the starting
            data have. Otherwise the first stays, and the report says so.

        Returns:
          The number of results that are new, failed or known.

        Raises:
          ValueError: if an id is unknown or a score is not a number. Nothing is recorded then.
        """
        told = telling.entries(results, reasons or {}, self._to_bytes)
        return self.tell_entries(told, source, replace)

    def tell_entries(
        self, told: Sequence[telling.Entry], source: str | None = None, replace: bool = False
    ) -> TellReport:
        """As :meth:`tell`, for entries that were read from a file."""
        told = [one if one.object is None else self._respelled(one) for one in told]
        elsewhere = any(one.id is None for one in told)
        starting = scores_of_base(self._base, self._task.sign) if elsewhere else {}
        finished = self._engine.is_finished()
        forget = self.folder.forget_summary
        report = telling.record(self._log, self.seed, told, source, replace, starting, forget)
        self._log.fold()
        self._engine.finish(write_summaries, again=finished and report.changed)
        return report

    def add(
        self,
        texts: Sequence[str],
        scores: Sequence[float],
        source: str | None = None,
        replace: bool = False,
    ) -> TellReport:
        """Add measurements that were made elsewhere, of objects given as text.

        They join the starting data at the next ask, and are not charged. The text of an open
        candidate is its result. ``replace`` is that of :meth:`tell`.

        Raises:
          ValueError: if the task reads no text, or a text is no object. Nothing is recorded then.
        """
        pairs = [(self.object_of(t), score) for t, score in zip(texts, scores, strict=True)]
        return self.tell(pairs, source=source, replace=replace)

    def object_of(self, text: str) -> np.ndarray:
        """The object that a line of text names.

        Raises:
          ValueError: if the task reads no text, or the text is no object.
        """
        if self._task.from_text is None:
            raise ValueError(
                f"task {self._task.name!r} cannot read objects as text: give it from_text, or tell "
                "pairs of arrays and scores"
            )
        return self._stored(self._to_bytes(read_object(self._task.from_text, text)))

    @property
    def pending(self) -> list[Candidate]:
        """The candidates whose results have not been told."""
        return self._candidates(
            q for q in self._log.queries(self.seed) if q.status == Status.PENDING
        )

    @property
    def charged(self) -> int:
        """Number of queries that count towards the budget, open ones included."""
        return sum(q.status.charged for q in self._log.queries(self.seed))

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.folder.config.first_seed

    def queries(self) -> list[Query]:
        """Every query so far, in order."""
        return self._log.queries()

    def result(self) -> Result:
        """The result so far: tables and figures."""
        return Result(self.folder.path)

    def close(self) -> None:
        """Let go of the model and close the log. Nothing is lost."""
        self._engine.forget()
        self._log.close()

    def _candidates(self, queries: Iterable[Query]) -> list[Candidate]:
        expected = self._log.predictions()
        return telling.candidates(queries, expected, self._describe, self._stored)

    def _stored(self, content: bytes) -> np.ndarray:
        return np.frombuffer(content, self._like.dtype).reshape(self._like.shape)

    def _to_bytes(self, thing: Any) -> bytes:
        given, dtype = np.asarray(thing), self._like.dtype
        if given.shape != self._like.shape or given.dtype.kind not in "iub":
            raise ValueError(
                f"an object must be {dtype}{list(self._like.shape)}, got "
                f"{given.dtype}{list(given.shape)}; candidates are told by their ids"
            )
        stored = np.ascontiguousarray(given.astype(dtype))
        if wrong := given[stored != given][:1].tolist():
            raise ValueError(f"an object must be {dtype}, which cannot hold {wrong[0]}")
        return stored.tobytes()

    def _respelled(self, entry: telling.Entry) -> telling.Entry:
        """The entry with its object in canonical spelling, as candidates and base data have it."""
        host = self._task.host_objective
        if not isinstance(host, HostObjective) or host.canonical is None:
            return entry
        try:
            spelled = host.canonical(self._stored(entry.object or b""))
        except Exception:  # the object has none, as it may
            return entry
        return replace(entry, object=self._to_bytes(spelled))


def open(
    out: str | Path,
    task: Task | None = None,
    method: Method | None = None,
    callback: Callback | None = None,
    **settings: Unpack[SettingsArguments],
) -> Study:
    """Open a study: a new one in a new folder, or the one that the folder holds.

    Args:
      out: the run's folder.
      task: the task. A study that exists needs it only if it is one of your own. A task without an
        objective is one that people measure.
      method: default: ``wrlso.methods.weighted_retraining()``, or the one that the study began
        with.
      callback: as for :func:`wrlso.run`; called by the ask that ends a round.
      **settings: as for :func:`wrlso.run`; one seed. ``batch`` is the number of candidates that
        are chosen together. A study that exists may leave them out, and takes no others.

    Returns:
      The study: ``study.ask(8)``, ``study.tell({"r0q0": 1.5})``.

    Raises:
      TypeError, ValueError: if an argument is invalid, or the folder holds another run.
    """
    path, progress = Path(out), settings.get("progress", True)
    request_devices(1, 1)
    if (path / "config.json").exists():
        return _reopen(path, task, method, settings, callback)
    if task is None:
        raise ValueError(f"out = {path} holds no run: give a task to begin a study")
    chosen = RunSettings.of(settings).for_study(task)
    method = method or weighted_retraining()
    RunFolder.check_new(path)
    announce(task, method, chosen)
    with evaluating(chosen.executor, chosen.rescore):
        base = load_base(task)
    more = queries_of_runs(chosen.start_from, task)
    resolved, config = begin(task, method, chosen, base, more)
    folder = create(path, config, more)
    keep_base(folder, task, base)
    own = settings.get("proposer")
    parts = (method, own if isinstance(own, Proposer) else None)
    return Study(folder, task, resolved, base, parts, progress, callback)


def _reopen(
    path: Path,
    task: Task | None,
    method: Method | None,
    settings: SettingsArguments,
    callback: Callback | None,
) -> Study:
    folder = RunFolder(path)
    telling.check_one_seed(path, folder.config.seeds)
    task = task or task_of(folder.config)
    given = {name for name in settings if name != "progress"}
    proposer = settings.get("proposer")
    if given:
        kept = method or folder.config.own_method() or weighted_retraining()
        chosen = RunSettings.of(settings).for_study(task)
        _, config = plan_run(task, kept, chosen)
        check_given(folder, config, given)
        check_start(folder, chosen, queries_of_runs(chosen.start_from, task))
    own = proposer if isinstance(proposer, Proposer) else None
    resolved = resolve_again(folder, task, method, own)
    base = base_of(folder, task)
    check_same(folder, task.name, record_of(resolved), task_record(task, base))
    with_all_measurements(folder, base, task.sign)
    folder.config = replace(folder.config, devices=1)
    progress = settings.get("progress", True)
    return Study(folder, task, resolved, base, (method, own), progress, callback)
