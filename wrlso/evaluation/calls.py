"""The call that a worker process makes for an object. Workers import it, so it loads no JAX."""

from collections.abc import Callable
from typing import Any, Literal

Request = Literal["score", "canonical", "accept"]


def call(
    score: Callable[[Any], Any],
    canonical: Callable[[Any], Any] | None,
    accept: Callable[[Any], Any] | None,
    item: tuple[Request, Any],
) -> Any:
    """The score of an object, its canonical form, or the accept test's answer."""
    request, obj = item
    functions = {"score": score, "canonical": canonical, "accept": accept}
    function = functions[request]
    assert function is not None
    return function(obj)
