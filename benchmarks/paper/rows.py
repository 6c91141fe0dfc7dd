"""Rows of the tables: a setting with its finished run, and how its scores are shown."""

from collections.abc import Sequence

import numpy as np

from benchmarks.paper import statistics as stats
from benchmarks.paper.grid import Setting
from benchmarks.paper.records import Finished
from wrlso.results.summary import wall_seconds

SIGN = {"shapes": 1, "expressions": -1, "molecules": 1}
"""Tables show a score times this."""

_DIGITS = {"shapes": 0, "expressions": 3, "molecules": 2}
_MARKS = (100, 200, 500, 5000)


class Row:
    """A setting and its finished run."""

    def __init__(self, setting: Setting, run: Finished) -> None:
        self.setting, self.run = setting, run
        self.summary, self.best, self.scores = run.summary, run.best, run.scores

    @property
    def wall_seconds(self) -> float:
        """Wall time of all sessions, even if the summary holds that of the last one only."""
        return wall_seconds(self.summary["seconds"])

    @property
    def peeks(self) -> bool:
        """Whether it read the objective beyond its budget."""
        return self.summary["uncharged_evaluations"] > 0

    @property
    def short(self) -> bool:
        """Whether a seed ended before its budget, because too many proposals were known."""
        return any(len(scores) < self.setting.budget for scores in self.scores)

    @property
    def name(self) -> str:
        """The setting's name, with a mark if a seed ended early."""
        return self.setting.name + " †" * self.short


Rows = Sequence[Row]


def comparable(one: Row, other: Row) -> str:
    """Empty if two rows can be compared, else the reason why not."""
    if one.peeks != other.peeks:
        return "one peeks"
    if one.run.pretrained_elsewhere != other.run.pretrained_elsewhere:
        return "other pretrained parameters"
    return ""


def marks_of(rows: Rows) -> list[int]:
    """Numbers of queries at which the tables show scores."""
    budget = rows[0].setting.budget
    return [q for q in _MARKS if q < budget] + [budget]


def seed_marks(budget: int) -> list[int | None]:
    """The same for the file of seeds, which has one column per mark: None beyond the budget."""
    return [q if q <= budget else None for q in _MARKS] + [budget]


SEED_MARKS = (*_MARKS, "end")
"""Names of these columns."""


def show(task: str, value: float) -> str:
    """A score in the task's sign and digits."""
    shown = SIGN[task] * value
    return "–" if np.isnan(value) else f"{shown + 0.0:.{_DIGITS[task]}f}"


def moments(task: str, values: Sequence[float]) -> str:
    """Mean ± standard deviation, with divisor S."""
    if not np.isfinite(values).all():
        return "–"
    return f"{show(task, float(np.mean(values)))} ± {np.std(values):.{_DIGITS[task]}f}"


def interval(task: str, values: Sequence[float]) -> str:
    """Bootstrap interval of the mean."""
    ends = stats.interval(values)
    if np.isnan(ends).any():
        return "–"
    low, high = (show(task, end) for end in ends[:: SIGN[task]])
    return f"[{low}, {high}]"


def mean_of_successes(scores: np.ndarray) -> float:
    """Mean of the scores that are there."""
    found = scores[np.isfinite(scores)]
    return float(found.mean()) if len(found) else np.nan
