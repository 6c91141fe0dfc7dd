"""What the experiments share: runs that are kept and resumed, and their results as tables.

Runs are kept under --runs and resumed if interrupted; a finished one is read, not run
again. Results go to benchmarks/results/<stem>.md, <stem>-seeds.csv and <stem>-queries.csv.
"""

import argparse
import csv
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import wrlso
from wrlso import Result
from wrlso.methods import Method
from wrlso.results.tables import markdown
from wrlso.runs.log import Query
from wrlso.tasks import TASKS, Task

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Entry:
    """A run of an experiment.

    Attributes:
      name: of the method in tables.
      method: what is run.
      variant: what else tells entries apart in tables, such as the pretraining seed.
      options: arguments of the task's factory.
      proposer, climb: as of ``wrlso.run``.
      details: have every query in the committed CSV.
    """

    name: str
    method: Method
    variant: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    proposer: str | None = None
    climb: Literal["regressor", "objective"] | None = None
    details: bool = True


@dataclass(frozen=True)
class Presentation:
    """How scores are shown: ``sign`` times the score, which is called ``name``, rounded to
    ``digits``; and what ``variant`` is."""

    sign: int = 1
    name: str = "best score"
    digits: int = 1
    variant: str = "variant"


Rows = Sequence[tuple[Entry, Result]]


def execute(task: str, entry: Entry, runs: Path, seeds: int, budget: int) -> Result:
    """Run an entry, go on with it, or read it."""
    recipe = json.dumps([entry.options, entry.proposer, entry.climb], sort_keys=True)
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:8]
    words = re.sub(r"[^\w.-]+", "_", f"{entry.name}-{entry.variant}")
    name = f"{task}-{words}-{digest}"
    made: Task = TASKS[task](**entry.options)
    return wrlso.sweep(
        made,
        {name: entry.method},
        out=runs,
        budget=budget,
        seeds=seeds,
        proposer=entry.proposer,
        gradient_of=entry.climb,
    )[name]


def table(rows: Rows, show: Presentation) -> str:
    """A row an entry, with every seed."""
    number = lambda value: f"{show.sign * value + 0.0:.{show.digits}f}"  # noqa: E731
    header = ["method", show.variant, f"{show.name}, mean ± s.d.", "top-10", "top-50", "each seed"]
    body = []
    for entry, result in rows:
        s = result.summary
        body.append(
            [
                entry.name,
                entry.variant,
                f"{number(s['best']['mean'])} ± {s['best']['sd']:.{show.digits}f}",
                number(s["top10"]["mean"]),
                number(s["top50"]["mean"]),
                ", ".join(f"{show.sign * seed['best'] + 0.0:.4g}" for seed in s["seeds"]),
                str(s["charged_evaluations"]),
                str(s["uncharged_evaluations"]),
                f"{s['wall_seconds']:.0f}",
            ]
        )
    return markdown([*header, "charged", "uncharged", "s"], body)


def write(rows: Rows, stem: str, heading: str, command: str, show: Presentation) -> None:
    """Write table and CSVs of what has been run so far."""
    RESULTS.mkdir(exist_ok=True)
    _write_seeds(rows, RESULTS / f"{stem}-seeds.csv", show)
    _write_queries(rows, RESULTS / f"{stem}-queries.csv")
    budget = rows[0][1].summary["budget"]
    (RESULTS / f"{stem}.md").write_text(
        f"# {heading}, {budget} charged queries a seed\n\n`{command}`\n\n"
        "Mean ± s.d. over the run's seeds (divisor S, as published), with every seed. Uncharged: "
        "what was read of the objective beyond the budget, all seeds together. Seconds are wall "
        "time of all seeds without pretraining, on a machine that may have been shared.\n\n"
        f"{table(rows, show)}\n"
    )


def _write_seeds(rows: Rows, path: Path, show: Presentation) -> None:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(
            ["entry", "method", "k", "retrain_every", show.variant.replace(" ", "_"), "seed",
             "best", "top10", "top50", "charged", "uncharged_all_seeds", "wall_seconds_all_seeds",
             "best_object"]
        )  # fmt: skip
        for number, (entry, result) in enumerate(rows, 1):
            s = result.summary
            for seed in s["seeds"]:
                scores = (round(seed[name], 6) for name in ("best", "top10", "top50"))
                out.writerow(
                    [number, entry.name, s["hyper"].get("k", ""), s["retrain_every"] or "",
                     entry.variant, seed["seed"], *scores, seed["charged"],
                     s["uncharged_evaluations"],
                     round(s["wall_seconds"], 1), seed.get("best_object") or ""]
                )  # fmt: skip


def _write_queries(rows: Rows, path: Path) -> None:
    """Every query; ``entry`` is the number of the method in the other file."""
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(QUERY_COLUMNS)
        for number, (entry, result) in enumerate(rows, 1):
            if entry.details:
                out.writerows(query_cells(number, query) for query in result.queries())


QUERY_COLUMNS = ("entry", "seed", "round", "index", "score", "status")


def query_cells(number: int, query: Query) -> list[Any]:
    """A query of the entry of that number, under :data:`QUERY_COLUMNS`."""
    score = "" if query.score is None else f"{query.score:.6g}"
    return [number, query.seed, query.round, query.index, score, query.status.name]


def parse_options(
    doc: str | None, task: str, seeds: int, more: Callable[[argparse.ArgumentParser], None]
) -> argparse.Namespace:
    """The options that experiments share, and those that ``more`` adds."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path(f"runs/benchmarks-{task}"))
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--budget", type=int, default=500)
    parser.add_argument(
        "--only", nargs="*", help="methods to run, by name; results are then only shown"
    )
    more(parser)
    return parser.parse_args()


def run_all(
    task: str,
    entries: Sequence[Entry],
    options: argparse.Namespace,
    stem: str,
    heading: str,
    command: str,
    show: Presentation,
) -> Rows:
    """Run entries one after the other; after each, show it and write all results so far."""
    rows: list[tuple[Entry, Result]] = []
    for entry in entries:
        if options.only and entry.name not in options.only:
            continue
        result = execute(task, entry, options.runs, options.seeds, options.budget)
        rows.append((entry, result))
        print(f"\n{entry.name}, {entry.variant}\n{result.table()}\n", flush=True)
        if not options.only:
            write(rows, stem, heading, command, show)
    print(table(rows, show))
    return rows
