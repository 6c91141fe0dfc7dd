"""Ways to evaluate a list of objects: several at a time, again after a failure, not in vain."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from wrlso.evaluation.values import EvaluationError, NoAnswer, Outcome, shorten

Evaluate = Callable[[Sequence[Any]], Iterator[Outcome]]
"""A function from items to their outcomes, in any order."""

_FIRST = 5
"""Minimum number of objects without any answer after which a run ends."""


class Batching(NamedTuple):
    """How many objects go together.

    Attributes:
      size: maximum number of objects per batch.
      workers: number of batches that are evaluated side by side.
    """

    size: int
    workers: int

    def split(self, objects: Sequence[Any]) -> list[list[Any]]:
        """Batches of nearly equal size, so that every worker has one."""
        each = min(self.size, -(-len(objects) // self.workers)) if objects else 1
        return [list(objects[i : i + each]) for i in range(0, len(objects), each)]


def outcomes_of_batches(
    evaluate: Evaluate, objects: Sequence[Any], batching: Batching
) -> Iterator[Outcome]:
    """The outcome of each object, from a function that evaluates batches.

    A batch whose value is missing is evaluated again, object by object, so that one object is lost
    only.

    Args:
      evaluate: gives for a batch a list of a value and None, or None and a reason, per object.
      objects: the objects.
      batching: the size of the batches.
    """
    batches = batching.split(objects)
    starts = [sum(map(len, batches[:i])) for i in range(len(batches))]
    single: list[int] = []
    for outcome in evaluate(batches):
        places = range(
            starts[outcome.position], starts[outcome.position] + len(batches[outcome.position])
        )
        if outcome.kind == "ok":
            yield from map(_of_batch, places, outcome.value)
        elif len(places) == 1:
            yield outcome._replace(position=places[0])
        else:
            single += places
    for outcome in evaluate([[objects[place]] for place in single]):
        place = single[outcome.position]
        if outcome.kind == "ok":
            yield _of_batch(place, outcome.value[0])
        else:
            yield outcome._replace(position=place)


def _of_batch(place: int, found: tuple[Any, str | None]) -> Outcome:
    value, reason = found
    if reason is None:
        return Outcome(place, "ok", value)
    return Outcome(place, "failed", None, reason)


def with_retries(evaluate: Evaluate, items: Sequence[Any], retries: int) -> Iterator[Outcome]:
    """The outcomes of items, of which those that fail are evaluated up to ``retries`` times again,
    after the others. The reasons of the earlier tries stand in the outcome.
    """
    waiting, reasons = list(range(len(items))), {i: "" for i in range(len(items))}
    for tries_left in range(retries, -1, -1):
        failed = []
        for outcome in evaluate([items[i] for i in waiting]):
            i = waiting[outcome.position]
            if outcome.kind == "ok" or not tries_left:
                yield outcome._replace(position=i, reason=_joined(reasons[i], outcome.reason))
            else:
                reasons[i] = _joined(reasons[i], outcome.reason) or ""
                failed.append(i)
        waiting = sorted(failed)
        if not waiting:
            return


def _joined(earlier: str, last: str | None) -> str | None:
    if not earlier:
        return last
    return shorten(f"{earlier}; then {last}" if last else f"earlier tries: {earlier}")


class FirstAnswers:
    """Ends a run in which none of the first objects is answered.

    Each of thousands of objects would take its time limit otherwise.

    Args:
      workers: number of objects that are evaluated side by side.
      timeout: maximum number of seconds per object; None: no limit.
      hint: a sentence for the message.
    """

    def __init__(self, workers: int, timeout: float | None, hint: str = "") -> None:
        self._needed, self._timeout, self._hint = max(_FIRST, workers), timeout, hint
        self._silent, self._answered = 0, False

    def count(self, outcome: Outcome) -> None:
        """Take note of an outcome.

        Raises:
          EvaluationError: if this was one object too many.
        """
        reason = outcome.reason or ""
        silent = outcome.kind == "timeout" or NoAnswer.__name__ in reason.split(":")[0]
        self._answered = self._answered or not silent
        self._silent += silent
        if not self._answered and self._silent >= self._needed:
            limit = "" if self._timeout is None else f" within {self._timeout:g} s"
            raise EvaluationError(
                f"none of the first {self._silent} objects was answered{limit}; the last reason: "
                f"{reason}. {self._hint or 'Raise timeout if an evaluation may take longer.'}"
            )
