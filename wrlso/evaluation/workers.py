"""A pool of worker processes: a crash, a hang or an exception loses one object only.

A worker is a fresh interpreter in its own session. It is never a fork of this process, in which JAX
runs threads. Killing a worker also kills the programs that it has started; a worker whose parent
died ends itself. POSIX only. ``wrlso.evaluation.worker_handle`` starts and ends one worker;
``wrlso.evaluation.worker_main`` is the script that the worker runs.

Functions travel by cloudpickle: lambdas, closures and the definitions of a script or notebook go by
value, and the script does not run again. We know no other pool that does all of this. loky's breaks
as a whole when a worker dies. pebble 5.2's breaks when an idle worker dies, and it never reports an
object that made its worker exit with code 0. Both import the caller's script in each worker, and
JAX with it.

The chemistry imports this module in worker processes, so it imports neither JAX nor NumPy.
"""

import os
import pickle
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from wrlso.evaluation.worker_handle import Worker
from wrlso.evaluation.worker_main import describe_error
from wrlso.status import Status

if TYPE_CHECKING:
    import numpy as np

_POLL = 0.2
"""Seconds between checks for workers that died without closing their connection."""

_STARTS = 3
"""A pool gives up after this number of workers in a row died before they were ready."""


class Outcome(NamedTuple):
    """The result of one item.

    Attributes:
      position: index of the item in the batch.
      kind: ``"ok"`` if the function returned a value.
      value: the value; None unless ``kind`` is ``"ok"``.
      reason: the reason for a missing value; None if ``kind`` is ``"ok"``.
    """

    position: int
    kind: Literal["ok", "failed", "timeout"]
    value: Any = None
    reason: str | None = None


class Scored(NamedTuple):
    """The score of one item.

    Attributes:
      position: index of the item in the batch.
      score: NaN unless ``status`` is OK.
      status: OK, FAILED or TIMEOUT.
      reason: the reason for a missing score; None if ``status`` is OK.
    """

    position: int
    score: float
    status: Status
    reason: str | None


class WorkerPool:
    """Processes that evaluate one function, batch after batch; a context manager.

    A worker starts when a batch first needs it. A new worker replaces one that died.

    Args:
      function: a function of one object that cloudpickle can send.
      workers: maximum number of processes; None: the number of cores that this process may use.
      timeout: maximum number of seconds of wall time per object; None: no limit.
      startup_timeout: maximum number of seconds in which a worker loads the function.

    Raises:
      TypeError: if cloudpickle cannot send the function.
      ValueError: if a number is out of range.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        workers: int | None = None,
        timeout: float | None = None,
        startup_timeout: float = 120.0,
    ) -> None:
        self.size = available_cores() if workers is None else workers
        if self.size < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        for name, seconds in {"timeout": timeout, "startup_timeout": startup_timeout}.items():
            if seconds is not None and not seconds > 0:
                raise ValueError(f"{name} must be positive seconds, got {seconds}")
        self.timeout, self.startup_timeout = timeout, startup_timeout
        self._setup = pickle.dumps((sys.path, _pickled(function)))
        self._workers: list[Worker] = []
        self._failed_starts = 0
        self._evaluating = False
        weakref.finalize(self, _end_all, self._workers, os.getpid())

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers; a busy worker is killed immediately."""
        _end_all(self._workers, os.getpid())

    def evaluate(self, items: Iterable[Any]) -> "tuple[np.ndarray, list[Status], list[str | None]]":
        """Score a batch.

        Returns:
          Scores ``[n]`` float64 (NaN unless OK), statuses and reasons, in the order of the items.
        """
        import numpy as np

        results = sorted(self.scored(items))
        scores = np.array([result.score for result in results], np.float64)
        return scores, [r.status for r in results], [r.reason for r in results]

    def scored(self, items: Iterable[Any]) -> Iterator[Scored]:
        """Score a batch; each result is yielded as soon as it arrives, in any order.

        The status is FAILED if the value is not a number, is NaN, or is not finite in float32.
        Leaving the loop early kills the busy workers.

        Raises:
          RuntimeError: if workers cannot load the function or die before they are ready, or if
            another batch is being evaluated.
          TypeError: if an item cannot be pickled.
        """
        for position, kind, value, reason in self.outcomes(items):
            score = float("nan")
            if kind == "ok":
                score, reason = as_score(value)
                kind = "ok" if reason is None else "failed"
            yield Scored(position, score, Status[kind.upper()], reason)

    def outcomes(self, items: Iterable[Any]) -> Iterator[Outcome]:
        """As :meth:`scored`, for a function that returns any picklable value."""
        if self._evaluating:
            raise RuntimeError("this pool is evaluating another batch")
        waiting, self._evaluating = deque(enumerate(items)), True
        try:
            while waiting or self._busy():
                self._assign(waiting)
                yield from self._collect()
        finally:
            self._evaluating = False
            for worker in self._busy():
                self._discard(worker)

    def _busy(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.job is not None]

    def _assign(self, waiting: deque[tuple[int, Any]]) -> None:
        while len(self._workers) < min(self.size, len(waiting) + len(self._busy())):
            self._workers.append(Worker(self._setup, self.startup_timeout))
        for worker in list(self._workers):
            if worker.ready and worker.job is None and waiting:
                if worker.send(*waiting[0], self.timeout):
                    waiting.popleft()
                else:  # it died while idle, so no item is lost
                    self._discard(worker)

    def _collect(self) -> Iterator[Outcome]:
        active = [worker for worker in self._workers if worker.job is not None or not worker.ready]
        now = time.monotonic()
        pause = min([_POLL, *(worker.deadline - now for worker in active)])
        wait([worker.connection for worker in active], max(pause, 0) if active else 0)
        for worker in active:
            outcome = self._check(worker)
            if outcome is not None:
                yield outcome

    def _check(self, worker: Worker) -> Outcome | None:
        connection = worker.connection
        try:
            if connection.poll():
                return self._receive(worker, connection.recv_bytes())
        except (EOFError, OSError):
            return self._lose(worker, "failed", worker.describe_end())
        if worker.process.poll() is not None and not connection.poll():
            return self._lose(worker, "failed", worker.describe_end())
        if time.monotonic() > worker.deadline:
            limit = self.timeout if worker.ready else self.startup_timeout
            return self._lose(worker, "timeout", f"no answer within {limit:g} s")
        return None

    def _receive(self, worker: Worker, message: bytes) -> Outcome | None:
        try:
            kind, value = pickle.loads(message)
        except Exception as error:
            kind, value = (
                "failed",
                f"the answer of the worker cannot be read: {describe_error(error)}",
            )
        if not worker.ready:
            if kind != "ok":
                self._discard(worker)
                raise RuntimeError(f"the function cannot be loaded in a worker process: {value}")
            worker.ready, self._failed_starts = True, 0
            return None
        job, worker.job = worker.job, None
        assert job is not None
        return Outcome(job, kind, value) if kind == "ok" else Outcome(job, kind, None, value)

    def _lose(
        self, worker: Worker, kind: Literal["failed", "timeout"], reason: str
    ) -> Outcome | None:
        self._discard(worker)
        if worker.job is not None:
            return Outcome(worker.job, kind, None, reason)
        self._failed_starts += 1
        if kind == "timeout" or self._failed_starts >= _STARTS:
            raise RuntimeError(f"worker processes fail to start and load the function: {reason}")
        return None

    def _discard(self, worker: Worker) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
            worker.end()


def available_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def as_score(value: Any) -> tuple[float, str | None]:
    """A value as a score and no reason, or NaN and the reason.

    The score is NaN if the value is not a number or is not finite in float32.
    """
    import numpy as np

    try:
        score = float(value)
    except Exception as error:
        return float("nan"), f"the value is not a number: {describe_error(error)}"
    with np.errstate(over="ignore"):
        finite = np.isfinite(np.float32(score))
    return (score, None) if finite else (float("nan"), f"score is {score}")


def _pickled(function: Callable[[Any], Any]) -> bytes:
    import cloudpickle

    try:
        return cloudpickle.dumps(function)
    except Exception as error:
        raise TypeError(
            f"{function!r} cannot be sent to a worker process ({describe_error(error)}): create "
            "open files, locks and connections inside the function, at its first call"
        ) from error


def _end_all(workers: list[Worker], owner: int) -> None:
    while workers and os.getpid() == owner:  # a fork of the owner must not end them
        worker = workers.pop()
        worker.end(patience=1.0 if worker.ready and worker.job is None else 0.0)
