"""Checks of shapes, which are known when a program is traced."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from wrlso.scores.checks import check_real, check_whole


def check_starts(starts: Any, evaluations: int) -> None:
    """Refuse starts that are no rows of points or complex, and a number of evaluations that is not
    whole or below one.

    Raises:
      ValueError: if so.
    """
    if starts.ndim != 2 or starts.shape[1] == 0:
        raise ValueError(f"starts must be [S, d] with d at least 1, got shape {starts.shape}")
    check_real("starts", starts)
    check_whole("evaluations", evaluations, 1)


def check_bounds(starts: Any, lower: Any, upper: Any) -> None:
    """Refuse bounds of which there is none for each coordinate of each start, and complex ones.

    Raises:
      ValueError: if so; it names the bound.
    """
    for name, bound in {"lower": lower, "upper": upper}.items():
        if bound is None:
            raise ValueError(f"{name} must be a bound, got None: for a side without, pass infinity")
        check_real(name, bound)
        shape, (rows, d) = np.shape(bound), starts.shape
        if shape not in ((), (1,), (d,), (1, d), (rows, d)):
            raise ValueError(
                f"{name} must be one number, [{d}] or [{rows}, {d}], as starts are "
                f"{list(starts.shape)}, got shape {list(shape)}"
            )


def check_values(starts: Any, found: Sequence[Any], slopes: bool) -> None:
    """Refuse a function that returns anything but values or, with ``slopes``, values and gradients,
    or whose results have other shapes, or are complex.

    Raises:
      ValueError: if so.
    """
    shapes = [np.shape(one) for one in found]
    expected = [starts.shape[:1], starts.shape][: 1 + slopes]
    for one in found:
        check_real("values of the function", one)
    if list(shapes) != expected:
        name, what = ("value_and_grad", ", and its gradient") if slopes else ("function", "")
        raise ValueError(
            f"the {name} must map points {list(starts.shape)} to {list(map(list, expected))}, a "
            f"value for each row{what}, got {list(map(list, shapes)) or 'nothing'}"
        )
