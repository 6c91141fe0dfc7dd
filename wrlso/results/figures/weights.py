"""The training weights at the start and at the end of a run (the paper's Figs. 2 and 6)."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wrlso.data import Dataset, all_rounds, all_scores, empty_history
from wrlso.methods import Method
from wrlso.results.figures.canvas import WIDE, panels
from wrlso.results.record import RunRecord
from wrlso.results.stages import lane
from wrlso.results.style import GREY, PALETTE
from wrlso.results.words import score_in_words
from wrlso.scores import relative
from wrlso.tasks.base import Task
from wrlso.weighting.ranks import cumulative_weight, effective_sample_size, rank_weight_share
from wrlso.weighting.registry import weighting_named, weights_of


def weights(
    result: RunRecord,
    task: Task,
    base: Dataset,
    method: Method,
    ax: Iterable[Axes] | None = None,
) -> Figure:
    """Draw the weight by score, and the cumulative weight, of the first seed."""
    config = result.folder.config
    weighting = method.weighting
    if isinstance(weighting, str):
        weighting = weighting_named(weighting)
    start = empty_history(config.queries, base.objects[0], task.vae.latent_dim)
    last = result.load_state(None, task, base).history
    end = jax.tree.map(jnp.asarray, lane(last, 0))
    base = base._replace(scores=jnp.asarray(relative(base.scores, config.offset)))
    figure, (left, right) = panels(ax, 2, (WIDE, 2.6))
    grid = np.linspace(0, 1, 401)
    drawn = []
    for name, history, color, pattern in (
        ("at the start", start, PALETTE[0], (0, (4, 1.5))),
        ("at the end", end, PALETTE[1], "-"),
    ):
        scores, mask = all_scores(base, history)
        found = np.asarray(
            weights_of(weighting, scores, mask, all_rounds(base, history), config.hyper)
        )
        used = config.sign * (np.asarray(scores, np.float64)[np.asarray(mask)] + config.offset)
        share = found[np.asarray(mask)]
        drawn.append((name, used, share, color, pattern))
        right.plot(grid, cumulative_weight(share, grid), color=color, lw=1.6, ls=pattern)
    edges = np.histogram_bin_edges(np.concatenate([used for _, used, *_ in drawn]), bins=60)
    everything = drawn[-1][1]
    equal = np.full(len(everything), 1 / max(len(everything), 1))
    left.hist(everything, edges.tolist(), weights=equal, color=GREY, alpha=0.3)
    for place, (name, used, share, color, pattern) in enumerate(drawn):
        left.hist(
            used, edges.tolist(), weights=share, histtype="step", color=color, lw=1.4, ls=pattern
        )
        rows = float(effective_sample_size(share))
        words = f"{name}: {rows:,.0f} effective rows of {len(share):,}"
        _note(left, place, words, color)
    _note(left, 2, "all rows alike", GREY)
    if "k" in config.hyper:
        right.plot(grid, rank_weight_share(config.hyper["k"], 0.0, grid), ":", color="black", lw=1)
        _note(right, 2, "limit for many rows", "black", bottom=True)
    for place, (name, *_, color, _) in enumerate(drawn):
        _note(right, place, name, color, bottom=True)
    left.set(xlabel=score_in_words(result.summary), ylabel="share of training weight")
    right.set(xlabel="best fraction of rows", ylabel="cumulative weight", ylim=(0, 1.02))
    left.set_ylim(0, 1.35 * left.get_ylim()[1])  # room for the names
    left.set_title("Weight by score, first seed", loc="left")
    right.set_title("Cumulative weight, first seed", loc="left")
    return figure


def _note(axis: Axes, place: int, words: str, color: str, bottom: bool = False) -> None:
    """A name in the colour of its curve, in the corner where curves seldom are."""
    step = 0.085 * place
    axis.text(
        0.98, 0.05 + step if bottom else 0.97 - step, words,
        transform=axis.transAxes, color=color, fontsize=7.5,
        ha="right", va="bottom" if bottom else "top",
    )  # fmt: skip
