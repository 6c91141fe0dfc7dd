"""The tables and CSV files of ``benchmarks.paper``."""

import csv
import gzip
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import published_runs
from benchmarks import statistics as stats
from benchmarks.paper_grid import FIRST, SECOND, Setting
from wrlso import Result
from wrlso.report.tables import markdown

Rows = Sequence[tuple[Setting, Result]]

SIGN = {"shapes": 1, "expressions": -1, "molecules": 1}
"""A score times this is what is shown."""

_DIGITS = {"shapes": 0, "expressions": 3, "molecules": 2}
_SCORE = {
    "shapes": "area",
    "expressions": "log(1 + MSE), lower is better, target 1/3 + x + sin(x * x)",
    "molecules": "penalised logP",
}


def document(
    name: str,
    options: Mapping[str, Any],
    rows: Rows,
    published: published_runs.Runs,
    command: str,
) -> str:
    """All tables of a task.

    Args:
      name: of the task.
      options: of the task.
      rows: what has been run.
      published: from :func:`published_runs.load`.
      command: that made them.
    """
    said = ", ".join(f"{key} = {value}" for key, value in options.items() if value is not None)
    target = _show(name, published_runs.MEAN_AT_500[name])
    parts = [
        f"# The paper's grid on {name}: {_SCORE[name]}",
        f"`{command}`; {said}",
        _EXPLAINED.format(level=stats.LEVEL, target=target),
    ]
    for family in (FIRST, SECOND):
        chosen = [row for row in rows if row[0].family == family]
        if chosen:
            title, budget = family[0].upper() + family[1:], chosen[0][0].budget
            parts.append(f"## {title}, {budget} charged queries a seed")
            parts.append(_table(name, chosen))
    return "\n\n".join([*parts, *_comparisons(name, rows, published), _costs(rows)]) + "\n"


_EXPLAINED = (
    "Best, top-10 and top-50 mean of the charged queries so far: mean ± s.d. over seeds (divisor "
    "S, as published); interval: bootstrap interval of the mean best ({level:.0%}, BCa). AUC: the "
    "running top-10 mean, averaged over the queries. Reaches: queries after which the best is at "
    "least the published mean of k = 1e-3, r = 50 after 500 queries ({target}), median of the "
    "seeds that do. Uncharged: what was read of the objective beyond the budget. s: wall time; "
    "methods that ran side by side have equal shares."
)


def _costs(rows: Rows) -> str:
    shares = [
        (result.summary["compilations"], result.summary["side_by_side"]) for _, result in rows
    ]
    compiled = sum(sum(counts.values()) / runs for counts, runs in shares)
    programs = sum(max(counts.values()) / runs for counts, runs in shares)
    seconds = sum(result.summary["wall_seconds"] for _, result in rows)
    return (
        f"{len(rows)} methods in {programs:.0f} programs ({compiled:.0f} compilations of their "
        f"functions), {seconds / 60:.0f} minutes of wall time without pretraining."
    )


def _show(name: str, value: float) -> str:
    shown = SIGN[name] * value
    return "–" if np.isnan(value) else f"{shown + 0.0:.{_DIGITS[name]}f}"


def _moments(name: str, values: Sequence[float]) -> str:
    return f"{_show(name, float(np.mean(values)))} ± {np.std(values):.{_DIGITS[name]}f}"


def _table(name: str, rows: Rows) -> str:
    budget = rows[0][0].budget
    marks = [q for q in (100, 200, 500, 5000) if q < budget] + [budget]
    header = [
        "method",
        *(f"best at {q}" for q in marks),
        "interval",
        f"top-10 at {budget}",
        f"top-50 at {budget}",
        *("AUC", "reaches", "each seed", "charged", "uncharged", "s"),
    ]
    body = []
    for setting, result in rows:
        scores = result.scores()
        best = {q: [stats.top_at(s, 1, q) for s in scores] for q in marks}
        low, high = sorted(SIGN[name] * x for x in stats.interval(best[budget]))
        target = published_runs.MEAN_AT_500[name]
        reached = [stats.queries_to_reach(s, target) for s in scores]
        succeeded = [q for q in reached if q is not None]
        median = f"{np.median(succeeded):.0f} " if succeeded else ""
        summary = result.summary
        digits = _DIGITS[name]
        body.append(
            [
                setting.name,
                *(_moments(name, best[q]) for q in marks),
                f"[{low:.{digits}f}, {high:.{digits}f}]",
                _moments(name, [stats.top_at(s, 10, budget) for s in scores]),
                _moments(name, [stats.top_at(s, 50, budget) for s in scores]),
                _moments(name, [stats.area_under_top(s) for s in scores]),
                f"{median}({len(succeeded)} of {len(scores)})",
                ", ".join(_show(name, b) for b in best[budget]),
                str(summary["charged_evaluations"]),
                str(summary["uncharged_evaluations"]),
                f"{summary['wall_seconds']:.0f}",
            ]
        )
    return markdown(header, body)


def _comparisons(name: str, rows: Rows, published: published_runs.Runs) -> Iterator[str]:
    """The headline against all else, and ours against the published seeds."""
    heads = [row for row in rows if row[0].family == FIRST and is_headline(row[0])]
    if not heads:
        return
    for setting, result in heads:
        body = [
            [
                other.name,
                str(other.budget),
                _moments(name, theirs.best.tolist()),
                stats.verdict(result.best.tolist(), theirs.best.tolist()),
            ]
            for other, theirs in rows
            if other is not setting
        ]
        yield (
            f"## {setting.name} ({setting.budget} queries) against the others\n\n"
            f"{_moments(name, result.best.tolist())}. A permutation test of the means of the best; "
            "above: the headline is better.\n\n"
            + markdown(["method", "queries", "best", "the headline is"], body)
        )
    body = []
    for setting, result in rows:
        theirs = counterpart_best(published, name, setting)
        if theirs:
            body.append(
                [
                    setting.name,
                    _moments(name, result.best.tolist()),
                    _moments(name, theirs),
                    stats.verdict(result.best.tolist(), theirs),
                ]
            )
    if body:
        yield "## Against the published seeds\n\n" + markdown(
            ["method", "ours", "published", "ours is"], body
        )


def counterpart_best(published: published_runs.Runs, name: str, setting: Setting) -> list[float]:
    """The published best of each seed, within the setting's budget."""
    runs = published_runs.counterpart(published, name, setting.method)
    return [stats.top_at(scores, 1, setting.budget) for scores in runs]


def is_headline(setting: Setting) -> bool:
    method = setting.method
    return (
        method.name == "weighted_retraining"
        and method.hyper["k"] == 1e-3
        and (method.retrain_every in (50, 10))
    )


def write_seeds(rows: Rows, path: Path) -> None:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        marks = (100, 200, 500, 5000)
        out.writerow(
            ["entry", "setting", "proposer", "budget", "seed", "charged",
             *(f"top{n}_at_{q}" for n in (1, 10, 50) for q in marks), "auc_top10",
             "best_object"]
        )  # fmt: skip
        for number, (setting, result) in enumerate(rows, 1):
            each = zip(result.summary["seeds"], result.scores(), strict=True)
            for seed, scores in each:
                tops = [
                    round(stats.top_at(scores, n, q), 6) if q <= setting.budget else ""
                    for n in (1, 10, 50)
                    for q in marks
                ]
                out.writerow(
                    [number, setting.name, result.summary["proposer"], setting.budget,
                     seed["seed"], seed["charged"], *tops,
                     round(stats.area_under_top(scores), 6), seed.get("best_object") or ""]
                )  # fmt: skip


def write_queries(rows: Rows, path: Path) -> None:
    """Every query; ``entry`` as in the other file. The same queries give the same bytes."""
    text = io.StringIO()
    out = csv.writer(text)
    out.writerow(["entry", "seed", "round", "index", "score", "status"])
    for number, (_, result) in enumerate(rows, 1):
        out.writerows(
            [number, q.seed, q.round, q.index, "" if q.score is None else f"{q.score:.5g}",
             q.status.name]
            for q in result.queries()
        )  # fmt: skip
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
