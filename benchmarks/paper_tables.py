"""The tables and CSV files of ``benchmarks.paper``."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import published_runs
from benchmarks import statistics as stats
from benchmarks.paper_grid import BASELINES, LOOP, Setting
from benchmarks.paper_records import Finished
from wrlso import Dataset
from wrlso.results.summary import wall_seconds
from wrlso.results.tables import markdown

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
    """A setting and its finished run."""

    def __init__(self, setting: Setting, run: Finished) -> None:
        self.setting, self.run = setting, run
        self.summary, self.best, self.scores = run.summary, run.best, run.scores

    @property
    def wall_seconds(self) -> float:
        """Of all sessions, also where a summary was written when it held the last one's."""
        return wall_seconds(self.summary["seconds"])

    @property
    def peeks(self) -> bool:
        """Whether it read the objective beyond its budget."""
        return self.summary["uncharged_evaluations"] > 0

    @property
    def short(self) -> bool:
        """Whether a seed ended before its budget: too many proposals were known."""
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
    planned: int,
) -> str:
    """All tables of a task.

    Args:
      name: of the task.
      options: of the task.
      base: its base data.
      rows: what has been run.
      published: from :func:`published_runs.load`.
      command: that made them.
      planned: methods in the whole grid.
    """
    target = _show(name, published_runs.MEAN_AT_500[name])
    median = float(np.median(base.scores))
    parts = [
        f"# The paper's grid on {name}: {_SCORE[name]}",
        f"`{command}`, with the code of {_commits(rows)}; {_said(options)}.",
        f"Of the grid's {planned} methods {len(rows)} have been run.",
        f"Base data: {len(base.scores):,} objects, the best of them "
        f"{_show(name, float(np.max(base.scores)))}, their median {_show(name, median)}.",
        *_in_half(rows),
        _EXPLAINED.format(level=stats.LEVEL, target=target),
    ]
    for family in (LOOP, BASELINES):
        chosen = [row for row in rows if row.setting.family == family]
        if chosen:
            title, budget = family[0].upper() + family[1:], chosen[0].setting.budget
            parts.append(f"## {title}, {budget} charged queries a seed")
            parts += [_table(name, chosen, median), _top_table(name, chosen)]
            if family == BASELINES:
                parts.append(_moved_table(name, chosen))
    heads = [row for row in rows if row.setting.headline]
    if len(rows) > 1:
        parts += [_against_others(name, head, rows) for head in heads]
    if compared := _against_published(name, rows, published):
        parts.append(compared)
    return "\n\n".join([*parts, _times(rows), _costs(rows)]) + "\n"


def _commits(rows: Rows) -> str:
    """Of every row, each once."""
    return ", ".join(dict.fromkeys(c for row in rows for c in row.run.code.split(", ")))


_EXPLAINED = (
    "Best, top-10 and top-50 mean of the charged queries so far: mean ± s.d. over seeds (divisor "
    "S, as published); of all that succeeded while they are fewer. Interval: bootstrap interval of "
    "the mean best ({level:.0%}, widened for few seeds). AUC: the running top-10 mean, averaged "
    "over all queries; before a first success it is the median of the base data. Reaches: queries "
    "after which the best is at least as good as the published mean of k = 1e-3, r = 50 after 500 "
    "queries ({target}): the median seed, and how many get there. Retrained: times a seed, where a "
    "row had weight. Charged and uncharged: evaluations of all seeds together; uncharged is what "
    "was read of the objective beyond the budget, so that methods with proposer `grid`, which "
    "peeks, do not compare with the others. s: wall time of all sessions; methods that ran side by "
    "side have equal shares. †: a seed ended early, as too many of its proposals were known; it "
    "keeps its best. Comparisons are permutation tests of means over seeds, not corrected for "
    "their number."
)

_UNSAID = ("workers", "timeout", "model", "half_products")


def _in_half(rows: Rows) -> list[str]:
    """A sentence on the rows that were computed in less precision, if any."""
    names = [row.name for row in rows if row.summary["task_options"].get("half_products")]
    return [f"Products in bfloat16 (`--half-products`): {'; '.join(names)}."] if names else []


def _said(options: Mapping[str, Any]) -> str:
    known = {"data": "sampled", **{k: v for k, v in options.items() if v is not None}}
    if "data" not in options:
        del known["data"]
    named = {k: Path(str(v)).name if k == "data" else v for k, v in known.items()}
    return ", ".join(f"{key} = {value}" for key, value in named.items() if key not in _UNSAID)


_PHASES = ("retrain", "fit", "ask", "score", "tell", "compile")


def _times(rows: Rows) -> str:
    """Minutes a seed, and where they went."""
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
        "## Minutes a seed, and where they went\n\nFit: encoding the data and fitting the "
        "surrogate. Score: the objective, where it is on the host with canonical spellings. Code: "
        "commits of the sessions that took part.\n\n"
        + markdown(["method", "proposer", "minutes", *_PHASES, "code"], body)
    )


def _costs(rows: Rows) -> str:
    shares = [(row.summary["compilations"], row.summary["side_by_side"]) for row in rows]
    compiled = sum(sum(counts.values()) / runs for counts, runs in shares)
    programs = sum(max(counts.values()) / runs for counts, runs in shares)
    seconds = sum(row.wall_seconds for row in rows)
    return (
        f"Methods: {len(rows)}, in {programs:.0f} programs ({compiled:.0f} compilations of their "
        f"functions in the sessions that ended them), {seconds / 60:.0f} minutes of wall time "
        "without pretraining."
    )


def _show(name: str, value: float) -> str:
    shown = SIGN[name] * value
    return "–" if np.isnan(value) else f"{shown + 0.0:.{_DIGITS[name]}f}"


def _moments(name: str, values: Sequence[float]) -> str:
    if not np.isfinite(values).all():
        return "–"
    return f"{_show(name, float(np.mean(values)))} ± {np.std(values):.{_DIGITS[name]}f}"


def _interval(name: str, values: Sequence[float]) -> str:
    ends = stats.interval(values)
    if np.isnan(ends).any():
        return "–"
    low, high = (_show(name, end) for end in ends[:: SIGN[name]])
    return f"[{low}, {high}]"


def _marks(rows: Rows) -> list[int]:
    budget = rows[0].setting.budget
    return [q for q in _MARKS if q < budget] + [budget]


def _table(name: str, rows: Rows, median: float) -> str:
    header = [
        *("method", "proposer"),
        *(f"best at {q}" for q in _marks(rows)),
        *("interval", "AUC", "reaches", "each seed", "retrained", "charged", "uncharged", "s"),
    ]
    return markdown(header, [_cells(name, row, _marks(rows), median) for row in rows])


def _cells(name: str, row: Row, marks: Sequence[int], median: float) -> list[str]:
    budget, scores = row.setting.budget, row.scores
    reached = [stats.queries_to_reach(s, published_runs.MEAN_AT_500[name]) for s in scores]
    queries = float(np.median([np.inf if q is None else q for q in reached]))
    shown = f"{queries:.0f}" if np.isfinite(queries) else "–"
    diverged = row.summary.get("diverged_retrainings", 0)
    return [
        row.name,
        row.summary["proposer"],
        *(_moments(name, [stats.top_at(s, 1, q) for s in scores]) for q in marks),
        _interval(name, row.best),
        _moments(name, [stats.area_under_top(s, budget, median) for s in scores]),
        f"{shown} ({sum(q is not None for q in reached)} of {len(scores)})",
        ", ".join(_show(name, b) for b in row.best),
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
    """Means of several best queries."""
    marks = _marks(rows)
    header = ["method", "proposer", *(f"top-{n} at {q}" for n in (10, 50) for q in marks)]
    body = [
        [row.name, row.summary["proposer"]]
        + [
            _moments(name, [stats.top_at(s, n, q) for s in row.scores])
            for n in (10, 50)
            for q in marks
        ]
        for row in rows
    ]
    return markdown(header, body)


def _moved_table(name: str, rows: Rows) -> str:
    """Whether what is drawn from the prior gets better."""
    body = []
    unmoved = [row for row in rows if row.setting.method.epochs == 0]
    before = [_mean(scores) for row in unmoved[:1] for scores in row.scores]
    for row in rows:
        parts = [[stats.fifth(scores, last) for scores in row.scores] for last in (False, True)]
        means = [[_mean(scores) for scores in part] for part in parts]
        succeeded = [f"{np.isfinite(np.concatenate(part)).mean():.0%}" for part in parts]
        moved = "–" if row in unmoved or not unmoved else stats.verdict(means[1], before)
        body.append([row.name, *(_moments(name, part) for part in means), *succeeded, moved])
    header = ["method", "first fifth", "last fifth", "succeed, first", "succeed, last", "at last"]
    return (
        "Does the prior move? Mean score of what is drawn from it and new, in the first and in the "
        "last fifth of the queries. At last: against random search, the prior of the model as "
        "pretrained.\n\n" + markdown(header, body)
    )


def _mean(scores: np.ndarray) -> float:
    """Of those that succeeded."""
    found = scores[np.isfinite(scores)]
    return float(found.mean()) if len(found) else np.nan


def _against_others(name: str, head: Row, rows: Rows) -> str:
    """At each row's budget, and at the headline's where that is smaller."""
    budget = head.setting.budget
    body = []
    for row in rows:
        if row is head:
            continue
        peeks = row.peeks != head.peeks
        cells = [row.name, row.summary["proposer"], str(row.setting.budget)]
        cells += [_moments(name, row.best), _interval(name, row.best)]
        cells += ["not compared: one peeks" if peeks else stats.verdict(head.best, row.best)]
        if row.setting.budget > budget:
            early = [stats.top_at(scores, 1, budget) for scores in row.scores]
            cells += [_moments(name, early)]
            cells += ["not compared" if peeks else stats.verdict(head.best, early)]
        else:
            cells += ["", ""]
        body.append(cells)
    header = ["method", "proposer", "queries", "best", "interval", "the headline is"]
    return (
        f"## {head.setting.name} ({budget} queries, proposer "
        f"{head.summary['proposer']}) against the others\n\n{_moments(name, head.best)}, "
        f"{_interval(name, head.best)}.\n\n"
        + markdown([*header, f"best at {budget}", "there, the headline is"], body)
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
    size = " The published molecules may be of any size." if name == "molecules" else ""
    return (
        "## Against the published seeds\n\nThe models differ from the paper's, so that levels do, "
        f"too.{size}\n\n" + markdown(["method", "ours", "published", "ours is"], body)
    )


def write_seeds(rows: Rows, median: float, path: Path) -> None:
    """A line a seed; scores as the library has them, higher is better. ``median``: of the base
    data, for :func:`statistics.area_under_top`."""
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
                     seed["charged"], *tops,
                     round(stats.area_under_top(scores, budget, median), 6),
                     seed.get("best_object") or ""]
                )  # fmt: skip
