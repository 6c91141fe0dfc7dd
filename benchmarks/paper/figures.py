"""The paper's figures of our runs and of the published ones."""

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.paper.grid import BASELINES, LOOP
from benchmarks.paper.published_runs import Runs, counterpart
from benchmarks.paper.rows import Row, Rows
from benchmarks.paper.statistics import fifth
from wrlso import Result
from wrlso.results.figures import plot_curves
from wrlso.results.figures.labels import spread
from wrlso.results.statistics import held
from wrlso.results.style import GREY, PALETTE
from wrlso.results.summary import best_so_far
from wrlso.tasks import Task
from wrlso.weighting.ranks import cumulative_weight, rank_weight_share, rank_weights

_KS = (1e-4, 1e-3, 1e-2, 1e-1, math.inf)
_COLORS = PALETTE


def weight_histograms(scores: np.ndarray, sign: int, what: str) -> Figure:
    """Training weight over the scores of a data set, for several k (the paper's Fig. 2)."""
    figure, axes = plt.subplots(1, len(_KS), figsize=(3 * len(_KS), 3), layout="constrained")
    shown = sign * scores
    low, high = sorted(sign * np.quantile(scores, [0.001, 1.0]))
    bins = np.linspace(low, high, 60).tolist()
    for axis, k in zip(axes, _KS, strict=True):
        weights = np.asarray(rank_weights(scores, k))
        axis.hist(shown, bins=bins, weights=np.full(len(shown), 1 / len(shown)), color="#c8ced6")
        axis.hist(shown, bins=bins, weights=weights, histtype="step", color=_COLORS[0], lw=1.6)
        axis.set(title=f"k = {k:g}", xlabel="score", yticks=[])
    figure.suptitle(
        f"{what}: share of training weight by score of the base data; grey: unweighted", fontsize=10
    )
    return figure


def cumulative_weights() -> Figure:
    """Cumulative weight does not depend on the number of rows N once kN > 1 (Fig. 6)."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained", sharey=True)
    grid = np.concatenate([[0], np.logspace(-5, 0, 200)])
    for axis, k in zip(axes, (1e-1, 1e-2, 1e-3), strict=True):
        for n, color in zip((100, 1000, 10_000, 100_000), _COLORS, strict=False):
            weights = rank_weights(np.arange(n, dtype=np.float32), k)
            axis.plot(
                grid, cumulative_weight(weights, grid), color=color, lw=1.5, label=f"N = {n:,}"
            )
        axis.plot(grid, rank_weight_share(k, 0.0, grid), "k:", lw=1.2, label="limit")
        axis.set(xscale="log", xlabel="best fraction of rows", title=f"k = {k:g}")
    axes[0].set_ylabel("cumulative weight")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def loop_curves(task: str, rows: Rows, runs: Runs, sign: int, what: str) -> Figure:
    """Best so far for several k at the smallest r, and several r at the smallest k (Fig. 4)."""
    ranked = [
        row
        for row in rows
        if row.setting.method.weighting == "rank"
        and row.setting.proposer is None
        and row.setting.family == LOOP
    ]
    often = min((x.setting.method.retrain_every or math.inf for x in ranked), default=math.inf)
    strong = min((x.setting.method.hyper["k"] for x in ranked), default=math.inf)
    panels = {
        f"r = {often}": [x for x in ranked if x.setting.method.retrain_every == often],
        f"k = {strong:g}": [x for x in ranked if x.setting.method.hyper["k"] == strong],
    }
    panels = {title: chosen for title, chosen in panels.items() if chosen}
    figure, axes = plt.subplots(
        1, max(len(panels), 1), figsize=(11, 4), layout="constrained", sharey=True, squeeze=False
    )
    for axis, (title, chosen) in zip(axes[0], panels.items(), strict=False):
        for row in chosen:
            _curve(axis, task, row, runs, sign)
        axis.set(title=title, xlabel="charged queries per seed")
    _focus(axes[0])
    for axis in axes[0]:
        spread(axis)
    axes[0, 0].set_ylabel("best so far")
    figure.suptitle(what + _dotted(task, axes[0]), fontsize=10)
    return figure


def all_curves(task: str, rows: Rows, runs: Runs, sign: int, what: str) -> Figure:
    """The best configuration of every method, up to its whole budget (Fig. 5).

    The seeds' spread is shaded, because lines of every seed would hide each other.
    """
    best: dict[tuple, Row] = {}
    for row in rows:
        setting = row.setting
        kind = setting.name.split(", ")[0], row.summary["proposer"], setting.gradient_of
        if kind not in best or _mean_best(row) > _mean_best(best[kind]):
            best[kind] = row
    figure, axis = plt.subplots(figsize=(10, 4.6), layout="constrained")
    from_best = sorted(best.values(), key=_mean_best, reverse=True)
    for row in from_best:
        _curve(axis, task, row, runs, sign, each_seed=False)
    axis.set(xscale="log", xlabel="charged queries per seed", ylabel="best so far")
    figure.suptitle(
        f"{what}: the best configuration of each method{_dotted(task, [axis])}", fontsize=10
    )
    _focus([axis])
    spread(axis)
    return figure


def _mean_best(row: Row) -> float:
    """Mean best over all seeds; a seed without success is worse than any other."""
    return float(np.mean(np.nan_to_num(row.best, nan=-np.inf)))


def _dotted(task: str, axes: Sequence[Axes]) -> str:
    drawn = any(line.get_gid() == "published" for axis in axes for line in axis.lines)
    size = ", molecules of any size" if task == "molecules" else ""
    return f"; thin dots: published{size}" if drawn else ""


def _focus(axes: Sequence[Axes]) -> None:
    """Show the range of the curves from the tenth query on; the first scores may be far lower."""
    curves = [np.asarray(line.get_ydata())[9:] for axis in axes for line in axis.lines]
    values = np.concatenate([curve[np.isfinite(curve)] for curve in curves] or [np.zeros(0)])
    if len(values) and np.ptp(values) > 0:
        margin = 0.05 * np.ptp(values)
        axes[0].set_ylim(values.min() - margin, values.max() + margin)


def draw_headline(task: Task, folder: Path, stem: Path) -> None:
    """Copy the figures of the headline's run: manifold (Fig. 1), prior samples (Fig. 3) and best
    objects."""
    for path in Result(folder).save_figures(task, host_samples=300, formats=("png",)):
        if path.stem in ("manifold", "prior_samples", "best_objects"):
            shutil.copy(path, f"{stem}-{path.stem.replace('_', '-')}.png")


def _curve(axis: Axes, task: str, row: Row, runs: Runs, sign: int, each_seed: bool = True) -> None:
    ours = [sign * best_so_far(scores) for scores in row.scores]
    peeks = " (peeks)" if row.summary["uncharged_evaluations"] else ""
    plot_curves(axis, ours, row.name + peeks, each_seed=each_seed)
    theirs = [best_so_far(scores) for scores in counterpart(runs, task, row.setting)]
    if theirs:
        mean = sign * held(theirs).mean(0)
        color = next((x for x in axis.lines[::-1] if x.get_gid() == "mean"), axis.lines[-1])
        axis.plot(
            np.arange(1, len(mean) + 1), mean, ":", color=color.get_color(), lw=1, gid="published"
        )


def moved_scores(rows: Rows, sign: int, what: str) -> Figure:
    """Scores in the first and in the last fifth of each method's queries (compare Fig. 3)."""
    rows = [row for row in rows if row.setting.family == BASELINES] or list(rows)
    figure, axis = plt.subplots(figsize=(8, 0.42 * len(rows) + 1.2), layout="constrained")
    for place, row in enumerate(rows):
        for shift, last, color in ((-0.17, False, GREY), (0.17, True, _COLORS[0])):
            together = sign * np.concatenate([fifth(scores, last) for scores in row.scores])
            together = together[np.isfinite(together)]
            if len(together):
                axis.boxplot(
                    together, positions=[place + shift], orientation="horizontal", widths=0.28,
                    showfliers=False, patch_artist=True, boxprops={"facecolor": color},
                    whis=(5, 95), medianprops={"color": "white"},
                )  # fmt: skip
    axis.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("score of successful queries; grey: first fifth of the queries, blue: last")
    figure.suptitle(what, fontsize=10)
    return figure


def save(figures: Mapping[str, Figure], stem: Path) -> None:
    """Write ``STEM-NAME.png``."""
    for name, figure in figures.items():
        figure.savefig(f"{stem}-{name}.png", dpi=110)
        plt.close(figure)
