"""The figures of one run: the paper's Figs. 1 to 4 and 6, for the task of the run."""

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wrlso.data import Dataset, all_rounds, all_scores, empty_history
from wrlso.evaluation.objective import HostEvaluator
from wrlso.methods import Method
from wrlso.models.sampling import prng_key
from wrlso.models.vae import decode_all
from wrlso.results.published import published
from wrlso.results.record import RunRecord, task_of
from wrlso.results.statistics import held
from wrlso.results.tables import title
from wrlso.runs.base_data import base_of
from wrlso.runs.pretrained import pretrained_params
from wrlso.scores import relative
from wrlso.storage.numbers import shown
from wrlso.tasks.base import Task
from wrlso.weighting.ranks import cumulative_weight, effective_sample_size, rank_weight_share
from wrlso.weighting.registry import weighting_named

_OURS, _THEIRS, _GREY = "#1b6ca8", "#d1495b", "#8d99ae"
_SAMPLES = 1000
_MANIFOLD = 15
_BEST = 8


def draw_run(
    result: RunRecord,
    task: Task | None = None,
    host_samples: int = 0,
    method: Method | None = None,
) -> list[Path]:
    """Draw all figures that fit the task into the run's ``figures`` folder.

    Prior samples are scored for the figures only: 1,000 evaluations per seed at each of up to four
    stages, after the run. No method sees these scores. A Python objective may be expensive, so it
    scores ``host_samples`` samples.

    Args:
      result: the run.
      task: the run's task; a run of a built-in task finds it itself.
      host_samples: number of prior samples per seed and stage that a Python objective scores.
      method: the run's method; it is required only for a weighting of your own.

    Returns:
      The paths of the figures.
    """
    task = task or task_of(result.folder.config)
    base = base_of(result.folder, task)
    stages = _stages(result, task, base)
    figures = {
        "best_so_far": best_so_far(result),
    }
    method = method or result.folder.config.own_method()
    if method is not None:
        figures["weights"] = _weights(result, task, base, method)
    if task.objective is not None:
        figures["prior_samples"] = _prior_samples(task, jax.jit(task.objective), stages, _SAMPLES)
    elif task.host_objective is not None and host_samples > 0:
        with HostEvaluator(task.host_objective) as evaluator:
            figures["prior_samples"] = _prior_samples(task, evaluator.scores, stages, host_samples)
    if task.to_images is not None and task.vae.latent_dim == 2:
        figures["manifold"] = _manifolds(task, stages)
    if task.to_images is not None:
        figures["best_objects"] = _best_objects(result, task, base)
    return [
        _save(figure, result.folder.figures / f"{name}.png") for name, figure in figures.items()
    ]


def plot_curves(
    axis: Axes,
    curves: Sequence[np.ndarray],
    label: str,
    color: str = _OURS,
    each_seed: bool = True,
) -> None:
    """Draw the best so far against queries: seeds thin, their mean thick, one s.d. shaded."""
    curves = [curve for curve in curves if len(curve)]
    if not curves:
        return
    ours = held(curves)
    queries = np.arange(1, ours.shape[1] + 1)
    for curve in curves if each_seed else ():
        axis.plot(np.arange(1, len(curve) + 1), curve, color=color, lw=0.6, alpha=0.5)
    mean, sd = ours.mean(0), ours.std(0)
    axis.fill_between(queries, mean - sd, mean + sd, color=color, alpha=0.18, lw=0)
    axis.plot(queries, mean, color=color, lw=2, label=label)


def best_so_far(result: RunRecord) -> Figure:
    """Draw the best score so far of each seed and their mean, beside published results."""
    config = result.folder.config
    figure, axis = _subplots(figsize=(6, 4))
    plot_curves(axis, result.curves(), f"wrlso, mean ± s.d. of {config.seeds} seeds")
    theirs = published(config.task, config.proposer, config.hyper.get("k"), config.retrain_every)
    if theirs:
        axis.plot(
            theirs.queries, theirs.mean_best, "o--", color=_THEIRS, ms=4,
            label=f"published mean; {theirs.mean_best[-1]:.1f} ± {theirs.final_sd:.1f} at the end",
        )  # fmt: skip
    if config.starting:
        best = config.starting["best"]
        label = f"best of the starting data, {shown(best)}"
        axis.axhline(best, color=_GREY, ls=":", lw=1.2, label=label)
    for query in range(0, config.queries, config.retrain_every or config.queries):
        axis.axvline(query, color=_GREY, lw=0.5, alpha=0.4)
    axis.set(xlabel="charged queries", ylabel="best score so far")
    axis.set_title(textwrap.fill(title(result.summary), 80), fontsize=9)
    if uncharged := result.summary["uncharged_evaluations"]:
        axis.text(
            0.98, 0.02, f"+ {uncharged:,} uncharged evaluations", transform=axis.transAxes,
            ha="right", va="bottom", fontsize=8, color=_GREY,
        )  # fmt: skip
    axis.legend(frameon=False, loc="upper left")
    return figure


def _weights(result: RunRecord, task: Task, base: Dataset, method: Method) -> Figure:
    """Draw the weight by score at start and end (Fig. 2), and the cumulative weight (Fig. 6)."""
    config = result.folder.config
    weighting = method.weighting
    if isinstance(weighting, str):
        weighting = weighting_named(weighting)
    start = empty_history(config.queries, base.objects[0], task.vae.latent_dim)
    last = result.load_state(None, task, base).history
    end = jax.tree.map(jnp.asarray, _lane(last, 0))
    offset = config.offset
    base = base._replace(scores=jnp.asarray(relative(base.scores, offset)))
    figure, (left, right) = _subplots(1, 2, figsize=(10, 3.8))
    grid = np.linspace(0, 1, 401)
    for name, history, color in (("start", start, _GREY), ("end, first seed", end, _OURS)):
        scores, mask = all_scores(base, history)
        rounds = all_rounds(base, history)
        weights = np.asarray(weighting(scores, mask, rounds, config.hyper))
        used = np.asarray(scores, np.float64)[np.asarray(mask)] + offset
        weights = weights[np.asarray(mask)]
        rows = float(effective_sample_size(weights))
        label = f"{name} (effective rows {rows:.0f} of {len(weights)})"
        left.hist(used, bins=60, weights=weights, histtype="step", color=color, lw=1.8, label=label)
        right.plot(grid, cumulative_weight(weights, grid), color=color, lw=1.8, label=name)
    left.hist(used, bins=60, weights=np.full(len(used), 1 / len(used)), color=_GREY, alpha=0.25,
              label="unweighted, end")  # fmt: skip
    k = config.hyper.get("k", np.inf)
    limit = rank_weight_share(k, 0.0, grid)
    right.plot(grid, limit, ":", color=_THEIRS, label="limit for many rows")
    lower = " (negated, as lower is better)" if config.minimize else ""
    left.set(xlabel=f"score{lower}", ylabel="share of training weight", title="Weight by score")
    right.set(xlabel="best fraction of rows", ylabel="cumulative weight", title="Cumulative weight")
    left.legend(frameon=False, fontsize=8)
    right.legend(frameon=False, fontsize=8)
    return figure


def _prior_samples(
    task: Task, score: Callable[[Any], Any], stages: dict[str, list[Any]], count: int
) -> Figure:
    """Draw the scores of prior samples before and after retraining (Fig. 3)."""

    @jax.jit
    def sample(params: Any) -> jax.Array:
        latents = jax.random.normal(prng_key(0), (count, task.vae.latent_dim))
        return decode_all(task.vae, params, latents)

    figure, axis = _subplots(figsize=(6, 4))
    for x, params in enumerate(stages.values(), 1):
        scores = np.concatenate([score(sample(p)) for p in params])
        scores = scores[np.isfinite(scores)]
        if len(scores):
            parts = axis.violinplot([scores], [x], showmedians=True, widths=0.8)
            parts["bodies"][0].set_facecolor(_OURS)
    axis.set_xticks(range(1, len(stages) + 1), list(stages))
    axis.set(ylabel="score", title=f"{count:,} prior samples of each seed's model (not charged)")
    return figure


def _manifolds(task: Task, stages: dict[str, list[Any]]) -> Figure:
    """Draw the decodes of a grid of latents for the first seed, at each stage (Fig. 1)."""
    assert task.to_images is not None
    line = jnp.linspace(-3, 3, _MANIFOLD)
    points = jnp.stack(jnp.meshgrid(line, line[::-1], indexing="xy"), -1).reshape(-1, 2)
    figure, axes = _subplots(1, len(stages), figsize=(4.2 * len(stages), 4.4))
    for axis, (name, params) in zip(np.atleast_1d(axes), stages.items(), strict=True):
        images = task.to_images(np.asarray(decode_all(task.vae, params[0], points)))
        axis.imshow(_mosaic(images, _MANIFOLD), cmap="gray", vmin=0, vmax=1, extent=(-3, 3, -3, 3))
        axis.set_title(name, fontsize=10)
    figure.suptitle("Latent space of the first seed's model", fontsize=11)
    return figure


def _best_objects(result: RunRecord, task: Task, base: Dataset) -> Figure:
    """Draw the best objects of each seed; pictures in colour are larger."""
    assert task.to_images is not None
    like = base.objects[0]
    seeds = result.folder.config.seed_numbers
    side = 2.4 if task.to_images(np.asarray(base.objects[:1])).ndim == 4 else 1.2
    figure, axes = _subplots(
        len(seeds),
        _BEST,
        figsize=(side * _BEST, (side + 0.2) * len(seeds)),
        squeeze=False,
    )
    queries = result.queries()
    for row, seed in zip(axes, seeds, strict=True):
        best = [q for q in queries if q.seed == seed and q.score is not None]
        best.sort(key=lambda q: -result.folder.config.sign * (q.score or 0))
        for axis in row:
            axis.set_axis_off()
        for axis, query in zip(row, best[:_BEST], strict=False):
            stored = np.frombuffer(query.object, like.dtype).reshape(1, *like.shape)
            axis.imshow(task.to_images(stored)[0], cmap="gray", vmin=0, vmax=1)
            axis.set_title(shown(query.score or 0.0), fontsize=8)
    figure.suptitle(f"{title(result.summary)}: best objects, one row per seed", fontsize=10)
    return figure


def _stages(result: RunRecord, task: Task, base: Dataset) -> dict[str, list[Any]]:
    """The parameters of every seed at the start, the middle and the end, by stage."""
    done = result.checkpoints
    seeds = result.folder.config.seeds
    start = pretrained_params(task, base)
    stages = {"pretrained": [start] * seeds}
    names = {done[0]: "after the first retraining", done[-1]: "end"}
    if len(done) > 2:
        names[done[len(done) // 2]] = "middle"
    for number in sorted(names):
        state = result.load_state(number, task, base)
        stages[names[number]] = [_lane(state, i).params for i in range(seeds)]
    return stages


def _subplots(
    rows: int = 1, columns: int = 1, *, figsize: tuple[float, float], **options: Any
) -> tuple[Figure, Any]:
    """A figure and its axes, made without pyplot, which would change a notebook's backend."""
    figure = Figure(figsize=figsize, layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def _lane(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda a: a[i], tree)


def _mosaic(images: np.ndarray, columns: int) -> np.ndarray:
    framed = np.pad(images.astype(float), ((0, 0), (1, 1), (1, 1)), constant_values=0.5)
    rows = framed.reshape(-1, columns, *framed.shape[1:]).transpose(0, 2, 1, 3)
    return rows.reshape(rows.shape[0] * rows.shape[1], -1)


def _save(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path
