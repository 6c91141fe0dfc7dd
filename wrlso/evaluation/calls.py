"""The call that a worker process makes for an object. Workers import it, so it loads no JAX."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from wrlso.evaluation.values import as_object, as_score, describe_error, shorten
from wrlso.status import refusal

Request = Literal["score", "canonical", "accept"]


class Functions(NamedTuple):
    """The functions of an objective, as :class:`wrlso.evaluation.objective.HostObjective`."""

    score: Callable[[Any], Any]
    canonical: Callable[[Any], Any] | None = None
    accept: Callable[[Any], Any] | None = None


def call(functions: Functions, item: tuple[Request, Any]) -> Any:
    """The value of an object, its canonical form, or the reason for which it is refused, or None.

    Raises:
      ValueError: if the canonical form does not have the form of an object.
    """
    request, obj = item
    if request == "score":
        return functions.score(obj)
    if request == "canonical":
        assert functions.canonical is not None
        return as_object(functions.canonical(obj.copy()), obj)
    assert functions.accept is not None
    reason = refusal(functions.accept(obj))
    return None if reason is None else shorten(reason)


def call_batch(
    functions: Functions, item: tuple[Request, Sequence[Any]]
) -> list[tuple[Any, str | None]]:
    """For a score that takes several objects: a value and None, or None and the reason, per object.

    The score may give an exception in place of a value.

    Raises:
      ValueError: if it does not return one value per object.
    """
    request, objects = item
    if request != "score":
        return [_call_or_reason(functions, (request, obj)) for obj in objects]
    values = list(functions.score(list(objects)))
    if len(values) != len(objects):
        raise ValueError(f"the objective gave {len(values)} scores for {len(objects)} objects")
    return [
        (None, describe_error(value)) if isinstance(value, Exception) else as_score(value)
        for value in values
    ]


def _call_or_reason(functions: Functions, item: tuple[Request, Any]) -> tuple[Any, str | None]:
    try:
        return call(functions, item), None
    except Exception as error:
        return None, describe_error(error)
