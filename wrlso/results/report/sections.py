"""The tables of a report: cells of HTML with the values that they are sorted by."""

import html
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wrlso.results.best import best_queries
from wrlso.results.report.objects import Cells, key_of
from wrlso.results.report.view import RunView
from wrlso.results.statistics import Interval, difference_interval, mean_interval
from wrlso.results.tables import FAILURES, title
from wrlso.results.words import seeds_in_words
from wrlso.runs.log import Query
from wrlso.status import Status
from wrlso.storage.numbers import shown

_BEST = 24
"""Number of rows in the table of the best objects."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
      html: its content, escaped.
      value: the value that it is sorted by; None: its text.
    """

    html: str
    value: float | None = None


@dataclass(frozen=True)
class Table:
    """A table that sorts: names of columns, and rows of cells."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def number(value: float | None) -> Cell:
    """A number, or a dash where there is none; it is sorted below all others."""
    if value is None or not np.isfinite(value):
        return Cell("–", -np.inf)
    written = f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e9 else shown(value, 5)
    return Cell(written, float(value))


def text(value: object) -> Cell:
    """A text."""
    return Cell(html.escape(str(value)))


def interval(value: Interval, of: str = "") -> Cell:
    """A mean with its interval, and what it is of; sorted by the mean."""
    if not np.isfinite(value.mean):
        return Cell("–", -np.inf)
    ends = f" ({shown(value.low, 5)} to {shown(value.high, 5)})" if np.isfinite(value.low) else ""
    return Cell(f"{shown(value.mean, 5)}{ends}{of}", value.mean)


def overview(views: Sequence[RunView]) -> Table:
    """One row per run: method, progress, best, top means, costs."""
    header = [
        "run", "method and settings", "charged", "best of the start", "best, mean (95% interval)",
        "best of all seeds", "top-10 mean", "failed", "uncharged reads", "minutes",
    ]  # fmt: skip
    return Table(header, [_overview_row(view) for view in views])


def _overview_row(view: RunView) -> list[Cell]:
    summary, best = view.summary, view.best()
    found = best[np.isfinite(best)]
    sign = view.config.sign
    top10 = [s["top10"] for s in summary["seeds"] if s.get("top10") is not None]
    failed = sum(q.status in FAILURES for q in view.queries)
    seeds = view.config.seeds
    of = f", {seeds_in_words(len(found), seeds)}" if len(found) < seeds else ""
    whole = view.config.queries * seeds
    return [
        text(view.name),
        text(_settings(view)),
        Cell(f"{view.charged:,} of {whole:,}", view.charged),
        number(view.start),
        interval(mean_interval(found), of),
        number(float(sign * (sign * found).max()) if len(found) else None),
        number(float(np.mean(top10)) if top10 else None),
        number(failed),
        number(summary.get("uncharged_evaluations", 0)),
        number(round(sum(view.seconds.values()) / 60, 2) if not view.finished
               else round(summary["wall_seconds"] / 60, 2)),
    ]  # fmt: skip


def _settings(view: RunView) -> str:
    if "method" not in view.summary:
        return view.config.method
    return title(view.summary).removeprefix(f"{view.task_title}, ")


def differences(views: Sequence[RunView]) -> Table | None:
    """The best scores of each other run against those of the first; None if there is none."""
    first = views[0]
    rows = []
    for view in views[1:]:
        if view.folder.id == first.folder.id:
            continue  # it is no other run
        found = difference_interval(view.best(), first.best())
        seen = np.isfinite(found.low) and not found.low <= 0 <= found.high
        rows.append(
            [text(f"{view.name} − {first.name}"), interval(found),
             text("yes" if seen else "no" if np.isfinite(found.low) else "one seed says nothing")]
        )  # fmt: skip
    header = ["runs", "difference of mean best (95% interval, Welch)", "is zero outside?"]
    return Table(header, rows) if rows else None


def best_objects(view: RunView, cells: Cells) -> Table | None:
    """The best different objects of a run, over all seeds, with the parts of their scores."""
    best = best_queries(view.queries, view.config.sign)[:_BEST]
    parts = [{part.name: part.value for part in view.components.get(key_of(q), ())} for q in best]
    names = list(dict.fromkeys(name for of_query in parts for name in of_query))
    rows = [
        [number(rank), Cell(cells.of(query) or "–"), number(query.score), number(query.seed),
         number(query.round), *(number(of_query.get(name)) for name in names)]
        for rank, (query, of_query) in enumerate(zip(best, parts, strict=True), 1)
    ]  # fmt: skip
    return Table(["rank", "object", "score", "seed", "round", *names], rows) if rows else None


def seeds(view: RunView) -> Table:
    """One row per seed: best, means, how its queries ended."""
    rows = []
    for seed in view.summary["seeds"]:
        status = seed.get("status", {})
        rows.append(
            [number(seed["seed"]), number(seed["best"]), number(seed["top10"]),
             number(seed["top50"]), number(seed["charged"]),
             *(number(status.get(s.name, 0)) for s in Status if s != Status.UNUSED),
             number(seed.get("retrainings", 0))]
        )  # fmt: skip
    names = [s.name.lower() for s in Status if s != Status.UNUSED]
    header = ["seed", "best", "top-10 mean", "top-50 mean", "charged", *names, "retrainings"]
    return Table(header, rows)


def failures(view: RunView, cells: Cells) -> Table | None:
    """The reasons for failures and refusals: numbers of queries, seeds, an example."""
    groups: dict[tuple[str, str], list[Query]] = defaultdict(list)
    for query in view.queries:
        if query.status in (*FAILURES, Status.REFUSED):
            reason = query.reason or _WITHOUT_REASON.get(query.status, "no reason was given")
            groups[query.status.name, reason].append(query)
    rows = [
        [text(status), text(reason), number(len(found)),
         text(", ".join(str(s) for s in sorted({q.seed for q in found}))),
         Cell(cells.of(found[0]) or "–")]
        for (status, reason), found in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]  # fmt: skip
    header = ["status", "reason", "queries", "seeds", "example"]
    return Table(header, rows) if rows else None


_WITHOUT_REASON = {
    Status.INVALID: "the latent did not decode to an object",
    Status.FAILED: "the score was NaN or infinite",
    Status.TIMEOUT: "the objective did not answer in time",
}


def statuses(view: RunView) -> str:
    """The numbers of queries by status, in words."""
    counts = Counter(q.status for q in view.queries if q.status != Status.UNUSED)
    return ", ".join(f"{count:,} {status.name}" for status, count in sorted(counts.items()))


def configuration(content: Mapping[str, Any]) -> Table:
    """A nested record as rows of name and value."""
    rows = [[text(name), text(value)] for name, value in _flat(content, "")]
    return Table(["setting", "value"], rows)


def _flat(content: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in content.items():
        whole = f"{prefix}{name}"
        if isinstance(value, Mapping):
            found += _flat(value, whole + ".") if value else [(whole, "none")]
        else:
            found.append((whole, "none" if value is None else value))
    return found
