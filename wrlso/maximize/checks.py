"""Checks of shapes, which are known when a program is traced."""

from collections.abc import Sequence
from typing import Any


def check_starts(starts: Any, evaluations: int) -> None:
    """Refuse starts that are no rows of points, and fewer than one evaluation.

    Raises:
      ValueError: if so.
    """
    if starts.ndim != 2 or starts.shape[1] == 0:
        raise ValueError(f"starts must be [S, d] with d at least 1, got shape {starts.shape}")
    if evaluations < 1:
        raise ValueError(f"evaluations must be at least 1, got {evaluations}")


def check_values(starts: Any, shapes: Sequence[tuple[int, ...]]) -> None:
    """Refuse a function whose values, or values and gradients, have other ``shapes``.

    Raises:
      ValueError: if so.
    """
    expected = [starts.shape[:1], starts.shape][: len(shapes)]
    if list(shapes) != expected:
        raise ValueError(
            f"the function must map points {list(starts.shape)} to {list(map(list, expected))}, a "
            f"value for each row, got {list(map(list, shapes))}"
        )
