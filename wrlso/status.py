"""The outcome of a query. This module loads no JAX: worker processes import it."""

from enum import IntEnum


class Status(IntEnum):
    """The outcome of a query.

    OK, INVALID, FAILED and TIMEOUT are charged to the budget; DUPLICATE and UNUSED are not.
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

    @property
    def charged(self) -> bool:
        """Whether a query of this status counts towards the budget."""
        return self not in (Status.DUPLICATE, Status.UNUSED)
