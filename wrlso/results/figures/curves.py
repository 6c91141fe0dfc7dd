"""The best score so far against charged queries (the paper's Figs. 4 and 5)."""

import warnings
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wrlso.results.figures.canvas import NARROW, panels
from wrlso.results.figures.labels import label_end, spread
from wrlso.results.published import published
from wrlso.results.record import RunRecord
from wrlso.results.statistics import held
from wrlso.results.style import GREY, color_of
from wrlso.results.words import method_in_words, score_in_words, seeds_in_words, title_in_words
from wrlso.storage.numbers import shown

_STYLES = ("-", (0, (5, 1.5)), (0, (3, 1, 1, 1)), (0, (1, 1)))
"""Patterns of lines, so that curves differ in print without colours."""

_MANY_ROUNDS = 30


def plot_curves(
    axis: Axes,
    curves: Sequence[np.ndarray],
    label: str,
    color: str | None = None,
    each_seed: bool = True,
) -> None:
    """Draw the best so far against queries as steps: seeds thin, their mean thick, one s.d. shaded.

    The label is written at the end of the mean, and gives the line its name in a legend.

    Args:
      axis: the axes; several calls draw several curves, each in the next colour.
      curves: the best so far of each seed, ``[n]`` each; NaN before the first score.
      label: the name of the curve.
      color: None: the next colour that people with colour blindness tell apart.
      each_seed: draw each seed's curve, too.
    """
    curves = [curve for curve in curves if np.isfinite(curve).any()]
    if not curves:
        return
    number = sum(line.get_gid() == "mean" for line in axis.lines)
    color = color or color_of(number)
    ours = held(curves)
    queries = np.arange(1, ours.shape[1] + 1)
    for curve in curves if each_seed and len(curves) > 1 else ():
        axis.step(
            np.arange(1, len(curve) + 1), curve, where="post", color=color, lw=0.5, alpha=0.55
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NaN before the first score
        mean, sd = ours.mean(0), ours.std(0)
    if len(curves) > 1:
        axis.fill_between(queries, mean - sd, mean + sd, step="post", color=color, alpha=0.15, lw=0)
    axis.step(
        queries, mean, where="post", color=color, lw=1.8, label=label, gid="mean",
        ls=_STYLES[number % len(_STYLES)],
    )  # fmt: skip
    label_end(axis, mean[-1], label, color)


def best_so_far(
    result: RunRecord,
    ax: Axes | None = None,
    label: str | None = None,
    color: str | None = None,
) -> Figure:
    """Draw the best score so far of each seed and their mean, beside published results.

    On axes that have a curve already, it adds the run's curve under its label.
    """
    config = result.folder.config
    figure, (axis,) = panels(ax, 1, (NARROW, 2.7))
    first = not any(line.get_gid() == "mean" for line in axis.lines)
    curves = result.curves()
    plot_curves(axis, curves, label or _label(result, curves), color)
    if first:
        theirs = published(
            config.task, config.proposer, config.hyper.get("k"), config.retrain_every
        )
        if theirs:
            axis.plot(theirs.queries, theirs.mean_best, "o:", color="black", ms=2.5, lw=0.9)
            label_end(axis, theirs.mean_best[-1], f"published, {theirs.mean_best[-1]:.0f}", "black")
        _starting_data(result, axis)
        marks = ", ▲ retraining" if _retrainings(result, axis) else ""
        axis.set(xlabel=f"charged queries per seed{marks}", ylabel=f"best so far: {_score(result)}")
        axis.set_title(_score(result) if label else title_in_words(result.summary), loc="left")
    axis.set_xlim(0, max(axis.get_xlim()[1] if not first else 1, config.queries))
    spread(axis)
    return figure


def _score(result: RunRecord) -> str:
    return score_in_words(result.summary)


def _label(result: RunRecord, curves: Sequence[np.ndarray]) -> str:
    """The run in the words of one seed or of many."""
    seeds = len(curves)
    ends = np.array([curve[-1] for curve in curves if len(curve)], float)
    ends = ends[np.isfinite(ends)]
    who = method_in_words(result.summary["method"])
    if not len(ends):
        return who
    if seeds == 1:
        return f"{who}\n{shown(ends[0])}"
    deviation = f" ± {ends.std():.2g}" if len(ends) > 1 else ""
    return f"{who}\n{shown(ends.mean())}{deviation}, {seeds_in_words(len(ends), seeds)}"


def _starting_data(result: RunRecord, axis: Axes) -> None:
    """The best of the starting data as a line across."""
    starting = result.folder.config.starting
    if starting:
        axis.axhline(starting["best"], color=GREY, ls=(0, (1, 1.5)), lw=1.0)
        words = f"best of the\nstarting data, {shown(starting['best'])}"
        label_end(axis, starting["best"], words, GREY)


def _retrainings(result: RunRecord, axis: Axes) -> bool:
    """Marks on the lower edge for retrainings, if they are few enough to be told apart."""
    every = result.folder.config.retrain_every
    places = range(0, result.folder.config.queries, every) if every else range(0)
    if not 0 < len(places) <= _MANY_ROUNDS:
        return False
    axis.plot(
        places, np.zeros(len(places)), "^", color=GREY, ms=3, clip_on=False,
        transform=axis.get_xaxis_transform(), zorder=3,
    )  # fmt: skip
    return True
