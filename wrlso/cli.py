"""The command line: ``wrlso run | resume | report | tasks | methods``."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro
from tyro.conf import Positional

from wrlso.methods import METHODS, get_method
from wrlso.options import RUN_OPTIONS
from wrlso.parallel import request_cpu_devices

if TYPE_CHECKING:
    from wrlso.runs.result import Result


@dataclass(frozen=True)
class Run:
    """Run a method on a task over several seeds, into a new folder."""

    task: Positional[str]
    """The task; 'wrlso tasks' lists them. 'wrlso run TASK --help' tells its options."""


@dataclass(frozen=True)
class Resume:
    """Continue an interrupted run. Ends with the queries of the uninterrupted run."""

    run: Positional[Path]
    """The run's folder."""
    devices: int | None = None
    """Devices to spread seeds over, instead of the number the run began with."""
    figures: bool = True
    """Draw figures at the end."""
    progress: bool = True
    """Show progress bars."""


@dataclass(frozen=True)
class Report:
    """Print the tables of finished runs, and draw their figures again."""

    runs: Positional[tuple[Path, ...]]
    """Folders of finished runs."""
    figures: bool = False
    """Draw each run's figures into its folder."""
    csv: Path | None = None
    """Also write every query of all these runs to this CSV file."""


@dataclass(frozen=True)
class Tasks:
    """List the tasks."""


@dataclass(frozen=True)
class Methods:
    """List the methods."""


_COMMANDS: dict[str, Callable[..., Any]] = {
    "run": Run,
    "resume": Resume,
    "report": Report,
    "tasks": Tasks,
    "methods": Methods,
}
_DESCRIPTION = """Optimise expensive black boxes in the latent space of generative models, by
weighted retraining. A first run: wrlso run shapes --out runs/first"""


def main(argv: list[str] | None = None) -> int:
    """The entry point; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        return _dispatch(argv)
    except (ValueError, FloatingPointError, OSError, sqlite3.Error) as error:
        print(f"wrlso: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("wrlso: interrupted", file=sys.stderr)
        return 130


def _dispatch(argv: list[str]) -> int:
    if argv[:1] == ["run"] and len(argv) > 1 and not argv[1].startswith("-"):
        return _run(argv[1], argv[2:])
    command = tyro.extras.subcommand_cli_from_dict(
        _COMMANDS, prog="wrlso", description=_DESCRIPTION, args=argv or ["--help"]
    )
    if isinstance(command, Run):
        raise ValueError(
            f"name the task first, then its options: wrlso run {next(iter(RUN_OPTIONS))} --out DIR"
        )
    if isinstance(command, Resume):
        return _resume(command)
    if isinstance(command, Report):
        return _report(command)
    if isinstance(command, Methods):
        _print_table(("method", "what it does"), [(m.name, m.summary) for m in METHODS.values()])
    if isinstance(command, Tasks):
        from wrlso.tasks import TASKS

        _print_table(("task", "what it asks"), [(n, make().summary) for n, make in TASKS.items()])
    return 0


def _run(name: str, argv: list[str]) -> int:
    if name not in RUN_OPTIONS:
        raise ValueError(f"unknown task {name!r}; there are: {', '.join(RUN_OPTIONS)}")
    options = tyro.cli(RUN_OPTIONS[name], prog=f"wrlso run {name}", args=argv)
    method = get_method(options.method).with_options(options.k, options.retrain_every)
    _prepare(options.seeds, options.devices)
    from wrlso.runs.driver import run
    from wrlso.tasks import TASKS

    with _says_how_to_resume(options.out):
        result = run(
            TASKS[name](**options.task_options()),
            method,
            out=options.out,
            budget=options.budget,
            seeds=options.seeds,
            first_seed=options.first_seed,
            proposer=options.proposer,
            batch=options.batch,
            climb=options.climb,
            devices=options.devices,
            seed_mode=options.seed_mode,
            progress=options.progress,
        )
    return _finish(result, options.figures)


def _resume(command: Resume) -> int:
    from wrlso.runs.driver import resume
    from wrlso.runs.folder import RunFolder

    config = RunFolder(command.run).config
    _prepare(config.seeds, command.devices or config.devices)
    with _says_how_to_resume(command.run):
        result = resume(command.run, devices=command.devices, progress=command.progress)
    return _finish(result, command.figures)


@contextlib.contextmanager
def _says_how_to_resume(out: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if (out / "config.json").exists():
            print(f"\nwrlso: nothing is lost; go on with: wrlso resume {out}", file=sys.stderr)
        raise


def _report(command: Report) -> int:
    from wrlso.report.tables import comparison_table
    from wrlso.runs.result import Result

    if not command.runs:
        raise ValueError("runs is empty: name at least one run folder")
    results = [Result(path) for path in command.runs]
    print(
        results[0].table()
        if len(results) == 1
        else comparison_table([result.summary for result in results])
    )
    if command.csv:
        from wrlso.report.export import write_csv

        write_csv(results, command.csv)
        print(f"queries: {command.csv}")
    if command.figures:
        for result in results:
            _draw(result)
    return 0


def _finish(result: Result, figures: bool) -> int:
    print("\n" + result.table() + "\n")
    print(f"run folder: {result.folder.path}")
    if figures:
        _draw(result)
    return 0


def _draw(result: Result) -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        print("figures skipped: install them with  pip install 'wrlso[plots]'")
        return
    for path in result.plot():
        print(f"figure: {path}")


def _prepare(seeds: int, devices: int | None) -> None:
    """Before JAX starts: virtual CPU devices, and a cache of compiled programs."""
    import jax

    from wrlso.host.cache import cache_dir

    if seeds >= 1 and (devices is None or devices >= 1):
        request_cpu_devices(seeds, devices)
    jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "compiled"))


def _print_table(header: tuple[str, str], rows: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
