"""Durable runs: Algorithm 1 over many seeds, logged as it goes, resumable at any point.

A round is a pure function of the state before it, so an interrupted round is
simply run again from the last checkpoint. The log keeps what an objective on
the host has answered already.
"""

import operator
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import replace
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import scipy.linalg  # noqa: F401  (its BLAS is the one that JAX calls; loaded, it can be limited)
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from wrlso.data import Dataset, check_dataset
from wrlso.methods import Method
from wrlso.parallel import SeedMode, plan_seeds
from wrlso.propose import evaluate
from wrlso.runs.build import make_algorithm, task_digest, task_of
from wrlso.runs.config import RunConfig, describe
from wrlso.runs.folder import RunFolder
from wrlso.runs.interrupt import remembered_interrupts
from wrlso.runs.pretrained import pretrained_params
from wrlso.runs.result import Result
from wrlso.runs.session import Member, Session, timed
from wrlso.runs.summary import describer, summarize
from wrlso.tasks.base import Task
from wrlso.vae import object_like


def run(
    task: Task,
    method: Method,
    *,
    out: str | Path,
    budget: int = 500,
    seeds: int = 5,
    first_seed: int = 0,
    proposer: str | None = None,
    batch: int | None = None,
    climb: Literal["regressor", "objective"] | None = None,
    devices: int | None = None,
    seed_mode: SeedMode = "auto",
    progress: bool = True,
) -> Result:
    """Run a method on a task over several seeds, into a new folder.

    Args:
      task: such as ``wrlso.tasks.shapes()``, or your own.
      method: such as ``wrlso.methods.weighted_retraining(k=1e-3)``.
      out: the run's folder; must not exist, or be empty.
      budget: objective evaluations charged to each seed.
      seeds: number of seeds, run side by side.
      first_seed: the first of them.
      proposer: ``"bo"``, ``"grid"``, ``"prior"``, ``"latent_ascent"``, ``"data_ascent"`` or
        ``"generator"``; if None, the method's own, or the task's default.
      batch: q, queries that ``"bo"`` chooses together, a divisor of r; one by one if None.
      climb: what the last three follow the gradient of: ``"regressor"``, learned from charged
        scores, the default, or ``"objective"``, which is then read without being charged.
      devices: how many JAX devices to spread the seeds over; all by default.
      seed_mode: ``"auto"``, ``"map"`` or ``"vmap"`` within a device.
      progress: show a progress bar on standard error.

    Returns:
      The result, readable again later as ``wrlso.Result(out)``.

    Raises:
      TypeError, ValueError: before any work, if an argument cannot be meant.
    """
    config = _configure(
        task,
        method,
        proposer,
        budget=budget,
        seeds=seeds,
        first_seed=first_seed,
        batch=batch,
        climb=climb,
        devices=devices,
        seed_mode=seed_mode,
    )
    RunFolder.check_new(Path(out))
    base = _load_base(task)
    config = replace(config, task_digest=task_digest(task, base))
    folder = RunFolder.create(Path(out), config)
    _drive([folder], task, base, progress)
    return Result(folder.path)


def sweep(
    task: Task,
    methods: Mapping[str, Method],
    *,
    out: str | Path,
    budget: int = 500,
    seeds: int = 5,
    first_seed: int = 0,
    proposer: str | None = None,
    batch: int | None = None,
    climb: Literal["regressor", "objective"] | None = None,
    devices: int | None = None,
    seed_mode: SeedMode = "auto",
    progress: bool = True,
) -> dict[str, Result]:
    """Run several methods on a task, each into a folder of its own; go on where stopped.

    Methods that differ in numbers only (k, quantile, noise, alpha) run side by side as lanes of
    one compiled program, all seeds of all of them; the others one after the other. Each folder
    is that of a run like any other. Called again, finished runs are read, others continued.

    Args:
      task: as for :func:`run`.
      methods: by name of the folder in ``out``, as ``{"k=0.1": weighted_retraining(0.1)}``.
      out: the folder of the runs' folders.
      budget, seeds, first_seed, proposer, batch, climb, devices, seed_mode, progress: as for
        :func:`run`, the same for all.

    Returns:
      The results, by name.

    Raises:
      TypeError, ValueError: before any work, if an argument cannot be meant, or a folder holds
        another run.
    """
    groups: dict[str, list[RunFolder]] = {}
    configs = {}
    for name, method in methods.items():
        if not re.fullmatch(r"[\w=,+-][\w=.,+-]*", name):
            raise ValueError(
                f"methods: {name!r} cannot name a folder: use letters, digits and -_=,+ (and dots, "
                "but not first)"
            )
        configs[name] = _configure(
            task,
            method,
            proposer,
            budget=budget,
            seeds=seeds,
            first_seed=first_seed,
            batch=batch,
            climb=climb,
            devices=devices,
            seed_mode=seed_mode,
        )
    found = {name: _find(Path(out) / name, config) for name, config in configs.items()}
    base = _load_base(task)
    digest = task_digest(task, base)
    for known in filter(None, found.values()):
        _check_task(known, task, digest)
    for name, config in configs.items():
        whole = replace(config, task_digest=digest)
        folder = found[name] or RunFolder.create(Path(out) / name, whole)
        if not folder.summary_file.exists():
            groups.setdefault(whole.static(), []).append(folder)
    for group in groups.values():
        for abreast in _abreast(group):
            _drive(abreast, task, base, progress)
    return {name: Result(Path(out) / name) for name in methods}


def _configure(task: Task, method: Method, proposer: str | None, **settings: Any) -> RunConfig:
    """What is to be run, after looking whether it can be."""
    _check_kind("task", task, Task, "wrlso.tasks.shapes()")
    _check_kind("method", method, Method, "wrlso.methods.weighted_retraining()")
    for name, value in settings.items():
        if isinstance(value, Integral) and not isinstance(value, bool):
            settings[name] = operator.index(value)  # NumPy's integers are not JSON
    config = RunConfig(
        task=task.name,
        task_options=dict(task.options),
        proposer=proposer or method.proposer or task.proposer,
        **describe(method),
        **settings,
    )
    config.check()
    make_algorithm(task, config)
    plan_seeds(config.seeds, config.devices, config.seed_mode)
    return config


def _check_kind(argument: str, value: Any, kind: type, example: str) -> None:
    if isinstance(value, kind):
        return
    hint = " (it has to be called)" if callable(value) else ""
    raise TypeError(f"{argument} must be a {kind.__name__}, such as {example}, got {value!r}{hint}")


def _abreast(folders: Sequence[RunFolder]) -> list[list[RunFolder]]:
    """Runs that can go on together: which stand at the same round or, as a kill may leave them,
    one apart."""
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


def _find(path: Path, config: RunConfig) -> RunFolder | None:
    """The folder of a run that was begun already, after looking whether it is the one meant."""
    if not (path / "config.json").exists():
        return None
    folder = RunFolder(path)
    stored = replace(folder.config, devices=config.devices, seed_mode=config.seed_mode)
    if stored.to_json() != replace(config, task_digest=stored.task_digest).to_json():
        raise ValueError(
            f"{path} holds another run (see its config.json): choose another folder, or ask for "
            "what it began with"
        )
    folder.config = stored
    return folder


def _check_task(folder: RunFolder, task: Task, digest: str) -> None:
    if folder.config.task_digest != digest:
        raise ValueError(
            f"{folder.path} was begun with another task (name, options, base data or parameters "
            f"differ) than {task.name!r} as it is now: pass the one it began with"
        )


def resume(
    out: str | Path,
    *,
    task: Task | None = None,
    devices: int | None = None,
    seed_mode: SeedMode | None = None,
    progress: bool = True,
) -> Result:
    """Continue an interrupted run from its last completed round; nothing is lost.

    The queries that result are those of an uninterrupted run. A finished run is
    left as it is.

    Args:
      out: the run's folder.
      task: needed only for a task of your own; must be the one the run began with.
      devices, seed_mode: instead of those the run began with; the queries are the same, those of
        proposer ``bo`` up to rounding.
      progress: show a progress bar.

    Raises:
      ValueError: if ``out`` is no run folder, the task cannot be told from it or
        is not the one it began with, or another process is at it.
    """
    folder = RunFolder(Path(out))
    if folder.summary_file.exists():
        return Result(folder.path)
    task = task or task_of(folder.config)
    base = _load_base(task)
    _check_task(folder, task, task_digest(task, base))
    folder.config = replace(
        folder.config,
        devices=devices or folder.config.devices,
        seed_mode=seed_mode or folder.config.seed_mode,
    )
    _drive([folder], task, base, progress)
    return Result(folder.path)


def _load_base(task: Task) -> Dataset:
    base = task.load_data()
    check_dataset(base, f"the base data of task {task.name!r}")
    like, kept = object_like(task.vae), base.objects
    if (like.shape, like.dtype) != (kept.shape[1:], kept.dtype):
        raise ValueError(
            f"task {task.name!r} decodes to {like.dtype}{list(like.shape)}, but the objects of "
            f"its base data are {kept.dtype}{list(kept.shape[1:])}: equal objects are recognised "
            "bit by bit, so give both the same form"
        )
    if task.objective is not None:
        few = jax.ShapeDtypeStruct((2, *like.shape), like.dtype)
        jax.eval_shape(partial(evaluate, task.objective), few)  # its shape, before any work
    scores = np.asarray(base.scores)
    if len(scores) > 1 and (scores == scores[0]).all():
        warnings.warn(
            f"all {len(scores)} base objects of task {task.name!r} score {scores[0]:g}: they tell "
            "nothing about where better ones are; give other base data, or another objective",
            stacklevel=3,
        )
    return base


def _drive(folders: Sequence[RunFolder], task: Task, base: Dataset, progress: bool) -> None:
    """Run to their end runs that differ in traced numbers only."""
    config = folders[0].config
    with ExitStack() as stack:
        check_interrupt = stack.enter_context(remembered_interrupts(say=progress))
        for folder in folders:
            stack.enter_context(folder.locked())
        members = [
            Member(folder, stack.enter_context(closing(folder.open_log()))) for folder in folders
        ]

        def clock(phase: str, seconds: float) -> None:
            for member in members:
                member.log.add_time(phase, -1, seconds / len(members))

        with timed(clock, "pretrain"):
            params = pretrained_params(task, base, _pretrain_bar() if progress else None)
        with timed(clock, "session"), _one_blas_thread_a_device(folders):
            session = Session(members, task, base, params)
            bar = tqdm(
                total=config.budget * len(session.seeds),
                initial=int(session.counts.sum()),
                desc=f"{config.task}: {', '.join(dict.fromkeys(f.config.method for f in folders))}",
                unit="query",
                disable=not progress,
            )
            with bar:
                session.run_rounds(bar, check_interrupt)
        describe = describer(task)
        compiled = session.compiled.compilations
        for folder, log in ((m.folder, m.log) for m in members):
            summary = summarize(folder.config, log, compiled, len(members), task.stated, describe)
            log.tidy()
            folder.save_summary(summary)  # last: a run with a summary is left as it is


def _one_blas_thread_a_device(folders: Sequence[RunFolder]) -> AbstractContextManager:
    """Where several CPU devices factorise at once, LAPACK's own threads get in their way."""
    config, seeds = folders[0].config, sum(folder.config.seeds for folder in folders)
    devices = plan_seeds(seeds, config.devices, config.seed_mode).mesh.size
    return threadpool_limits(1, user_api="blas") if devices > 1 else nullcontext()


def _pretrain_bar() -> Callable[[int, int], None]:
    bars: list[tqdm] = []

    def progress(done: int, total: int) -> None:
        if not bars:
            bars.append(tqdm(total=total, desc="pretraining (once, cached)", unit="step"))
        bars[0].update(done - bars[0].n)
        if done == total:
            bars[0].close()

    return progress
