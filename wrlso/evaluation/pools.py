"""The place of evaluations: worker processes of this machine, or any executor."""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

from wrlso.evaluation.executors import ExecutorPool, connected
from wrlso.evaluation.values import Outcome
from wrlso.evaluation.workers import WorkerPool

P = ParamSpec("P")
R = TypeVar("R")


class Pool(Protocol):
    """Evaluates one function, batch after batch."""

    size: int

    def outcomes(self, items: Sequence[Any], scored: bool = False) -> Iterator[Outcome]:
        """The outcome of each item, in any order."""

    def close(self) -> None:
        """End what the pool has started."""


class _Place(NamedTuple):
    executor: Any = None
    rescore: bool = False


_DEFAULT = _Place()

_place: ContextVar[_Place] = ContextVar("place of evaluations", default=_DEFAULT)


@contextmanager
def evaluating(executor: Any = None, rescore: bool = False) -> Iterator[None]:
    """Choose how the objectives in a block are evaluated.

    Args:
      executor: a ``concurrent.futures.Executor`` or another object whose ``submit`` returns
        futures; a string such as ``'dask://127.0.0.1:8786'``, which is connected to for the block;
        None: worker processes of this machine.
      rescore: whether kept scores are disregarded.

    Raises:
      ImportError: if the executor needs a package that is not installed.
      TypeError, ValueError: if there is no such executor.
    """
    with ExitStack() as stack:
        if executor is not None:
            executor = stack.enter_context(connected(executor))
        token = _place.set(_Place(executor, rescore))
        try:
            yield
        finally:
            _place.reset(token)


def on_chosen_executor(function: Callable[P, R]) -> Callable[P, R]:
    """A function whose keywords ``executor`` and ``rescore`` choose how objectives are evaluated
    while it runs."""

    @functools.wraps(function)
    def call(*arguments: P.args, **keywords: P.kwargs) -> R:
        with evaluating(keywords.get("executor"), bool(keywords.get("rescore"))):
            return function(*arguments, **keywords)

    return call


def rescoring() -> bool:
    """Whether kept scores are disregarded."""
    return _place.get().rescore


def make_pool(
    function: Callable[[Any], Any], workers: int | None, timeout: float | None
) -> Pool | None:
    """A pool of the chosen executor, else of worker processes; None if ``workers`` is 0.

    Args:
      function: a function of one object that cloudpickle can send.
      workers: number of worker processes; an executor has its own number.
      timeout: maximum number of seconds per object; None: no limit.

    Raises:
      TypeError: if the function cannot be sent.
    """
    executor = _place.get().executor
    if executor is not None:
        return ExecutorPool(executor, function, timeout)
    return None if workers == 0 else WorkerPool(function, workers, timeout)
