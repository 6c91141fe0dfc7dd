"""The functions that a user starts: run, sweep, resume, and parts for a loop of one's own.

A round is a pure function of the state before it, so an interrupted round is run again from the
last checkpoint. The log keeps the answers that an objective on the host has given already.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from wrlso.evaluation.executors import SupportsSubmit
from wrlso.evaluation.pools import on_chosen_executor
from wrlso.loop.algorithm import Algorithm
from wrlso.loop.candidates import BaseData, prepare_base
from wrlso.methods import Method
from wrlso.parallel import SeedMode
from wrlso.proposers.base import Proposer
from wrlso.resolve import record, task_record
from wrlso.results.record import task_of
from wrlso.results.result import Result
from wrlso.results.summary import write_summaries
from wrlso.runs import processes
from wrlso.runs.base_data import base_of, keep_base, load_base, with_elsewhere
from wrlso.runs.config import refuse_measured, static_part
from wrlso.runs.driver import run_shares, run_to_end
from wrlso.runs.events import Callback, check_callback
from wrlso.runs.folder import RunFolder
from wrlso.runs.growing import check_growth, grow
from wrlso.runs.interrupt import interruptible
from wrlso.runs.making import check_names, created
from wrlso.runs.plan import (
    announce,
    begin,
    create,
    note_starting,
    queries_of_runs,
    with_all_measurements,
)
from wrlso.runs.pretrained import pretrained_params
from wrlso.runs.process import programs_on_disk, request_devices
from wrlso.runs.processes import process
from wrlso.runs.progress import pretrain_bar
from wrlso.runs.provenance import task_option
from wrlso.runs.reopen import check_same, find_run, first_run, resolve_again
from wrlso.runs.settings import RunSettings, SettingsArguments, optional_whole
from wrlso.storage.bars import bars
from wrlso.tasks.base import Task


@interruptible
@programs_on_disk()
@on_chosen_executor
def run(
    task: Task,
    method: Method,
    *,
    out: str | Path,
    callback: Callback | None = None,
    **settings: Unpack[SettingsArguments],
) -> Result:
    """Run a method on a task over several seeds, into a new folder.

    Under ``jax.distributed`` every process calls this with the same arguments, and runs its share
    of the seeds (:mod:`wrlso.runs.processes`).

    Args:
      task: such as ``wrlso.tasks.shapes()``, or your own.
      method: such as ``wrlso.methods.weighted_retraining(k=1e-3)``, or your own.
      out: the run's folder; must not exist, or be empty.
      callback: function of a :class:`wrlso.RoundEvent`, called after each round.
      **settings: budget, seeds, first_seed, proposer, batch, gradient_of, start_from, devices,
        seed_mode, progress, executor and rescore, see :class:`wrlso.RunSettings`.

    Returns:
      The result, readable again later as ``wrlso.Result(out)``.

    Raises:
      TypeError, ValueError: before any work, if an argument is invalid.
    """
    chosen = RunSettings.of(settings).for_task(task)
    check_callback(callback)
    request_devices(chosen.seed_count, chosen.devices)
    refuse_measured(task)
    RunFolder.check_new(Path(out))
    chosen = replace(chosen, progress=chosen.progress and process()[0] == 0)
    announce(task, method, chosen)
    if process()[1] > 1:
        return _run_in_processes(Path(out), task, method, chosen, callback)
    with bars(chosen.progress):
        base = load_base(task)
    more = queries_of_runs(chosen.start_from, task)
    resolved, config = begin(task, method, chosen, base, more)
    whole = with_elsewhere(base, more, task.sign)
    with created(Path(out), config, more) as folder:
        keep_base(folder, task, base)
        run_to_end([folder], task, resolved, whole, chosen.progress, callback, write_summaries)
    return Result(folder.path)


@interruptible
@programs_on_disk()
@on_chosen_executor
def sweep(
    task: Task,
    methods: Mapping[str, Method],
    *,
    out: str | Path,
    callback: Callback | None = None,
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
      callback: as for :func:`run`; called for each run after each of its rounds.
      **settings: as for :func:`run`, the same for all.

    Returns:
      The results, by name.

    Raises:
      TypeError, ValueError: before any work, if an argument is invalid, or a folder holds another
        run.
    """
    chosen = RunSettings.of(settings).for_task(task)
    check_callback(callback)
    check_names(methods)
    if process()[1] > 1:
        raise ValueError(
            "sweep runs in one process, not under jax.distributed: give each process a sweep of "
            "its own, of other methods or seeds, or use run"
        )
    request_devices(chosen.seed_count * len(methods), chosen.devices)
    refuse_measured(task)
    for method in methods.values():
        announce(task, method, chosen)
    begun = first_run(Path(out) / name for name in methods)
    for name in methods:
        if not (Path(out) / name / "config.json").exists():
            RunFolder.check_new(Path(out) / name)
    with bars(chosen.progress):
        base = load_base(task) if begun is None else base_of(begun, task)
    more = queries_of_runs(chosen.start_from, task)
    spent = None if begun is None else int(begun.config.starting.get("initial", 0))
    plans = {
        name: begin(task, method, chosen, base, more, spent) for name, method in methods.items()
    }
    found = {name: find_run(Path(out) / name, config) for name, (_, config) in plans.items()}
    known = task_record(task, base)
    for folder in filter(None, found.values()):
        check_same(folder, task.name, folder.config.algorithm, known)
    groups: dict[str, list[RunFolder]] = {}
    algorithms: dict[str, Algorithm] = {}
    for name, (resolved, config) in plans.items():
        folder = found[name] or create(Path(out) / name, config, more)
        keep_base(folder, task, base)
        if not folder.is_finished():
            group = static_part(config)
            groups.setdefault(group, []).append(folder)
            algorithms.setdefault(group, resolved)
    base = with_elsewhere(base, more, task.sign)
    for group, folders in groups.items():
        for together in _at_the_same_round(folders):
            resolved = algorithms[group]
            run_to_end(together, task, resolved, base, chosen.progress, callback, write_summaries)
    return {name: Result(Path(out) / name) for name in methods}


@interruptible
@programs_on_disk()
@on_chosen_executor
def resume(
    out: str | Path,
    *,
    task: Task | None = None,
    method: Method | None = None,
    proposer: Proposer | None = None,
    devices: int | None = None,
    seed_mode: SeedMode | None = None,
    budget: int | None = None,
    callback: Callback | None = None,
    progress: bool = True,
    executor: str | SupportsSubmit | None = None,
) -> Result:
    """Continue an interrupted run from its last completed round; nothing is lost.

    The resulting queries are those of an uninterrupted run. A finished run is left as it is, unless
    it gets a larger budget.

    Args:
      out: the run's folder.
      task: needed only for a task of your own; the one that the run began with.
      method: needed only for a weighting of your own; the one that the run began with.
      proposer: needed only for a proposer of your own; the one that the run began with.
      devices, seed_mode: instead of those that the run began with. The queries are the same, those
        of proposer ``bo`` up to rounding.
      budget: a larger budget than the run's: it goes on as if this had been asked for at first.
        Answers in the log are not asked for again. A run whose objects people measure returns at
        once, and goes on with ``wrlso.open``.
      callback: as for :func:`run`.
      progress: show a progress bar.
      executor: as for :func:`run`. A run may continue on another one, or on none.

    Returns:
      The result.

    Raises:
      ValueError: if ``out`` is no run folder, if the budget is smaller than the run's, if task,
        method or proposer is missing or is not the one that the run began with, or if another
        process is running it.
    """
    check_callback(callback)
    budget, devices = optional_whole("budget", budget), optional_whole("devices", devices)
    folder = RunFolder(Path(out))
    if folder.is_finished() and budget in (None, folder.config.budget):
        processes.check_resumable(folder, grows=False)
        return Result(folder.path)
    with processes.locked_by_one(folder):
        folder.config = folder.stored_config()  # another process may have had it
        _go_on(folder, task, (method, proposer), budget, devices, seed_mode, callback, progress)
    return Result(folder.path)


def _go_on(
    folder: RunFolder,
    task: Task | None,
    own: tuple[Method | None, Proposer | None],
    budget: int | None,
    devices: int | None,
    seed_mode: SeedMode | None,
    callback: Callback | None,
    progress: bool,
) -> None:
    """Continue a run whose lock this process has."""
    config = folder.config
    larger = budget if budget != config.budget else None
    processes.check_resumable(folder, larger is not None)
    devices = config.devices if devices is None else devices
    request_devices(config.seeds, devices)
    task = task or task_of(config)
    if task.measured and larger is None:
        path, option = folder.path, task_option(config)
        raise ValueError(
            f"{path} is a study, whose objects people measure: go on with 'wrlso ask "
            f"{path}{option}' and 'wrlso tell {path} FILE{option}', or wrlso.open; resume raises "
            "its budget"
        )
    resolved = resolve_again(folder, task, *own)
    with bars(progress):
        base = base_of(folder, task)
    check_same(folder, task.name, record(resolved), task_record(task, base))
    if larger is not None:
        check_growth(folder, larger)
    keep_base(folder, task, base)
    if larger is not None:
        processes.forget_shares(folder.path)
        resolved = grow(folder, task, *own, larger)
    if task.measured:
        return
    folder.config = replace(folder.config, devices=devices, seed_mode=seed_mode or config.seed_mode)
    base = with_all_measurements(folder, base, task.sign)
    note_starting(folder, task, base)
    drive = (task, resolved, base, progress, callback, write_summaries)
    if processes.has_shares(folder.path):
        run_shares(folder, *drive)
    else:
        run_to_end([folder], *drive)


def _run_in_processes(
    out: Path, task: Task, method: Method, chosen: RunSettings, callback: Callback | None
) -> Result:
    """One process's part of a run; the first one alone evaluates starting data."""
    more = queries_of_runs(chosen.start_from, task)
    processes.wait_for_all()  # all have seen that the folder is new
    if process()[0] > 0:
        folder = processes.wait_for_split(out)
        base, spent = base_of(folder, task), int(folder.config.starting.get("initial", 0))
        resolved, _ = begin(task, method, chosen, base, more, spent)
        base = with_elsewhere(base, more, task.sign)
        run_shares(folder, task, resolved, base, chosen.progress, callback, write_summaries)
        return Result(out)
    with bars(chosen.progress):
        base = load_base(task)
    resolved, config = begin(task, method, chosen, base, more)
    whole = with_elsewhere(base, more, task.sign)
    with created(out, config, more) as folder:
        keep_base(folder, task, base)
        processes.split(folder)
        run_shares(folder, task, resolved, whole, chosen.progress, callback, write_summaries)
    return Result(out)


def pretrained(task: Task, *, progress: bool = True) -> Any:
    """The task's pretrained parameters: its own, those in the cache, or newly trained.

    Args:
      task: the task.
      progress: show a bar while training.

    Raises:
      ValueError: if the task has neither parameters nor a way to pretrain.
      FloatingPointError: if training diverges.
    """
    with bars(progress):
        return pretrained_params(task, load_base(task), pretrain_bar() if progress else None)


def base_data(task: Task) -> BaseData:
    """The task's base data as all seeds read them, for ``simulate`` or a loop of your own.

    Higher is better in them: the scores of a task that minimises are negated. ``simulate`` and
    ``loop.score`` negate those of its objective likewise.

    Raises:
      ValueError: if they cannot be used.
    """
    return prepare_base(load_base(task), task.dedup_key)._replace(direction=task.direction)


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
