"""What the speed benchmarks share: medians, and sections that run in processes of their own."""

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
from pathlib import Path
from typing import Any

from wrlso.results.tables import markdown

RESULTS = Path(__file__).parent / "results"

SETTINGS = {"JAX_NUM_CPU_DEVICES": "2", "OPENBLAS_NUM_THREADS": "1"}
"""Environment of every section, where it is not set already. After a Cholesky factor or a
triangular inverse, the OpenBLAS that JAX calls on a CPU (SciPy's) keeps its further threads
spinning, for at least 0.1 s as measured, and takes their cores from whatever comes next."""

Row = tuple[str, str, str, str]
"""Figure, measured, target, how."""


def median_seconds(call: Callable[[], Any], repeats: int = 7) -> float:
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings, each as it is in the environment where it is set there."""
    return {name: os.environ.get(name, value) for name, value in settings.items()}


def write(stem: str, title: str, rows: list[Row]) -> None:
    RESULTS.mkdir(exist_ok=True)
    header = ("figure", "measured", "target", "how")
    with (RESULTS / f"{stem}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    cores = len(os.sched_getaffinity(0))
    (RESULTS / f"{stem}.md").write_text(
        f"# {title}\n\n`python -m benchmarks.{stem}`, {cores} cores, {platform.machine()}, "
        + ", ".join(f"{name}={value}" for name, value in environment(SETTINGS).items())
        + "\n\n"
        + markdown(header, rows)
        + "\n"
    )


def main(
    module: str, title: str, description: str, sections: Mapping[str, Callable[[], list[Row]]]
) -> None:
    """Run the sections of a benchmark one after the other, and write all rows at the end."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=sections, default=list(sections))
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
    write(module.rpartition(".")[2], title, rows)
