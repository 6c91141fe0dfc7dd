"""The tables and CSV files of ``benchmarks.paper``."""

import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import published_runs
from benchmarks import statistics as stats
from benchmarks.experiments import QUERY_COLUMNS, query_cells
from benchmarks.paper_grid import BASELINES, LOOP, Setting
from wrlso import Dataset, Result
from wrlso.report.tables import markdown

SIGN = {"shapes": 1, "expressions": -1, "molecules": 1}
"""A score times this is what is shown."""

_DIGITS = {"shapes": 0, "expressions": 3, "molecules": 2}
_SCORE = {
    "shapes": "area, higher is better",
    "expressions": "log(1 + MSE), lower is better",
    "molecules": "penalised logP, higher is better",
}
_MARKS = (100, 200, 500, 5000)
"""Numbers of queries at which the tables look."""


class Row:
    """A setting and its finished run, read once."""

    def __init__(self, setting: Setting, result: Result) -> None:
        self.setting, self.result = setting, result
        self.summary, self.best = result.summary, result.best.tolist()

    @cached_property
    def scores(self) -> list[np.ndarray]:
        """Each seed's charged scores."""
        return self.result.scores()

    @property
    def short(self) -> bool:
        """Whether a seed ended before its budget: its model proposed nothing new any more."""
        return any(len(scores) < self.setting.budget for scores in self.scores)

    @property
    def name(self) -> str:
        """The setting's, marked where a seed ended early."""
        return self.setting.name + " †" * self.short


Rows = Sequence[Row]


def document(
    name: str,
    options: Mapping[str, Any],
    base: Dataset,
    rows: Rows,
    published: published_runs.Runs,
    command: str,
) -> str:
    """All tables of a task.

    Args:
      name: of the task.
      options: of the task.
      base: its base data.
      rows: what has been run.
      published: from :func:`published_runs.load`.
      command: that made them.
    """
    target = _show(name, published_runs.MEAN_AT_500[name])
    parts = [
        f"# The paper's grid on {name}: {_SCORE[name]}",
        f"`{command}`; {_said(options)}.",
        f"Base data: {len(base.scores):,} objects, the best of them "
        f"{_show(name, float(np.max(base.scores)))}, their median "
        f"{_show(name, float(np.median(base.scores)))}.",
        _EXPLAINED.format(level=stats.LEVEL, target=target),
    ]
    for family in (LOOP, BASELINES):
        chosen = [row for row in rows if row.setting.family == family]
        if chosen:
            title, budget = family[0].upper() + family[1:], chosen[0].setting.budget
            parts.append(f"## {title}, {budget} charged queries a seed")
            parts.append(_table(name, chosen))
    heads = [row for row in rows if row.setting.headline]
    if len(rows) > 1:
        parts += [_against_others(name, head, rows) for head in heads]
    if compared := _against_published(name, rows, published):
        parts.append(compared)
    return "\n\n".join([*parts, _costs(rows)]) + "\n"


_EXPLAINED = (
    "Best, top-10 and top-50 mean of the charged queries so far: mean ± s.d. over seeds (divisor "
    "S, as published); interval: bootstrap interval of the mean best ({level:.0%}, BCa where it "
    "is defined). AUC: the running top-10 mean, averaged over the queries from the first success "
    "on. Reaches: queries after which the best is at least as good as the published mean of k = "
    "1e-3, r = 50 after 500 queries ({target}), median of the seeds that get there. Charged and "
    "uncharged: evaluations of all seeds together; uncharged is what was read of the objective "
    "beyond the budget, so that methods with proposer `grid`, which peeks, do not compare with "
    "the others. s: wall time of the session that ended the run; methods that ran side by side "
    "have equal shares. †: a seed ended early, as its model proposed nothing new any more; it "
    "keeps its best."
)

_UNSAID = ("workers", "timeout", "model")


def _said(options: Mapping[str, Any]) -> str:
    known = {"data": "sampled", **{k: v for k, v in options.items() if v is not None}}
    if "data" not in options:
        del known["data"]
    named = {k: Path(str(v)).name if k == "data" else v for k, v in known.items()}
    return ", ".join(f"{key} = {value}" for key, value in named.items() if key not in _UNSAID)


def _costs(rows: Rows) -> str:
    shares = [(row.summary["compilations"], row.summary["side_by_side"]) for row in rows]
    compiled = sum(sum(counts.values()) / runs for counts, runs in shares)
    programs = sum(max(counts.values()) / runs for counts, runs in shares)
    seconds = sum(row.summary["wall_seconds"] for row in rows)
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
    budget = rows[0].setting.budget
    marks = [q for q in _MARKS if q < budget] + [budget]
    header = [
        *("method", "proposer"),
        *(f"best at {q}" for q in marks),
        "interval",
        *(f"top-{n} at {budget}" for n in (10, 50)),
        *("AUC", "reaches", "each seed", "charged", "uncharged", "s"),
    ]
    return markdown(header, [_cells(name, row, marks) for row in rows])


def _cells(name: str, row: Row, marks: Sequence[int]) -> list[str]:
    budget, scores = row.setting.budget, row.scores
    low, high = sorted(SIGN[name] * x for x in stats.interval(row.best))
    target = published_runs.MEAN_AT_500[name]
    reached = [stats.queries_to_reach(s, target) for s in scores]
    got_there = [q for q in reached if q is not None]
    median = f"{np.median(got_there):.0f} " if got_there else ""
    return [
        row.name,
        row.summary["proposer"],
        *(_moments(name, [stats.top_at(s, 1, q) for s in scores]) for q in marks),
        f"[{low:.{_DIGITS[name]}f}, {high:.{_DIGITS[name]}f}]",
        *(_moments(name, [stats.top_at(s, n, budget) for s in scores]) for n in (10, 50)),
        _moments(name, [stats.area_under_top(s, budget) for s in scores]),
        f"{median}({len(got_there)} of {len(scores)})",
        ", ".join(_show(name, b) for b in row.best),
        str(row.summary["charged_evaluations"]),
        str(row.summary["uncharged_evaluations"]),
        f"{row.summary['wall_seconds']:.0f}",
    ]


def _against_others(name: str, head: Row, rows: Rows) -> str:
    body = [
        [
            row.name,
            row.summary["proposer"],
            str(row.setting.budget),
            _moments(name, row.best),
            stats.verdict(head.best, row.best),
        ]
        for row in rows
        if row is not head
    ]
    return (
        f"## {head.setting.name} ({head.setting.budget} queries, proposer "
        f"{head.summary['proposer']}) against the others\n\n{_moments(name, head.best)}. "
        "Permutation tests of the mean best, not corrected for their number.\n\n"
        + markdown(["method", "proposer", "queries", "best", "the headline is"], body)
    )


def _against_published(name: str, rows: Rows, published: published_runs.Runs) -> str:
    body = []
    for row in rows:
        runs = published_runs.counterpart(published, name, row.setting)
        theirs = [stats.top_at(scores, 1, row.setting.budget) for scores in runs]
        if theirs:
            lengths = sorted({min(len(scores), row.setting.budget) for scores in runs})
            ended = "" if lengths == [row.setting.budget] else f" (after {lengths[0]} at the least)"
            body.append(
                [
                    row.name,
                    _moments(name, row.best),
                    _moments(name, theirs) + ended,
                    stats.verdict(row.best, theirs),
                ]
            )
    if not body:
        return ""
    return (
        "## Against the published seeds\n\nPermutation tests as above; the models differ from the "
        "paper's, so that levels do, too.\n\n"
        + markdown(["method", "ours", "published", "ours is"], body)
    )


def write_seeds(rows: Rows, path: Path) -> None:
    """A line a seed; scores as the library has them, higher is better."""
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        columns = [f"top{n}_at_{q}" for n in (1, 10, 50) for q in (*_MARKS, "end")]
        out.writerow(
            ["entry", "setting", "proposer", "budget", "seed", "charged", *columns, "auc_top10",
             "best_object"]
        )  # fmt: skip
        for number, row in enumerate(rows, 1):
            budget = row.setting.budget
            for seed, scores in zip(row.summary["seeds"], row.scores, strict=True):
                tops = [
                    round(stats.top_at(scores, n, q), 6) if q <= budget else ""
                    for n in (1, 10, 50)
                    for q in (*_MARKS, budget)
                ]
                out.writerow(
                    [number, row.setting.name, row.summary["proposer"], budget, seed["seed"],
                     seed["charged"], *tops, round(stats.area_under_top(scores, budget), 6),
                     seed.get("best_object") or ""]
                )  # fmt: skip


def write_queries(rows: Rows, path: Path) -> None:
    """Every query; ``entry`` as in the other file. The same queries give the same bytes."""
    text = io.StringIO()
    out = csv.writer(text)
    out.writerow(QUERY_COLUMNS)
    for number, row in enumerate(rows, 1):
        out.writerows(query_cells(number, query) for query in row.result.queries())
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
