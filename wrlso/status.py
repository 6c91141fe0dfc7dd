"""The outcome of a query. This module loads no JAX and no NumPy: worker processes import it."""

from enum import IntEnum
from typing import Any


class Status(IntEnum):
    """The outcome of a query.

    OK, INVALID, FAILED, TIMEOUT and PENDING are charged to the budget; DUPLICATE, UNUSED and
    REFUSED are not.
    """

    OK = 0
    INVALID = 1
    """The latent did not decode to an object."""
    FAILED = 2
    """The objective raised an exception, or returned NaN or an infinity."""
    TIMEOUT = 3
    """The objective did not answer in time."""
    DUPLICATE = 4
    """The object was scored before, or is in the base data; it was not evaluated."""
    UNUSED = 5
    """A place in a batch that the budget no longer covers."""
    REFUSED = 6
    """The task's ``accept`` test refused the object; it was not evaluated."""
    PENDING = 7
    """Somebody is measuring the object, and its score is not known yet."""

    @property
    def charged(self) -> bool:
        """Whether a query of this status counts towards the budget."""
        return self not in (Status.DUPLICATE, Status.UNUSED, Status.REFUSED)


def refusal(answer: Any) -> str | None:
    """The reason for which an accept test refused an object, or None if it accepted it.

    True and None mean that it is accepted; False, or a text that states the reason, that it is
    refused. Any other answer refuses it, and says so.
    """
    if answer is None:
        return None
    kind = getattr(getattr(answer, "dtype", None), "kind", "")  # NumPy's and JAX's booleans
    if isinstance(answer, bool) or (kind == "b" and answer.ndim == 0):
        return None if answer else "not accepted"
    if isinstance(answer, str):
        return answer or "not accepted"
    return f"the accept test must return True, False or a reason, not {type(answer).__name__}"
