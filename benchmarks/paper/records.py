"""Records of finished runs, kept with the results: a machine that has not run them shows them, too.

paper-TASK-runs.json holds the summary of every row's run and the code that ran it. The row's
queries are in paper-TASK-queries.csv.gz, under the row's number.
"""

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wrlso import Result
from wrlso.runs.log import Query
from wrlso.status import Status

QUERY_COLUMNS = ("entry", "seed", "round", "index", "score", "status")

_FILES = ("data", "model")
"""Options of tasks that name files."""

_HOW = ("half_products", "workers")
"""Options of tasks that say how a result is computed, not which: they change it by rounding."""


@dataclass(frozen=True)
class Finished:
    """A finished run, on whichever machine.

    Attributes:
      summary: content of its ``summary.json``.
      code: commits that ran it.
      queries: every query of every seed as a line of CSV, columns :data:`QUERY_COLUMNS` without the
        first.
    """

    summary: dict[str, Any]
    code: str
    queries: Sequence[str]

    @property
    def best(self) -> list[float]:
        """Each seed's best score; NaN for a seed without a successful query."""
        return [np.nan if s["best"] is None else s["best"] for s in self.summary["seeds"]]

    @cached_property
    def scores(self) -> list[np.ndarray]:
        """Each seed's charged scores in order, to six digits; NaN where a query failed."""
        found: dict[int, list[float]] = {s["seed"]: [] for s in self.summary["seeds"]}
        for seed, _, _, score, status in csv.reader(self.queries):
            if Status[status].charged:
                found[int(seed)].append(float(score or "nan"))
        return [np.array(scores) for scores in found.values()]

    @property
    def pretrained_elsewhere(self) -> bool:
        """Whether its model was pretrained before the parameters came with the package.

        All such runs were made with parameters pretrained on a machine with AVX2.
        """
        options = self.summary["task_options"]
        return "pretrain_seed" in options and "pretrain" not in options


def read_run(folder: Path, code: str) -> Finished:
    """A run of this machine."""
    result = Result(folder)
    lines = [",".join(map(str, query_cells(query))) for query in result.queries()]
    return Finished(result.summary, code, lines)


def query_cells(query: Query) -> list[Any]:
    """A query under :data:`QUERY_COLUMNS` without the first."""
    score = "" if query.score is None else f"{query.score:.6g}"
    return [query.seed, query.round, query.index, score, query.status.name]


def record_paths(stem: Path) -> tuple[Path, Path]:
    """The two files of the records: summaries and queries."""
    return stem.with_name(f"{stem.name}-runs.json"), stem.with_name(f"{stem.name}-queries.csv.gz")


def write_records(rows: Mapping[str, Finished], path: Path) -> None:
    """Keep summaries by the rows' names; of files only their names."""
    kept = {
        name: {
            "code": row.code,
            "queries": len(row.queries),
            "summary": {**row.summary, "task_options": options_of(row)},
        }
        for name, row in rows.items()
    }
    path.write_text(json.dumps(kept, indent=1) + "\n")


def write_queries(rows: Sequence[Finished], path: Path) -> None:
    """Every query; ``entry`` is the row's number. The same queries give the same bytes."""
    text = io.StringIO()
    csv.writer(text).writerow(QUERY_COLUMNS)
    for number, row in enumerate(rows, 1):
        text.writelines(f"{number},{line}\r\n" for line in row.queries)
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def read_records(path: Path, queries: Path) -> dict[str, Finished]:
    """The rows in the records, in order; empty if there are no records.

    Raises:
      ValueError: if the two files do not belong together, as after a kill between writing them.
    """
    if not path.exists():
        return {}
    kept = json.loads(path.read_text())
    lines: dict[int, list[str]] = {}
    with gzip.open(queries, "rt") as file:
        next(file)
        for line in file:
            number, _, rest = line.rstrip("\r\n").partition(",")
            lines.setdefault(int(number), []).append(rest)
    counts = {number: record["queries"] for number, record in enumerate(kept.values(), 1)}
    if counts != {number: len(asked) for number, asked in lines.items()}:
        raise ValueError(
            f"{path} and {queries.name} do not belong together: restore both as they were "
            "committed, or choose another folder with --results"
        )
    return {
        name: Finished(record["summary"], record["code"], asked)
        for (name, record), asked in zip(kept.items(), lines.values(), strict=True)
    }


def options_of(row: Finished) -> dict[str, Any]:
    """The options of a row's task."""
    return without_folders(row.summary["task_options"])


def same_task(row: Finished, options: Mapping[str, Any]) -> bool:
    """Whether a row's task has these options, apart from those that change it by rounding.

    A record from before the option ``pretrain`` agrees with each of its values.
    """
    made = options_of(row)
    ignored = _HOW if "pretrain" in made else (*_HOW, "pretrain")
    asked = without_folders(options)
    made, asked = ({k: v for k, v in some.items() if k not in ignored} for some in (made, asked))
    return made == asked


def without_folders(options: Mapping[str, Any]) -> dict[str, Any]:
    """A task's options, with files by their names only: where they lie changes nothing."""
    return {k: Path(v).name if v and k in _FILES else v for k, v in options.items()}
