"""Several scores of one thing: mean, median, best, or refusal; never the first by accident."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np

Replicates = Literal["mean", "median", "best", "refuse"]
"""Ways to treat different scores of one thing."""


class Combined(NamedTuple):
    """Scores of N things.

    Attributes:
      scores: ``[N]`` float64.
      differing: numbers of the things that have different scores, in order.
      spread: the largest difference between two scores of one thing; 0 if none differ.
    """

    scores: np.ndarray
    differing: np.ndarray
    spread: float


def check_replicates(how: str) -> None:
    """Raise ValueError unless ``how`` is one of :data:`Replicates`."""
    if how not in get_args(Replicates):
        raise ValueError(
            f"replicates must be one of {', '.join(get_args(Replicates))}, got {how!r}"
        )


def combine(
    scores: Sequence[float] | np.ndarray,
    things: Sequence[int] | np.ndarray,
    how: Replicates,
    minimize: bool = False,
) -> Combined:
    """One score for each thing.

    Args:
      scores: ``[R]``, higher is better unless ``minimize``; one that is not finite is the only one
        of its thing.
      things: ``[R]``, the number of the thing that each is a score of: 0 to N - 1, each at least
        once.
      how: 'mean', 'median' or 'best', the highest, or the lowest if ``minimize``. 'refuse' is the
        caller's task: the scores are combined as by 'mean', and ``differing`` says which things to
        refuse.
      minimize: lower scores are better.

    Raises:
      ValueError: if ``how`` is none of these, or there is not a thing for each score.
    """
    check_replicates(how)
    values, owner = np.asarray(scores, np.float64), np.asarray(things)
    if values.ndim != 1 or values.shape != owner.shape:
        raise ValueError(
            f"scores and things must be [R], a thing for each score, got {list(values.shape)} and "
            f"{list(owner.shape)}"
        )
    if not len(values):
        return Combined(values, np.zeros(0, np.int64), 0.0)
    order = np.lexsort((values, owner))
    values, owner = values[order], owner[order]
    first = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
    last = np.r_[first[1:], len(owner)] - 1
    low, high = values[first], values[last]
    differ = np.flatnonzero(low < high)
    out = (low if minimize else high).copy()
    if how != "best":
        average = np.median if how == "median" else np.mean
        for i in differ:
            out[i] = average(values[first[i] : last[i] + 1])
    spread = float((high - low)[differ].max(initial=0.0))
    return Combined(out, differ, spread)
