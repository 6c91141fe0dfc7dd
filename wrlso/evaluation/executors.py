"""A pool on any executor: ``concurrent.futures``, Dask, loky, submitit."""

import concurrent.futures
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from wrlso.evaluation.remote import end_idle, evaluate_remotely
from wrlso.evaluation.values import EvaluationError, Outcome, describe_error, shorten
from wrlso.evaluation.workers import Sendable

_DASK = "dask://"

_LOSSES = 3
"""Number of times that an object is submitted again after the executor has lost its task."""

_POLL = 0.2
"""Seconds between looks at futures that are not those of ``concurrent.futures``."""

_CONNECT = 10.0
"""Maximum number of seconds in which a scheduler answers."""


class SupportsSubmit(Protocol):
    """An executor: of ``concurrent.futures``, Dask, loky or submitit."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """A future of the function's value, with ``done``, ``result`` and ``cancel``."""


class ExecutorPool:
    """Evaluates one function on an executor, batch after batch.

    Each object is a task. The worker that gets it evaluates it in a process of its own, so that an
    object that crashes or hangs loses one object on any executor. A task that the executor itself
    loses, such as by the death of its worker, is submitted again.

    Args:
      executor: has ``submit(function, *arguments)``, which returns a future with ``done``,
        ``result`` and ``cancel``.
      function: a function of one object that cloudpickle can send; the modules that it imports must
        be installed on the executor's workers.
      timeout: maximum number of seconds of wall time per object, from the start of its evaluation;
        None: no limit.

    Raises:
      TypeError: if cloudpickle cannot send the function.
    """

    def __init__(
        self, executor: SupportsSubmit, function: Callable[[Any], Any], timeout: float | None
    ) -> None:
        self._executor, self._function, self._timeout = executor, Sendable(function), timeout
        self.size = 1

    def close(self) -> None:
        """Leave the executor to its owner. Idle processes on its workers end by themselves."""

    def outcomes(self, items: Sequence[Any], scored: bool = False) -> Iterator[Outcome]:
        """The outcome of each item, in the order in which they finish.

        Raises:
          EvaluationError: if the executor takes no tasks, or its workers cannot run the function.
        """
        items = list(items)
        losses: dict[int, list[Any]] = {i: [] for i in range(len(items))}
        waiting = {self._submit(item, scored): i for i, item in enumerate(items)}
        try:
            while waiting:
                for future in _finished(list(waiting)):
                    position = waiting.pop(future)
                    outcome = _outcome(future, losses[position])
                    if outcome is None:
                        waiting[self._submit(items[position], scored)] = position
                    else:
                        reasons = losses[position] + [outcome.reason] * (outcome.reason is not None)
                        reason = shorten("; then ".join(reasons)) or None
                        yield outcome._replace(position=position, reason=reason)
        finally:
            for future in waiting:
                with suppress(Exception):
                    future.cancel()

    def _submit(self, item: Any, scored: bool) -> Any:
        name = uuid.uuid4().hex
        try:
            return self._executor.submit(
                evaluate_remotely, name, self._function, self._timeout, item, scored
            )
        except Exception as error:
            raise EvaluationError(
                f"the executor takes no tasks ({describe_error(error)}): give a new one"
            ) from error


def _finished(futures: list[Any]) -> list[Any]:
    """The futures that are done, of which there is at least one."""
    if all(isinstance(future, concurrent.futures.Future) for future in futures):
        first = concurrent.futures.FIRST_COMPLETED
        return list(concurrent.futures.wait(futures, return_when=first).done)
    while not (done := [future for future in futures if future.done()]):
        time.sleep(_POLL)
    return done


def _outcome(future: Any, losses: list[str]) -> Outcome | None:
    """The outcome of a task; None if the executor lost it, which is noted in ``losses``."""
    try:
        return Outcome(*future.result())
    except EvaluationError:
        raise
    except (ImportError, AttributeError) as error:
        raise EvaluationError(
            f"the executor's workers cannot run the evaluation ({describe_error(error)}): install "
            "the same version of wrlso and the objective's modules there"
        ) from error
    except (Exception, concurrent.futures.CancelledError) as error:
        losses.append(f"the executor lost the task: {shorten(describe_error(error), 150)}")
        if len(losses) <= _LOSSES:
            return None
        return Outcome(0, "failed", None, losses.pop())


@contextmanager
def connected(executor: Any) -> Iterator[Any]:
    """The executor for a block; a string names a scheduler, to which this connects.

    Raises:
      ImportError: if the package of the executor is not installed.
      TypeError: if it is no executor.
      ValueError: if no scheduler answers at the address.
    """
    if not isinstance(executor, str):
        if not callable(getattr(executor, "submit", None)):
            raise TypeError(
                "executor must be a concurrent.futures.Executor, or the address of a scheduler "
                f"such as 'dask://127.0.0.1:8786', got {executor!r}"
            )
        yield executor
        return
    if not executor.startswith(_DASK) or executor == _DASK:
        raise ValueError(
            f"executor = {executor!r}: give the address of a scheduler, such as "
            "dask://127.0.0.1:8786"
        )
    with _dask(executor) as client:
        yield client.get_executor(pure=False)
        with suppress(Exception):  # the workers' idle processes would end by themselves
            client.run(end_idle)


@contextmanager
def _dask(address: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError(
            f"executor = {address!r} needs Dask: install it with  pip install 'wrlso[dask]'"
        ) from error
    where = f"tcp://{address.removeprefix(_DASK)}"
    try:
        client = Client(where, timeout=_CONNECT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ValueError(
            f"executor = {address!r}: no Dask scheduler answers there ({describe_error(error)})"
        ) from error
    with client:
        yield client
