"""The runs that the paper's authors published, if their file is at hand."""

import csv
import gzip
import math
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.paper.grid import Setting

MEAN_AT_500 = {"shapes": 882.8, "expressions": -0.480, "molecules": 19.66}
"""Published mean best after 500 queries, k = 1e-3, r = 50, higher is better."""

_TASKS = {"shapes": "shapes", "expressions": "expr", "molecules": "chem"}
_METHODS = {"rank": "rank", "dbas": "dbas", "cem_pi": "cem-pi", "feedback": "fb", "rwr": "rwr"}
_NEVER = 1_000_000

Runs = dict[tuple, list[np.ndarray]]


def load(path: Path | None) -> Runs:
    """Scores by task and configuration, one array per seed, higher is better.

    Args:
      path: a CSV file, plain or gzipped, with columns task, method, k, quantile, noise, alpha,
        retrain_every, seed, score and one row per query, in order; None: no runs.
    """
    if path is None:
        return {}
    seeds: dict[tuple, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for row in csv.DictReader(file):
            numbers = tuple(_number(row[c]) for c in ("k", "quantile", "noise", "alpha"))
            key = (row["task"], row["method"], *numbers, int(float(row["retrain_every"])))
            seeds[key][row["seed"]].append(float(row["score"] or "nan"))
    sign = lambda key: -1 if key[0] == "expr" else 1  # noqa: E731
    return {
        key: [sign(key) * np.array(scores) for scores in each.values()]
        for key, each in seeds.items()
    }


def counterpart(runs: Runs, task: str, setting: Setting) -> list[np.ndarray]:
    """The published seeds of a configured method; empty if there are none, or if they are void.

    The published baselines on expressions are void, because all of them carry the same numbers.
    """
    method = setting.method
    void = task == "expressions" and method.weighting != "rank"
    if method.weighting not in _METHODS or setting.proposer is not None or void:
        return []
    numbers = tuple(method.hyper.get(c) for c in ("k", "quantile", "noise", "alpha"))
    key = (_TASKS[task], _METHODS[method.weighting], *numbers, method.retrain_every or _NEVER)
    return runs.get(key, [])


def _number(text: str) -> float | None:
    if not text:
        return None
    return math.inf if text == "inf" else float(text)
