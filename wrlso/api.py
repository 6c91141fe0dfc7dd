"""The functions that a user starts: run, sweep, resume, and parts for a loop of one's own.

A round is a pure function of the state before it, so an interrupted round is run again from the
last checkpoint. The log keeps the answers that an objective on the host has given already.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import scipy.linalg  # noqa: F401  (its BLAS is the one that JAX calls; loaded, it can be limited)
from tqdm import tqdm

from wrlso.data import Dataset
from wrlso.evaluation.executors import SupportsSubmit
from wrlso.evaluation.pools import on_chosen_executor
from wrlso.loop.algorithm import Algorithm
from wrlso.loop.candidates import BaseData, prepare_base
from wrlso.methods import Method
from wrlso.parallel import SeedMode, plan_seeds
from wrlso.proposers.base import Proposer
from wrlso.resolve import algorithm, record, task_record
from wrlso.results.record import task_of
from wrlso.results.result import Result
from wrlso.results.summary import describe_base, describer, summarize
from wrlso.runs import processes
from wrlso.runs.base_data import base_of, keep_base, load_base
from wrlso.runs.checkpoints import OpenRun
from wrlso.runs.config import RunConfig, make_config, static_part
from wrlso.runs.folder import RunFolder
from wrlso.runs.interrupt import remembered_interrupts
from wrlso.runs.pretrained import pretrained_params
from wrlso.runs.process import one_blas_thread, programs_on_disk, request_devices
from wrlso.runs.processes import process
from wrlso.runs.progress import pretrain_bar, timed
from wrlso.runs.reopen import check_same, find_run, resolve_again
from wrlso.runs.session import Session
from wrlso.runs.settings import RunSettings, SettingsArguments
from wrlso.tasks.base import Task


@on_chosen_executor
def run(
    task: Task, method: Method, *, out: str | Path, **settings: Unpack[SettingsArguments]
) -> Result:
    """Run a method on a task over several seeds, into a new folder.

    Under ``jax.distributed`` every process calls this with the same arguments, and runs its share
    of the seeds (:mod:`wrlso.runs.processes`).

    Args:
      task: such as ``wrlso.tasks.shapes()``, or your own.
      method: such as ``wrlso.methods.weighted_retraining(k=1e-3)``, or your own.
      out: the run's folder; must not exist, or be empty.
      **settings: budget, seeds, first_seed, proposer, batch, gradient_of, devices, seed_mode,
        progress, executor and rescore, see :class:`wrlso.RunSettings`.

    Returns:
      The result, readable again later as ``wrlso.Result(out)``.

    Raises:
      TypeError, ValueError: before any work, if an argument is invalid.
    """
    chosen = RunSettings.of(settings)
    request_devices(chosen.seeds, chosen.devices)
    resolved, config = _plan(task, method, chosen)
    RunFolder.check_new(Path(out))
    base = load_base(task)
    config = replace(config, task_record=task_record(task, base))
    if process()[1] > 1:
        processes.begin(Path(out), config)
        if process()[0] == 0:
            keep_base(RunFolder(Path(out)), task, base)
        return _run_shares(Path(out), task, resolved, base, chosen.progress)
    folder = RunFolder.create(Path(out), config)
    keep_base(folder, task, base)
    _run_to_end([folder], task, resolved, base, chosen.progress)
    return Result(folder.path)


@on_chosen_executor
def sweep(
    task: Task,
    methods: Mapping[str, Method],
    *,
    out: str | Path,
    **settings: Unpack[SettingsArguments],
) -> dict[str, Result]:
    """Run several methods on a task, each into a folder of its own; continue where it stopped.

    Methods that differ in numbers only (k, quantile, noise, alpha, beta) run side by side as lanes
    of one compiled program, all seeds of all of them. The others run one after the other. Each
    folder is that of a run like any other. Called again, finished runs are read and others are
    continued.

    Args:
      task: as for :func:`run`.
      methods: by name of the folder in ``out``, as ``{"k=0.1": weighted_retraining(0.1)}``.
      out: the folder of the runs' folders.
      **settings: as for :func:`run`, the same for all.

    Returns:
      The results, by name.

    Raises:
      TypeError, ValueError: before any work, if an argument is invalid, or a folder holds another
        run.
    """
    chosen = RunSettings.of(settings)
    if process()[1] > 1:
        raise ValueError(
            "sweep runs in one process, not under jax.distributed: give each process a sweep of "
            "its own, of other methods or seeds, or use run"
        )
    for name in methods:
        if not re.fullmatch(r"[\w=,+-][\w=.,+-]*", name):
            raise ValueError(
                f"methods: {name!r} cannot name a folder: use letters, digits and -_=,+ (and dots, "
                "but not first)"
            )
    request_devices(chosen.seeds * len(methods), chosen.devices)
    plans = {name: _plan(task, method, chosen) for name, method in methods.items()}
    found = {name: find_run(Path(out) / name, config) for name, (_, config) in plans.items()}
    begun = next(filter(None, found.values()), None)
    base = load_base(task) if begun is None else base_of(begun, task)
    known = task_record(task, base)
    for folder in filter(None, found.values()):
        check_same(folder, task.name, folder.config.algorithm, known)
    groups: dict[str, list[RunFolder]] = {}
    algorithms: dict[str, Algorithm] = {}
    for name, (resolved, config) in plans.items():
        folder = found[name] or RunFolder.create(
            Path(out) / name, replace(config, task_record=known)
        )
        keep_base(folder, task, base)
        if not folder.summary_file.exists():
            group = static_part(config)
            groups.setdefault(group, []).append(folder)
            algorithms.setdefault(group, resolved)
    for group, folders in groups.items():
        for together in _at_the_same_round(folders):
            _run_to_end(together, task, algorithms[group], base, chosen.progress)
    return {name: Result(Path(out) / name) for name in methods}


@on_chosen_executor
def resume(
    out: str | Path,
    *,
    task: Task | None = None,
    method: Method | None = None,
    proposer: Proposer | None = None,
    devices: int | None = None,
    seed_mode: SeedMode | None = None,
    progress: bool = True,
    executor: str | SupportsSubmit | None = None,
) -> Result:
    """Continue an interrupted run from its last completed round; nothing is lost.

    The resulting queries are those of an uninterrupted run. A finished run is left as it is.

    Args:
      out: the run's folder.
      task: needed only for a task of your own; the one that the run began with.
      method: needed only for a weighting of your own; the one that the run began with.
      proposer: needed only for a proposer of your own; the one that the run began with.
      devices, seed_mode: instead of those that the run began with. The queries are the same, those
        of proposer ``bo`` up to rounding.
      progress: show a progress bar.
      executor: as for :func:`run`. A run may continue on another one, or on none.

    Returns:
      The result.

    Raises:
      ValueError: if ``out`` is no run folder, if task, method or proposer is missing or is not the
        one that the run began with, or if another process is running it.
    """
    folder = RunFolder(Path(out))
    if folder.summary_file.exists():
        return Result(folder.path)
    config = folder.config
    request_devices(config.seeds, devices or config.devices)
    task = task or task_of(config)
    resolved = resolve_again(folder, task, method, proposer)
    base = base_of(folder, task)
    check_same(folder, task.name, record(resolved), task_record(task, base))
    keep_base(folder, task, base)
    folder.config = replace(
        config, devices=devices or config.devices, seed_mode=seed_mode or config.seed_mode
    )
    if processes.has_shares(folder.path):
        return _run_shares(folder.path, task, resolved, base, progress)
    _run_to_end([folder], task, resolved, base, progress)
    return Result(folder.path)


def pretrained(task: Task, *, progress: bool = True) -> Any:
    """The task's pretrained parameters: its own, those in the cache, or newly trained.

    Args:
      task: the task.
      progress: show a bar while training.

    Raises:
      ValueError: if the task has neither parameters nor a way to pretrain.
      FloatingPointError: if training diverges.
    """
    return pretrained_params(task, load_base(task), pretrain_bar() if progress else None)


def base_data(task: Task) -> BaseData:
    """The task's base data as all seeds read them, for ``simulate`` or a loop of your own.

    Raises:
      ValueError: if they cannot be used.
    """
    return prepare_base(load_base(task), task.dedup_key)


def _plan(task: Task, method: Method, settings: RunSettings) -> tuple[Algorithm, RunConfig]:
    """The algorithm and its record, after checking that it can be run."""
    _check_type("task", task, Task, "wrlso.tasks.shapes()")
    _check_type("method", method, Method, "wrlso.methods.weighted_retraining()")
    if settings.executor is not None and task.host_objective is None:
        raise ValueError(
            f"executor = {settings.executor!r} evaluates objectives in Python, and that of task "
            f"{task.name!r} is in JAX: leave it out, or set devices"
        )
    resolved = algorithm(task, method, **settings.chosen())
    plan_seeds(settings.seeds, settings.devices, settings.seed_mode, local=True)
    return resolved, make_config(task, method, settings, resolved)


def _check_type(argument: str, value: Any, kind: type, example: str) -> None:
    if isinstance(value, kind):
        return
    hint = " (it has to be called)" if callable(value) else ""
    raise TypeError(f"{argument} must be a {kind.__name__}, such as {example}, got {value!r}{hint}")


def _at_the_same_round(folders: Sequence[RunFolder]) -> list[list[RunFolder]]:
    """Groups of runs that can continue together: those after the same round or, as a kill may leave
    them, one apart."""
    groups: list[list[RunFolder]] = []
    for folder in sorted(folders, key=_rounds_done):
        done = _rounds_done(folder)
        first = _rounds_done(groups[-1][0]) if groups else -2
        if first == done or (first == done - 1 and first in (0, *folder.checkpoints())):
            groups[-1].append(folder)
        else:
            groups.append([folder])
    return groups


def _rounds_done(folder: RunFolder) -> int:
    return max(folder.checkpoints(), default=0)


def _run_to_end(
    folders: Sequence[RunFolder],
    task: Task,
    resolved: Algorithm,
    base: Dataset,
    progress: bool,
) -> None:
    """Run to their end runs that differ in traced numbers only."""
    config = folders[0].config
    names = ", ".join(dict.fromkeys(folder.config.method for folder in folders))
    with ExitStack() as stack:
        check_interrupt = stack.enter_context(remembered_interrupts(say=progress))
        stack.enter_context(programs_on_disk())
        runs = list(stack.enter_context(_opened(folders)))

        def clock(phase: str, seconds: float) -> None:
            for run in runs:
                run.log.add_time(phase, -1, seconds / len(runs))

        with timed(clock, "pretrain"):
            params = pretrained_params(task, base, pretrain_bar() if progress else None)
        with timed(clock, "session"), _one_blas_thread_per_device(folders):
            session = stack.enter_context(closing(Session(runs, task, resolved, base, params)))
            bar = tqdm(
                total=config.budget * len(session.seeds),
                initial=int(session.counts.sum()),
                desc=f"{config.task}: {names}",
                unit="query",
                disable=not progress,
            )
            with bar:
                session.run_rounds(bar, check_interrupt)
            compilations = session.compiled.compilations
        _finish(runs, task, base, compilations)


def _run_shares(
    out: Path, task: Task, resolved: Algorithm, base: Dataset, progress: bool
) -> Result:
    """Run this process's shares of a run to their end; the first process joins all of them."""
    index, _ = process()
    for share in processes.own_shares(out):
        _run_to_end([share], task, resolved, base, progress and index == 0)
    if index == 0:
        processes.wait_for_shares(out)
        folder = RunFolder(out)
        with folder.locked():
            compilations = processes.join_shares(folder)
            with closing(folder.open_log()) as log:
                _finish([OpenRun(folder, log)], task, base, compilations)
    processes.wait_for_summary(out)
    return Result(out)


@contextmanager
def _opened(folders: Sequence[RunFolder]) -> Iterator[list[OpenRun]]:
    """The runs, locked against other processes, with their logs open."""
    with ExitStack() as stack:
        for folder in folders:
            stack.enter_context(folder.locked())
        yield [OpenRun(f, stack.enter_context(closing(f.open_log()))) for f in folders]


def _finish(
    runs: Sequence[OpenRun], task: Task, base: Dataset, compilations: dict[str, int]
) -> None:
    """Write each run's summary: last, as a run with a summary is left as it is."""
    describe, began = describer(task), describe_base(task, base)
    for run in runs:
        config, log = run.folder.config, run.log
        summary = summarize(config, log, compilations, len(runs), task.stated, describe, began)
        log.tidy()
        run.folder.save_summary(summary)


def _one_blas_thread_per_device(folders: Sequence[RunFolder]) -> AbstractContextManager:
    """Limit LAPACK to one thread where several CPU devices factorise at once."""
    config, seeds = folders[0].config, sum(folder.config.seeds for folder in folders)
    devices = plan_seeds(seeds, config.devices, config.seed_mode, local=True).mesh.size
    return one_blas_thread() if devices > 1 else nullcontext()
