"""Does retraining help on molecules, do weights, and where do the queries lie?

    python -m benchmarks.molecule_order RUNS

RUNS is the folder of the runs of ``benchmarks.paper --task molecules --max-heavy-atoms 38``, such
as runs/paper/molecules-38-atoms: the queries' latents are read there. The scores are read from the
committed benchmarks/results/paper-molecules-*-atoms-seeds.csv. Writes molecule_order.md and .csv.
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks import statistics as stats
from benchmarks.harness import RESULTS
from wrlso.results.result import Result
from wrlso.results.summary import UNCHARGED, charged_scores
from wrlso.results.tables import markdown

BOTH, RETRAIN, WEIGHT, NEITHER = (
    "weighted retraining, k = 0.001, r = 50",
    "retrain only, r = 50",
    "weight only, k = 0.001",
    "LSO",
)
MILD = "weighted retraining, k = 0.1, r = 50"
BLOCK = 50
"""Queries of which a median is taken."""


def pooled(atoms: int) -> list[list[str]]:
    """Best scores of the seeds of several rows together."""
    best: dict[str, list[float]] = {}
    with (RESULTS / f"paper-molecules-{atoms}-atoms-seeds.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            best.setdefault(row["setting"], []).append(float(row["top1_at_end"]))
    questions: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
        "retrained every 50 queries, against not": ((BOTH, MILD, RETRAIN), (WEIGHT, NEITHER)),
        "weighted with k = 0.001, against not": ((BOTH, WEIGHT), (RETRAIN, NEITHER)),
    }
    body = []
    for question, sides in questions.items():
        ours, theirs = ([score for name in side for score in best[name]] for side in sides)
        means = f"{np.mean(ours):.2f} of {len(ours)}, {np.mean(theirs):.2f} of {len(theirs)}"
        body.append([str(atoms), question, means, stats.verdict(ours, theirs)])
    return body


def blocks(folder: Path) -> list[list[str]]:
    """Of each block of charged queries, medians of score and of the latents' norm, seeds' mean."""
    result = Result(folder)
    charged = [q for q in result.queries() if q.status not in UNCHARGED]
    scores, norms = [], []
    for seed in result.folder.config.seed_numbers:
        asked = [q for q in charged if q.seed == seed]
        score = charged_scores(asked)
        norm = np.linalg.norm([np.frombuffer(q.latent, np.float32) for q in asked], axis=1)
        parts = range(0, len(asked), BLOCK)
        scores.append([np.nanmedian(score[i : i + BLOCK]) for i in parts])
        norms.append([np.median(norm[i : i + BLOCK]) for i in parts])
    return [
        [folder.name, what, *(f"{value:.1f}" for value in np.mean(values, axis=0))]
        for what, values in (("score", scores), ("norm", norms))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("runs", type=Path, help="such as runs/paper/molecules-38-atoms")
    runs = parser.parse_args().runs
    folders = sorted(path for path in runs.iterdir() if (path / "summary.json").exists())
    body = [line for folder in folders for line in blocks(folder)]
    header = ["run", "median", *(f"to {i * BLOCK}" for i in range(1, len(body[0]) - 1))]
    with (RESULTS / "molecule_order.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *body])
    questions = ["atoms", "best at 500", "mean of seeds", "the former is"]
    text = (
        "# The order of the methods on molecules\n\n`python -m benchmarks.molecule_order RUNS`; "
        "permutation tests of the means of all seeds, from the committed scores.\n\n"
        f"{markdown(questions, pooled(173) + pooled(38))}\n\n## Where the queries lie\n\nAt most "
        f"38 heavy atoms. Medians of {BLOCK} charged queries each, the seeds' mean: of the scores, "
        "where there is one, and of the latents' norm. Samples of the prior have a norm of 7.5, "
        f"the root of 56 dimensions.\n\n{markdown(header, body)}\n"
    )
    (RESULTS / "molecule_order.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
