"""Checks of the numbers of a weighting where they are concrete."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from wrlso.scores import in_double
from wrlso.scores.checks import check_scalar, is_concrete


def check_number(
    name: str, value: ArrayLike, rule: str, holds: Callable[[np.ndarray], Any]
) -> None:
    """Refuse an array in place of a number, and a concrete number for which the rule does not hold.

    Raises:
      ValueError: if so. NaN fulfils no rule.
    """
    check_scalar(name, value)
    check_all(name, value, rule, holds)


def check_rate(name: str, value: ArrayLike) -> None:
    """Refuse an array in place of a number, and a concrete one that is negative, NaN or infinite.

    Raises:
      ValueError: if so.
    """
    check_number(name, value, "at least 0 and finite", lambda v: (v >= 0) & (v < np.inf))


def check_all(name: str, values: ArrayLike, rule: str, holds: Callable[[np.ndarray], Any]) -> None:
    """Refuse concrete values for one of which the rule does not hold.

    Raises:
      ValueError: if so. NaN fulfils no rule.
    """
    if not is_concrete(values):
        return
    if not np.all(holds(in_double(values, name))):
        raise ValueError(f"{name} must be {rule}, got {values}")


def check_between(name: str, value: ArrayLike, low: ArrayLike, high: ArrayLike) -> None:
    """Refuse concrete values outside [low, high].

    Raises:
      ValueError: if there is one.
    """
    if is_concrete(low, high):
        check_all(name, value, f"in [{low}, {high}]", lambda v: (v >= low) & (v <= high))
