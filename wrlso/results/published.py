"""Published figures of the paper's own runs, to be drawn beside ours.

Summaries of the runs that the authors published with their code: the mean over
seeds of the best score so far after each 50 queries.
"""

from typing import NamedTuple


class Published(NamedTuple):
    """Mean best score so far at ``queries``, and the standard deviation at the last."""

    queries: tuple[int, ...]
    mean_best: tuple[float, ...]
    final_sd: float


_EVERY_50 = tuple(range(50, 501, 50))

# (task, proposer, k, retrain_every): five seeds each.
PUBLISHED: dict[tuple[str, str, float, int | None], Published] = {
    ("shapes", "grid", 1e-3, 50): Published(
        _EVERY_50, (500.2, 559.8, 598.0, 661.8, 706.8, 741.0, 775.6, 808.0, 846.4, 882.8), 27.4
    ),
    ("shapes", "grid", 1e-3, None): Published(_EVERY_50, (501.4,) * 10, 11.1),
    ("shapes", "grid", float("inf"), None): Published(_EVERY_50, (464.2,) * 10, 3.1),
}


def published(task: str, proposer: str, k: float | None, r: int | None) -> Published | None:
    """The published counterpart of a run, or None."""
    return None if k is None else PUBLISHED.get((task, proposer, k, r))
