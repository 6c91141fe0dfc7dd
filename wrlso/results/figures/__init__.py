"""The figures of one run, ready for a paper: the paper's Figs. 1 to 4 and 6."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import jax
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wrlso.evaluation.objective import HostEvaluator
from wrlso.methods import Method
from wrlso.results.figures import canvas, curves, latent, objects, samples
from wrlso.results.figures.weights import weights
from wrlso.results.record import RunRecord, task_of
from wrlso.results.stages import stages_of
from wrlso.results.tables import title
from wrlso.runs.base_data import base_of
from wrlso.tasks.base import Task

plot_curves = curves.plot_curves

Kind = Literal[
    "best_so_far", "weights", "prior_samples", "manifold", "latent_map", "progress", "best_objects"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""The figures of a run; :meth:`wrlso.Result.plot` describes them."""

SAMPLES = 1000
"""Number of samples of each seed's prior that an objective in JAX scores per stage."""


def plot(
    result: RunRecord,
    kind: Kind = "best_so_far",
    ax: Axes | Iterable[Axes] | None = None,
    task: Task | None = None,
    method: Method | None = None,
    label: str | None = None,
    color: str | None = None,
    host_samples: int = 0,
) -> Figure:
    """Draw one figure of a run, see :meth:`wrlso.Result.plot`."""
    if kind not in KINDS:
        raise ValueError(f"unknown figure {kind!r}; there are: {', '.join(KINDS)}")
    with rc_context(canvas.STYLE if ax is None else None):
        if kind == "best_so_far":
            return curves.best_so_far(result, ax, label, color)  # type: ignore[arg-type]
        if kind == "latent_map":
            return latent.latent_map(result, ax)  # type: ignore[arg-type]
        return _of_task(result, kind, ax, task or task_of(result.folder.config), method,
                        host_samples)  # fmt: skip


def _of_task(
    result: RunRecord, kind: Kind, ax: Any, task: Task, method: Method | None, host_samples: int
) -> Figure:
    """A figure that needs the task: its data, its model or its objective."""
    base = base_of(result.folder, task)
    if kind == "weights":
        method = method or result.folder.config.own_method()
        if method is None:
            raise ValueError("the run has a weighting of your own: pass its method as method=")
        return weights(result, task, base, method, ax)
    if kind in ("progress", "best_objects"):
        if task.to_images is None:
            raise ValueError(f"task {task.name!r} has no pictures of objects: give it to_images=")
        draw = objects.progress if kind == "progress" else objects.best_objects
        return draw(result, task, base, ax)
    stages = stages_of(result.folder, task, base)
    if kind == "manifold":
        return latent.manifold(result, task, stages, ax)
    return _with_scores(
        task,
        host_samples,
        lambda score, count: samples.prior_samples(result, task, score, stages, count, ax),
    )


def _with_scores(
    task: Task, host_samples: int, draw: Callable[[Callable[[Any], Any], int], Figure]
) -> Figure:
    """Draw with a function that scores objects, in JAX or in Python."""
    if task.objective is not None:
        return draw(jax.jit(task.objective), SAMPLES)
    if task.host_objective is None or host_samples < 1:
        raise ValueError(
            f"samples of the prior are scored by the objective of task {task.name!r}, which is a "
            f"Python function: say how many it may score per model, got host_samples = "
            f"{host_samples}"
        )
    with HostEvaluator(task.host_objective) as evaluator:
        return draw(evaluator.scores, host_samples)


def kinds_of(result: RunRecord, task: Task, method: Method | None, host_samples: int) -> list[Kind]:
    """The figures that fit a run and its task."""
    fits: dict[Kind, bool] = {
        "best_so_far": True,
        "weights": (method or result.folder.config.own_method()) is not None,
        "prior_samples": task.objective is not None
        or (task.host_objective is not None and host_samples > 0),
        "manifold": task.vae.latent_dim == 2 and task.objective is not None,
        "latent_map": True,
        "progress": task.to_images is not None,
        "best_objects": task.to_images is not None,
    }
    return [kind for kind in KINDS if fits[kind]]


def save_figures(
    result: RunRecord,
    task: Task | None = None,
    host_samples: int = 0,
    method: Method | None = None,
    formats: Sequence[canvas.Format] = canvas.FORMATS,
) -> list[Path]:
    """Draw all figures that fit the task into the run's folder, see
    :meth:`wrlso.Result.save_figures`."""
    task = task or task_of(result.folder.config)
    about = title(result.summary)
    written: list[Path] = []
    for kind in kinds_of(result, task, method, host_samples):
        figure = plot(result, kind, task=task, method=method, host_samples=host_samples)
        written += canvas.save(figure, result.folder.figures / kind, formats, about)
    return written
