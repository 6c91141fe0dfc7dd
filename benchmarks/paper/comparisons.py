"""Comparisons in the tables of ``benchmarks.paper``: other methods, published seeds, the prior."""

import numpy as np

from benchmarks.paper import published_runs
from benchmarks.paper import statistics as stats
from benchmarks.paper.rows import Row, Rows, comparable, interval, mean_of_successes, moments
from wrlso.results.tables import markdown


def against_others(name: str, head: Row, rows: Rows) -> str:
    """A headline row against all others, at each row's budget and at the headline's if smaller."""
    budget = head.setting.budget
    body = [_against(name, head, row) for row in rows if row is not head]
    header = ["method", "proposer", "queries", "best", "interval", "the headline is"]
    return (
        f"## {head.setting.name} ({budget} queries, proposer "
        f"{head.summary['proposer']}) against the others\n\n{moments(name, head.best)}, "
        f"{interval(name, head.best)}.\n\n"
        + markdown([*header, f"best at {budget}", "there, the headline is"], body)
    )


def _against(name: str, head: Row, row: Row) -> list[str]:
    budget, reason = head.setting.budget, comparable(head, row)
    cells = [row.name, row.summary["proposer"], str(row.setting.budget)]
    cells += [moments(name, row.best), interval(name, row.best)]
    cells += [f"not compared: {reason}" if reason else stats.verdict(head.best, row.best)]
    if row.setting.budget <= budget:
        return [*cells, "", ""]
    early = [stats.top_at(scores, 1, budget) for scores in row.scores]
    told = "not compared" if reason else stats.verdict(head.best, early)
    return [*cells, moments(name, early), told]


def against_published(name: str, rows: Rows, published: published_runs.Runs) -> str:
    """Every row against the published seeds of its configuration; empty if there are none."""
    body = []
    for row in rows:
        runs = published_runs.counterpart(published, name, row.setting)
        theirs = [stats.top_at(scores, 1, row.setting.budget) for scores in runs]
        if theirs:
            lengths = sorted({min(len(scores), row.setting.budget) for scores in runs})
            whole = lengths == [row.setting.budget]
            ended = "" if whole else f" (after a minimum of {lengths[0]})"
            cells = [row.name, moments(name, row.best), moments(name, theirs) + ended]
            body.append([*cells, stats.verdict(row.best, theirs)])
    if not body:
        return ""
    size = " The published molecules may be of any size." if name == "molecules" else ""
    return (
        "## Against the published seeds\n\nThe models differ from the paper's, and so do the "
        f"levels.{size}\n\n" + markdown(["method", "ours", "published", "ours is"], body)
    )


def moved_table(name: str, rows: Rows) -> str:
    """Scores of samples of the prior, early and late, and whether they got better."""
    body = []
    unmoved = [row for row in rows if row.setting.method.epochs == 0]
    before = [mean_of_successes(scores) for row in unmoved[:1] for scores in row.scores]
    for row in rows:
        parts = [[stats.fifth(scores, last) for scores in row.scores] for last in (False, True)]
        means = [[mean_of_successes(scores) for scores in part] for part in parts]
        succeeded = [f"{np.isfinite(np.concatenate(part)).mean():.0%}" for part in parts]
        if not unmoved or row in unmoved:
            moved = "–"
        elif reason := comparable(unmoved[0], row):
            moved = f"not compared: {reason}"
        else:
            moved = stats.verdict(means[1], before)
        body.append([row.name, *(moments(name, part) for part in means), *succeeded, moved])
    header = ["method", "first fifth", "last fifth", "succeed, first", "succeed, last", "at last"]
    return (
        "Does the prior move? The columns show the mean score of new samples of the prior in the "
        "first and in the last fifth of the queries. At last: compared with random search, the "
        "prior of the pretrained model.\n\n" + markdown(header, body)
    )
