"""The call that a worker process makes for an object. Workers import it, so it loads no JAX."""

from collections.abc import Callable
from typing import Any, Literal

Request = Literal["score", "canonical"]


def call(
    score: Callable[[Any], Any],
    canonical: Callable[[Any], Any] | None,
    item: tuple[Request, Any],
) -> Any:
    """The score of an object, or its canonical form."""
    request, obj = item
    if request == "score":
        return score(obj)
    assert canonical is not None
    return canonical(obj)
