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

from wrlso.report.tables import markdown

RESULTS = Path(__file__).parent / "results"

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


def write(stem: str, title: str, rows: list[Row]) -> None:
    RESULTS.mkdir(exist_ok=True)
    header = ("figure", "measured", "target", "how")
    with (RESULTS / f"{stem}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    cores = len(os.sched_getaffinity(0))
    (RESULTS / f"{stem}.md").write_text(
        f"# {title}\n\n`python -m benchmarks.{stem}`, {cores} cores, {platform.machine()}\n\n"
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
        import jax

        jax.config.update("jax_num_cpu_devices", 2)
        print(json.dumps(sections[options.section]()))
        return
    rows: list[Row] = []
    for name in options.only:
        command = [sys.executable, "-m", module, "--section", name]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        new = [tuple(row) for row in json.loads(out.stdout.splitlines()[-1])]
        rows += new  # type: ignore[arg-type]
        for row in new:
            print(" | ".join(row), flush=True)
    write(module.rpartition(".")[2], title, rows)
