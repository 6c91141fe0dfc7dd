"""What the seeds say about the order of the methods of an experiment.

    python -m benchmarks.order expressions

Reads benchmarks/results/<stem>-seeds.csv and writes <stem>-order.md: for the best score, the mean
of the best 10 and of the best 50, how each method compares with the first one of the file.
"""

import argparse
import csv
from collections import defaultdict

import numpy as np

from benchmarks import statistics as stats
from benchmarks.experiments import RESULTS
from wrlso.results.tables import markdown

_COLUMNS = {"best": "best", "top10": "top-10", "top50": "top-50"}


def order(stem: str) -> str:
    """The table."""
    values: dict[tuple[str, ...], dict[str, list[float]]] = {}
    with (RESULTS / f"{stem}-seeds.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if "entry" not in row:
                raise SystemExit(f"{stem}-seeds.csv is of an earlier version: run it again")
            key = tuple(list(row.values())[:5])
            of_method = values.setdefault(key, defaultdict(list))
            for column in _COLUMNS:
                of_method[column].append(float(row[column]))
    first = next(iter(values.values()))
    body = []
    for key, found in values.items():
        cells = [f"{key[1]}, {key[4]}"]
        for column in _COLUMNS:
            mean = f"{np.mean(found[column]):.4g}"
            told = stats.verdict(first[column], found[column])
            cells.append(mean if found is first else f"{mean}: {told}")
        body.append(cells)
    return markdown(["method", *_COLUMNS.values()], body)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("stem", help="such as expressions, shapes, shapes-bo")
    stem = parser.parse_args().stem
    text = (
        f"# The order of methods: {stem}\n\n`python -m benchmarks.order {stem}`, of "
        f"`{stem}-seeds.csv`. Mean score over seeds, higher is better; behind it whether the first "
        "method is better: permutation tests of the means, not corrected for their number.\n\n"
        f"{order(stem)}\n"
    )
    (RESULTS / f"{stem}-order.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
