"""The entry point of ``wrlso``, and its general commands."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro
from tyro.conf import Positional

from wrlso.cli import export, molecules, reports, study
from wrlso.cli.errors import have_stderr, say_error
from wrlso.cli.help import completion, describe
from wrlso.cli.options import parse_run_options, run_command, run_folder, summary_of
from wrlso.cli.own_task import factory_of, is_own, task_of_run
from wrlso.evaluation.values import EvaluationError
from wrlso.methods import METHODS, get_method
from wrlso.runs.interrupt import Terminated, remembered_interrupts, terminated_as_interrupted
from wrlso.storage.bars import bars
from wrlso.tasks import TASKS

if TYPE_CHECKING:
    from wrlso.results.result import Result
    from wrlso.tasks.base import Task


@dataclass(frozen=True)
class Run:
    """Run a method on a task over several seeds, into a new folder.

    Try:
      wrlso run shapes --budget 100 --seeds 2 --out runs/first
      wrlso run molecules --help
    """

    task: Positional[str]
    """The task; 'wrlso tasks' lists them. 'wrlso run TASK --help' explains its options. One of your
    own is FILE.py:NAME, a task in the file or a function that returns one."""


@dataclass(frozen=True)
class Resume:
    """Continue an interrupted run. It ends with the queries of the uninterrupted run.

    Try:
      wrlso resume runs/first
    """

    run: Positional[Path]
    """The run's folder."""
    budget: int | None = None
    """A larger budget: the run goes on as if it had been asked for at first."""
    devices: int | None = None
    """Number of devices to spread seeds over. Default: the number that the run began with."""
    distributed: bool = False
    """Join the processes of a cluster, each of which runs this command."""
    figures: bool = True
    """Draw figures at the end."""
    progress: bool = True
    """Show progress bars."""
    task: str | None = None
    """The task as FILE.py:NAME, if it is one of your own."""
    executor: str | None = None
    """Scheduler that evaluates the objective, such as dask://127.0.0.1:8786. Default: none."""


@dataclass(frozen=True)
class Tasks:
    """List the tasks.

    Try:
      wrlso tasks
      wrlso run shapes --help      the options of one
    """


@dataclass(frozen=True)
class Methods:
    """List the methods.

    Try:
      wrlso methods
      wrlso run shapes --method lso --budget 100
    """


@dataclass(frozen=True)
class Train:
    """Train a model of your own data. After a stop, the same command continues.

    Try:
      wrlso train molecules --data mine.smi --out mine.safetensors --steps 2000
      wrlso train molecules --help
    """

    task: Positional[str]
    """The subject of the model: molecules. 'wrlso train molecules --help' explains the options."""


@dataclass(frozen=True)
class Completion:
    """Print the script that completes wrlso in a shell.

    Try:
      wrlso completion bash > ~/.local/share/bash-completion/completions/wrlso
      wrlso completion zsh > ~/.zfunc/_wrlso
    """

    shell: Positional[Literal["bash", "zsh", "tcsh"]]
    """The shell."""


_COMMANDS: dict[str, type] = {
    "run": Run,
    "resume": Resume,
    "open": study.Open,
    "ask": study.Ask,
    "tell": study.Tell,
    "report": reports.Report,
    "export": export.Export,
    "tasks": Tasks,
    "methods": Methods,
    "data": molecules.Data,
    "train": Train,
    "completion": Completion,
}
_DESCRIPTION = """Optimise expensive black boxes in the latent space of generative models, by
weighted retraining. A first run: wrlso run shapes. wrlso --version states the versions of wrlso,
Python and JAX, and the devices that JAX sees."""


_NARROWEST = 40
"""Columns of a terminal, at least: in very few, tyro lays help out for ever."""


def main(argv: list[str] | None = None) -> int:
    """The entry point; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    have_stderr()
    if shutil.get_terminal_size().columns < _NARROWEST:
        os.environ["COLUMNS"] = str(_NARROWEST)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may be no text
        sys.stdout.reconfigure(errors="backslashreplace")
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    try:
        with terminated_as_interrupted(), remembered_interrupts():
            status = _dispatch(argv)
            if sys.stdout is not None:  # a process may have none
                sys.stdout.flush()  # an error should not come after this block
            return status
    except Exception as error:
        return say_error(error)
    except KeyboardInterrupt as error:
        print("wrlso: interrupted", file=sys.stderr)
        return 143 if isinstance(error, Terminated) else 130


def _dispatch(argv: list[str]) -> int:
    for_a_task = {"run": _run, "train": _train, "open": study.begin}
    if len(argv) > 1 and argv[0] in for_a_task and not argv[1].startswith("-"):
        return for_a_task[argv[0]](argv[1], argv[2:])
    if argv[:1] == ["--version"]:
        print(version())
        return 0
    commands: dict[str, Callable[..., Any]] = {n: describe(c) for n, c in _COMMANDS.items()}
    command = tyro.extras.subcommand_cli_from_dict(
        commands, prog="wrlso", description=_DESCRIPTION, args=argv or ["--help"]
    )
    handlers: dict[type, Callable[[Any], int]] = {
        Run: _task_is_missing,
        Resume: _resume,
        reports.Report: reports.report,
        export.Export: export.export,
        study.Open: _task_is_missing,
        study.Ask: _ask,
        study.Tell: study.tell,
        molecules.Data: molecules.data,
        Train: _task_is_missing,
        Methods: _methods,
        Tasks: _tasks,
        Completion: _completion,
    }
    return handlers[type(command)](command)


def _task_is_missing(command: Run | Train | study.Open) -> int:
    verb = "open" if isinstance(command, study.Open) else "run"
    example = f"wrlso {verb} {next(iter(TASKS))}"
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
    factory = factory_of(name)
    options = parse_run_options(name, factory, argv)
    method = get_method(options.command["method"]).with_options(**options.method)
    from wrlso.api import run
    from wrlso.runs.process import programs_on_disk, request_devices
    from wrlso.runs.processes import join_processes
    from wrlso.runs.settings import SEEDS

    if options.command["distributed"]:
        join_processes()
    request_devices(options.settings["seeds"] or SEEDS, options.settings["devices"])
    with (
        run_folder(options.command, name) as out,
        programs_on_disk(),
        bars(options.settings["progress"]),
    ):
        task = factory(**options.task)
        with _says_how_to_resume(out, name):
            result = run(task, method, out=out, **options.settings)
        return _finish(result, options.command["figures"], task)


def _train(name: str, argv: list[str]) -> int:
    if name != "molecules":
        raise ValueError(f"no model of {name!r} can be trained; there is: molecules")
    prog = f"wrlso train {name}"
    command = describe(molecules.TrainMolecules)
    with _says_when_interrupted("the same command goes on from the last checkpoint"):
        return molecules.train_molecules(tyro.cli(command, prog=prog, args=argv))


def _ask(command: study.Ask) -> int:
    own = f" --task {command.task}" if command.task else ""
    again = f"what was asked for: wrlso ask {command.run} --pending{own}"
    with _says_when_interrupted(again):
        return study.ask(command)


@contextlib.contextmanager
def _says_when_interrupted(remedy: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        print(f"\nwrlso: nothing is lost; {remedy}", file=sys.stderr)
        raise


def _completion(command: Completion) -> int:
    of_tasks = {name: run_command(name, factory) for name, factory in TASKS.items()}
    of_models = {"molecules": describe(molecules.TrainMolecules)}
    whole = {name: describe(one) for name, one in _COMMANDS.items()}
    print(completion({**whole, "run": of_tasks, "train": of_models}, command.shell, _DESCRIPTION))
    return 0


def version() -> str:
    """The versions of wrlso, Python and JAX, and the devices that JAX sees."""
    import platform

    import jax

    import wrlso

    devices = ", ".join(f"{device.platform} ({device.device_kind})" for device in jax.devices())
    python = platform.python_version()
    return f"wrlso {wrlso.__version__}\nPython {python}, JAX {jax.__version__}\ndevices: {devices}"


def _resume(command: Resume) -> int:
    from wrlso.api import resume
    from wrlso.runs.folder import RunFolder
    from wrlso.runs.process import programs_on_disk, request_devices
    from wrlso.runs.processes import join_processes

    if command.distributed:
        join_processes()
    folder = RunFolder(command.run)
    config = folder.config
    if folder.is_finished() and command.budget in (None, config.budget):
        print(f"{command.run} is finished: nothing was left to do")
    devices = config.devices if command.devices is None else command.devices
    request_devices(config.seeds, devices)
    with programs_on_disk(), bars(command.progress):
        task = task_of_run(config, command.task)
        with _says_how_to_resume(command.run, command.task or ""):
            result = resume(
                command.run,
                task=task,
                devices=command.devices,
                budget=command.budget,
                progress=command.progress,
                executor=command.executor,
            )
        return _finish(result, command.figures, task)


@contextlib.contextmanager
def _says_how_to_resume(out: Path, task: str) -> Iterator[None]:
    own = f" --task {task}" if is_own(task) else ""
    try:
        yield
    except (KeyboardInterrupt, EvaluationError):
        if (out / "config.json").exists():
            print(
                f"\nwrlso: nothing is lost; continue with: wrlso resume {out}{own}", file=sys.stderr
            )
        else:
            print("\nwrlso: nothing had been scored yet: run it again", file=sys.stderr)
        raise


def _finish(result: Result, figures: bool, task: Task) -> int:
    from wrlso.runs.processes import process

    if process()[0] > 0:
        return 0
    print("\n" + result.table() + "\n")
    print(f"run folder: {result.folder.path}")
    if not result.finished:  # a study that has grown
        print(f"next: {reports.next_commands(result, result.folder.path)}")
    if figures and result.checkpoints:
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
