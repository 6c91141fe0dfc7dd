"""Tables of runs, as plain text that is also Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

_BETTER = "higher is better"


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
    for name in ("mean", "sd"):
        rows.append([name, *(_number(summary[c][name]) for c in ("best", "top10", "top50")), ""])
    head = f"{title(summary)}; scores, {_BETTER}"
    table = markdown(["seed", "best", "top-10 mean", "top-50 mean", "charged"], rows)
    short = [s for s in summary["seeds"] if s["charged"] < summary["budget"]]
    notes = [
        f"Seed {s['seed']} ended after {s['charged']} of {summary['budget']} queries: too many "
        "of its proposals were duplicates, or were refused."
        for s in short
    ]
    passed = sum(s.get("refused", 0) for s in summary["seeds"])
    if passed:
        notes.append(f"{passed} proposals were refused by the accept test, at no charge.")
    failures = [
        f"{what} {n} x: {why}"
        for what, reasons in (("Failed", "failures"), ("Refused", "refusals"))
        for why, n in summary.get(reasons, {}).items()
    ]
    objects = [
        f"seed {s['seed']}: {s['best_object']}" for s in summary["seeds"] if s.get("best_object")
    ]
    best = ["Best of each seed:\n" + "\n".join(objects)] if objects else []
    if began := summary.get("base"):
        text = f": {began['best_object']}" if began["best_object"] else ""
        notes.insert(0, f"The runs began with {began['objects']} objects, the best of which scores "
                     f"{_number(began['best'])}{text}")  # fmt: skip
    failed = ["\n".join(failures)] if failures else []
    return "\n\n".join([head, table, *best, *notes, *failed, costs(summary)])


def comparison_table(summaries: Sequence[Mapping[str, Any]]) -> str:
    """The table of several runs of one task: one row per run, with the best of each seed."""
    rows = [
        [
            title(s),
            str(s["budget"]),
            f"{_number(s['best']['mean'])} ± {_number(s['best']['sd'])}",
            _number(s["top10"]["mean"]),
            _number(s["top50"]["mean"]),
            ", ".join(_number(seed["best"]) for seed in s["seeds"]),
            str(s["uncharged_evaluations"]),
        ]
        for s in summaries
    ]
    header = ["run", "budget", "best, mean ± s.d.", "top-10", "top-50", "each seed", "uncharged"]
    return markdown(header, rows)


def title(summary: Mapping[str, Any]) -> str:
    """The task, the method and its settings in one line."""
    numbers = [f"{name} = {float(value):g}" for name, value in summary["hyper"].items()]
    r = summary["retrain_every"]
    numbers.append("never retrained" if r is None else f"r = {r}")
    for name in ("epochs", "beta"):
        if summary.get(name) is not None:
            numbers.append(f"{name} = {summary[name]:g}")
    stated = ", ".join(f"{name} = {value}" for name, value in summary.get("stated", {}).items())
    task = f"{summary['task']} ({stated})" if stated else summary["task"]
    return f"{task}, {summary['method']} ({', '.join(numbers)}), proposer {summary['proposer']}"


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
    return (
        f"{summary['charged_evaluations']} charged and {summary['uncharged_evaluations']} "
        f"uncharged objective evaluations over {len(summary['seeds'])} seeds; "
        f"{summary['wall_seconds']:.1f} s without pretraining ({parts}){share}"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
