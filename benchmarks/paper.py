"""The paper's tables and figures: every method on every task, from one command.

    python -m benchmarks.paper                       all three tasks
    python -m benchmarks.paper --task shapes         one of them
    python -m benchmarks.paper --quick               a small grid, to see whether everything works

Runs are kept under --runs; interrupted, the same command goes on, and finished runs are read. Runs
that differ in traced numbers only share a program. Results of all that is finished go to --results:
paper-TASK.md (of molecules, with the size limit), -seeds.csv, -queries.csv.gz, -runs.json and
figures. Rows that are there already and not asked for with --only stay in the tables.
"""

import argparse
import itertools
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import wrlso
from benchmarks import paper_figures, published_runs
from benchmarks.experiments import RESULTS
from benchmarks.paper_grid import QUICK, TASKS, Scale, Setting, settings
from benchmarks.paper_records import (
    Finished,
    read_records,
    read_run,
    same_task,
    write_queries,
    write_records,
)
from benchmarks.paper_tables import SIGN, Row, Rows, document, write_seeds
from wrlso import Dataset, Result
from wrlso.parallel import request_cpu_devices
from wrlso.tasks import TASKS as FACTORIES
from wrlso.tasks import Task


def main() -> None:
    options = _options()
    request_cpu_devices(options.seeds or 5)
    published = published_runs.load(options.published)
    names = [options.task] if options.task else TASKS
    tasks = {name: FACTORIES[name](**_task_options(name, options)) for name in names}
    for name, task in tasks.items():
        reproduce(name, task, options, published)


def reproduce(
    name: str, task: Task, options: argparse.Namespace, published: published_runs.Runs
) -> None:
    """Run the grid of a task and write its results, anew after each program's runs."""
    scale = _scale(name, options)
    grid = settings(name, scale, full=options.full or name != "molecules")
    chosen = [s for s in grid if any(word in s.name for word in options.only or [""])]
    if not chosen:
        raise SystemExit(f"--only {options.only}: none of {[s.name for s in grid]}")
    folder, base = options.runs / _label(name, options), task.load_data()
    stem = _stem(name, options)
    groups = [list(group) for _, group in itertools.groupby(chosen, _program)]
    for group in [[]] if options.tables else groups:
        if group:
            run(task, group, folder)
        rows = finished(task, grid, folder, recorded(stem))
        write(name, task, base, rows, published, options, len(grid))
    draw_headline(task, next(s for s in grid if s.headline), folder, stem)
    print((options.results / f"paper-{_label(name, options)}.md").read_text(), flush=True)


def _program(setting: Setting) -> tuple:
    """What is the same for settings that can run side by side."""
    method = setting.method
    return (
        *(setting.budget, setting.seeds, setting.proposer or method.proposer),
        *(method.weighting, method.retrain_every, method.epochs),
    )


def run(task: Task, group: list[Setting], folder: Path) -> None:
    """Run settings side by side."""
    first = group[0]
    _note_commit(folder, [s for s in group if not _summary(folder, s).exists()])
    wrlso.sweep(
        task,
        {setting.folder: setting.method for setting in group},
        out=folder,
        budget=first.budget,
        seeds=first.seeds,
        proposer=first.proposer,
    )


def _summary(folder: Path, setting: Setting) -> Path:
    return folder / setting.folder / "summary.json"


_COMMITS = "commits.txt"


def _note_commit(folder: Path, group: list[Setting]) -> None:
    """Remember which code a session runs them with: a line each, commit and folder."""
    asked = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    here = Path(__file__).parent
    said = subprocess.run(asked, cwd=here, capture_output=True, text=True, check=False)
    commit = said.stdout.strip() or "unknown"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _COMMITS).open("a") as file:
        file.writelines(f"{commit} {setting.folder}\n" for setting in group)


def _commits(folder: Path, setting: Setting) -> str:
    """Of all sessions of a run, each once."""
    noted = (folder / _COMMITS).read_text().split("\n") if (folder / _COMMITS).exists() else []
    found = [line.split()[0] for line in noted if line.endswith(f" {setting.folder}")]
    return ", ".join(dict.fromkeys(found)) or "unknown"


def recorded(stem: Path) -> dict[str, Finished]:
    """Rows kept with the results, by name."""
    return read_records(*_records(stem))


def _records(stem: Path) -> tuple[Path, Path]:
    names = stem.name + "-runs.json", stem.name + "-queries.csv.gz"
    return stem.with_name(names[0]), stem.with_name(names[1])


def finished(task: Task, grid: list[Setting], folder: Path, kept: Mapping[str, Finished]) -> Rows:
    """All of the grid that has been run, here or, if it is the same, elsewhere.

    Args:
      task: of the runs.
      grid: what there may be.
      folder: of this machine's runs.
      kept: rows kept with the results, by name; for what has not been run here.

    Raises:
      ValueError: if a run in the folder is not of this grid: its budget, seeds or task differ.
    """
    rows = []
    for setting in grid:
        if _summary(folder, setting).exists():
            run = read_run(folder / setting.folder, _commits(folder, setting))
            if not _is_of(setting, task, run):
                raise ValueError(_difference(folder / setting.folder, setting, task, run))
            rows.append(Row(setting, run))
        elif setting.name in kept and _is_of(setting, task, kept[setting.name]):
            rows.append(Row(setting, kept[setting.name]))
    return rows


def _is_of(setting: Setting, task: Task, run: Finished) -> bool:
    made = (run.summary["budget"], len(run.summary["seeds"]))
    return made == (setting.budget, setting.seeds) and same_task(run, task.options)


def _difference(path: Path, setting: Setting, task: Task, run: Finished) -> str:
    made = run.summary
    return (
        f"{path} was run with budget = {made['budget']}, seeds = {len(made['seeds'])} and "
        f"{made['task_options']}, now asked for are {setting.budget}, {setting.seeds} and "
        f"{dict(task.options)}: choose another folder with --runs, or the options of then"
    )


def write(
    name: str,
    task: Task,
    base: Dataset,
    rows: Rows,
    published: published_runs.Runs,
    options: argparse.Namespace,
    planned: int,
) -> None:
    """Tables, CSVs and figures of what has been run of the ``planned`` methods."""
    options.results.mkdir(parents=True, exist_ok=True)
    stem = _stem(name, options)
    command = _command(name, options)
    text = document(name, task.options, base, rows, published, command, planned)
    stem.with_suffix(".md").write_text(text)
    median = float(np.median(base.scores))
    write_seeds(rows, median, stem.with_name(stem.name + "-seeds.csv"))
    records, queries = _records(stem)
    write_records({row.setting.name: row.run for row in rows}, records)
    write_queries([row.run for row in rows], queries)
    sign, what = SIGN[name], _title(name, task)
    figures = {
        "weights": paper_figures.weight_histograms(np.asarray(base.scores), sign, what),
        "cumulative-weights": paper_figures.cumulative_weights(),
        "scores": paper_figures.moved_scores(rows, sign, what),
        "methods": paper_figures.all_curves(name, rows, published, sign, what),
    }
    if any(row.setting.method.weighting == "rank" for row in rows):
        figures["k-and-r"] = paper_figures.loop_curves(name, rows, published, sign, what)
    paper_figures.save(figures, stem)


def draw_headline(task: Task, headline: Setting, folder: Path, stem: Path) -> None:
    """The figures of the headline's run, where it was run here: manifold (Fig. 1), prior samples
    (Fig. 3), best objects."""
    if not _summary(folder, headline).exists():
        return
    for path in Result(folder / headline.folder).plot(task, host_samples=300):
        if path.stem in ("manifold", "prior_samples", "best_objects"):
            shutil.copy(path, f"{stem}-{path.stem.replace('_', '-')}.png")


_LIMITS = ("max-tokens", "max-heavy-atoms")


def _title(name: str, task: Task) -> str:
    """What figures say of a task: with what its tables always state."""
    stated = ", ".join(f"{key} = {value}" for key, value in task.stated.items())
    return f"{name} ({stated})" if stated else name


def _stem(name: str, options: argparse.Namespace) -> Path:
    return options.results / f"paper-{_label(name, options)}"


def _label(name: str, options: argparse.Namespace) -> str:
    """The name in files: molecules of different limits are different tasks."""
    return f"molecules-{options.max_heavy_atoms}-atoms" if name == "molecules" else name


def _command(name: str, options: argparse.Namespace) -> str:
    words = ["python -m benchmarks.paper", f"--task {name}"]
    words += [f"--{key.replace('_', '-')} FILE" for key in _files(name, options)]
    if name == "molecules":
        words += [f"--{key} {getattr(options, key.replace('-', '_'))}" for key in _LIMITS]
        words += ["--half-products"] if options.half_products else []
    words += [f"--{flag}" for flag in ("quick", "full") if getattr(options, flag)]
    words += [f"--seeds {options.seeds}"] if options.seeds else []
    words += ["--published FILE"] if options.published else []
    return " ".join(words)


def _scale(name: str, options: argparse.Namespace) -> Scale:
    usual = Scale(baseline_seeds=3) if name == "molecules" else Scale()
    scale = QUICK if options.quick else usual
    if options.seeds is None:
        return scale
    return replace(scale, seeds=options.seeds, baseline_seeds=options.seeds)


def _task_options(name: str, options: argparse.Namespace) -> dict[str, Any]:
    chosen = {key.split("_")[-1]: str(getattr(options, key)) for key in _files(name, options)}
    if name == "molecules":
        keys = ("max_tokens", "max_heavy_atoms", "half_products")
        chosen |= {key: getattr(options, key) for key in keys}
    return chosen


def _files(name: str, options: argparse.Namespace) -> list[str]:
    """The options that name files of a task."""
    keys = [f"{name}_data", f"{name}_model"]
    return [key for key in keys if getattr(options, key, None) is not None]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--task", choices=TASKS, help="one task; all if left out")
    parser.add_argument("--quick", action="store_true", help="tiny budgets, 2 seeds")
    parser.add_argument(
        "--full",
        action="store_true",
        help="molecules: the whole grid, as for the others (days);\n"
        "else the corners, k = 0.1 and one configuration of each baseline",
    )
    parser.add_argument("--tables", action="store_true", help="of what has been run; run nothing")
    parser.add_argument("--only", nargs="+", help="rows whose name contains one of these words")
    parser.add_argument(
        "--seeds", type=int, help="of every method (default 5; baselines on molecules 3)"
    )
    file = "a file of {}; sampled if left out".format
    parser.add_argument("--expressions-data", type=Path, help=file("expressions"))
    parser.add_argument("--molecules-data", type=Path, help=file("molecules, such as ZINC250k"))
    parser.add_argument("--molecules-model", type=Path, help="default: the one that comes along")
    parser.add_argument("--max-tokens", type=int, default=297, help="of a molecule")
    parser.add_argument("--max-heavy-atoms", type=int, default=173, help="of a molecule")
    parser.add_argument(
        "--half-products",
        action="store_true",
        help="molecules: retrain in bfloat16; faster where\nthe processor has such products",
    )
    parser.add_argument("--published", type=Path, help="the authors' runs, a CSV file")
    parser.add_argument("--runs", type=Path, help="folder of the runs (runs/paper)")
    parser.add_argument("--results", type=Path, help="folder of the results (benchmarks/results)")
    options = parser.parse_args()
    options.runs = options.runs or Path("runs/paper-quick" if options.quick else "runs/paper")
    options.results = options.results or (options.runs / "results" if options.quick else RESULTS)
    return options


if __name__ == "__main__":
    main()
