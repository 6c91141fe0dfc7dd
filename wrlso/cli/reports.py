"""The command ``wrlso report``: tables, a page of HTML, figures, and queries as CSV."""

from __future__ import annotations

import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional

if TYPE_CHECKING:
    from wrlso.results.result import Result
    from wrlso.tasks.base import Task

INSTALL = "install them with  pip install 'wrlso[plots]'"


@dataclass(frozen=True)
class Report:
    """Compare runs: print their tables, and write a page of HTML, figures or all queries.

    Try:
      wrlso report runs/a
      wrlso report runs/a runs/b --html report.html
      wrlso report runs/a --html report.html --watch      while it runs
    """

    runs: Annotated[
        Positional[tuple[Path, ...]],
        tyro.conf.arg(metavar="RUN [RUN ...]", help_behavior_hint="(at least one)"),
    ] = ()
    """Folders of runs, finished or under way. One that cannot be read is left out."""
    html: Path | None = None
    """Write one HTML page of all these runs, which works offline: curves, tables that sort, latent
    maps, failures, costs, configuration."""
    watch: bool = False
    """Write the page again until all runs are finished; in a browser it reloads itself."""
    every: float = 10.0
    """Number of seconds between two versions of the page, at least 1."""
    figures: bool = False
    """Draw each run's figures into its folder."""
    csv: Path | None = None
    """Write every query of all these runs to this CSV file."""


def report(command: Report) -> int:
    """Run ``wrlso report``."""
    if not command.runs:
        raise ValueError("no run folder given: wrlso report RUN [RUN ...]")
    if command.watch and command.html is None:
        raise ValueError("--watch writes a page again and again: name it with --html FILE")
    if command.html is not None:
        _write_page(command, command.html)
    _print_tables(command)
    return 0


def _write_page(command: Report, file: Path) -> None:
    try:
        from wrlso.results.report import report
    except ImportError as error:
        raise ImportError(f"a page needs bokeh ({error}): {INSTALL}") from None
    try:
        report(command.runs, file, watch=command.watch, every=command.every)
    except KeyboardInterrupt:
        if not (command.watch and file.exists()):
            raise
        print()
    print(f"report: {file}")


def _print_tables(command: Report) -> None:
    from wrlso.results.result import Result
    from wrlso.results.tables import comparison_tables, copies, names_of

    results = []
    for path in command.runs:
        try:
            results.append(Result(path))
        except (ValueError, OSError, sqlite3.Error) as error:
            if len(command.runs) == 1:
                raise
            print(f"wrlso: left out: {error}", file=sys.stderr)
    if len(command.runs) == 1:
        print(results[0].table())
        if not results[0].finished:
            print(f"\nContinue it with: {next_commands(results[0], command.runs[0])}")
    elif results:
        names = names_of([result.folder.path for result in results])
        print(comparison_tables([result.summary for result in results], names))
        for sentence in copies(names, [result.folder.id for result in results]):
            print(f"\n{sentence}")
    else:
        raise ValueError("none of the folders holds a run that can be read")
    if command.csv:
        from wrlso.results.export import write_csv

        write_csv(results, command.csv)
        print(f"queries: {command.csv}")
    for result in results if command.figures else ():
        if result.checkpoints:
            draw(result)


def next_commands(result: Result, run: Path) -> str:
    """The commands by which an unfinished run goes on."""
    from wrlso.runs.provenance import task_option

    task = task_option(result.folder.config)
    if not result.by_people:
        return f"wrlso resume {run}{task}"
    return f"wrlso ask {run}{task}, then wrlso tell {run} FILE{task}"


def draw(result: Result, task: Task | None = None) -> None:
    """Draw a run's figures and say where they are; without matplotlib, say how to get it."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        print(f"figures skipped: {INSTALL}")
        return
    for path in result.save_figures(task):
        print(f"figure: {path}")
