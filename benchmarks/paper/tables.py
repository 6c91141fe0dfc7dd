"""The tables and CSV files of ``benchmarks.paper``."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.paper import published_runs
from benchmarks.paper import statistics as stats
from benchmarks.paper.comparisons import against_others, against_published, moved_table
from benchmarks.paper.grid import BASELINES, FURTHER, LOOP
from benchmarks.paper.rows import (
    SEED_MARKS,
    Row,
    Rows,
    interval,
    marks_of,
    moments,
    seed_marks,
    show,
)
from wrlso import Dataset
from wrlso.results.tables import markdown

_SCORE = {
    "shapes": "area, higher is better",
    "expressions": "log(1 + MSE), lower is better",
    "molecules": "penalised logP, higher is better",
}

_EXPLAINED = (
    "Best, top-10 mean and top-50 mean are over the charged queries so far, or over all successful "
    "ones while these are fewer: mean ± s.d. over seeds (divisor S, as published). Interval: "
    "bootstrap interval of the mean best ({level:.0%}, widened for few seeds). AUC: the running "
    "top-10 mean, averaged over all queries; before a first success it is the median of the base "
    "data. Reaches: number of queries after which the best is at least as good as the published "
    "mean of k = 1e-3, r = 50 after 500 queries ({target}); the median seed, and the number of "
    "seeds that reach it. Retrained: number of retrainings per seed in which a row had weight. "
    "Charged and uncharged: evaluations of all seeds together. Uncharged evaluations read the "
    "objective beyond the budget, so methods with proposer `grid`, which peeks, do not compare "
    "with the others. s: wall time of all sessions in seconds; methods that ran side by side have "
    "equal shares. †: a seed ended early because too many of its proposals were known; it keeps "
    "its best. Comparisons are permutation tests of means over seeds, without correction for "
    "their number."
)


def document(
    name: str,
    options: Mapping[str, Any],
    base: Dataset,
    rows: Rows,
    published: published_runs.Runs,
    command: str,
    planned: int,
) -> str:
    """All tables of a task.

    Args:
      name: name of the task.
      options: options of the task.
      base: its base data.
      rows: the finished rows.
      published: from :func:`published_runs.load`.
      command: the command that made them.
      planned: number of methods in the whole grid.
    """
    median = float(np.median(base.scores))
    target = show(name, published_runs.MEAN_AT_500[name])
    parts = [
        *_heading(name, options, rows, command),
        f"{len(rows)} of the grid's {planned} methods have been run.",
        f"The base data are {len(base.scores):,} objects; the best scores "
        f"{show(name, float(np.max(base.scores)))}, the median is {show(name, median)}.",
        *_how_computed(rows, options),
        _EXPLAINED.format(level=stats.LEVEL, target=target),
    ]
    for family in (LOOP, FURTHER, BASELINES):
        chosen = [row for row in rows if row.setting.family == family]
        if chosen:
            title, budget = family[0].upper() + family[1:], chosen[0].setting.budget
            parts.append(f"## {title}, {budget} charged queries per seed")
            parts += [_table(name, chosen, median), _top_table(name, chosen)]
            if family == BASELINES:
                parts.append(moved_table(name, chosen))
    heads = [row for row in rows if row.setting.headline]
    if len(rows) > 1:
        parts += [against_others(name, head, rows) for head in heads]
    if compared := against_published(name, rows, published):
        parts.append(compared)
    return "\n\n".join([*parts, _times(rows), _costs(rows)]) + "\n"


def _heading(name: str, options: Mapping[str, Any], rows: Rows, command: str) -> list[str]:
    return [
        f"# The paper's grid on {name}: {_SCORE[name]}",
        f"`{command}`, with the code of {_commits(rows)}; {_options_in_words(options)}.",
    ]


def _commits(rows: Rows) -> str:
    """The commits of all rows, each once."""
    return ", ".join(dict.fromkeys(c for row in rows for c in row.run.code.split(", ")))


_NOT_SHOWN = ("workers", "timeout", "model", "half_products", "pretrain")


def _options_in_words(options: Mapping[str, Any]) -> str:
    known = {"data": "sampled", **{k: v for k, v in options.items() if v is not None}}
    if "data" not in options:
        del known["data"]
    named = {k: Path(str(v)).name if k == "data" else v for k, v in known.items()}
    return ", ".join(f"{key} = {value}" for key, value in named.items() if key not in _NOT_SHOWN)


_SHIPPED = (
    " The parameters that come with the package were pretrained on another processor, with AVX-512."
)


def _how_computed(rows: Rows, options: Mapping[str, Any]) -> list[str]:
    """A sentence on rows with other parameters or less precision, if there are any."""
    found = []
    older = [row.name for row in rows if row.run.pretrained_elsewhere]
    if older:
        which = "All rows" if len(older) == len(rows) else f"These rows: {'; '.join(older)}"
        found.append(
            "Levels depend on the pretrained parameters, and these on the processor that trained "
            f"them. {which} were measured with parameters pretrained on an AVX2 machine."
            + ("" if options.get("data") else _SHIPPED)
        )
    half = [row.name for row in rows if row.summary["task_options"].get("half_products")]
    if half:
        found.append(f"Products in bfloat16 (`--half-products`): {'; '.join(half)}.")
    return found


def _table(name: str, rows: Rows, median: float) -> str:
    marks = marks_of(rows)
    header = [
        *("method", "proposer"),
        *(f"best at {q}" for q in marks),
        *("interval", "AUC", "reaches", "each seed", "retrained", "charged", "uncharged", "s"),
    ]
    return markdown(header, [_cells(name, row, marks, median) for row in rows])


def _cells(name: str, row: Row, marks: Sequence[int], median: float) -> list[str]:
    budget, scores = row.setting.budget, row.scores
    reached = [stats.queries_to_reach(s, published_runs.MEAN_AT_500[name]) for s in scores]
    queries = float(np.median([np.inf if q is None else q for q in reached]))
    shown = f"{queries:.0f}" if np.isfinite(queries) else "–"
    diverged = row.summary.get("diverged_retrainings", 0)
    return [
        row.name,
        row.summary["proposer"],
        *(moments(name, [stats.top_at(s, 1, q) for s in scores]) for q in marks),
        interval(name, row.best),
        moments(name, [stats.area_under_top(s, budget, median) for s in scores]),
        f"{shown} ({sum(q is not None for q in reached)} of {len(scores)})",
        ", ".join(show(name, b) for b in row.best),
        _range([seed.get("retrainings") for seed in row.summary["seeds"]])
        + f" ({diverged} diverged)" * (diverged > 0),
        str(row.summary["charged_evaluations"]),
        str(row.summary["uncharged_evaluations"]),
        f"{row.wall_seconds:.0f}",
    ]


def _range(counts: Sequence[int | None]) -> str:
    known = sorted({count for count in counts if count is not None})
    return "–".join(map(str, dict.fromkeys([known[0], known[-1]]))) if known else "?"


def _top_table(name: str, rows: Rows) -> str:
    """Means of the best 10 and 50 queries."""
    marks = marks_of(rows)
    header = ["method", "proposer", *(f"top-{n} at {q}" for n in (10, 50) for q in marks)]
    body = [
        [row.name, row.summary["proposer"]]
        + [
            moments(name, [stats.top_at(s, n, q) for s in row.scores])
            for n in (10, 50)
            for q in marks
        ]
        for row in rows
    ]
    return markdown(header, body)


_PHASES = ("retrain", "search", "fit", "ask", "score", "tell", "compile")


def _times(rows: Rows) -> str:
    """Minutes per seed, and their shares by phase."""
    body = []
    for row in rows:
        seconds, wall = row.summary["seconds"], row.wall_seconds
        body.append(
            [
                row.name,
                row.summary["proposer"],
                f"{wall / 60 / len(row.summary['seeds']):.2g}",
                *(f"{seconds.get(phase, 0.0) / max(wall, 1e-9):.0%}" for phase in _PHASES),
                row.run.code,
            ]
        )
    return (
        "## Minutes per seed, and their shares\n\nFit: encoding the data and fitting the "
        "surrogate. Score: an objective on the host, with canonical spellings. Code: commits of "
        "the sessions that took part.\n\n"
        + markdown(["method", "proposer", "minutes", *_PHASES, "code"], body)
    )


def _costs(rows: Rows) -> str:
    shares = [(row.summary["compilations"], row.summary["side_by_side"]) for row in rows]
    compiled = sum(sum(counts.values()) / runs for counts, runs in shares)
    programs = sum(max(counts.values()) / runs for counts, runs in shares)
    seconds = sum(row.wall_seconds for row in rows)
    return (
        f"The {len(rows)} methods took {programs:.0f} programs ({compiled:.0f} compilations of "
        f"their functions in the sessions that ended them) and {seconds / 60:.0f} minutes of wall "
        "time without pretraining."
    )


def write_seeds(rows: Rows, median: float, path: Path) -> None:
    """Write one line per seed, with scores as in the library: higher is better.

    ``median`` is that of the base data, for :func:`statistics.area_under_top`.
    """
    tops = [f"top{n}_at_{q}" for n in (1, 10, 50) for q in SEED_MARKS]
    columns = ["entry", "setting", "proposer", "budget", "seed", "charged", *tops, "auc_top10"]
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow([*columns, "best_object"])
        for number, row in enumerate(rows, 1):
            for seed, scores in zip(row.summary["seeds"], row.scores, strict=True):
                out.writerow([number, *_seed_cells(row, seed, scores, median)])


def _seed_cells(row: Row, seed: Mapping[str, Any], scores: np.ndarray, median: float) -> list[Any]:
    budget = row.setting.budget
    tops = [
        "" if q is None else round(stats.top_at(scores, n, q), 6)
        for n in (1, 10, 50)
        for q in seed_marks(budget)
    ]
    auc = round(stats.area_under_top(scores, budget, median), 6)
    return [
        *(row.setting.name, row.summary["proposer"], budget, seed["seed"], seed["charged"]),
        *(*tops, auc, seed.get("best_object") or ""),
    ]
