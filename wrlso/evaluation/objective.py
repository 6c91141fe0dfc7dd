"""Python objectives: the function that scores an object, and the processes that call it."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from wrlso.evaluation.batches import Batching, FirstAnswers, outcomes_of_batches, with_retries
from wrlso.evaluation.calls import Functions, Request, call, call_batch
from wrlso.evaluation.pools import Pool, make_pool
from wrlso.evaluation.values import Outcome, as_score, describe_error
from wrlso.scores.checks import as_whole


@dataclass(frozen=True, eq=False)
class HostObjective:
    """An objective in Python, and the processes that evaluate it.

    Attributes:
      score: function from one object, as a NumPy array, to its score; higher is better. It may
        raise. A score is a real number (:func:`wrlso.evaluation.values.as_score`); an exception,
        NaN, an infinity or anything else counts as a failure. With ``batch_size`` above 1 it is a
        function from a list of objects to as many scores; an exception in the list is the failure
        of its object.
      canonical: function from one object to the canonical spelling of the same object, of the same
        shape, in numbers that the object's type can hold. It may raise if the object has none. An
        object that was scored under any spelling is a duplicate: it is neither scored nor charged
        again. The data hold the canonical spelling, the base data too, for which it is called once
        per object before a run. None: two objects are the same only if their arrays are equal.
      accept: cheap test of one object, asked before the budget is. True or None: the object is
        evaluated. False, or a text that states the reason: it is neither evaluated nor charged, and
        counts as refused. An exception refuses the object, too. None: all are accepted.
      workers: number of processes that evaluate side by side; 0: one object after the other in this
        process; None: one process per core. A crash in a worker loses one object.
      timeout: maximum number of seconds per call, for worker processes only; None: no limit.
      retries: number of times that an object is evaluated again after an exception, a crash or a
        time-out. The record of the object holds the reasons of the earlier tries.
      batch_size: maximum number of objects that ``score`` gets at once. Objects of a batch that
        fails as a whole are evaluated one by one.
      base_is_canonical: the base data hold canonical spellings already, which saves the calls.
      hint: a sentence for the error that ends a run in which none of the first objects is answered.

    Raises:
      ValueError: if a number is out of range, or a timeout comes without workers.
    """

    score: Callable[[Any], Any]
    canonical: Callable[[np.ndarray], np.ndarray] | None = None
    workers: int | None = 0
    timeout: float | None = None
    accept: Callable[[np.ndarray], bool | str | None] | None = None
    retries: int = 0
    batch_size: int = 1
    base_is_canonical: bool = False
    hint: str = ""

    def __post_init__(self) -> None:
        for name in ("workers", "retries", "batch_size"):
            if name != "workers" or self.workers is not None:
                object.__setattr__(self, name, as_whole(name, getattr(self, name)))
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"timeout must be positive seconds or None, got {self.timeout:g}")
        if self.workers is not None and self.workers < 0:
            raise ValueError(f"workers must be 0, positive or None, got {self.workers}")
        if self.timeout is not None and self.workers == 0:
            raise ValueError(
                f"workers = 0 evaluates in this process, which no timeout can end: give workers = "
                f"1 or more, or timeout = None (it is {self.timeout:g} s)"
            )
        if self.retries < 0:
            raise ValueError(f"retries must not be negative, got {self.retries}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")


def measured(thing: Any) -> float:
    """The objective of a task whose objects people measure; it cannot be called.

    Raises:
      RuntimeError: always.
    """
    raise RuntimeError("people measure the objects of this task: use wrlso.open, ask and tell")


class HostEvaluator:
    """Calls a Python objective, in this process, in worker processes or on the executor of
    :func:`wrlso.evaluation.pools.evaluating`; a context manager."""

    def __init__(self, objective: HostObjective | Callable[[np.ndarray], float]) -> None:
        if not isinstance(objective, HostObjective):
            objective = HostObjective(objective)
        self.objective = objective
        functions = Functions(objective.score, objective.canonical, objective.accept)
        one_by_one = objective.batch_size == 1
        self._call: Callable[[Any], Any] = partial(call if one_by_one else call_batch, functions)
        self._pool: Pool | None = make_pool(self._call, objective.workers, objective.timeout)
        size = 1 if self._pool is None else self._pool.size
        self._batching = Batching(objective.batch_size, size)
        self._first_answers = FirstAnswers(size, objective.timeout, objective.hint)

    def __enter__(self) -> "HostEvaluator":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.close()

    def outcomes(self, request: Request, objects: Sequence[Any]) -> Iterator[Outcome]:
        """The answers to a request for each object, in the order in which they finish.

        The value of ``"score"`` is a float, that of ``"canonical"`` an array like the object, that
        of ``"accept"`` the reason for which the object is refused, or None.

        Raises:
          EvaluationError: if objects cannot be evaluated at all, or none of the first ones is
            answered.
        """
        scored = request == "score"
        once = partial(self._once, request)
        for outcome in with_retries(once, list(objects), self.objective.retries):
            yield outcome
            if scored:
                self._first_answers.count(outcome)

    def scores(self, objects: np.ndarray) -> np.ndarray:
        """Scores ``[B]`` of objects ``[B, ...]``, NaN for a failure."""
        scores = np.full(len(objects), np.nan)
        for outcome in self.outcomes("score", list(np.asarray(objects))):
            if outcome.kind == "ok":
                scores[outcome.position] = outcome.value
        return scores

    def _once(self, request: Request, objects: Sequence[Any]) -> Iterator[Outcome]:
        evaluate = self._here if self._pool is None else self._pool.outcomes
        if self.objective.batch_size == 1:
            yield from evaluate([(request, obj) for obj in objects], request == "score")
        else:
            yield from outcomes_of_batches(
                lambda batches: evaluate([(request, batch) for batch in batches], False),
                objects,
                self._batching,
            )

    def _here(self, items: Sequence[Any], scored: bool) -> Iterator[Outcome]:
        """The outcomes of items in this process. Each call gets an object of its own."""
        owner = os.getpid()
        for position, (request, obj) in enumerate(items):
            own: Any = obj.copy() if isinstance(obj, np.ndarray) else [x.copy() for x in obj]
            try:
                value, reason = self._call((request, own)), None
                if scored:
                    value, reason = as_score(value)
                outcome = Outcome(position, "ok", value)
                if reason is not None:
                    outcome = Outcome(position, "failed", None, reason)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # also what asyncio and extensions in Rust raise
                outcome = Outcome(position, "failed", None, describe_error(error))
            if os.getpid() != owner:  # a child that the function has forked
                os._exit(0)
            yield outcome
