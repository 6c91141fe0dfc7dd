"""Whether retraining and weights help on molecules, and where the queries lie.

    python -m benchmarks.molecules.order RUNS

RUNS is the folder of the runs of ``benchmarks.paper --task molecules --max-heavy-atoms 38``, such
as runs/paper/molecules-38-atoms: the queries' latents are read there. The scores are read from the
committed benchmarks/results/paper-molecules-*-atoms-seeds.csv. Writes molecule_order.md and .csv.
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.paper import statistics as stats
from benchmarks.paper.options import RESULTS
from benchmarks.paper.order import read_seeds
from wrlso.results.result import Result
from wrlso.results.summary import charged_scores
from wrlso.results.tables import markdown
from wrlso.runs.log import latent_of

BOTH, RETRAIN, WEIGHT, NEITHER = (
    "weighted retraining, k = 0.001, r = 50",
    "retrain only, r = 50",
    "weight only, k = 0.001",
    "LSO",
)
MILD = "weighted retraining, k = 0.1, r = 50"
BLOCK = 50
"""Number of queries per median."""


def pooled(atoms: int) -> list[list[str]]:
    """Best scores of several rows' seeds together, against those of other rows."""
    seeds = read_seeds(RESULTS / f"paper-molecules-{atoms}-atoms-seeds.csv")
    questions: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
        "retrained every 50 queries, against not": ((BOTH, MILD, RETRAIN), (WEIGHT, NEITHER)),
        "weighted with k = 0.001, against not": ((BOTH, WEIGHT), (RETRAIN, NEITHER)),
    }
    body = []
    for question, sides in questions.items():
        ours, theirs = ([x for name in side for x in seeds[name]["best"]] for side in sides)
        means = f"{np.mean(ours):.2f} of {len(ours)}, {np.mean(theirs):.2f} of {len(theirs)}"
        body.append([str(atoms), question, means, stats.verdict(ours, theirs)])
    return body


def blocks(folder: Path) -> list[list[str]]:
    """Medians of score and of the latents' norm in each block of charged queries, seeds' mean."""
    result = Result(folder)
    charged = [query for query in result.queries() if query.status.charged]
    scores, norms = [], []
    for seed in result.folder.config.seed_numbers:
        asked = [query for query in charged if query.seed == seed]
        score = charged_scores(asked)
        norm = np.linalg.norm([latent_of(query) for query in asked], axis=1)
        parts = range(0, len(asked), BLOCK)
        scores.append([np.nanmedian(score[i : i + BLOCK]) for i in parts])
        norms.append([np.median(norm[i : i + BLOCK]) for i in parts])
    return [
        [folder.name, name, *(f"{value:.1f}" for value in np.mean(values, axis=0))]
        for name, values in (("score", scores), ("norm", norms))
    ]


def main() -> None:
    """Write both tables."""
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
        "# The order of the methods on molecules\n\n`python -m benchmarks.molecules.order RUNS`; "
        "permutation tests of the means of all seeds, from the committed scores.\n\n"
        f"{markdown(questions, pooled(173) + pooled(38))}\n\n## The place of the queries\n\nThe "
        "molecules have a maximum of 38 heavy atoms. Each column holds a median over "
        f"{BLOCK} charged queries, averaged over seeds: of the scores of successful queries, and "
        "of the latents' norm. Samples of the prior have a norm of 7.5, the root of 56 "
        f"dimensions.\n\n{markdown(header, body)}\n"
    )
    (RESULTS / "molecule_order.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
