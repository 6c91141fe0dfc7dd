"""Durable runs: Algorithm 1 over many seeds, logged as it goes, resumable at any point.

A round is a pure function of the state before it, so an interrupted round is
simply run again from the last checkpoint. The log keeps what an objective on
the host has answered already.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.linalg  # noqa: F401  (its BLAS is the one that JAX calls; loaded, it can be limited)
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from wrlso.data import Dataset, check_dataset
from wrlso.methods import Method
from wrlso.parallel import SeedMode, plan_seeds
from wrlso.runs.build import make_algorithm, task_digest, task_of
from wrlso.runs.config import RunConfig, describe
from wrlso.runs.folder import RunFolder
from wrlso.runs.interrupt import remembered_interrupts
from wrlso.runs.log import Query
from wrlso.runs.pretrained import pretrained_params
from wrlso.runs.result import Result
from wrlso.runs.session import Session, timed
from wrlso.runs.summary import summarize
from wrlso.tasks.base import Task


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
      ValueError: before any work, if an argument cannot be meant.
    """
    config = RunConfig(
        task=task.name,
        task_options=dict(task.options),
        budget=budget,
        seeds=seeds,
        first_seed=first_seed,
        proposer=proposer or method.proposer or task.proposer,
        batch=batch,
        climb=climb,
        devices=devices,
        seed_mode=seed_mode,
        **describe(method),
    )
    config.check()
    make_algorithm(task, config)
    plan_seeds(seeds, devices, seed_mode)
    base = _load_base(task)
    config = replace(config, task_digest=task_digest(task, base))
    return _drive(RunFolder.create(Path(out), config), task, base, progress)


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
      devices, seed_mode: instead of those the run began with; the queries are the same.
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
    if folder.config.task_digest != task_digest(task, base):
        raise ValueError(
            f"{out} was begun with another task (name, options, base data or parameters "
            f"differ) than {task.name!r} as it is now: pass the one it began with"
        )
    folder.config = replace(
        folder.config,
        devices=devices or folder.config.devices,
        seed_mode=seed_mode or folder.config.seed_mode,
    )
    return _drive(folder, task, base, progress)


def _load_base(task: Task) -> Dataset:
    base = task.load_data()
    check_dataset(base, f"the base data of task {task.name!r}")
    return base


def _drive(folder: RunFolder, task: Task, base: Dataset, progress: bool) -> Result:
    config = folder.config
    with (
        folder.locked(),
        closing(folder.open_log()) as log,
        remembered_interrupts() as check_interrupt,
    ):
        with timed(log, "pretrain"):
            params = pretrained_params(task, base, _pretrain_bar() if progress else None)
        with timed(log, "session"), _one_blas_thread_a_device(config):
            session = Session(folder, log, task, base, params)
            bar = tqdm(
                total=config.budget * config.seeds,
                initial=int(session.counts.sum()),
                desc=f"{config.task}: {config.method}",
                unit="query",
                disable=not progress,
            )
            with bar:
                session.run_rounds(bar, check_interrupt)
        describe = _describer(task, base)
        folder.save_summary(summarize(config, log, session.compiled.compilations, describe))
        log.tidy()
    return Result(folder.path)


def _one_blas_thread_a_device(config: RunConfig) -> AbstractContextManager:
    """Where several CPU devices factorise at once, LAPACK's own threads get in their way."""
    devices = plan_seeds(config.seeds, config.devices, config.seed_mode).mesh.size
    return threadpool_limits(1, user_api="blas") if devices > 1 else nullcontext()


def _describer(task: Task, base: Dataset) -> Callable[[Query], str] | None:
    to_text, like = task.to_text, base.objects[0]
    if to_text is None:
        return None
    return lambda q: to_text(np.frombuffer(q.object, like.dtype).reshape(like.shape))


def _pretrain_bar() -> Callable[[int, int], None]:
    bars: list[tqdm] = []

    def progress(done: int, total: int) -> None:
        if not bars:
            bars.append(tqdm(total=total, desc="pretraining (once, cached)", unit="step"))
        bars[0].update(done - bars[0].n)
        if done == total:
            bars[0].close()

    return progress
