"""Runs as a report shows them: finished or under way, with what their task adds."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wrlso.evaluation.components import ComponentValue
from wrlso.results.record import task_of
from wrlso.results.summary import best_so_far, charged_scores, describer, summarize
from wrlso.results.tables import task_title
from wrlso.runs.base_data import base_of
from wrlso.runs.config import RunConfig
from wrlso.runs.folder import RunFolder
from wrlso.runs.log import Query, Round
from wrlso.runs.processes import has_shares, read_log
from wrlso.runs.rows import PredictedScore
from wrlso.tasks.base import Task


@dataclass(frozen=True, eq=False)
class RunView:
    """A run as a report shows it.

    Attributes:
      name: the folder's name; runs of one page have different names.
      folder: the run's folder.
      summary: content of ``summary.json``; for a run under way, as it would be now.
      finished: whether the run has ended.
      queries: all queries so far, in order.
      rounds: all retrainings so far.
      seconds: wall seconds by phase.
      task: the task; None if it is the user's own and was not given.
      base_scores: ``[N]`` scores of the starting data; None if the task is not known, or its data
        cannot be read.
      components: the parts of the scores, by seed, round and index of the query.
      predictions: the scores that the surrogate expected, in the same way.
      missing: what is not shown, and why, one sentence each.
    """

    name: str
    folder: RunFolder
    summary: dict[str, Any]
    finished: bool
    queries: Sequence[Query]
    rounds: Sequence[Round]
    seconds: dict[str, float]
    task: Task | None = None
    base_scores: np.ndarray | None = None
    components: Mapping[tuple[int, int, int], Sequence[ComponentValue]] = field(
        default_factory=dict
    )
    predictions: Mapping[tuple[int, int, int], PredictedScore] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def config(self) -> RunConfig:
        """The run's configuration."""
        return self.folder.config

    @property
    def task_title(self) -> str:
        """The task with the facts about it; runs of one title can be compared."""
        about = {"task": self.config.task, "minimize": self.config.minimize}
        return task_title(about | {"stated": self.summary.get("stated")})

    @property
    def charged(self) -> int:
        """Number of charged queries so far, over all seeds."""
        return sum(q.status.charged for q in self.queries)

    @property
    def start(self) -> float | None:
        """The best score of the starting data; None if it is not known."""
        if self.base_scores is None or not len(self.base_scores):
            return self.config.starting.get("best")
        sign = self.config.sign
        return float(sign * (sign * self.base_scores).max())

    def of_seed(self, seed: int) -> list[Query]:
        """The queries of a seed, in order."""
        return [q for q in self.queries if q.seed == seed]

    def curves(self) -> list[np.ndarray]:
        """The best score so far of each seed, ``[n]`` each, after every charged query."""
        scores = [charged_scores(self.of_seed(seed)) for seed in self.config.seed_numbers]
        return [best_so_far(one, self.config.sign) for one in scores]

    def best(self) -> np.ndarray:
        """``[seeds]`` best score of each seed; NaN for a seed without one."""
        found = [s["best"] for s in self.summary["seeds"]]
        return np.array([np.nan if best is None else best for best in found], float)

    def describe(self) -> Callable[[Query], str] | None:
        """A function from a query to its object as text; None if there is no such form."""
        return None if self.task is None else describer(self.task)


_NOTHING: dict[str, Any] = {"seeds": [], "stated": {}, "failures": {}, "uncharged_evaluations": 0}
"""The summary of a run that has not asked yet."""


def read_runs(paths: Sequence[str | Path], task: Task | None = None) -> list[RunView]:
    """Read runs from their folders.

    Each task is made once. Its starting data are read once, but for those that a folder keeps:
    they are its run's own.

    Args:
      paths: the folders; runs may be under way.
      task: the task of the runs of that name; other runs find built-in tasks themselves.

    Raises:
      ValueError: if a folder holds no run.
    """
    tasks: dict[str, tuple[Task | None, list[str]]] = {}
    base: dict[tuple[str, Path | None], tuple[np.ndarray | None, list[str]]] = {}
    views = []
    for path, name in zip(paths, _different_names(paths), strict=True):
        folder = RunFolder(Path(path))
        key = f"{folder.config.task} {sorted(folder.config.task_options.items(), key=str)}"
        if key not in tasks:
            tasks[key] = _find_task(folder.config, task)
        found, no_task = tasks[key]
        kept = key, folder.path.resolve() if folder.base_file.exists() else None
        if kept not in base:
            base[kept] = _base_scores(folder, found)
        scores, no_scores = base[kept]
        views.append(_read(folder, name, found, scores, no_task + no_scores))
    return views


def _read(
    folder: RunFolder,
    name: str,
    task: Task | None,
    base_scores: np.ndarray | None,
    missing: list[str],
) -> RunView:
    whole = folder.finished_summary()  # before the log, which may go on meanwhile
    finished, summary = whole is not None, whole or _NOTHING
    queries, rounds, seconds, parts, expected = [], [], {}, {}, {}
    if (folder.path / "queries.sqlite").exists() or has_shares(folder.path):
        with closing(read_log(folder)) as log:
            queries, rounds = log.queries(), log.rounds()
            seconds, parts, expected = log.seconds(), log.components(), log.predictions()
            if not finished:
                describe = None if task is None else describer(task)
                stated = {} if task is None else task.stated
                summary = summarize(folder.config, log, {}, 1, stated, describe)
    return RunView(
        name, folder, summary, finished, queries, rounds, seconds, task, base_scores, parts,
        expected, missing,
    )  # fmt: skip


def _find_task(config: RunConfig, given: Task | None) -> tuple[Task | None, list[str]]:
    """The task, and what is missing without it."""
    if given is not None and given.name == config.task:
        return given, []
    try:
        return task_of(config), []
    except (ValueError, OSError, TypeError) as error:
        return None, [f"Objects and starting data are not shown: {error}."]


def _base_scores(folder: RunFolder, task: Task | None) -> tuple[np.ndarray | None, list[str]]:
    """The scores of the starting data, and what is missing without them."""
    if task is None:
        return None, []
    try:
        return task.sign * np.asarray(base_of(folder, task).scores, float), []
    except (ValueError, OSError) as error:
        return None, [f"The starting data are not shown: {error}."]


def _different_names(paths: Sequence[str | Path]) -> list[str]:
    """The folders' names; runs whose folders have the same name get their whole paths, or, given
    twice, numbers."""
    names = [Path(path).resolve().name for path in paths]
    names = [
        str(path) if names.count(name) > 1 else name
        for path, name in zip(paths, names, strict=True)
    ]
    return [
        f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]
