"""Shared parts of the benchmarks: medians, and sections that run in processes of their own."""

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.paper.options import RESULTS
from wrlso.results.tables import markdown

SETTINGS = {"JAX_NUM_CPU_DEVICES": "2", "OPENBLAS_NUM_THREADS": "1"}
"""Environment of every section, for variables that are not set already. JAX on a CPU calls
OpenBLAS (SciPy's). After a Cholesky factor or a triangular inverse, its further threads spin for at
least 0.1 s as measured, and take their cores from the next computation."""

Row = tuple[str, str, str, str]
"""Figure, measured value, target, and how it was measured."""


def median_seconds(call: Callable[[], Any], repeats: int = 7) -> float:
    """Median seconds of a call, after a first call that does not count."""
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def alternating(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[float, float]:
    """Median seconds of two calls, five of each, in turn."""
    taken: tuple[list[float], list[float]] = ([], [])
    for call in (first, second):
        call()
    for _ in range(5):
        for call, seconds in zip((first, second), taken, strict=True):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    return statistics.median(taken[0]), statistics.median(taken[1])


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings; a variable of the environment takes precedence."""
    return {name: os.environ.get(name, value) for name, value in settings.items()}


def write(stem: str, command: str, title: str, rows: list[Row]) -> None:
    """Write the rows to STEM.md and STEM.csv."""
    RESULTS.mkdir(exist_ok=True)
    header = ("figure", "measured", "target", "how")
    with (RESULTS / f"{stem}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    cores = len(os.sched_getaffinity(0))
    (RESULTS / f"{stem}.md").write_text(
        f"# {title}\n\n`python -m {command}`, {cores} cores, {platform.machine()}, "
        + ", ".join(f"{name}={value}" for name, value in environment(SETTINGS).items())
        + "\n\n"
        + markdown(header, rows)
        + "\n"
    )


def main(
    module: str,
    stem: str,
    title: str,
    description: str | None,
    sections: Mapping[str, Callable[[], list[Row]]],
) -> None:
    """Run the sections of a benchmark one after the other, then write all rows.

    Args:
      module: name of the benchmark, as in ``python -m MODULE``.
      stem: name of its files in benchmarks/results.
      title: heading of the page.
      description: the text of ``--help``.
      sections: functions that measure, by name.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", choices=sections, default=list(sections),
        help="sections to measure; the figures of the others stay in the file as they are",
    )  # fmt: skip
    parser.add_argument("--section", choices=sections, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.section:
        print(json.dumps(sections[options.section]()))
        return
    rows: list[Row] = []
    for name in options.only:
        command = [sys.executable, "-m", module, "--section", name]
        settings = {**os.environ, **environment(SETTINGS)}
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=settings)
        new = [tuple(row) for row in json.loads(out.stdout.splitlines()[-1])]
        rows += new  # type: ignore[arg-type]
        for row in new:
            print(" | ".join(row), flush=True)
    if set(options.only) < set(sections):
        rows = merged(rows_of(stem), rows)
    write(stem, module, title, rows)


def rows_of(stem: str) -> list[Row]:
    """The rows of STEM.csv; none if there is no such file."""
    path = RESULTS / f"{stem}.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [tuple(row) for row in list(csv.reader(file))[1:]]  # type: ignore[misc]


def merged(old: list[Row], new: list[Row]) -> list[Row]:
    """The old rows, with new ones in the places of the same figures, and the others after them."""
    by_figure = {row[0]: row for row in new}
    kept = [by_figure.pop(row[0], row) for row in old]
    return kept + list(by_figure.values())
