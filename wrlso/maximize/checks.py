"""Checks of shapes, which are known when a program is traced."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from wrlso.scores.checks import check_real


def check_starts(starts: Any, evaluations: int) -> None:
    """Refuse starts that are no rows of points, and fewer than one evaluation.

    Raises:
      ValueError: if so.
    """
    if starts.ndim != 2 or starts.shape[1] == 0:
        raise ValueError(f"starts must be [S, d] with d at least 1, got shape {starts.shape}")
    if evaluations < 1:
        raise ValueError(f"evaluations must be at least 1, got {evaluations}")


def check_bounds(starts: Any, lower: Any, upper: Any) -> None:
    """Refuse bounds of which there is none for each coordinate of each start.

    Raises:
      ValueError: if so; it names the bound.
    """
    for name, bound in {"lower": lower, "upper": upper}.items():
        shape, (rows, d) = np.shape(bound), starts.shape
        if shape not in ((), (1,), (d,), (1, d), (rows, d)):
            raise ValueError(
                f"{name} must be one number, [{d}] or [{rows}, {d}], as starts are "
                f"{list(starts.shape)}, got shape {list(shape)}"
            )


def check_values(starts: Any, found: Sequence[Any]) -> None:
    """Refuse a function whose values, or values and gradients, have other shapes, or are complex.

    Raises:
      ValueError: if so.
    """
    shapes = [np.shape(one) for one in found]
    expected = [starts.shape[:1], starts.shape][: len(shapes)]
    for one in found:
        check_real("values of the function", one)
    if list(shapes) != expected:
        raise ValueError(
            f"the function must map points {list(starts.shape)} to {list(map(list, expected))}, a "
            f"value for each row, got {list(map(list, shapes))}"
        )
