"""The commands ``wrlso open``, ``ask`` and ``tell``, for objects that people measure."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from wrlso.storage.bars import bars

if TYPE_CHECKING:
    from wrlso.runs.folder import RunFolder
    from wrlso.runs.results_file import Row
    from wrlso.runs.telling import Entry
    from wrlso.study import Candidate, Study


@dataclass(frozen=True)
class Open:
    """Begin a run whose objects people measure: 'wrlso ask' and 'wrlso tell' go on with it.

    Try:
      wrlso open molecules --data mine.csv --score-column pIC50 --budget 100 --out runs/lab
    """

    task: Positional[str]
    """The task; 'wrlso open TASK --help' explains its options, which are those of 'wrlso run'. One
    of your own is FILE.py:NAME, a task in the file or a function that returns one."""


@dataclass(frozen=True)
class Ask:
    """Print candidates to measure as CSV, with an empty column for their scores.

    Columns predicted and predicted_sd: the score that the model expects, and its uncertainty.

    Try:
      wrlso ask runs/lab --n 8 > plate.csv
      wrlso ask runs/lab --pending
    """

    run: Positional[Path]
    """The run's folder, from 'wrlso open' or 'wrlso run' with one seed."""
    n: int | None = None
    """Number of candidates (default: those that the run would score next, its --batch)."""
    pending: bool = False
    """Print the candidates that are still open again, and ask for no new ones."""
    task: str | None = None
    """The task as FILE.py:NAME, if it is one of your own."""
    progress: bool = True
    """Show progress bars."""


@dataclass(frozen=True)
class Tell:
    """Record results from a CSV file: any part of them, in any order, as often as you like.

    Try:
      wrlso tell runs/lab plate.csv
      wrlso tell runs/lab measured.csv --column smiles --score-column pIC50
    """

    run: Positional[Path]
    """The run's folder."""
    file: Positional[Path]
    """A CSV file with a column 'score', and 'id' or the objects as text. An empty score is one that
    is not known yet; 'failed' is a failure, with its reason in a column 'reason'. Rows without an
    id are measurements made elsewhere: they join the data."""
    column: str | None = None
    """The column that holds the objects as text. A row without an id needs it; one with an id is
    refused if its object is not that candidate. Default: 'object', else 'smiles'."""
    score_column: str = "score"
    """The column that holds the scores."""
    replace: bool = False
    """Let results replace different ones that were told before, or that the starting data have."""
    task: str | None = None
    """The task as FILE.py:NAME, if it is one of your own. It is needed for rows without an id, and
    for the summary at the end of the budget."""


def begin(name: str, argv: list[str]) -> int:
    """Run ``wrlso open TASK``."""
    from wrlso.cli.options import parse_run_options, run_folder
    from wrlso.cli.own_task import factory_of, is_own
    from wrlso.methods import get_method
    from wrlso.study import open as open_study

    factory = factory_of(name)
    if name == "molecules" and not {"--objective", "--command"} & set(argv):
        argv = [*argv, "--objective", "measured"]
    options = parse_run_options(name, factory, argv, verb="open")
    method = get_method(options.command["method"]).with_options(**options.method)
    task = factory(**options.task)
    settings: dict[str, Any] = dict(options.settings)
    with (
        run_folder(options.command, name) as folder,
        bars(settings["progress"]),
        open_study(folder, task, method, **settings) as study,
    ):
        out = study.folder.path
        own = f" --task {name}" if is_own(name) else ""
        n = settings["batch"] or 8
        print(f"run folder: {out}\nnext: wrlso ask {out} --n {n}{own} > batch.csv")
    return 0


def ask(command: Ask) -> int:
    """Run ``wrlso ask``."""
    from wrlso.cli.own_task import task_of_run
    from wrlso.runs.folder import RunFolder
    from wrlso.study import open as open_study

    if command.pending and command.n is not None:
        raise ValueError(
            f"--pending asks for no new candidates, and --n {command.n} does: drop one"
        )
    task = task_of_run(RunFolder(command.run).config, command.task)
    with bars(command.progress), open_study(command.run, task, progress=command.progress) as study:
        found = study.pending if command.pending else study.ask(command.n)
        write_batch(found)
        print(_about(study, found, command), file=sys.stderr)
    return 0


def _about(study: Study, found: Sequence[Candidate], command: Ask) -> str:
    """A line for people about a batch."""
    from wrlso.runs.provenance import task_option

    config = study.folder.config
    task = task_option(config) if command.task is None else f" --task {command.task}"
    about = [f"{study.charged} of {config.queries} asked for, {len(study.pending)} open"]
    if command.pending:
        return about[0]
    if not found and study.charged >= config.queries:
        raises = f"wrlso resume {command.run} --budget N{task}"
        about.append(f"the budget is spent: '{raises}' raises it")
    elif not found or (command.n is not None and len(found) < command.n):
        about.append("no more new objects were found")
    return "; ".join([f"{len(found)} new candidates", *about])


def write_batch(found: Sequence[Candidate]) -> None:
    """Candidates as CSV on standard output."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("id", "object", "score", "reason", "predicted", "predicted_sd", "latent"))
    for one in found:
        latent = json.dumps([round(float(z), 5) for z in one.latent])
        expected = [f"{number:.10g}" for number in one.prediction or ()] or ["", ""]
        writer.writerow((one.id, one.text or one.object.tobytes().hex(), "", "", *expected, latent))


def tell(command: Tell) -> int:
    """Run ``wrlso tell``."""
    from wrlso.cli.own_task import task_of_run
    from wrlso.runs.folder import RunFolder
    from wrlso.runs.results_file import read_results
    from wrlso.study import open as open_study
    from wrlso.tasks import TASKS

    folder = RunFolder(command.run)
    rows = read_results(command.file, command.column, command.score_column)
    source = command.file.name
    if command.task is not None or folder.config.task in TASKS:
        task = task_of_run(folder.config, command.task)
        with bars(False), open_study(command.run, task, progress=False) as study:
            left_out: list[str] = []
            told = [_entry(study, row, left_out) for row in rows]
            report = study.tell_entries([one for one in told if one], source, command.replace)
            report.kept += left_out
            print(report)
        return 0
    without = [row.where for row in rows if row.id is None]
    if without:
        raise ValueError(
            f"{without[0]}: a row without an id names an object of the task "
            f"{folder.config.task!r}, which is your own: name it by --task FILE.py:NAME"
        )
    _tell_without_task(folder, rows, source, command.replace)
    return 0


def _tell_without_task(folder: RunFolder, rows: Sequence[Row], source: str, replace: bool) -> None:
    """Record results of candidates, which have ids. A finished run gets its summary anew."""
    from wrlso.results.summary import summarize_again
    from wrlso.runs import telling

    telling.check_one_seed(folder.path, folder.config.seeds)
    finished, entries = folder.finished_summary(), [row.entry() for row in rows]
    with closing(folder.open_log()) as log:
        seed, forget = folder.config.first_seed, folder.forget_summary
        report = telling.record(log, seed, entries, source, replace, forget=forget)
        if finished is not None and report.changed:
            summarize_again(folder, log, finished)
    print(report)


def _entry(study: Study, row: Row, left_out: list[str]) -> Entry | None:
    """A row of a file, whose object the task reads; one that is none is left out with a reason,
    unless it has an id."""
    if row.text is None:
        return row.entry()
    try:
        return row.entry(study.object_of(row.text).tobytes())
    except ValueError as error:
        if row.id is not None:
            return row.entry()
        left_out.append(f"{row.where}: {row.text!r} was left out: {error}")
        return None
