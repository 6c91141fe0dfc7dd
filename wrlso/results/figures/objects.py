"""The objects that a run has found, as pictures: the best that differ, and how the best grew."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wrlso.data import Dataset
from wrlso.results.best import best_queries
from wrlso.results.figures.canvas import WIDE, panels
from wrlso.results.record import RunRecord
from wrlso.results.words import title_in_words
from wrlso.runs.log import Query
from wrlso.storage import numbers
from wrlso.tasks.base import Task

BEST = 8
STEPS = 6
_ALIKE = 0.2
"""Pictures that differ in less than this share of their ink are shown once."""

_POOL = 200

Pictures = Callable[[Sequence[bytes]], np.ndarray]


def progress(
    result: RunRecord, task: Task, base: Dataset, ax: Iterable[Axes] | None = None
) -> Figure:
    """Draw the best object of the starting data, and the best of the best seed after more and more
    queries."""
    found = _growth(result)
    sign = result.folder.config.sign
    figure, axes = panels(ax, STEPS, (WIDE, 1.6))
    pictures = _pictures(task, base)
    start = int(np.argmax(np.asarray(base.scores)))  # as the loop sees it: higher is better
    shown = [(0, sign * float(base.scores[start]), np.asarray(base.objects[start]).tobytes())]
    for number, query in _apart(found, STEPS - 1):
        assert query.score is not None
        shown.append((number, query.score, query.object))
    for axis, picture, (number, score, _) in zip(
        axes, pictures([stored for *_, stored in shown]), shown, strict=False
    ):
        when = f"query {number}" if number else "starting data"
        _show(axis, picture, f"{when}\n{numbers.shown(score)}")
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    figure.suptitle(
        f"{title_in_words(result.summary)}, best so far of the best seed",
        x=0.01, ha="left", fontsize=8.5,
    )  # fmt: skip
    return figure


def best_objects(
    result: RunRecord, task: Task, base: Dataset, ax: Iterable[Axes] | None = None
) -> Figure:
    """Draw the best objects of all seeds that do not look alike, the best first."""
    distinct = best_queries(result.queries(), result.folder.config.sign)[:_POOL]
    pictures = _pictures(task, base)([q.object for q in distinct])
    kept = _unlike(pictures, BEST)
    shown = max(len(kept), 1) if ax is None else BEST
    rows = -(-shown // 4)
    figure, axes = panels(ax, shown, (WIDE, 2.0 * rows + 0.2), rows=rows)
    for axis, i in zip(axes, kept, strict=False):
        _show(
            axis, pictures[i], f"{numbers.shown(distinct[i].score or 0.0)}, seed {distinct[i].seed}"
        )
    for axis in axes[len(kept) :]:
        axis.set_axis_off()
    figure.suptitle(
        f"{title_in_words(result.summary)}, best objects that differ", x=0.01, ha="left",
        fontsize=8.5,
    )  # fmt: skip
    return figure


def _pictures(task: Task, base: Dataset) -> Pictures:
    """A function from objects in storage form to pictures."""
    like = np.asarray(base.objects[0])
    to_images = task.to_images
    assert to_images is not None

    def pictures(stored: Sequence[bytes]) -> np.ndarray:
        if not stored:
            return np.zeros((0, 1, 1))
        objects = [np.frombuffer(one, like.dtype).reshape(like.shape) for one in stored]
        return np.asarray(to_images(np.stack(objects)), float)

    return pictures


def _growth(result: RunRecord) -> list[tuple[int, Query]]:
    """The queries of the best seed that were better than all before them, and their numbers."""
    sign = result.folder.config.sign
    best = sign * result.best
    if not np.isfinite(best).any():
        return []
    seed = result.folder.config.seed_numbers[int(np.nanargmax(best))]
    charged = [q for q in result.queries() if q.seed == seed and q.status.charged]
    found: list[tuple[int, Query]] = []
    for number, query in enumerate(charged, 1):
        if query.score is not None and (
            not found or sign * query.score > sign * (found[-1][1].score or 0.0)
        ):
            found.append((number, query))
    return found


def _apart(found: Sequence[tuple[int, Query]], n: int) -> list[tuple[int, Query]]:
    """At most n of the improvements, the last among them, their scores as far apart as can be."""
    if len(found) <= n:
        return list(found)
    scores = np.array([query.score for _, query in found], float)
    wanted = np.linspace(scores[0], scores[-1], n)
    chosen = sorted({int(np.abs(scores - value).argmin()) for value in wanted} | {len(found) - 1})
    return [found[i] for i in chosen[-n:]]


def _unlike(pictures: np.ndarray, n: int) -> list[int]:
    """The first pictures of which each differs from those before: at most n.

    The difference of two is the share of their ink that only one of them has.
    """
    ink = np.abs(pictures - np.median(pictures)) if len(pictures) else pictures
    kept: list[int] = []
    for i, one in enumerate(ink):
        shares = (
            np.abs(one - ink[j]).sum() / max(np.maximum(one, ink[j]).sum(), 1e-9) for j in kept
        )
        if all(share >= _ALIKE for share in shares):
            kept.append(i)
        if len(kept) == n:
            break
    return kept


def _show(axis: Axes, picture: np.ndarray, words: str) -> None:
    axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axis.set_title(words, fontsize=7.5)
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set(visible=True, linewidth=0.4, color="#b0b0b0")
