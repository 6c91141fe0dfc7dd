"""One process's part of a run: retrain, ask, score, tell, record, round after round."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from wrlso import loop
from wrlso.data import Dataset
from wrlso.loop import State
from wrlso.parallel import broadcast, plan_seeds, replicate, spread
from wrlso.runs.build import make_algorithm
from wrlso.runs.compiled import CompiledLoop, Global, Lane
from wrlso.runs.evaluate import Host, Place, Seen, evaluate_on_host, record
from wrlso.runs.folder import RunFolder
from wrlso.runs.log import QueryLog, Round
from wrlso.tasks.base import Task

_EXTRA_ROUNDS = 2
"""A seed whose proposals repeat gets up to this many times the budget's rounds."""


class Session:
    """Compiled functions, the state of all seeds, and where they stand."""

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
        self.data = replicate(self.plan, loop.share(base, task.identity))
        self.round, self.state = self._restore(params, base)
        self.surrogate: Any = ()
        self.host: Host | None = None
        if task.host_objective is None:  # cheap to ask again; a host's answers are kept instead
            log.forget_from(self.round)
        else:
            self.host = Host(task.host_objective)
            self.seen = Seen(base, self._saved().acquired, config.seeds)

    @property
    def counts(self) -> np.ndarray:
        """``[seeds]`` charged queries so far."""
        return np.asarray(self.state.acquired.used)[: self.config.seeds]

    def run_rounds(self, bar: tqdm, check_interrupt: Callable[[], None]) -> None:
        """Go on until every seed has spent its budget, with a checkpoint after each round."""
        with self.host or nullcontext():
            self._run_rounds(bar, check_interrupt)

    def _run_rounds(self, bar: tqdm, check_interrupt: Callable[[], None]) -> None:
        last = self.algorithm.rounds * _EXTRA_ROUNDS
        middle = {1, self.algorithm.rounds // 2}
        while self.round < last and (self.counts < self.config.budget).any():
            self._retrain()
            shared = self._global(0)
            self.state, self.surrogate = self.compiled.fit(self.state, self._lane(), shared)
            for ask in range(self.algorithm.asks):
                self.ask(ask)
                check_interrupt()
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
                # Without any weight there is no training, which is no divergence.
                diverged=int(not info.finite[i] and info.effective_rows[i] > 0),
                uncharged=uncharged,
            )
            for i, seed in enumerate(self.config.seed_numbers)
            if open_seeds[i]
        )

    def ask(self, ask: int) -> None:
        """One batch of queries of every seed: propose, evaluate, record, add to the data."""
        lane, shared = self._lane(), self._global(ask)
        candidates = self.compiled.ask((self.state, self.surrogate), lane, shared)
        on_host = jax.tree.map(np.asarray, candidates)
        place = Place(self.config.seed_numbers, self.round, ask * self.algorithm.proposer.batch)
        if self.host is not None:
            with timed(self.log, "score", self.round):
                evaluated, scores = evaluate_on_host(self.host, self.log, place, on_host, self.seen)
            told = spread(self.plan, (evaluated, scores, evaluated.status))
        else:
            assert self.compiled.score is not None
            scores, status = self.compiled.score(candidates, lane, shared)
            record(self.log, place, on_host, np.asarray(scores), np.asarray(status))
            told = (candidates, scores, status)
        carried = (self.state, self.surrogate)
        self.state, self.surrogate = self.compiled.tell(carried, told, shared)

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

    def _lane(self, steps: list[int] | None = None) -> Lane:
        steps = steps or [0] * self.config.seeds
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


@contextmanager
def timed(log: QueryLog, phase: str, round: int = -1) -> Iterator[None]:
    """Record the wall time of a block, also if it is interrupted."""
    start = time.perf_counter()
    try:
        yield
    finally:
        log.add_time(phase, round, time.perf_counter() - start)
