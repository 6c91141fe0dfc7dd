"""One process's part of a run: retrain, ask, score, tell, record, round after round."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from wrlso import loop
from wrlso.candidates import share
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

_FIRST = 10
"""Queries of all seeds; if none of them has a score, something is amiss."""

_FITS = 3
"""Surrogates of a round, at most, each with as many asks as r takes where all are new."""


@dataclass(frozen=True, eq=False)
class Member:
    """A run that takes part in a session: its folder and its open log."""

    folder: RunFolder
    log: QueryLog


class Session:
    """Compiled functions, the state of all seeds of one or several runs, and where they stand.

    Runs that differ in traced numbers only, such as k, are lanes of the same program: first
    all seeds of the first run, then those of the second.
    """

    def __init__(self, members: Sequence[Member], task: Task, base: Dataset, params: Any) -> None:
        configs = [member.folder.config for member in members]
        # What is not a traced number is the same in all.
        self.members, self.task, self.config = members, task, configs[0]
        self.seeds = [seed for config in configs for seed in config.seed_numbers]
        self.logs = [m.log for m in members for _ in range(m.folder.config.seeds)]
        self.algorithm = make_algorithm(task, self.config)
        self.plan = plan_seeds(len(self.seeds), self.config.devices, self.config.seed_mode)
        self.bar = tqdm(disable=True)
        self.compiled = CompiledLoop(
            self.algorithm, task.objective, self.plan, self._clock, self._say
        )
        self.base_rows = len(base.scores)
        hyper = {
            name: [config.hyper[name] for config in configs for _ in range(config.seeds)]
            for name in self.config.hyper
        }
        hyper["learning_rate"] = [task.retrain.learning_rate] * len(self.seeds)
        hyper["beta"] = [
            task.retrain.beta if config.beta is None else config.beta
            for config in configs
            for _ in range(config.seeds)
        ]
        padded = {name: self._padded(values, np.float32, 1) for name, values in hyper.items()}
        self.hyper = spread(self.plan, padded)
        self.data = replicate(self.plan, share(base, task.identity))
        self.round, self.state = self._restore(params, base)
        self.warned = False
        self.limits = [self.config.budget] * len(self.seeds)
        self.surrogate: Any = ()
        self.host: Host | None = None
        for member in members:
            # States beyond are of a session that others did not take part in to its end.
            member.folder.forget_checkpoints(self.round, set(member.folder.checkpoints()))
            if task.host_objective is None:  # cheap to ask again; a host's answers are kept instead
                member.log.forget_from(self.round)
        if task.host_objective is not None:
            self.host = Host(task.host_objective)
            acquired = jax.tree.map(np.asarray, self.state.acquired)
            self.seen = Seen(base, acquired, len(self.seeds))

    @property
    def counts(self) -> np.ndarray:
        """``[seeds]`` charged queries so far."""
        return np.asarray(self.state.acquired.used)[: len(self.seeds)]

    def run_rounds(self, bar: tqdm, check_interrupt: Callable[[], None]) -> None:
        """Go on until every seed has spent its budget, with a checkpoint after each round."""
        self.bar = bar
        with self.host or nullcontext():
            self._run_rounds(check_interrupt)

    def _run_rounds(self, check_interrupt: Callable[[], None]) -> None:
        last = self.algorithm.rounds * _EXTRA_ROUNDS
        while self.round < last and (self.counts < self.config.budget).any():
            self.limits = np.minimum(
                self.counts + self.algorithm.retrain_every, self.config.budget
            ).tolist()
            retrained = self._retrain()
            asked = self._ask_all(check_interrupt)
            self._record_rounds(retrained, asked)
            self.round += 1
            self._save()

    def _ask_all(self, check_interrupt: Callable[[], None]) -> np.ndarray:
        """Ask until every seed has had its r charged queries, and count the asks of each. Where
        proposals were known, with a surrogate that knows of it; not a seed to which these bring
        nothing new."""
        asks, asked = 0, np.zeros(len(self.seeds), int)
        for fit in range(_FITS):
            before, shared = self.counts, self._global(fit)
            self.state, self.surrogate = self.compiled.fit(self.state, self._lane(), shared)
            for _ in range(self.algorithm.asks):
                asked += self.counts < self.limits
                self.ask(asks)
                asks += 1
                check_interrupt()
                self.bar.update(int(self.counts.sum()) - self.bar.n)
                self._describe()
                if (self.counts >= self.limits).all():
                    return asked
            stuck = self.counts == before
            self.limits = np.where(stuck, self.counts, self.limits).tolist()
            if (self.counts >= self.limits).all():
                break
        return asked

    def _retrain(self) -> list[Round | None]:
        """Retrain the seeds that go on; what there is to record of each."""
        self._say("retrain")
        rows = self.base_rows + self.counts
        open_seeds = self.counts < self.config.budget
        steps = [
            self.algorithm.steps(self.round, n) if is_open else 0
            for n, is_open in zip(rows, open_seeds, strict=True)
        ]
        self.state, info = self.compiled.retrain(self.state, self._lane(steps), self._global(0))
        return [
            Round(
                seed=seed,
                round=self.round,
                steps=steps[i],
                loss=float(info.loss[i]),
                effective_rows=float(info.effective_rows[i]),
                # Without any weight there is no training, which is no divergence.
                diverged=int(not info.finite[i] and info.effective_rows[i] > 0),
                uncharged=0,
            )
            if open_seeds[i]
            else None
            for i, seed in enumerate(self.seeds)
        ]

    def _record_rounds(self, retrained: list[Round | None], asked: np.ndarray) -> None:
        uncharged = self.algorithm.proposer.uncharged * asked
        done: dict[QueryLog, list[Round]] = {log: [] for log in self.logs}
        for i, round in enumerate(retrained):
            if round is not None:
                done[self.logs[i]].append(replace(round, uncharged=int(uncharged[i])))
        for log, rounds in done.items():
            log.add_rounds(rounds)

    def ask(self, ask: int) -> None:
        """One batch of queries of every seed: propose, evaluate, record, add to the data."""
        lane, shared = self._lane(), self._global(ask)
        candidates = self.compiled.ask((self.state, self.surrogate), lane, shared)
        on_host = jax.tree.map(np.asarray, candidates)
        first = ask * self.algorithm.proposer.batch
        place = Place(self.seeds, self.logs, self.round, first)
        if self.host is not None:
            with timed(self._clock, "score"):
                evaluated = evaluate_on_host(
                    self.host, place, on_host, self.seen, self.task.identity
                )
            told = spread(self.plan, evaluated)
        else:
            assert self.compiled.score is not None
            scores, status = self.compiled.score(candidates, lane, shared)
            record(place, on_host, np.asarray(scores), np.asarray(status))
            told = (candidates, scores, status)
        carried = (self.state.acquired, self.surrogate)
        acquired, self.surrogate = self.compiled.tell(carried, told, shared)
        self.state = self.state._replace(acquired=acquired)

    def _restore(self, params: Any, base: Dataset) -> tuple[int, State]:
        start = broadcast(self.plan, loop.init(self.algorithm, params, base))
        done = set.intersection(*(set(m.folder.checkpoints()) for m in self.members))
        if not done:
            return 0, start
        last = max(done)

        def load(member: Member) -> State:
            like = jax.eval_shape(lambda: _lanes(start, 0, member.folder.config.seeds))
            return member.folder.load_checkpoint(last, like)

        extra = self.plan.lanes - len(self.seeds)
        idle = jax.tree.map(lambda a: np.zeros((extra, *a.shape[1:]), a.dtype), start)
        saved = [load(member) for member in self.members]
        joined = jax.tree.map(lambda *parts: np.concatenate(parts), *saved, idle)
        return last, spread(self.plan, joined)

    def _save(self) -> None:
        """A checkpoint of each run. None forgets its last one before all have the new one, so
        that wherever the process is killed there is one that all have."""
        state, first = jax.tree.map(np.asarray, self.state), 0
        for member in self.members:
            seeds = member.folder.config.seeds
            member.folder.save_checkpoint(self.round, _lanes(state, first, seeds))
            first += seeds
        for member in self.members:
            member.folder.forget_checkpoints(self.round, {1, self.algorithm.rounds // 2})

    def _padded(self, values: Sequence[Any], dtype: Any, idle: Any) -> np.ndarray:
        """``[lanes]``: a value for each seed, ``idle`` for the lanes without one."""
        return np.array([*values, *[idle] * (self.plan.lanes - len(self.seeds))], dtype)

    def _lane(self, steps: list[int] | None = None) -> Lane:
        numbers = self._padded(self.seeds, np.int32, 0)
        steps_ = self._padded(steps or [0] * len(self.seeds), np.int32, 0)
        limits = self._padded(self.limits, np.int32, 0)
        return spread(self.plan, Lane(numbers, steps_, limits, self.hyper))

    def _global(self, ask: int) -> Global:
        return Global(
            self.data,
            *replicate(self.plan, (jnp.int32(self.round), jnp.int32(ask))),
        )

    def _clock(self, phase: str, seconds: float) -> None:
        for member in self.members:
            share = seconds / len(self.members)
            member.log.add_time(phase, getattr(self, "round", -1), share)

    def _say(self, text: str) -> None:
        if not self.bar.disable:
            self.bar.set_postfix_str(text)

    def _describe(self) -> None:
        """What was found, beside the bar; a warning where nothing was at first."""
        scores = np.asarray(self.state.acquired.scores)[: len(self.seeds)]
        charged = int(self.counts.sum())
        failed = charged - int(np.isfinite(scores).sum())
        best = [np.nanmax(s) for s in scores if np.isfinite(s).any()]
        found = [f"best {np.mean(best):.4g} mean, {np.max(best):.4g} max"] if best else []
        found += [f"{failed} without a score"] if failed else []
        self.bar.set_postfix_str(", ".join(found), refresh=False)
        if failed == charged >= _FIRST and not self.warned:
            self.warned = True
            last = next((q.reason for q in reversed(self.logs[0].queries()) if q.reason), "")
            warnings.warn(
                f"none of the first {charged} queries has a score; the last reason: "
                f"{last or 'not a number'}. Ctrl-C stops the run.",
                stacklevel=2,
            )


def _lanes(tree: Any, first: int, count: int) -> Any:
    return jax.tree.map(lambda a: a[first : first + count], tree)


@contextmanager
def timed(clock: Callable[[str, float], None], phase: str) -> Iterator[None]:
    """Record the wall time of a block, also if it is interrupted."""
    start = time.perf_counter()
    try:
        yield
    finally:
        clock(phase, time.perf_counter() - start)
