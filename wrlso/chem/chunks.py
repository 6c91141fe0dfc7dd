"""Work on many molecules in worker processes, a thousand at a time."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from tqdm import tqdm

from wrlso.evaluation.values import EvaluationError
from wrlso.evaluation.workers import WorkerPool
from wrlso.storage.bars import bars_shown

_CHUNK = 1000

Result = TypeVar("Result")


def map_chunks(
    function: Callable[[list[Any]], Result],
    items: Sequence[Any],
    workers: int | None = None,
    label: str | None = None,
) -> list[Result]:
    """Apply a function to chunks of a thousand items, in worker processes.

    Args:
      function: function of a list of items; cloudpickle must be able to send it.
      items: the items; the results of the chunks are in their order.
      workers: number of processes; None: one per core. With 1 worker or a single chunk, this
        process does the work.
      label: label of the progress bar; None: no bar.

    Raises:
      EvaluationError: if the function raises, or a worker dies.
    """
    chunks = [list(items[i : i + _CHUNK]) for i in range(0, len(items), _CHUNK)]
    return map_parts(function, chunks, workers, label)


def map_parts(
    function: Callable[[Any], Result],
    parts: Iterable[Any],
    workers: int | None = None,
    label: str | None = None,
) -> list[Result]:
    """As :func:`map_chunks`, for items that are in parts already."""
    chunks = list(parts)
    results: dict[int, Result] = {}
    total = sum(map(len, chunks))
    with tqdm(
        total=total, desc=label, unit=" molecules", disable=label is None or not bars_shown()
    ) as bar:
        if workers == 1 or len(chunks) < 2:
            for i, chunk in enumerate(chunks):
                results[i] = function(chunk)
                bar.update(len(chunk))
            return list(results.values())
        with WorkerPool(function, workers) as pool:
            for outcome in pool.outcomes(chunks):
                if outcome.kind != "ok":
                    first = chunks[outcome.position][0]
                    raise EvaluationError(f"{outcome.reason} (in the thousand from {first!r})")
                results[outcome.position] = outcome.value
                bar.update(len(chunks[outcome.position]))
    return [results[i] for i in range(len(chunks))]
