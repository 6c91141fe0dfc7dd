"""The order of the methods in committed results: how each one compares with the first.

    python -m benchmarks.paper.order expressions

Reads benchmarks/results/STEM-seeds.csv and writes STEM-order.md. The best score, the mean of the
best 10 and the mean of the best 50 of each method are compared with those of the file's first.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.paper import statistics as stats
from benchmarks.paper.options import RESULTS
from wrlso.results.tables import markdown

_COLUMNS = {"best": "best", "top10": "top-10", "top50": "top-50"}
_IN_GRIDS = {"best": "top1_at_end", "top10": "top10_at_end", "top50": "top50_at_end"}

Scores = Mapping[str, Sequence[float]]
"""Scores of all seeds by column: ``best``, ``top10`` and ``top50``."""


def read_seeds(path: Path) -> dict[str, Scores]:
    """Scores of all seeds by the name of their row.

    Args:
      path: ``paper-*-seeds.csv`` of ``benchmarks.paper``, or one of the files with columns
        ``method, k, retrain_every``, which hold other models and proposers.
    """
    found: dict[str, dict[str, list[float]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if "setting" in row:
                name, columns = row["setting"], _IN_GRIDS
            else:
                other = next((row[c] for c in _VARIANTS if c in row), "")
                name, columns = f"{row['method']}, {other}", {c: c for c in _COLUMNS}
            scores = found.setdefault(name, defaultdict(list))
            for column, theirs in columns.items():
                scores[column].append(float(row[theirs]))
    return dict(found)


_VARIANTS = ("model", "pretraining_seed", "pretrain_seed")
"""Columns that hold the model of a row."""


def order(seeds: Mapping[str, Scores]) -> str:
    """The table."""
    first = next(iter(seeds.values()))
    body = []
    for name, found in seeds.items():
        cells = [name]
        for column in _COLUMNS:
            mean = f"{np.mean(found[column]):.4g}"
            verdict = stats.verdict(first[column], found[column])
            cells.append(mean if found is first else f"{mean}: {verdict}")
        body.append(cells)
    return markdown(["method", *_COLUMNS.values()], body)


def main() -> None:
    """Write the order of the methods of one file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("stem", help="such as expressions, shapes, shapes-bo, paper-shapes")
    stem = parser.parse_args().stem
    seeds = read_seeds(RESULTS / f"{stem}-seeds.csv")
    text = (
        f"# The order of methods: {stem}\n\n`python -m benchmarks.paper.order {stem}`, from "
        f"`{stem}-seeds.csv`. The cells hold the mean score over seeds, higher is better, and "
        "whether the first method is better than this one: permutation tests of the means, without "
        f"correction for their number. {stem}.md says how the scores were "
        f"measured.\n\n{order(seeds)}\n"
    )
    (RESULTS / f"{stem}-order.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
