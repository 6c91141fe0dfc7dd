"""Durable runs: Algorithm 1 over many seeds, logged as it goes, resumable at any point.

A round is a pure function of the state before it, so an interrupted round is
simply run again from the last checkpoint. The log keeps what an objective on
the host has answered already.
"""

import hashlib
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from wrlso import loop, propose
from wrlso.data import Dataset, check_dataset
from wrlso.loop import Algorithm, State
from wrlso.methods import Method
from wrlso.parallel import SeedMode, broadcast, plan_seeds, replicate, spread
from wrlso.propose import Proposer
from wrlso.runs.compiled import CompiledLoop, Global, Lane
from wrlso.runs.config import RunConfig, describe
from wrlso.runs.evaluate import Place, evaluate_on_host, record
from wrlso.runs.folder import RunFolder
from wrlso.runs.log import QueryLog, Round
from wrlso.runs.pretrained import data_digest, pretrained_params
from wrlso.runs.result import Result
from wrlso.runs.summary import summarize
from wrlso.tasks import TASKS
from wrlso.tasks.base import Task
from wrlso.weighting import WEIGHTINGS

PROPOSERS = ("grid", "prior")
"""Names of the proposers."""

_EXTRA_ROUNDS = 2
"""A seed whose proposals repeat gets up to this many times the budget's rounds."""


def run(
    task: Task,
    method: Method,
    *,
    out: str | Path,
    budget: int = 500,
    seeds: int = 5,
    first_seed: int = 0,
    proposer: str | None = None,
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
      proposer: ``"grid"`` or ``"prior"``; the task's default if None.
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
        proposer=proposer or task.proposer,
        devices=devices,
        seed_mode=seed_mode,
        **describe(method),
    )
    config.check()
    make_algorithm(task, config)
    plan_seeds(seeds, devices, seed_mode)
    base = _load_base(task)
    config = replace(config, task_digest=_task_digest(task, base))
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
    if folder.config.task_digest != _task_digest(task, base):
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


def task_of(config: RunConfig) -> Task:
    """The registered task that a configuration names.

    Raises:
      ValueError: if there is none of that name.
    """
    if config.task not in TASKS:
        raise ValueError(
            f"unknown task {config.task!r}; there are: {', '.join(TASKS)}. "
            "For a task of your own, pass it as the argument task"
        )
    return TASKS[config.task](**config.task_options)


def make_algorithm(task: Task, config: RunConfig) -> Algorithm:
    """The static part of a run.

    Raises:
      ValueError: if the weighting or proposer is unknown, or the proposer cannot
        work with the task.
    """
    if config.weighting not in WEIGHTINGS:
        raise ValueError(
            f"unknown weighting {config.weighting!r}; there are: {', '.join(WEIGHTINGS)}"
        )
    retrain_every = config.retrain_every or config.budget
    return Algorithm(
        vae=task.vae,
        weighting=WEIGHTINGS[config.weighting],
        proposer=_make_proposer(task, config.proposer, retrain_every),
        config=task.retrain,
        budget=config.budget,
        retrain_every=retrain_every,
        retrain_after_first=config.retrain_every is not None,
    )


def _make_proposer(task: Task, name: str, batch: int) -> Proposer:
    if name == "grid":
        if task.objective is None:
            raise ValueError(
                "proposer 'grid' reads the objective inside jit, but the objective of task "
                f"{task.name!r} runs on the host: choose 'prior'"
            )
        return propose.grid(task.vae, task.objective, batch)
    if name == "prior":
        return propose.prior(task.vae, batch)
    raise ValueError(f"unknown proposer {name!r}; there are: {', '.join(PROPOSERS)}")


def _load_base(task: Task) -> Dataset:
    base = task.load_data()
    check_dataset(base, f"the base data of task {task.name!r}")
    return base


def _task_digest(task: Task, base: Dataset) -> str:
    """What a run's queries depend on besides its configuration, as far as data can tell."""
    digest = hashlib.sha256(repr((task.name, sorted(task.options.items()))).encode())
    digest.update(data_digest(base).encode())
    for leaf in jax.tree.leaves(task.params):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()[:16]


def _drive(folder: RunFolder, task: Task, base: Dataset, progress: bool) -> Result:
    config = folder.config
    with folder.locked(), closing(folder.open_log()) as log:
        with _timed(log, "pretrain"):
            params = pretrained_params(task, base, _pretrain_bar() if progress else None)
        with _timed(log, "session"):
            session = _Session(folder, log, task, base, params)
            bar = tqdm(
                total=config.budget * config.seeds,
                initial=int(session.counts.sum()),
                desc=f"{config.task}: {config.method}",
                unit="query",
                disable=not progress,
            )
            with bar:
                session.run_rounds(bar)
        folder.save_summary(summarize(config, log, session.compiled.compilations))
        log.tidy()
    return Result(folder.path)


class _Session:
    """One process's part of a run: compiled functions, the state, and where it stands."""

    def __init__(
        self, folder: RunFolder, log: QueryLog, task: Task, base: Dataset, params: Any
    ) -> None:
        config = folder.config
        self.folder, self.log, self.task, self.config = folder, log, task, config
        self.algorithm = make_algorithm(task, config)
        self.plan = plan_seeds(config.seeds, config.devices, config.seed_mode)
        self.compiled = CompiledLoop(self.algorithm, task.objective, self.plan, self._clock)
        hyper = {
            **config.hyper,
            "learning_rate": task.retrain.learning_rate,
            "beta": task.retrain.beta,
        }
        self.base_rows = len(base.scores)
        self.hyper = {name: jnp.float32(value) for name, value in hyper.items()}
        self.data = replicate(self.plan, loop.share(base))
        self.round, self.state = self._restore(params, base)
        if task.objective is not None:  # cheap to ask again; a host's answers are kept instead
            log.forget_from(self.round)

    @property
    def counts(self) -> np.ndarray:
        """``[seeds]`` charged queries so far."""
        return np.asarray(self.state.acquired.used)[: self.config.seeds]

    def run_rounds(self, bar: tqdm) -> None:
        last = self.algorithm.rounds * _EXTRA_ROUNDS
        middle = {1, self.algorithm.rounds // 2}
        while self.round < last and (self.counts < self.config.budget).any():
            self._retrain()
            for ask in range(self.algorithm.asks):
                self._ask(ask)
                bar.update(int(self.counts.sum()) - bar.n)
            self._describe(bar)
            self.round += 1
            self.folder.save_checkpoint(self.round, self._saved(), keep=middle)

    def _retrain(self) -> None:
        rows = self.base_rows + self.counts
        open_seeds = self.counts < self.config.budget
        steps = [
            self.algorithm.steps(self.round, n) if is_open else 0
            for n, is_open in zip(rows, open_seeds, strict=True)
        ]
        self.state, info = self.compiled.retrain(self.state, self._lane(steps), self._global(0))
        uncharged = self.algorithm.proposer.uncharged * self.algorithm.asks
        self.log.add_rounds(
            Round(
                seed=seed,
                round=self.round,
                steps=steps[i],
                loss=float(info.loss[i]),
                effective_rows=float(info.effective_rows[i]),
                diverged=int(not info.finite[i]),
                uncharged=uncharged,
            )
            for i, seed in enumerate(self.config.seed_numbers)
            if open_seeds[i]
        )

    def _ask(self, ask: int) -> None:
        lane, shared = self._lane([0] * self.config.seeds), self._global(ask)
        candidates = self.compiled.ask(self.state, lane, shared)
        on_host = jax.tree.map(np.asarray, candidates)
        place = Place(self.config.seed_numbers, self.round, ask * self.algorithm.proposer.batch)
        if self.task.host_objective is not None:
            with _timed(self.log, "score", self.round):
                evaluated, scores = evaluate_on_host(
                    self.task.host_objective, self.log, place, on_host
                )
                candidates = spread(self.plan, evaluated)
                status = np.asarray(evaluated.status)
        else:
            assert self.compiled.score is not None
            scores = self.compiled.score(candidates, lane, shared)
            status = np.asarray(loop.settle(scores, candidates.status))
            record(self.log, place, on_host, np.asarray(scores), status)
        told = (candidates, *spread(self.plan, (scores, status)))
        self.state = self.compiled.tell(self.state, told, shared)

    def _restore(self, params: Any, base: Dataset) -> tuple[int, State]:
        start = broadcast(self.plan, loop.init(self.algorithm, params, base))
        done = self.folder.checkpoints()
        if not done:
            return 0, start
        like = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct((self.config.seeds, *a.shape[1:]), a.dtype), start
        )
        saved = self.folder.load_checkpoint(done[-1], like)
        extra = self.plan.lanes - self.config.seeds
        return done[-1], spread(
            self.plan,
            jax.tree.map(
                lambda a: np.concatenate([a, np.zeros((extra, *a.shape[1:]), a.dtype)]), saved
            ),
        )

    def _saved(self) -> State:
        return jax.tree.map(lambda a: np.asarray(a)[: self.config.seeds], self.state)

    def _lane(self, steps: list[int]) -> Lane:
        extra = [0] * (self.plan.lanes - self.config.seeds)
        numbers = np.array(self.config.seed_numbers + extra, np.int32)
        return spread(self.plan, Lane(numbers, np.array(steps + extra, np.int32)))

    def _global(self, ask: int) -> Global:
        return Global(
            self.data,
            *replicate(self.plan, (self.hyper, jnp.int32(self.round), jnp.int32(ask))),
        )

    def _clock(self, phase: str, seconds: float) -> None:
        self.log.add_time(phase, getattr(self, "round", -1), seconds)

    def _describe(self, bar: tqdm) -> None:
        scores = np.asarray(self.state.acquired.scores)[: self.config.seeds]
        best = [np.nanmax(s) for s in scores if np.isfinite(s).any()]
        if best and not bar.disable:
            bar.set_postfix_str(f"best {np.mean(best):.4g} mean, {np.max(best):.4g} max")


class _timed:
    """Record the wall time of a block."""

    def __init__(self, log: QueryLog, phase: str, round: int = -1) -> None:
        self._log, self._phase, self._round = log, phase, round

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._log.add_time(self._phase, self._round, time.perf_counter() - self._start)


def _pretrain_bar() -> Callable[[int, int], None]:
    bars: list[tqdm] = []

    def progress(done: int, total: int) -> None:
        if not bars:
            bars.append(tqdm(total=total, desc="pretraining (once, cached)", unit="step"))
        bars[0].update(done - bars[0].n)
        if done == total:
            bars[0].close()

    return progress
