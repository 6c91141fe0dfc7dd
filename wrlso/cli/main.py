"""The entry point of ``wrlso``, and its general commands."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro
from tyro.conf import Positional

from wrlso.cli import export, molecules, reports
from wrlso.cli.options import parse_run_options, summary_of
from wrlso.evaluation.values import EvaluationError
from wrlso.methods import METHODS, get_method
from wrlso.tasks import TASKS

if TYPE_CHECKING:
    from wrlso.results.result import Result
    from wrlso.tasks.base import Task


@dataclass(frozen=True)
class Run:
    """Run a method on a task over several seeds, into a new folder."""

    task: Positional[str]
    """The task; 'wrlso tasks' lists them. 'wrlso run TASK --help' explains its options."""


@dataclass(frozen=True)
class Resume:
    """Continue an interrupted run. It ends with the queries of the uninterrupted run."""

    run: Positional[Path]
    """The run's folder."""
    devices: int | None = None
    """Number of devices to spread seeds over. Default: the number that the run began with."""
    distributed: bool = False
    """Join the processes of a cluster, each of which runs this command."""
    figures: bool = True
    """Draw figures at the end."""
    progress: bool = True
    """Show progress bars."""
    executor: str | None = None
    """Scheduler that evaluates the objective, such as dask://127.0.0.1:8786. Default: none."""


@dataclass(frozen=True)
class Tasks:
    """List the tasks."""


@dataclass(frozen=True)
class Methods:
    """List the methods."""


@dataclass(frozen=True)
class Train:
    """Train a model of your own data. After a stop, the same command continues."""

    task: Positional[str]
    """The subject of the model: molecules. 'wrlso train molecules --help' explains the options."""


_COMMANDS: dict[str, Callable[..., Any]] = {
    "run": Run,
    "resume": Resume,
    "report": reports.Report,
    "export": export.Export,
    "tasks": Tasks,
    "methods": Methods,
    "data": molecules.Data,
    "train": Train,
}
_DESCRIPTION = """Optimise expensive black boxes in the latent space of generative models, by
weighted retraining. A first run: wrlso run shapes --out runs/first"""


_EXPECTED = (
    ValueError, FloatingPointError, ImportError, OSError, sqlite3.Error, EvaluationError,
)  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """The entry point; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stdout)
    try:
        return _dispatch(argv)
    except _EXPECTED as error:
        print(f"wrlso: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("wrlso: interrupted", file=sys.stderr)
        return 130


def _dispatch(argv: list[str]) -> int:
    for_a_task = {"run": _run, "train": _train}
    if len(argv) > 1 and argv[0] in for_a_task and not argv[1].startswith("-"):
        return for_a_task[argv[0]](argv[1], argv[2:])
    command = tyro.extras.subcommand_cli_from_dict(
        _COMMANDS, prog="wrlso", description=_DESCRIPTION, args=argv or ["--help"]
    )
    handlers: dict[type, Callable[[Any], int]] = {
        Run: _task_is_missing,
        Resume: _resume,
        reports.Report: reports.report,
        export.Export: export.export,
        molecules.Data: molecules.data,
        Train: _task_is_missing,
        Methods: _methods,
        Tasks: _tasks,
    }
    return handlers[type(command)](command)


def _task_is_missing(command: Run | Train) -> int:
    example = f"wrlso run {next(iter(TASKS))} --out DIR"
    if isinstance(command, Train):
        example = "wrlso train molecules --data FILE --out MODEL"
    raise ValueError(f"name the task first, then its options: {example}")


def _methods(command: Methods) -> int:
    _print_table(("method", "what it does"), [(m.name, m.summary) for m in METHODS.values()])
    return 0


def _tasks(command: Tasks) -> int:
    rows = [(name, summary_of(factory)) for name, factory in TASKS.items()]
    _print_table(("task", "what it asks"), rows)
    return 0


def _run(name: str, argv: list[str]) -> int:
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; there are: {', '.join(TASKS)}")
    options = parse_run_options(name, TASKS[name], argv)
    method = get_method(options.command["method"]).with_options(**options.method)
    from wrlso.api import run
    from wrlso.runs.process import programs_on_disk, request_devices
    from wrlso.runs.processes import join_processes

    if options.command["distributed"]:
        join_processes()
    request_devices(options.settings["seeds"], options.settings["devices"])
    out = options.command["out"]
    with programs_on_disk():
        task = TASKS[name](**options.task)
        with _says_how_to_resume(out):
            result = run(task, method, out=out, **options.settings)
        return _finish(result, options.command["figures"], task)


def _train(name: str, argv: list[str]) -> int:
    if name != "molecules":
        raise ValueError(f"no model of {name!r} can be trained; there is: molecules")
    prog = f"wrlso train {name}"
    return molecules.train_molecules(tyro.cli(molecules.TrainMolecules, prog=prog, args=argv))


def _resume(command: Resume) -> int:
    from wrlso.api import resume
    from wrlso.results.record import task_of
    from wrlso.runs.folder import RunFolder
    from wrlso.runs.process import programs_on_disk, request_devices
    from wrlso.runs.processes import join_processes

    if command.distributed:
        join_processes()
    config = RunFolder(command.run).config
    if RunFolder(command.run).summary_file.exists():
        print(f"{command.run} is finished: nothing was left to do")
    request_devices(config.seeds, command.devices or config.devices)
    with programs_on_disk():
        task = task_of(config)
        with _says_how_to_resume(command.run):
            result = resume(
                command.run,
                task=task,
                devices=command.devices,
                progress=command.progress,
                executor=command.executor,
            )
        return _finish(result, command.figures, task)


@contextlib.contextmanager
def _says_how_to_resume(out: Path) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, EvaluationError):
        if (out / "config.json").exists():
            print(f"\nwrlso: nothing is lost; continue with: wrlso resume {out}", file=sys.stderr)
        else:
            print("\nwrlso: nothing had been scored yet: run it again", file=sys.stderr)
        raise


def _finish(result: Result, figures: bool, task: Task) -> int:
    from wrlso.runs.processes import process

    if process()[0] > 0:
        return 0
    print("\n" + result.table() + "\n")
    print(f"run folder: {result.folder.path}")
    if figures:
        reports.draw(result, task)
    return 0


def _print_table(header: tuple[str, str], rows: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
