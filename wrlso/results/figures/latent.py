"""The latent space of a run: the score of what it decodes to, and where queries were (Fig. 1)."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure

from wrlso.models.vae import decode_all
from wrlso.results.figures.canvas import NARROW, WIDE, panels
from wrlso.results.plane import plane
from wrlso.results.record import RunRecord
from wrlso.results.stages import Stages
from wrlso.results.style import GREY
from wrlso.results.words import score_in_words, title_in_words
from wrlso.runs.log import latent_of
from wrlso.status import Status
from wrlso.tasks.base import Task

SCORES, CHANGES = "cividis", "PuOr_r"
"""Scales of colours that are in order for everyone, and in grey."""


class LatentScores(NamedTuple):
    """The scores of the decodes of a grid of a two-dimensional latent space.

    Attributes:
      line: ``[n]`` latents of the grid along either axis.
      scores: ``[n, n]`` scores of each stage by its name; rows follow z₂, columns z₁; NaN where
        there is no score.
    """

    line: np.ndarray
    scores: dict[str, np.ndarray]


def latent_scores(
    task: Task, stages: Stages, side: int = 61, extent: float = 3.0, seed: int = 0
) -> LatentScores:
    """Score the decodes of a grid of latents at each stage; no method sees these scores.

    Args:
      task: the task; its objective is in JAX, its latent space has two dimensions.
      stages: the models.
      side: number of latents along either axis.
      extent: the grid covers ``[-extent, extent]`` along both axes.
      seed: number of the seed among those of the run, from 0.

    Raises:
      ValueError: if the latent space has not two dimensions, or the objective is in Python.
    """
    if task.vae.latent_dim != 2 or task.objective is None:
        raise ValueError(
            f"a map of scores needs two latent dimensions and an objective in JAX; task "
            f"{task.name!r} has {task.vae.latent_dim} and "
            f"{'none' if task.objective is None else 'one'}: draw 'latent_map'"
        )
    line = jnp.linspace(-extent, extent, side)
    points = jnp.stack(jnp.meshgrid(line, line, indexing="xy"), -1).reshape(-1, 2)
    score: Callable[[Any], jax.Array] = jax.jit(
        lambda params: task.objective(decode_all(task.vae, params, points))  # type: ignore[misc]
    )
    found = {
        name: np.asarray(score(params[seed]), float).reshape(side, side)
        for name, params in stages.items()
    }
    return LatentScores(np.asarray(line), found)


def manifold(
    result: RunRecord, task: Task, stages: Stages, ax: Iterable[Axes] | None = None
) -> Figure:
    """Draw how the first seed's latent space has bent: scores before, after, and their change."""
    figure, (before, after, change) = panels(ax, 3, (WIDE, 2.5))
    line, scores = latent_scores(task, stages)
    first, last = next(iter(scores)), next(reversed(scores))
    start, end = scores[first], scores[last]
    finite = np.concatenate([s[np.isfinite(s)] for s in (start, end)] or [np.zeros(1)])
    norm = Normalize(*np.quantile(finite, [0.0, 1.0])) if len(finite) else Normalize(0, 1)
    label = score_in_words(result.summary)
    shown = _heat(before, line, start, SCORES, norm)
    _heat(after, line, end, SCORES, norm)
    figure.colorbar(shown, ax=[before, after], shrink=0.85, label=label)
    moved = end - start
    largest = float(np.nanmax(np.abs(moved), initial=0.0)) or 1.0
    shown = _heat(change, line, moved, CHANGES, TwoSlopeNorm(0, -largest, largest))
    figure.colorbar(shown, ax=change, shrink=0.85, label=f"change of {label}")
    before.set_title(first.capitalize(), loc="left")
    after.set_title(last.capitalize(), loc="left")
    change.set_title("Change", loc="left")
    before.set_ylabel("z₂")
    for axis in (before, after, change):
        axis.set(xlabel="z₁", aspect="equal")
    return figure


def _heat(axis: Axes, line: np.ndarray, values: np.ndarray, colors: str, norm: Normalize) -> Any:
    axis.set_facecolor("#e6e6e6")  # where there is no score
    return axis.imshow(
        np.ma.masked_invalid(values), origin="lower", cmap=colors, norm=norm,
        extent=(line[0], line[-1], line[0], line[-1]), interpolation="nearest",
    )  # fmt: skip


def latent_map(result: RunRecord, ax: Axes | None = None) -> Figure:
    """Draw every charged query where it was proposed, coloured by its score.

    Latents of more than two dimensions are projected on their principal components.
    """
    charged = [q for q in result.queries() if q.status.charged]
    figure, (axis,) = panels(ax, 1, (NARROW, 3.2))
    axis.set_title(title_in_words(result.summary), loc="left")
    if not charged:
        axis.text(0.5, 0.5, "no charged query yet", transform=axis.transAxes, ha="center")
        return figure
    points, (x, y), _ = plane(np.stack([latent_of(query) for query in charged]))
    scores = np.array([np.nan if q.score is None else q.score for q in charged], float)
    scored = np.isfinite(scores)
    _without_score(axis, points, scored, np.array([q.status == Status.PENDING for q in charged]))
    order = np.flatnonzero(scored)[np.argsort(result.folder.config.sign * scores[scored])]
    if len(order):
        shown = axis.scatter(
            points[order, 0],
            points[order, 1],
            c=scores[order],
            cmap=SCORES,
            s=11,
            lw=0.25,
            edgecolor="white",
        )
        figure.colorbar(shown, ax=axis, label=score_in_words(result.summary))
    axis.set(xlabel=x, ylabel=y)
    return figure


def _without_score(
    axis: Axes, points: np.ndarray, scored: np.ndarray, measured: np.ndarray
) -> None:
    """Mark the queries that failed, and those that are being measured, and say how many."""
    said = []
    for kept, marker, words in (
        (~scored & ~measured, "x", "× failed"),
        (measured, "o", "○ being measured"),
    ):
        if kept.any():
            axis.plot(*points[kept].T, marker, color=GREY, mfc="none", ms=3.5, mew=0.7)
            said.append(f"{words} ({kept.sum()})")
    if said:
        axis.text(
            0.01, 0.99, "\n".join(said), transform=axis.transAxes, va="top", color=GREY,
            fontsize=7,
        )  # fmt: skip
