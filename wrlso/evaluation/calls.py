"""What a worker process does with an object. Light to import: no JAX in workers."""

from collections.abc import Callable
from typing import Any, Literal

Wanted = Literal["score", "canonical"]


def call(
    score: Callable[[Any], Any],
    canonical: Callable[[Any], Any] | None,
    asked: tuple[Wanted, Any],
) -> Any:
    """The score of an object, or its canonical form."""
    wanted, thing = asked
    if wanted == "score":
        return score(thing)
    assert canonical is not None
    return canonical(thing)
