"""The paper's tables and figures: every method on every task, from one command.

    python -m benchmarks.paper                       all three tasks
    python -m benchmarks.paper --task shapes         one of them
    python -m benchmarks.paper --quick               a small grid, to see whether everything works

Runs are kept under --runs. After an interruption the same command continues them; finished runs are
read. Runs that differ only in traced numbers share a program. The results of all finished runs go
to --results: paper-TASK.md (with the size limit for molecules), -seeds.csv, -queries.csv.gz,
-runs.json and figures. Rows that are there already stay in the tables.
"""

import itertools
from argparse import Namespace
from pathlib import Path

import numpy as np

from benchmarks.paper import figures, published_runs
from benchmarks.paper.grid import QUICK, TASKS, Scale, Setting, settings
from benchmarks.paper.options import Model, label_of, models_of, parse_options, task_options
from benchmarks.paper.options import command as command_of
from benchmarks.paper.records import (
    read_records,
    record_paths,
    write_queries,
    write_records,
)
from benchmarks.paper.rows import SIGN, Rows
from benchmarks.paper.runs import finished, program, run, summary_file
from benchmarks.paper.tables import document, write_seeds
from wrlso import Dataset
from wrlso.parallel import request_cpu_devices
from wrlso.tasks import TASKS as FACTORIES
from wrlso.tasks import Task


def main() -> None:
    """Run every grid that was asked for."""
    options = parse_options(__doc__)
    request_cpu_devices(options.seeds or 5)
    published = published_runs.load(options.published)
    names = [options.task] if options.task else TASKS
    chosen = [(name, model) for name in names for model in models_of(name, options)]
    tasks = [FACTORIES[name](**task_options(name, model, options)) for name, model in chosen]
    for (name, model), task in zip(chosen, tasks, strict=True):
        Reproduction(name, model, task, options, published).run()


class Reproduction:
    """The grid of one task with one model: its runs and its results."""

    def __init__(
        self,
        name: str,
        model: Model,
        task: Task,
        options: Namespace,
        published: published_runs.Runs,
    ) -> None:
        self.name, self.task, self.options, self.published = name, task, options, published
        label = label_of(name, model, options)
        self.folder: Path = options.runs / label
        self.stem: Path = options.results / f"paper-{label}"
        self.command = command_of(name, model, options)
        full = options.full or name != "molecules"
        self.grid = settings(name, _scale(name, options), full=full, further=options.further)

    def run(self) -> None:
        """Run the grid, and write all results anew after the runs of each program."""
        base = self.task.load_data()
        chosen = self._chosen()
        groups = [list(group) for _, group in itertools.groupby(chosen, program)]
        for group in [[]] if self.options.tables else groups:
            if group:
                run(self.task, group, self.folder)
            kept = read_records(*record_paths(self.stem))
            self.write(base, finished(self.task, self.grid, self.folder, kept))
        headline = next(setting for setting in self.grid if setting.headline)
        if summary_file(self.folder, headline).exists():
            figures.draw_headline(self.task, self.folder / headline.folder, self.stem)
        print(self.stem.with_suffix(".md").read_text(), flush=True)

    def _chosen(self) -> list[Setting]:
        words = self.options.only or [""]
        chosen = [s for s in self.grid if any(word in s.name for word in words)]
        if not chosen:
            names = "\n".join(setting.name for setting in self.grid)
            raise SystemExit(f"--only {self.options.only} matches no row; the rows are:\n{names}")
        return chosen

    def write(self, base: Dataset, rows: Rows) -> None:
        """Write the tables, CSV files and figures of the finished rows."""
        self.options.results.mkdir(parents=True, exist_ok=True)
        name, stem = self.name, self.stem
        text = document(
            name, self.task.options, base, rows, self.published, self.command, len(self.grid)
        )
        stem.with_suffix(".md").write_text(text)
        median = float(np.median(base.scores))
        write_seeds(rows, median, stem.with_name(stem.name + "-seeds.csv"))
        records, queries = record_paths(stem)
        write_records({row.setting.name: row.run for row in rows}, records)
        write_queries([row.run for row in rows], queries)
        sign, title = SIGN[name], self._title()
        drawn = {
            "weights": figures.weight_histograms(np.asarray(base.scores), sign, title),
            "cumulative-weights": figures.cumulative_weights(),
            "scores": figures.moved_scores(rows, sign, title),
            "methods": figures.all_curves(name, rows, self.published, sign, title),
        }
        if any(row.setting.method.weighting == "rank" for row in rows):
            drawn["k-and-r"] = figures.loop_curves(name, rows, self.published, sign, title)
        figures.save(drawn, stem)

    def _title(self) -> str:
        """The task as figures name it, with the facts that its tables always state."""
        stated = ", ".join(
            f"{key.replace('_', ' ')} {str(value).replace('_', ' ')}"
            for key, value in self.task.stated.items()
        )
        return f"{self.name} ({stated})".capitalize() if stated else self.name.capitalize()


def _scale(name: str, options: Namespace) -> Scale:
    usual = Scale(baseline_seeds=3) if name == "molecules" else Scale()
    scale = QUICK if options.quick else usual
    return scale if options.seeds is None else scale.with_seeds(options.seeds)


if __name__ == "__main__":
    main()
