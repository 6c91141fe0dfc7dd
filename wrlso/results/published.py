"""Published results of the paper's own runs, which our figures show for comparison.

The numbers summarise the runs that the authors published with their code: the mean over seeds of
the best score so far, after every 50 queries.
"""

from typing import NamedTuple


class Published(NamedTuple):
    """The published results of one method.

    Attributes:
      queries: numbers of queries.
      mean_best: mean over seeds of the best score after these numbers of queries.
      final_sd: standard deviation over seeds at the end.
    """

    queries: tuple[int, ...]
    mean_best: tuple[float, ...]
    final_sd: float


_EVERY_50 = tuple(range(50, 501, 50))

# By (task, proposer, k, retrain_every), with five seeds each.
PUBLISHED: dict[tuple[str, str, float, int | None], Published] = {
    ("shapes", "grid", 1e-3, 50): Published(
        _EVERY_50, (500.2, 559.8, 598.0, 661.8, 706.8, 741.0, 775.6, 808.0, 846.4, 882.8), 27.4
    ),
    ("shapes", "grid", 1e-3, None): Published(_EVERY_50, (501.4,) * 10, 11.1),
    ("shapes", "grid", float("inf"), None): Published(_EVERY_50, (464.2,) * 10, 3.1),
}


def published(task: str, proposer: str, k: float | None, r: int | None) -> Published | None:
    """The published results for the settings of a run, or None."""
    return None if k is None else PUBLISHED.get((task, proposer, k, r))
