"""The page of a report: charts by Bokeh and tables, all in one file."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jinja2
import numpy as np
from bokeh.document import Document
from bokeh.embed import components
from bokeh.models.plots import Plot
from bokeh.resources import Resources

from wrlso.results.record import RunRecord
from wrlso.results.report import charts, reproduce, run_charts, sections
from wrlso.results.report.objects import Cells, cells_of
from wrlso.results.report.view import RunView, read_runs
from wrlso.results.stages import prior_scores, stages_of
from wrlso.results.tables import copies
from wrlso.runs.base_data import base_of
from wrlso.runs.outputs import check_output
from wrlso.scores import Objective
from wrlso.storage.files import write_text
from wrlso.tasks.base import Task

PRIOR_SAMPLES = 200
"""Number of samples of each seed's prior that are scored per stage, if the objective is in JAX."""


def report(
    runs: str | Path | RunRecord | Sequence[str | Path | RunRecord],
    file: str | Path,
    *,
    task: Task | None = None,
    watch: bool = False,
    every: float = 10.0,
    say: Callable[[str], None] = print,
) -> Path:
    """Write the report of one or several runs to one HTML page that works offline.

    Runs may be under way, in this or another process.

    Args:
      runs: folders of runs, or results.
      file: the page; it is replaced if it exists.
      task: the task of the runs, if it is your own. Without it the page has no objects and no
        starting data.
      watch: write the page again and again until all runs are finished; in a browser it reloads
        itself.
      every: number of seconds between two versions, at least 1.
      say: told of each version, if ``watch``.

    Returns:
      The path of the page.

    Raises:
      ValueError: if no run is given, a folder holds no run, or ``every`` is below 1.
      OSError: if the page cannot be written.
    """
    several = [runs] if isinstance(runs, str | Path | RunRecord) else list(runs)
    paths = [one.folder.path if isinstance(one, RunRecord) else Path(one) for one in several]
    if not paths:
        raise ValueError("runs is empty: name the folder of at least one run")
    if not every >= 1:
        raise ValueError(f"every must be at least 1 second, got {every:g}")
    check_output(Path(file))
    while not _write(paths, Path(file), task, every if watch else None):
        if not watch:
            break
        say(f"{file}: {datetime.now():%H:%M:%S}, under way")
        time.sleep(every)
    return Path(file)


def _write(paths: Sequence[Path], file: Path, task: Task | None, refresh: float | None) -> bool:
    """Write the page as it is now; true if all runs are finished."""
    views = read_runs(paths, task)
    finished = all(view.finished for view in views)
    write_text(file, make_page(views, None if finished else refresh))
    return finished


def make_page(views: Sequence[RunView], refresh: float | None = None) -> str:
    """The page as text.

    Args:
      views: the runs, from :func:`wrlso.results.report.view.read_runs`.
      refresh: number of seconds after which a browser reads the file again.
    """
    cells = {view.name: cells_of(view, len(views)) for view in views}
    collected: dict[str, Plot] = {}

    def place(chart: Plot | None) -> str:
        """The name of a chart's place in the page; empty without a chart."""
        if chart is None:
            return ""
        name = f"chart{len(collected)}"
        collected[name] = chart
        return name

    groups = [_group(same, cells, place) for same in _by_task(views)]
    runs = [_run(view, cells[view.name], place) for view in views]
    costs = place(charts.costs(views)) if any(view.seconds for view in views) else ""
    script, places = _embedded(collected)
    library = Resources(mode="inline", components=["bokeh"]).render_js()
    return _template().render(
        title=", ".join(view.name for view in views),
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        version=version("wrlso"),
        refresh=None if refresh is None else max(1, round(refresh)),
        groups=groups,
        runs=runs,
        costs=costs,
        places=places,
        script=script,
        library=library,
    )


def _embedded(collected: Mapping[str, Plot]) -> tuple[str, Mapping[str, str]]:
    """The script that draws the charts, and the element of each.

    The charts are put into one document at once: one after the other, Bokeh would look through all
    of them again for each.
    """
    if not collected:
        return "", {}
    document = Document()
    with document.models.freeze():
        for chart in collected.values():
            document.add_root(chart)
    return components(dict(collected))


def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("wrlso.results.report", "")
    environment = jinja2.Environment(
        loader=loader, autoescape=False, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters["escape_text"] = lambda value: jinja2.filters.escape(str(value))
    return environment.get_template("page.html")


def _by_task(views: Sequence[RunView]) -> list[list[RunView]]:
    """The runs that can be compared: those of one task with the same facts about it."""
    groups: dict[str, list[RunView]] = {}
    for view in views:
        groups.setdefault(view.task_title, []).append(view)
    return list(groups.values())


def _group(
    views: Sequence[RunView], cells: Mapping[str, Cells], place: Callable[[Plot | None], str]
) -> dict[str, Any]:
    any_score = any(np.isfinite(view.best()).any() for view in views)
    label = "best score so far"
    return {
        "name": views[0].task_title,
        "overview": sections.overview(views),
        "curves": place(charts.curves(views, cells, label) if any_score else None),
        "finals": place(charts.finals(views, "best score") if any_score else None),
        "differences": sections.differences(views),
        "copies": copies([view.name for view in views], [view.folder.id for view in views]),
    }


def _run(view: RunView, cells: Cells, place: Callable[[Plot | None], str]) -> dict[str, Any]:
    found = run_charts.latent_map(view, cells, "score")
    latent, words = found if found else (None, "")
    predicted = run_charts.predictions(view, "score")
    expected, agreement = predicted if predicted else (None, "")
    command = reproduce.command_of(view.config)
    samples, why_not = _prior(view)
    training = [(name, place(chart)) for name, chart in run_charts.training(view)]
    return {
        "name": view.name,
        "path": view.folder.path.resolve(),
        "finished": view.finished,
        "charged": view.charged,
        "whole": view.config.queries * view.config.seeds,
        "statuses": sections.statuses(view),
        "missing": view.missing,
        "seeds": sections.seeds(view),
        "best": sections.best_objects(view, cells),
        "latent": place(latent),
        "latent_words": words,
        "rounds": place(run_charts.scores_by_round(view, "score")),
        "prior": place(samples),
        "no_prior": why_not,
        "training": [chart for name, chart in training if not name.startswith("fit_")],
        "predictions": place(expected),
        "agreement": agreement,
        "fits": [chart for name, chart in training if name.startswith("fit_")],
        "failures": sections.failures(view, cells),
        "diverged": sum(r.diverged for r in view.rounds),
        "configuration": sections.configuration(json.loads(view.config.to_json())),
        "command": command,
        "python": None if command else reproduce.python_of(view.config),
    }


@lru_cache(4)
def _compiled(objective: Objective) -> Objective:
    """An objective, compiled once for all runs of a page."""
    return jax.jit(objective)


def _prior(view: RunView) -> tuple[Plot | None, str]:
    """The scores of samples of the prior at each stage whose model is kept, or why there are
    none."""
    task = view.task
    if task is None:
        return None, "The task is not known."
    if task.objective is None:
        return None, "The objective is a Python function; scoring samples would cost evaluations."
    try:
        stages = stages_of(view.folder, task, base_of(view.folder, task))
    except (ValueError, OSError) as error:
        return None, f"The models cannot be read: {error}."
    groups = prior_scores(task, _compiled(task.objective), stages, PRIOR_SAMPLES)
    groups = {name: scores for name, scores in groups.items() if len(scores)}
    if not groups:
        return None, "No sample has a score."
    return run_charts.distributions(groups, "model", "score", view.config.sign), ""
