"""The paper's tables and figures: every method on every task, from one command.

    python -m benchmarks.paper                       all three tasks
    python -m benchmarks.paper --task shapes         one of them
    python -m benchmarks.paper --quick               a small grid, to see whether everything works

Runs are kept under --runs; interrupted, the same command goes on, and finished runs are read. Runs
that differ in traced numbers only share a program. Results, of what has been run so far, go to
--results: paper-TASK.md, -seeds.csv, -queries.csv.gz and figures.
"""

import argparse
import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import wrlso
from benchmarks import paper_figures, published_runs
from benchmarks.experiments import RESULTS
from benchmarks.paper_grid import QUICK, TASKS, Scale, Setting, settings
from benchmarks.paper_tables import SIGN, document, is_headline, write_queries, write_seeds
from wrlso import Result
from wrlso.parallel import request_cpu_devices
from wrlso.tasks import TASKS as FACTORIES
from wrlso.tasks import Task

Rows = list[tuple[Setting, Result]]


def main() -> None:
    options = _options()
    request_cpu_devices(options.seeds or 15)
    published = published_runs.load(options.published)
    for task in [options.task] if options.task else TASKS:
        reproduce(task, options, published)


def reproduce(name: str, options: argparse.Namespace, published: published_runs.Runs) -> None:
    """Run the grid of a task and write its results, anew after each sweep."""
    task = FACTORIES[name](**_task_options(name, options))
    scale = _scale(name, options)
    grid = settings(name, scale, full=options.full or name != "molecules")
    if options.only:
        grid = [s for s in grid if any(word in s.name for word in options.only)]
    rows: Rows = []
    together = lambda s: (s.budget, s.seeds, s.proposer or "")  # noqa: E731
    for _, group in itertools.groupby(grid, together):
        chosen = list(group)
        results = wrlso.sweep(
            task,
            {setting.folder: setting.method for setting in chosen},
            out=options.runs / name,
            budget=chosen[0].budget,
            seeds=chosen[0].seeds,
            proposer=chosen[0].proposer,
        )
        rows += [(setting, results[setting.folder]) for setting in chosen]
        write(name, task, rows, published, options)
        print((options.results / f"paper-{name}.md").read_text(), flush=True)


def write(
    name: str, task: Task, rows: Rows, published: published_runs.Runs, options: argparse.Namespace
) -> None:
    """Tables, CSVs and figures of what has been run."""
    options.results.mkdir(parents=True, exist_ok=True)
    stem = options.results / f"paper-{name}"
    words = ["python -m benchmarks.paper", f"--task {name}"]
    words += [f"--{key.replace('_', '-')} FILE" for key in _data_options(name, options)]
    words += [f"--{flag}" for flag in ("quick", "full") if getattr(options, flag)]
    tables = document(name, task.options, rows, published, " ".join(words))
    stem.with_suffix(".md").write_text(tables)
    write_seeds(rows, stem.with_name(stem.name + "-seeds.csv"))
    write_queries(rows, stem.with_name(stem.name + "-queries.csv.gz"))
    _draw(name, task, rows, published, options.results)


def _draw(name: str, task: Task, rows: Rows, published: published_runs.Runs, folder: Path) -> None:
    sign = SIGN[name]
    figures = {
        "weights": paper_figures.weight_histograms(
            np.asarray(task.load_data().scores), f"the base data of {name}"
        ),
        "cumulative-weights": paper_figures.cumulative_weights(),
        "scores": paper_figures.moved_scores(rows, sign),
        "methods": paper_figures.all_curves(name, rows, published, sign),
    }
    if any(setting.method.weighting == "rank" for setting, _ in rows):
        figures["k-and-r"] = paper_figures.loop_curves(name, rows, published, sign)
    paper_figures.save(figures, folder, f"paper-{name}")
    heads = [result for setting, result in rows if is_headline(setting)]
    if heads:
        for path in heads[0].plot(task):
            if path.stem in ("manifold", "prior_samples", "best_objects"):
                shutil.copy(path, folder / f"paper-{name}-{path.stem.replace('_', '-')}.png")


def _scale(name: str, options: argparse.Namespace) -> Scale:
    if options.quick:
        return QUICK
    chosen: dict[str, Any] = {"baseline_seeds": 3} if name == "molecules" else {}
    if options.seeds is not None:
        chosen = {"seeds": options.seeds, "baseline_seeds": options.seeds}
    return Scale(**chosen)


def _task_options(name: str, options: argparse.Namespace) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for key in _data_options(name, options):
        chosen[key.split("_")[-1]] = str(getattr(options, key))
    if name == "molecules":
        chosen |= {"max_tokens": options.max_tokens, "max_heavy_atoms": options.max_heavy_atoms}
    return chosen


def _data_options(name: str, options: argparse.Namespace) -> list[str]:
    keys = {"expressions": ("expressions_data",), "molecules": ("molecules_data",)}.get(name, ())
    return [key for key in keys if getattr(options, key) is not None]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--task", choices=TASKS, help="one task; all if left out")
    parser.add_argument("--quick", action="store_true", help="tiny budgets, 2 seeds")
    parser.add_argument(
        "--full", action="store_true", help="molecules: the whole grid, not only what is published"
    )
    parser.add_argument("--only", nargs="+", help="rows whose name contains one of these words")
    parser.add_argument(
        "--seeds", type=int, help="seeds of every method (5; baselines on molecules: 3)"
    )
    parser.add_argument("--expressions-data", type=Path, help="a file of expressions")
    parser.add_argument("--molecules-data", type=Path, help="a file of molecules, as ZINC250k")
    parser.add_argument("--max-tokens", type=int, default=297, help="of a molecule")
    parser.add_argument("--max-heavy-atoms", type=int, default=173, help="of a molecule")
    parser.add_argument("--published", type=Path, help="the authors' runs, a CSV file")
    parser.add_argument("--runs", type=Path, help="folder of the runs (runs/paper)")
    parser.add_argument("--results", type=Path, help="folder of the results (benchmarks/results)")
    options = parser.parse_args()
    if options.quick:
        options.runs = options.runs or Path("runs/paper-quick")
        options.results = options.results or options.runs / "results"
    options.runs = options.runs or Path("runs/paper")
    options.results = options.results or RESULTS
    return options


if __name__ == "__main__":
    main()
