"""The runs of a grid: running them, and finding those that are finished."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import wrlso
from benchmarks.paper.grid import Setting
from benchmarks.paper.records import Finished, read_run, same_task
from benchmarks.paper.rows import Row, Rows
from wrlso.tasks import Task

_COMMITS = "commits.txt"


def program(setting: Setting) -> tuple:
    """The part of a setting that settings in one compiled program have in common."""
    method = setting.method
    return (
        *(setting.budget, setting.seeds, setting.proposer or method.proposer),
        *(setting.gradient_of, method.weighting, method.retrain_every, method.epochs),
    )


def run(task: Task, group: Sequence[Setting], folder: Path) -> None:
    """Run settings of one program side by side."""
    first = group[0]
    _note_commit(folder, [s for s in group if not summary_file(folder, s).exists()])
    wrlso.sweep(
        task,
        {setting.folder: setting.method for setting in group},
        out=folder,
        budget=first.budget,
        seeds=first.seeds,
        proposer=first.proposer,
        gradient_of=first.gradient_of,
    )


def summary_file(folder: Path, setting: Setting) -> Path:
    """The file that a finished run has."""
    return folder / setting.folder / "summary.json"


def _note_commit(folder: Path, group: Sequence[Setting]) -> None:
    """Write down the commit that runs each setting: one line per setting, commit and folder."""
    arguments = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    answer = subprocess.run(
        arguments, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    commit = answer.stdout.strip() or "unknown"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _COMMITS).open("a") as file:
        file.writelines(f"{commit} {setting.folder}\n" for setting in group)


def _commits(folder: Path, setting: Setting) -> str:
    """The commits of all sessions of a run, each once."""
    noted = (folder / _COMMITS).read_text().split("\n") if (folder / _COMMITS).exists() else []
    found = [line.split()[0] for line in noted if line.endswith(f" {setting.folder}")]
    return ", ".join(dict.fromkeys(found)) or "unknown"


def finished(
    task: Task, grid: Sequence[Setting], folder: Path, kept: Mapping[str, Finished]
) -> Rows:
    """All rows of the grid that are finished, on this machine or in the records.

    Args:
      task: the task of the runs.
      grid: all rows that there may be.
      folder: the folder of this machine's runs.
      kept: the rows in the records by name. A row that was run on this machine replaces its record.

    Raises:
      ValueError: if a run in the folder has another budget, number of seeds or task than its row.
    """
    rows = []
    for setting in grid:
        if summary_file(folder, setting).exists():
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
        f"{made['task_options']}, but budget = {setting.budget}, seeds = {setting.seeds} and "
        f"{dict(task.options)} are asked for now: choose another folder with --runs, or the "
        "options of that run"
    )
