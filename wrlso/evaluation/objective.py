"""Python objectives: the function that scores an object, and the processes that call it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from wrlso.evaluation.calls import Request, call
from wrlso.evaluation.worker_main import describe_error
from wrlso.evaluation.workers import Outcome, WorkerPool, as_score


@dataclass(frozen=True, eq=False)
class HostObjective:
    """An objective in Python, and the processes that evaluate it.

    Attributes:
      score: function from one object, as a NumPy array, to its score; higher is better. It may
        raise. An exception, NaN or an infinity counts as a failure.
      canonical: function from one object to the canonical spelling of the same object, of the same
        shape. It may raise if the object has none. An object that was scored under any spelling is
        a duplicate: it is neither scored nor charged again. The data hold the canonical spelling.
        None: two objects are the same only if their arrays are equal.
      accept: cheap test of one object, asked before the budget is. True or None: the object is
        evaluated. False, or a text that states the reason: it is neither evaluated nor charged, and
        counts as refused. An exception refuses the object, too. None: all are accepted.
      workers: number of processes that evaluate side by side; 0: one object after the other in this
        process; None: one process per core. A crash in a worker loses one object.
      timeout: maximum number of seconds per object, for worker processes only; None: no limit.

    Raises:
      ValueError: if workers or timeout is out of range, or a timeout comes without workers.
    """

    score: Callable[[np.ndarray], float]
    canonical: Callable[[np.ndarray], np.ndarray] | None = None
    workers: int | None = 0
    timeout: float | None = None
    accept: Callable[[np.ndarray], bool | str | None] | None = None

    def __post_init__(self) -> None:
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"timeout must be positive seconds or None, got {self.timeout:g}")
        if self.workers is not None and self.workers < 0:
            raise ValueError(f"workers must be 0, positive or None, got {self.workers}")
        if self.timeout is not None and self.workers == 0:
            raise ValueError(
                f"workers = 0 evaluates in this process, which no timeout can end: give workers = "
                f"1 or more, or timeout = None (it is {self.timeout:g} s)"
            )


class HostEvaluator:
    """Calls a Python objective, in this process or in worker processes; a context manager."""

    def __init__(self, objective: HostObjective | Callable[[np.ndarray], float]) -> None:
        if not isinstance(objective, HostObjective):
            objective = HostObjective(objective)
        self.objective = objective
        self._call = partial(call, objective.score, objective.canonical, objective.accept)
        self._pool: WorkerPool | None = None
        if objective.workers != 0:
            self._pool = WorkerPool(self._call, objective.workers, objective.timeout)

    def __enter__(self) -> "HostEvaluator":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.close()

    def outcomes(self, request: Request, objects: Sequence[np.ndarray]) -> Iterator[Outcome]:
        """The answers to a request for each object, in the order in which they finish."""
        items = [(request, obj) for obj in objects]
        yield from (
            map(self._call_here, range(len(items)), items)
            if self._pool is None
            else self._pool.outcomes(items)
        )

    def scores(self, objects: np.ndarray) -> np.ndarray:
        """Scores ``[B]`` of objects ``[B, ...]``, NaN for a failure."""
        scores = np.full(len(objects), np.nan)
        for outcome in self.outcomes("score", list(np.asarray(objects))):
            if outcome.kind == "ok":
                scores[outcome.position] = as_score(outcome.value)[0]
        return scores

    def _call_here(self, position: int, item: tuple[Request, np.ndarray]) -> Outcome:
        try:
            return Outcome(position, "ok", self._call(item))
        except Exception as error:
            return Outcome(position, "failed", None, describe_error(error))
