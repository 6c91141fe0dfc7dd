"""One process's part of a run: round after round, ask after ask."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from wrlso import loop
from wrlso.data import Dataset
from wrlso.evaluation.objective import HostEvaluator
from wrlso.loop.algorithm import Algorithm, State
from wrlso.loop.candidates import Candidates, prepare_base
from wrlso.loop.steps import measures
from wrlso.parallel import broadcast, plan_seeds, spread
from wrlso.proposers.base import Prediction
from wrlso.runs import checkpoints
from wrlso.runs.checkpoints import OpenRun
from wrlso.runs.compiled import Answer, CompiledLoop, answer_like
from wrlso.runs.evaluate import BatchPosition, ScoredObjects, evaluate_on_host, record_batches
from wrlso.runs.events import Callback, elbo_parts, tell_of_rounds
from wrlso.runs.growing import capacity_of, enlarged, with_capacity_of
from wrlso.runs.lanes import Lanes, SeedInputs, SharedInputs
from wrlso.runs.log import QueryLog, Round
from wrlso.runs.progress import Progress, timed
from wrlso.tasks.base import Task

EXTRA_ROUNDS = 2
"""A seed whose proposals repeat gets up to this many times the budget's rounds."""

FITS = 12
"""Maximum number of surrogates per round, each with as many asks as r takes where all are new."""

_FORCE = 1.0
"""Minimum number of seconds between two rounds whose log and checkpoint are forced to the disk. A
kill loses nothing of the others; after a power failure a run goes on from the last forced one."""


class Session:
    """Compiled functions and the state of all seeds of one or several runs.

    Runs that differ in traced numbers only, such as k, are lanes of the same program. With
    ``keep_log``, queries beyond the last checkpoint stay in the log.
    """

    def __init__(
        self,
        runs: Sequence[OpenRun],
        task: Task,
        algorithm: Algorithm,
        base: Dataset,
        params: Any,
        keep_log: bool = False,
        callback: Callback | None = None,
    ) -> None:
        configs = [run.folder.config for run in runs]
        config = configs[0]  # the others differ in traced numbers only
        self.runs, self.task, self.algorithm, self.callback = runs, task, algorithm, callback
        self.logs = [run.log for run in runs for _ in range(run.folder.config.seeds)]
        self.progress = Progress(tqdm(disable=True), self.logs[0])
        seeds = sum(config.seeds for config in configs)
        self.plan = plan_seeds(seeds, config.devices, config.seed_mode, local=True)
        self.offset = config.offset
        prepared = prepare_base(base, task.dedup_key, self.offset)
        self.lanes = Lanes(configs, self.plan, prepared)
        self.seeds = self.lanes.seeds
        self.base, self.base_rows = base, len(base.scores)
        room = None if task.objective is not None else capacity_of(algorithm, 0)
        first = loop.init(algorithm, params, base, room)
        self.answer_like = answer_like(algorithm, first.history, prepared)
        self.compiled, self._compiled_before = self._programs(), Counter[str]()
        start = broadcast(self.plan, first)
        self.round, self.state = checkpoints.restore(runs, self.plan, start)
        self._forced, self._forced_round, self._forced_at = False, self.round, -math.inf
        if not keep_log:
            self.state = checkpoints.with_late_results(
                self.logs, self.seeds, self.plan, self.state, task.sign, self.offset
            )
        self.limits = [algorithm.budget] * seeds
        self.refused, self.counts_before = np.zeros(seeds, int), self.counts
        self.measures: dict[str, np.ndarray] = {}
        self.surrogate: Any = ()
        # Queries in JAX are cheap to ask again. Answers of an objective on the host are kept.
        asks_again = task.host_objective is None and not keep_log
        checkpoints.forget_later_rounds(runs, self.round, asks_again)
        self.evaluator: HostEvaluator | None = None
        if task.host_objective is not None:
            self.evaluator = HostEvaluator(task.host_objective)
            history = jax.tree.map(np.asarray, self.state.history)
            self.scored = ScoredObjects(base, history, seeds, self.offset)

    def close(self) -> None:
        """Let go of all arrays and programs, without waiting for Python's garbage collector."""
        self.__dict__.clear()

    def _programs(self) -> CompiledLoop:
        return CompiledLoop(
            self.algorithm,
            self.task.maximized().objective,
            self.plan,
            self.answer_like,
            self._clock,
            lambda text: self.progress.say(text),
        )

    @property
    def compilations(self) -> dict[str, int]:
        """Number of compilations of each function: one per capacity of the histories."""
        return dict(self._compiled_before + Counter(self.compiled.compilations))

    def _make_room(self) -> None:
        """Give the histories of an objective on the host the capacity that the round needs."""
        if self.task.objective is not None:
            return
        capacity = capacity_of(self.algorithm, self.round)
        if self.state.history.status.shape[1] >= capacity:
            return
        like = with_capacity_of(self.state, capacity)
        self.state = spread(self.plan, enlarged(jax.tree.map(np.asarray, self.state), like))
        self._compiled_before = Counter(self.compilations)
        self.compiled = self._programs()

    @property
    def kept(self) -> set[int]:
        """The rounds whose checkpoints stay, for figures."""
        return {1, self.algorithm.rounds // 2}

    @property
    def counts(self) -> np.ndarray:
        """``[seeds]`` charged queries so far."""
        return np.asarray(self.state.history.used)[: len(self.seeds)]

    def run_rounds(self, bar: tqdm, check_interrupt: Callable[[], None]) -> None:
        """Go on until every seed has spent its budget, with a checkpoint after each round."""
        size = self.algorithm.retrain_every * len(self.seeds)
        self.progress = Progress(bar, self.logs[0], size if self.evaluator is not None else None)
        last = self.algorithm.rounds * EXTRA_ROUNDS
        with self.evaluator or nullcontext():
            while self.round < last and (self.counts < self.algorithm.budget).any():
                self._run_round(check_interrupt)
        if not self._forced:
            checkpoints.force(self.runs, self.round, self.kept)

    def _run_round(self, check_interrupt: Callable[[], None]) -> None:
        ends = self.counts + self.algorithm.retrain_every
        self.limits = np.minimum(ends, self.algorithm.budget).tolist()
        retrained = self.retrain()
        done = self.record_rounds(retrained, self._ask_all(check_interrupt))
        if self.evaluator is not None:
            self.scored.warn_of_merged()
        self.end_round(done)

    def retrain(self) -> list[Round | None]:
        """Retrain the seeds that go on; the row of each for the log."""
        self._make_room()
        self.progress.say("retrain")
        rows = self.base_rows + self.counts
        goes_on = self.counts < self.algorithm.budget
        steps = [
            self.algorithm.steps(self.round, int(n)) if open_ else 0
            for n, open_ in zip(rows, goes_on, strict=True)
        ]
        inputs = self.lanes.seed_inputs(self.limits, steps)
        shared = self.lanes.shared_inputs(self.round, 0)
        self.state, info = self.compiled.retrain(self.state, inputs, shared)
        info = jax.tree.map(np.asarray, info)
        return [
            Round(
                seed=seed,
                round=self.round,
                steps=steps[i],
                loss=float(info.loss[i]),
                effective_rows=float(info.effective_rows[i]),
                diverged=int(not info.finite[i] and info.effective_rows[i] > 0),  # 0: no training
                uncharged=0,
            )
            if goes_on[i]
            else None
            for i, seed in enumerate(self.seeds)
        ]

    def _ask_all(self, check_interrupt: Callable[[], None]) -> np.ndarray:
        """Ask until every seed has had its r charged queries; ``[seeds]`` asks of each.

        A seed whose proposals were known asks again with a surrogate that has learned of it, unless
        the last one brought nothing new.
        """
        search = self._search_on_host if self.evaluator is not None else self._search_in_jax
        asked = np.zeros(len(self.seeds), int)
        self.refused = np.zeros(len(self.seeds), int)
        self.measures = {}
        for fit in range(FITS):
            before = self.counts_before = self.counts
            asked += search(fit, check_interrupt)
            stuck = self.counts == before
            self.limits = np.where(stuck, self.counts, self.limits).tolist()
            if (self.counts >= self.limits).all():
                break
        return asked

    def _search_in_jax(self, fit: int, check_interrupt: Callable[[], None]) -> np.ndarray:
        """One program: fit, then ask, score and tell; and one transaction. ``[seeds]`` asks."""
        assert self.compiled.search is not None
        inputs, shared = self._inputs(fit)
        params, *changing = self.state
        (history, memory), batches = self.compiled.search(tuple(changing), (params, inputs), shared)
        self.state = State(params, history, memory)
        first = fit * self.algorithm.asks * self.algorithm.proposer.batch
        batches = jax.tree.map(np.asarray, batches)
        record_batches(self.position(first), batches)
        self.measure(batches.measures)
        self.refused += batches.refused[: len(self.seeds)].sum(1)
        scores = np.asarray(history.scores, np.float64)[: len(self.seeds)] + self.offset
        self._show(list(scores))
        check_interrupt()
        return batches.asked[: len(self.seeds)]

    def _search_on_host(self, fit: int, check_interrupt: Callable[[], None]) -> np.ndarray:
        """Fit, then ask, evaluate and tell batch by batch. ``[seeds]`` asks."""
        first = fit * self.algorithm.asks
        self.fit_surrogate(fit)
        self.measure_fit()
        asked = np.zeros(len(self.seeds), int)
        for number in range(first, first + self.algorithm.asks):
            asked += self.counts < self.limits
            self.tell(self._evaluate(self.ask(number), number))
            self._show([list(own.values()) for own in self.scored.own])
            check_interrupt()
            if (self.counts >= self.limits).all():
                break
        return asked

    def fit_surrogate(self, fit: int) -> None:
        """Fit the surrogate of the round's fit number ``fit``."""
        self.state, self.surrogate = self.compiled.fit(self.state, *self._inputs(fit))

    def ask(self, number: int, surrogate: Any = None) -> Candidates:
        """Ask for a batch ``[lanes, q]``: the round's ask ``number``, within the present limits.

        ``surrogate`` stands for the run's own.
        """
        carried = self.state, self.surrogate if surrogate is None else surrogate
        return self.compiled.on_host(self.compiled.ask(carried, *self._inputs(number)))

    def predict(self, candidates: Candidates) -> Prediction | None:
        """The scores that the surrogate expects of candidates ``[lanes, q]``, without fantasies."""
        if self.algorithm.proposer.predict is None:
            return None
        latents, shared = spread(self.plan, candidates.latents), self._inputs(0)[1]
        return jax.tree.map(np.asarray, self.compiled.predict(self.surrogate, latents, shared))

    def position(self, first: int, prediction: Prediction | None = None) -> BatchPosition:
        """The place of a batch of the round whose first query has index ``first``."""
        units = self.task.sign, self.offset
        return BatchPosition(self.seeds, self.logs, self.round, first, *units, prediction)

    def tell(self, answer: Answer) -> None:
        """Add an answer to the history, and to what the surrogate knows."""
        carried = self.state.history, self.surrogate
        shared = self.lanes.shared_inputs(self.round, 0)
        told = self.compiled.on_devices(answer)
        (history, self.surrogate), _ = self.compiled.tell(carried, told, shared)
        self.state = self.state._replace(history=history)

    def fantasies(self) -> Any:
        """The surrogate as if each pending query had scored its mean."""
        return self.compiled.fantasize((self.state, self.surrogate), *self._inputs(0))

    def surrogate_like(self, state: Any) -> Any:
        """The shapes and types of a surrogate that is fitted to such a state."""
        return self.compiled.fit.shape(state, *self._inputs(0))[1]

    def _inputs(self, number: int) -> tuple[SeedInputs, SharedInputs]:
        """The inputs of a program: of each seed, and shared by all, for a fit or ask ``number``."""
        return self.lanes.seed_inputs(self.limits), self.lanes.shared_inputs(self.round, number)

    def _evaluate(self, candidates: Candidates, ask: int) -> Answer:
        """Evaluate a batch of every seed on the host."""
        assert self.evaluator is not None
        self.refused += candidates.refused[: len(self.seeds)]
        first = ask * self.algorithm.proposer.batch
        position = self.position(first, self.predict(candidates))
        with timed(self._clock, "score"):
            return evaluate_on_host(
                self.evaluator, position, candidates, self.scored, self.task.dedup_key
            )

    def measure_fit(self) -> None:
        """Remember what the proposer measures of each seed's surrogate, as it was fitted."""
        of_seed = partial(measures, self.algorithm)
        self.measure(jax.vmap(of_seed, axis_size=self.plan.lanes)(self.surrogate))

    def measure(self, found: Mapping[str, Any]) -> None:
        """Remember what the last fit measured; a seed that asked for nothing has no surrogate."""
        for name, values in found.items():
            fitted = self.counts_before < np.asarray(self.limits)
            new = np.asarray(values)[: len(self.seeds)]
            self.measures[name] = np.where(fitted, new, self.measures.get(name, -np.inf))

    def _show(self, scores: Sequence[Any]) -> None:
        found = [np.asarray(one, float) for one in scores]
        self.progress.update(int(self.counts.sum()), found, self.task.sign)

    def end_round(self, done: Mapping[QueryLog, Sequence[Round]]) -> None:
        """Save the state after a round whose rows were logged, and tell the callback."""
        self.round += 1
        if self._forced:
            self._forced_round, self._forced_at = self.round, time.monotonic()
        keep = self.kept | {self._forced_round}
        checkpoints.save(self.runs, self.round, self.state, keep, durable=self._forced)
        vae, params = self.algorithm.vae, self.state.params
        lanes = list(zip(self.logs, self.seeds, strict=True))
        own = partial(elbo_parts, vae, params, self.base, self.seeds, self.round - 1)
        tell_of_rounds(self.callback, self.runs, lanes, done, own)

    def record_rounds(
        self, retrained: list[Round | None], asked: np.ndarray
    ) -> dict[QueryLog, list[Round]]:
        """Log the round's retraining of each seed that went on, after ``[seeds]`` asks."""
        uncharged = self.algorithm.proposer.uncharged * asked
        done: dict[QueryLog, list[Round]] = {log: [] for log in self.logs}
        for i, round in enumerate(retrained):
            if round is not None:
                counts = {"uncharged": int(uncharged[i]), "refused": int(self.refused[i])}
                measured: dict[str, Any] = {
                    name: float(values[i]) if np.isfinite(values[i]) else None
                    for name, values in self.measures.items()
                }
                done[self.logs[i]].append(replace(round, **counts, **measured))
        for log, rounds in done.items():
            log.add_rounds(rounds)
        self._forced = time.monotonic() - self._forced_at > _FORCE
        for log in done if self._forced else ():
            log.fold()  # before the checkpoint, which counts on it
        return done

    def _clock(self, phase: str, seconds: float) -> None:
        self.progress.spend(phase, seconds)
        for run in self.runs:
            run.log.add_time(phase, getattr(self, "round", -1), seconds / len(self.runs))
