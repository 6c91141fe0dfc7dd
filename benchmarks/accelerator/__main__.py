"""Figures of one accelerator, in at most eight minutes.

    pip install -e . 'jax[cuda12]' torch botorch gpytorch    # the last three for the comparison
    python -m benchmarks.accelerator [--out DIR] [--minutes 8] [--small]

Shapes and expressions with 1 to 256 seeds, vmap against map; training step, encoding and decoding
of the model of molecules in float32 and bfloat16, with the share of the device's peak; one ask of
20 starts and the sparse gradient step, against BoTorch and GPyTorch on the same device; agreement
with the CPU. Programs are compiled side by side on all cores of the host, and then timed one by
one. What does not fit into the time is left out and said to be. On a CPU the sizes are small ones:
they show that the script works, and nothing about speed.

Writes DIR/accelerator-NAME.csv and .md with the device's name; DIR is benchmarks/results. A part
that is not among --only keeps its figures there. The exit status is 1 if a part failed.
"""

import argparse
import csv
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import jax

from benchmarks.accelerator.agreement import agreement, begun
from benchmarks.accelerator.asks import asks, peers, sparse_step
from benchmarks.accelerator.loops import loops
from benchmarks.accelerator.measure import (
    COLUMNS,
    Compiling,
    Deadline,
    Program,
    Row,
    cells,
    device_lines,
)
from benchmarks.accelerator.molecules import molecules
from benchmarks.paper.options import RESULTS
from wrlso.results.tables import markdown

PARTS = ("agreement", "molecules", "ask", "sparse", "peers", "loop")
"""In the order in which they are measured: the last one takes all the time that is left."""


def main(argv: list[str] | None = None) -> Path:
    """Run all parts, and write after each; the CSV's path."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args(argv)
    small = options.small or jax.devices()[0].platform == "cpu"
    with _quickly_compiled() if small else nullcontext():
        return _run(options, small)


@contextmanager
def _quickly_compiled() -> Iterator[None]:
    """Without optimisations, which small sizes do not repay: compiling takes most of their time."""
    name = "jax_disable_most_optimizations"
    jax.config.update(name, True)
    try:
        yield
    finally:
        jax.config.update(name, False)


def _run(options: argparse.Namespace, small: bool) -> Path:
    start = time.monotonic()
    deadline = Deadline(60 * options.minutes - 15)  # some time to end
    name = re.sub(r"\W+", "-", jax.devices()[0].device_kind).strip("-").lower()
    stem = options.out / f"accelerator-{name}"
    rows: list[Row] = []
    for row in measurements(options.only, small, deadline):
        rows.append(row)
        print(f"{time.monotonic() - start:4.0f} s", *cells(row), sep=" | ", flush=True)
        _write(stem, rows, options.only, small)
    return stem.with_suffix(".csv")


def measurements(parts: Sequence[str], small: bool, deadline: Deadline) -> Iterator[Row]:
    """The rows of some parts. One that fails is a row: it must not cost the others their time."""
    compiling = Compiling()
    programs: dict[str, list[Any]] = {part: [] for part in parts}
    for part in (part for part in PROGRAMS if part in parts):
        yield from _guarded(part, lambda part=part: _begun(part, small, compiling, programs))
    for part in (part for part in PARTS if part in parts):
        if part == "agreement":  # nothing is timed, so that it need not wait
            yield from _guarded(part, lambda: agreement(programs["agreement"], deadline))
            compiling.wait(0.6 * deadline.left)
        elif part == "peers":
            yield from _guarded(part, lambda: peers(small, deadline))
        else:
            yield from (compiling.measured(program, deadline) for program in programs[part])
    compiling.close()


def _begun(
    part: str, small: bool, compiling: Compiling, programs: dict[str, list[Any]]
) -> Iterator[Row]:
    for program in PROGRAMS[part](small, compiling):
        programs[part].append(program)
    yield from ()


def added(
    found: Callable[[bool], Iterator[Program]],
) -> Callable[[bool, Compiling], Iterator[Program]]:
    """Begin to compile each program that a part finds."""

    def programs(small: bool, compiling: Compiling) -> Iterator[Program]:
        for program in found(small):
            compiling.add(program)
            yield program

    return programs


PROGRAMS: dict[str, Callable[[bool, Compiling], Iterator[Any]]] = {
    "loop": added(loops),  # their programs take longest to compile
    "agreement": begun,
    "molecules": added(molecules),
    "ask": added(asks),
    "sparse": added(sparse_step),
}


def _guarded(part: str, rows: Callable[[], Iterator[Row]]) -> Iterator[Row]:
    try:
        yield from rows()
    except Exception as error:
        yield Row(part, "failed", note=f"{type(error).__name__}: {error}"[:200])


def _write(stem: Path, rows: list[Row], parts: Sequence[str], small: bool) -> None:
    """The CSV and the table. Other parts are kept as the CSV has them."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    path = stem.with_suffix(".csv")
    table = [cells(row) for row in rows]
    if path.exists():
        with path.open(newline="") as file:
            table += [line for line in list(csv.reader(file))[1:] if _part_of(line) not in parts]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *table])
    sizes = ["Small sizes: this shows that the script works, and nothing about speed.", ""] * small
    lines = ["# One accelerator", "", "`python -m benchmarks.accelerator`", ""]
    lines += [f"- {line}" for line in device_lines()] + ["", *sizes]
    stem.with_suffix(".md").write_text("\n".join(lines) + "\n" + markdown(COLUMNS, table) + "\n")


def _part_of(line: Sequence[str]) -> str:
    """The part that measured a line. The peers' figures stand beside ours."""
    part, mode = line[COLUMNS.index("part")], line[COLUMNS.index("mode")]
    return "peers" if mode in ("BoTorch", "GPyTorch") else part.split()[0]


def failures(path: Path) -> list[str]:
    """The notes of parts that failed, in the CSV."""
    with path.open() as file:
        return [row["note"] for row in csv.DictReader(file) if row["what"] == "failed"]


if __name__ == "__main__":
    sys.exit(bool(failures(main())))
