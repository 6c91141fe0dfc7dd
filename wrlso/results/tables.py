"""Tables of runs, as plain text that is also Markdown."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wrlso.status import Status
from wrlso.storage.numbers import shown

FAILURES = (Status.INVALID, Status.FAILED, Status.TIMEOUT)
"""The outcomes of charged queries that failed. A query that is being measured is none of them."""


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns; only the first is left-aligned."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        aligned = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "| " + " | ".join(aligned) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(header), "| " + " | ".join(rule) + " |", *map(line, rows)])


def run_table(summary: Mapping[str, Any]) -> str:
    """The table of one run: one row per seed, mean and standard deviation, then the costs."""
    rows = [
        [str(s["seed"]), *(_number(s[c]) for c in ("best", "top10", "top50")), str(s["charged"])]
        for s in summary["seeds"]
    ]
    for name in ("mean", "sd") if len(rows) > 1 else ():  # one seed has no spread
        rows.append([name, *(_number(summary[c][name]) for c in ("best", "top10", "top50")), ""])
    starting = summary.get("starting") or {}
    if starting:
        counted = str(starting["initial"] or "")
        rows.insert(0, ["starting data", _number(starting["best"]), "", "", counted])
    better = "lower" if summary.get("minimize") else "higher"
    head = f"{title(summary)}; scores, {better} is better"
    table = markdown(["seed", "best", "top-10 mean", "top-50 mean", "charged"], rows)
    notes = _notes(summary)
    failures = [
        f"{what} {n} x: {why}"
        for what, reasons in (("Failed", "failures"), ("Refused", "refusals"))
        for why, n in summary.get(reasons, {}).items()
    ]
    objects = [
        f"seed {s['seed']}: {s['best_object']}" for s in summary["seeds"] if s.get("best_object")
    ]
    if objects and starting.get("best_object"):
        objects.insert(0, f"starting data: {starting['best_object']}")
    best = ["Best of each seed:\n" + "\n".join(objects)] if objects else []
    failed = ["\n".join(failures)] if failures else []
    return "\n\n".join([head, table, *best, *notes, *failed, costs(summary)])


def _notes(summary: Mapping[str, Any]) -> list[str]:
    """Sentences on what the numbers of a table do not show."""
    queries = summary["budget"] - (summary.get("starting") or {}).get("initial", 0)
    notes = []
    if "state" in summary:
        notes.append(f"This run is not finished ({progress_of(summary)}).")
    else:
        notes += [
            f"Seed {s['seed']} ended after {s['charged']} of {queries} queries: too many of its "
            "proposals were duplicates, or were refused."
            for s in summary["seeds"]
            if s["charged"] < queries
        ]
    notes += _no_better(summary)
    passed = sum(s.get("refused", 0) for s in summary["seeds"])
    if passed:
        notes.append(f"{passed} proposals were refused by the accept test, at no charge.")
    if summary.get("elsewhere"):
        notes.append(f"{summary['elsewhere']} measurements made elsewhere joined the data.")
    return notes


def _no_better(summary: Mapping[str, Any]) -> list[str]:
    """A sentence if seeds did not improve on the starting data."""
    start = (summary.get("starting") or {}).get("best")
    sign = -1 if summary.get("minimize") else 1
    if start is None:
        return []
    found = [s["seed"] for s in summary["seeds"] if s["best"] is not None]
    worse = [
        s["seed"] for s in summary["seeds"] if s["best"] is None or sign * (s["best"] - start) <= 0
    ]
    if not worse or not (found or "state" not in summary):
        return []
    who = "No seed" if len(worse) == len(summary["seeds"]) else f"Seeds {worse} have not"
    verb = "has improved" if who == "No seed" else "improved"
    return [f"{who} {verb} on the best of the starting data, {_number(start)}."]


def progress_of(summary: Mapping[str, Any]) -> str:
    """The state of a run in a few words, such as ``running, 120 of 500``."""
    charged = sum(s["charged"] for s in summary["seeds"])
    initial = (summary.get("starting") or {}).get("initial", 0)
    whole = (summary["budget"] - initial) * len(summary["seeds"])
    if "state" not in summary:
        return "finished"
    return f"{summary['state']}, {charged} of {whole} queries"


def comparison_table(
    summaries: Sequence[Mapping[str, Any]], names: Sequence[str] | None = None
) -> str:
    """The table of several runs: one row per run, with the best of each seed.

    Args:
      summaries: of the runs, finished or not.
      names: of the runs, such as their folders; None: their settings name them.
    """
    rows = [
        [
            title(s) if names is None else names[i],
            progress_of(s),
            str(s["budget"]),
            _number((s.get("starting") or {}).get("best")),
            f"{_number(s['best']['mean'])} ± {_number(s['best']['sd'])}",
            _number(s["top10"]["mean"]),
            _number(s["top50"]["mean"]),
            ", ".join(_number(seed["best"]) for seed in s["seeds"]),
            str(sum(_statuses(s)[status.name] for status in FAILURES)),
            str(s["uncharged_evaluations"]),
        ]
        for i, s in enumerate(summaries)
    ]
    header = [
        "run", "state", "budget", "start", "best, mean ± s.d.", "top-10", "top-50", "each seed",
        "failed", "uncharged",
    ]  # fmt: skip
    table = markdown(header, rows)
    lower = [i for i, s in enumerate(summaries) if s.get("minimize")]
    if names is None:
        return table
    lines = [
        f"{name}: {title(s)}; {'lower' if i in lower else 'higher'} is better"
        for i, (name, s) in enumerate(zip(names, summaries, strict=True))
    ]
    return "\n\n".join([table, "\n".join(lines)])


def comparison_tables(summaries: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """The table of several runs of each task: scores of different tasks cannot be compared."""
    tasks: dict[str, list[int]] = {}
    for i, summary in enumerate(summaries):
        tasks.setdefault(task_title(summary), []).append(i)
    tables = [
        comparison_table([summaries[i] for i in of_task], [names[i] for i in of_task])
        for of_task in tasks.values()
    ]
    if len(tables) == 1:
        return tables[0]
    head = f"The runs are of {len(tables)} tasks, whose scores cannot be compared: a table each."
    return "\n\n".join([head, *tables])


def copies(names: Sequence[str], runs: Sequence[str]) -> list[str]:
    """A sentence about each run that is given more than once, as a folder or as its copies.

    Args:
      names: of the folders.
      runs: the ids of the runs in them.
    """
    same: dict[str, list[str]] = {}
    for name, run in zip(names, runs, strict=True):
        same.setdefault(run, []).append(name)
    return [
        f"{', '.join(found[:-1])} and {found[-1]} are one run, or copies of it: they are no "
        "independent repetitions, and their difference says nothing."
        for found in same.values()
        if len(found) > 1
    ]


def names_of(paths: Sequence[Path]) -> list[str]:
    """Names of folders: their own, with as much of their path as tells them apart."""
    whole = [path.absolute() for path in paths]
    for depth in range(1, 1 + max(len(path.parts) for path in whole)):
        names = ["/".join(path.parts[-depth:]) for path in whole]
        if len(set(names)) == len(set(whole)):
            return names
    return [str(path) for path in whole]


def _statuses(summary: Mapping[str, Any]) -> Counter[str]:
    return sum((Counter(s.get("status", {})) for s in summary["seeds"]), Counter())


def title(summary: Mapping[str, Any]) -> str:
    """The task, the method and its settings in one line."""
    numbers = [f"{name} = {float(value):g}" for name, value in summary["hyper"].items()]
    r = summary["retrain_every"]
    numbers.append("never retrained" if r is None else f"r = {r}")
    for name in ("epochs", "beta"):
        if summary.get(name) is not None:
            numbers.append(f"{name} = {summary[name]:g}")
    task = task_title(summary)
    return f"{task}, {summary['method']} ({', '.join(numbers)}), proposer {summary['proposer']}"


def task_title(summary: Mapping[str, Any]) -> str:
    """The task with the facts about it; runs of one title can be compared."""
    stated = ", ".join(f"{k} = {v}" for k, v in (summary.get("stated") or {}).items())
    if summary.get("minimize"):
        stated = ", ".join(filter(None, (stated, "minimised")))
    return f"{summary['task']} ({stated})" if stated else summary["task"]


def costs(summary: Mapping[str, Any]) -> str:
    """The numbers of evaluations and of seconds, in words."""
    seconds = summary["seconds"]
    parts = ", ".join(
        f"{phase} {seconds[phase]:.1f}"
        for phase in ("compile", "retrain", "search", "fit", "ask", "score", "tell")
        if phase in seconds
    )
    runs = summary.get("side_by_side", 1)
    share = f", an equal share of the time of {runs} runs side by side" if runs > 1 else ""
    initial = (summary.get("starting") or {}).get("initial", 0)
    start = f" ({initial} of them for the starting data)" if initial else ""
    return (
        f"{summary['charged_evaluations']} charged{start} and {summary['uncharged_evaluations']} "
        f"uncharged objective evaluations over {len(summary['seeds'])} seeds; "
        f"{summary['wall_seconds']:.1f} s without pretraining ({parts}){share}"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}" if 1000 <= abs(value) < 1e5 else shown(value)
