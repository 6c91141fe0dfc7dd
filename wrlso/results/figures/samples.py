"""The scores of samples of the prior before and after retraining (the paper's Fig. 3)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wrlso.results.figures.canvas import NARROW, panels
from wrlso.results.record import RunRecord
from wrlso.results.stages import Stages, prior_scores
from wrlso.results.style import GREY, PALETTE
from wrlso.results.words import score_in_words
from wrlso.tasks.base import Task


def prior_samples(
    result: RunRecord,
    task: Task,
    score: Callable[[Any], Any],
    stages: Stages,
    count: int,
    ax: Axes | None = None,
) -> Figure:
    """Draw the distribution of scores at each stage: its shape, quartiles, median and best.

    Args:
      result: the run.
      task: its task.
      score: function from objects to scores.
      stages: the models.
      count: number of samples of each seed's model.
      ax: axes to draw on.
    """
    figure, (axis,) = panels(ax, 1, (NARROW, 2.7))
    for x, (name, scores) in enumerate(prior_scores(task, score, stages, count).items()):
        if not len(scores):
            continue
        color = GREY if name == "pretrained" else PALETTE[0]
        if np.ptp(scores) > 0:
            body = axis.violinplot([scores], [x], showextrema=False, widths=0.8)["bodies"][0]  # type: ignore[index]
            body.set(facecolor=color, alpha=0.3, edgecolor="none")
        low, median, high = np.quantile(scores, [0.25, 0.5, 0.75])
        best = result.folder.config.sign * (result.folder.config.sign * scores).max()
        axis.vlines(x, low, high, color=color, lw=3)
        axis.plot(x, median, "o", color="white", mec=color, ms=4.5)
        axis.plot(x, best, "_", color=color, ms=9)
        axis.annotate(
            f"median {median:.4g}", (x, median), (8, 0), textcoords="offset points",
            va="center", fontsize=7,
        )  # fmt: skip
    names = [name.replace("after ", "after\n", 1) for name in stages]
    axis.set_xticks(range(len(stages)), names)
    axis.set_xlim(-0.6, len(stages) - 0.2)
    starting = result.folder.config.starting
    if starting:
        axis.axhline(starting["best"], color=GREY, ls=(0, (1, 1.5)), lw=1.0)
        axis.annotate(
            "best of the starting data", (0, starting["best"]), (0.01, 2),
            xycoords=axis.get_yaxis_transform(), textcoords="offset points", fontsize=7,
            color=GREY, va="bottom",
        )  # fmt: skip
    axis.set_ylabel(score_in_words(result.summary))
    axis.set_title(f"Scores of {count:,} samples of the prior per model", loc="left")
    return figure
