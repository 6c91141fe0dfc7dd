"""A pool of worker processes: a crash, a hang or an exception loses one object only.

A worker is a fresh interpreter in its own session. It is never a fork of this process, in which JAX
runs threads. Ending a worker also ends all processes that it has started; a worker whose parent
died is ended. POSIX only. ``wrlso.evaluation.worker_handle`` starts and ends one worker;
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
import select
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from wrlso.evaluation.values import EvaluationError, Outcome, describe_error
from wrlso.evaluation.worker_handle import MOST_PRINTED, BrokenChannel, Job, Worker
from wrlso.status import Status

if TYPE_CHECKING:
    import numpy as np

_POLL = 0.2
"""Seconds between checks for workers that died without closing their connection."""

_STARTS = 3
"""A pool starts no further workers once this number in a row died before they were ready."""


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


class Sendable:
    """A function in the form in which workers get it: pickled by value.

    Args:
      function: a function of one object that cloudpickle can send.

    Raises:
      TypeError: if cloudpickle cannot send the function.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.pickled, self.path = _pickled(function), list(sys.path)

    def found_here(self) -> "Sendable":
        """The same function in a process of another machine or environment, whose own modules come
        first."""
        here = object.__new__(Sendable)
        here.pickled = self.pickled
        here.path = sys.path + [folder for folder in self.path if folder not in sys.path]
        return here


class WorkerPool:
    """Processes that evaluate one function, batch after batch; a context manager.

    A worker starts when a batch first needs it. A new worker replaces one that died. A worker that
    prints more than 64 MiB for one object is ended.

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
        function: Callable[[Any], Any] | Sendable,
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
        sent = function if isinstance(function, Sendable) else Sendable(function)
        self._setup = pickle.dumps((sent.path, sent.pickled))
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

        The status is FAILED if the value is no score (:func:`wrlso.evaluation.values.as_score`).
        Leaving the loop early kills the busy workers.

        Raises:
          EvaluationError: if workers cannot load the function or die before they are ready.
          RuntimeError: if another batch is being evaluated.
          TypeError: if an item cannot be pickled.
        """
        for position, kind, score, reason in self.outcomes(items, scored=True):
            number = score if kind == "ok" else float("nan")
            yield Scored(position, number, Status[kind.upper()], reason)

    def outcomes(self, items: Iterable[Any], scored: bool = False) -> Iterator[Outcome]:
        """As :meth:`scored`, for a function that returns any picklable value.

        Args:
          items: the items.
          scored: whether the values must be scores; others are failures then.
        """
        if self._evaluating:
            raise RuntimeError("this pool is evaluating another batch")
        waiting, self._evaluating = deque(Job(*item) for item in enumerate(items)), True
        self._failed_starts = 0
        for worker in self._workers:
            if not worker.ready:
                worker.deadline = time.monotonic() + self.startup_timeout
        try:
            while waiting or self._busy():
                self._start(len(waiting) + len(self._busy()))
                self._assign(waiting, scored)
                yield from self._collect(waiting, scored)
        finally:
            self._evaluating = False
            for worker in self._busy():
                self._discard(worker)

    def _busy(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.job is not None]

    def _start(self, wanted: int) -> None:
        """Start workers for the items; those that cannot be started leave the work to others."""
        reason = ""
        if not self._workers and self._failed_starts >= _STARTS:
            self._failed_starts = 0  # the workers that did start have died since
        while len(self._workers) < min(self.size, wanted) and self._failed_starts < _STARTS:
            try:
                self._workers.append(Worker(self._setup, self.startup_timeout))
            except OSError as error:  # no more processes, or no more descriptors
                self._failed_starts += 1
                reason = describe_error(error)
        if not self._workers:
            raise EvaluationError(f"no worker process can be started: {reason}")

    def _assign(self, waiting: deque[Job], scored: bool) -> None:
        for worker in list(self._workers):
            if worker.ready and worker.job is None and waiting:
                if worker.send(waiting[0], scored, self.timeout):
                    waiting.popleft()
                else:  # it died while idle, so no item is lost
                    self._discard(worker)

    def _collect(self, waiting: deque[Job], scored: bool) -> Iterator[Outcome]:
        _wait(self._workers)
        for worker in list(self._workers):
            worker.pump()
            worker.drain()
            idle = worker.ready and worker.job is None
            found = None if idle else self._check(worker)
            if found is None:
                continue
            job, worker.job = worker.job, None
            if job is None:
                self._settle_start(worker, *found)
            elif found[0] == "dead" and not worker.begun and job.unbegun < _STARTS:
                job.unbegun += 1  # it died before it read the item
                waiting.appendleft(job)
            else:
                yield _outcome(job.position, *found, scored)

    def _check(self, worker: Worker) -> tuple[str, Any] | None:
        """The kind and value of an answer, or of an end without one; None: neither yet."""
        try:
            dead = worker.process.poll() is not None
            for message in worker.answers():
                return _read(message)
            if not dead:
                return self._overdue(worker)
        except BrokenChannel:
            self._discard(worker)
            return "failed", "the function wrote to the channel of its worker process"
        except EOFError:
            pass
        reason = worker.describe_end()
        self._discard(worker)
        return "dead", reason

    def _overdue(self, worker: Worker) -> tuple[str, Any] | None:
        """The reason to end a worker that has not answered; None: there is none."""
        limit = self.timeout if worker.ready else self.startup_timeout
        if worker.printed > MOST_PRINTED:
            found = "failed", f"the worker process printed more than {MOST_PRINTED >> 20} MiB"
        elif time.monotonic() > worker.deadline:
            found = "timeout", f"no answer within {limit:g} s"
        else:
            return None
        self._discard(worker)
        return found

    def _settle_start(self, worker: Worker, kind: str, value: Any) -> None:
        """Note that a worker is ready, or has failed to start while others may be ready."""
        if kind == "ok":
            worker.ready, self._failed_starts = True, 0
            return
        if worker in self._workers:  # it lives, but cannot load the function
            self._discard(worker)
            raise EvaluationError(f"the function cannot be loaded in a worker process: {value}")
        self._failed_starts += 1
        if self._failed_starts >= _STARTS and not any(w.ready for w in self._workers):
            raise EvaluationError(f"worker processes fail to start and load the function: {value}")

    def _discard(self, worker: Worker) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
            worker.end()


def _wait(workers: list[Worker]) -> None:
    """Wait until a worker is heard or a deadline passes, but not for long."""
    active = [worker for worker in workers if worker.job is not None or not worker.ready]
    poll = select.poll()
    for worker in workers:
        for source in worker.sources:
            poll.register(source, select.POLLIN)
        if worker.sending:
            poll.register(worker.channel, select.POLLIN | select.POLLOUT)
    now = time.monotonic()
    pause = min([_POLL, *(worker.deadline - now for worker in active)])
    poll.poll(max(pause, 0) * 1000 if active else 0)


def _read(message: bytes) -> tuple[str, Any]:
    try:
        kind, value = pickle.loads(message)
    except Exception as error:
        return "failed", f"the answer of the worker cannot be read: {describe_error(error)}"
    return kind, value


def _outcome(position: int, kind: str, value: Any, scored: bool) -> Outcome:
    if kind == "timeout":
        return Outcome(position, "timeout", None, value)
    if kind != "ok":
        return Outcome(position, "failed", None, value)
    if scored:
        score, reason = value
        return Outcome(position, "ok" if reason is None else "failed", score, reason)
    return Outcome(position, "ok", value)


def available_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _pickled(function: Callable[[Any], Any]) -> bytes:
    from wrlso.evaluation.pickling import dumps  # cloudpickle is loaded where it is needed

    try:
        return dumps(function)
    except Exception as error:
        raise TypeError(
            f"{function!r} cannot be sent to a worker process ({describe_error(error)}): create "
            "open files, locks and connections inside the function, at its first call"
        ) from error


def _end_all(workers: list[Worker], owner: int) -> None:
    while workers and os.getpid() == owner:  # a fork of the owner must not end them
        worker = workers.pop()
        worker.end(patience=1.0 if worker.ready and worker.job is None else 0.0)
