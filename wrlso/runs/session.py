"""One process's part of a run: round after round, ask after ask."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from wrlso import loop
from wrlso.data import Dataset
from wrlso.evaluation.objective import HostEvaluator
from wrlso.loop.algorithm import Algorithm, State
from wrlso.loop.candidates import Candidates, Evaluation, prepare_base
from wrlso.parallel import broadcast, plan_seeds, spread
from wrlso.runs import checkpoints
from wrlso.runs.checkpoints import OpenRun
from wrlso.runs.compiled import CompiledLoop, Told, told_like
from wrlso.runs.evaluate import BatchPosition, ScoredObjects, evaluate_on_host, record_batches
from wrlso.runs.lanes import Lanes
from wrlso.runs.log import QueryLog, Round
from wrlso.runs.packing import pack_lanes, unpack_lanes
from wrlso.runs.progress import Progress, timed
from wrlso.status import Status
from wrlso.tasks.base import Task

_EXTRA_ROUNDS = 2
"""A seed whose proposals repeat gets up to this many times the budget's rounds."""

_FITS = 12
"""Maximum number of surrogates per round, each with as many asks as r takes where all are new."""


def _charged(status: np.ndarray) -> np.ndarray:
    """``[lanes]`` queries of a batch ``[lanes, q]`` that count towards the budget."""
    return np.isin(status, [one.value for one in Status if one.charged]).sum(1)


class Session:
    """Compiled functions and the state of all seeds of one or several runs.

    Runs that differ in traced numbers only, such as k, are lanes of the same program.
    """

    def __init__(
        self,
        runs: Sequence[OpenRun],
        task: Task,
        algorithm: Algorithm,
        base: Dataset,
        params: Any,
    ) -> None:
        configs = [run.folder.config for run in runs]
        config = configs[0]  # the others differ in traced numbers only
        self.runs, self.task, self.algorithm = runs, task, algorithm
        self.logs = [run.log for run in runs for _ in range(run.folder.config.seeds)]
        self.progress = Progress(tqdm(disable=True), self.logs[0])
        seeds = sum(config.seeds for config in configs)
        self.plan = plan_seeds(seeds, config.devices, config.seed_mode, local=True)
        prepared = prepare_base(base, task.dedup_key)
        self.offset = float(np.asarray(prepared.offset))
        self.lanes = Lanes(configs, self.plan, prepared)
        self.seeds = self.lanes.seeds
        self.base_rows = len(base.scores)
        self.compiled = CompiledLoop(
            algorithm,
            task.objective,
            self.plan,
            self._clock,
            lambda text: self.progress.say(text),
        )
        first = loop.init(algorithm, params, base)
        self.told_like = told_like(algorithm, first.history, prepared)
        start = broadcast(self.plan, first)
        self.round, self.state = checkpoints.restore(runs, self.plan, start)
        self.limits = [algorithm.budget] * seeds
        self.surrogate: Any = ()
        self._forget_later_rounds()
        self.evaluator: HostEvaluator | None = None
        if task.host_objective is not None:
            self.evaluator = HostEvaluator(task.host_objective)
            history = jax.tree.map(np.asarray, self.state.history)
            self.scored = ScoredObjects(base, history, seeds, self.offset)

    def close(self) -> None:
        """Let go of all arrays and programs, without waiting for Python's garbage collector."""
        self.__dict__.clear()

    @property
    def counts(self) -> np.ndarray:
        """``[seeds]`` charged queries so far."""
        return np.asarray(self.state.history.used)[: len(self.seeds)]

    def run_rounds(self, bar: tqdm, check_interrupt: Callable[[], None]) -> None:
        """Go on until every seed has spent its budget, with a checkpoint after each round."""
        self.progress = Progress(bar, self.logs[0])
        last = self.algorithm.rounds * _EXTRA_ROUNDS
        with self.evaluator or nullcontext():
            while self.round < last and (self.counts < self.algorithm.budget).any():
                self._run_round(check_interrupt)

    def _run_round(self, check_interrupt: Callable[[], None]) -> None:
        ends = self.counts + self.algorithm.retrain_every
        self.limits = np.minimum(ends, self.algorithm.budget).tolist()
        retrained = self._retrain()
        asked = self._ask_all(check_interrupt)
        self._record_rounds(retrained, asked)
        if self.evaluator is not None:
            self.scored.warn_of_merged()
        self.round += 1
        keep = {1, self.algorithm.rounds // 2}
        checkpoints.save(self.runs, self.round, self.state, keep)

    def _retrain(self) -> list[Round | None]:
        """Retrain the seeds that go on; the row of each for the log."""
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
        self.measures: dict[str, np.ndarray] = {}
        for fit in range(_FITS):
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
        inputs = self.lanes.seed_inputs(self.limits)
        shared = self.lanes.shared_inputs(self.round, fit)
        params, *changing = self.state
        (history, memory), batches = self.compiled.search(tuple(changing), (params, inputs), shared)
        self.state = State(params, history, memory)
        first = fit * self.algorithm.asks * self.algorithm.proposer.batch
        position = BatchPosition(self.seeds, self.logs, self.round, first)
        batches = jax.tree.map(np.asarray, batches)
        record_batches(position, batches, self.offset)
        self._measure(batches.measures)
        self.refused += batches.refused[: len(self.seeds)].sum(1)
        scores = np.asarray(history.scores, np.float64)[: len(self.seeds)] + self.offset
        self._show(self.counts, list(scores))
        check_interrupt()
        return batches.asked[: len(self.seeds)]

    def _search_on_host(self, fit: int, check_interrupt: Callable[[], None]) -> np.ndarray:
        """Fit, then ask, evaluate and tell batch by batch. ``[seeds]`` asks."""
        inputs, first = self.lanes.seed_inputs(self.limits), fit * self.algorithm.asks
        shared = self.lanes.shared_inputs(self.round, fit)
        rest = self.lanes.shared_inputs(self.round, fit, begins=False)
        counts = np.array(self.counts)  # the state is given to the fit
        (params, history, memory), surrogate = self.compiled.fit(self.state, inputs, shared)
        self._measure(self.algorithm.proposer.measures(surrogate))
        carried = history, surrogate
        told = self._packed(None, first)
        asked = np.zeros(len(self.seeds), int)
        for number in range(self.algorithm.asks):
            asked += counts < self.limits
            carried, packed = self.compiled.ask(carried, (params, inputs, told), shared)
            shared = rest
            answer = self._answer(np.asarray(packed), first + number)
            told = self._packed(answer, first + number + 1)
            counts += _charged(np.asarray(answer[1].status))[: len(self.seeds)]
            self._show(counts, [list(own.values()) for own in self.scored.own])
            check_interrupt()
            if (counts >= self.limits).all():
                break
        history, self.surrogate = self.compiled.tell(carried, told, shared)
        self.state = State(params, history, memory)
        return asked

    def _answer(self, packed: np.ndarray, ask: int) -> tuple[Candidates, Evaluation]:
        """Evaluate a batch of every seed on the host."""
        assert self.evaluator is not None
        candidates = unpack_lanes(packed, self.told_like.candidates)
        self.refused += candidates.refused[: len(self.seeds)]
        first = ask * self.algorithm.proposer.batch
        position = BatchPosition(self.seeds, self.logs, self.round, first)
        with timed(self._clock, "score"):
            return evaluate_on_host(
                self.evaluator, position, candidates, self.scored, self.task.dedup_key
            )

    def _packed(self, answer: tuple[Candidates, Evaluation] | None, ask: int) -> Any:
        """An answer, and the number of the next ask, on the devices; None: nothing to tell yet."""
        like, lanes = self.told_like, self.plan.lanes
        if answer is None:
            told = jax.tree.map(lambda a: np.zeros((lanes, *a.shape), a.dtype), like)
            told = told._replace(ask=np.full(lanes, ask))
        else:
            told = Told(*answer, np.full(lanes, ask))
        return spread(self.plan, pack_lanes(told, like, self.plan))

    def _measure(self, measures: Mapping[str, Any]) -> None:
        """Remember what the last fit measured; a seed that asked for nothing has no surrogate."""
        for name, values in measures.items():
            fitted = self.counts_before < np.asarray(self.limits)
            new = np.asarray(values)[: len(self.seeds)]
            self.measures[name] = np.where(fitted, new, self.measures.get(name, -np.inf))

    def _show(self, counts: np.ndarray, scores: Sequence[Any]) -> None:
        self.progress.update(int(counts.sum()), [np.asarray(one, float) for one in scores])

    def _record_rounds(self, retrained: list[Round | None], asked: np.ndarray) -> None:
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

    def _forget_later_rounds(self) -> None:
        """Forget states beyond the present round, in which not all runs took part to its end.

        Queries in JAX are cheap to ask again, and are forgotten as well. Answers of an objective on
        the host are kept.
        """
        for run in self.runs:
            run.folder.forget_checkpoints(self.round, set(run.folder.checkpoints()))
            if self.task.host_objective is None:
                run.log.forget_from(self.round)

    def _clock(self, phase: str, seconds: float) -> None:
        for run in self.runs:
            run.log.add_time(phase, getattr(self, "round", -1), seconds / len(self.runs))
