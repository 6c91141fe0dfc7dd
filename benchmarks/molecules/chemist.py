"""A chemist's job from start to end: 5,000 scored molecules of one's own, 100 queries, one seed.

    python -m benchmarks.molecules.chemist --data FILE --out RUNS [--objectives ...] [--seeds 5]

FILE is a CSV file with SMILES and a column of scores per objective, such as ZINC250k. For each
objective and seed, 5,000 of its molecules are drawn and written to a file with their scores, as a
chemist would have them. From it weighted retraining starts, and a search that adds noise to the
encodings of the best twenty molecules known, in batches of the same size. Nothing else is read.
Writes benchmarks/results/molecule_chemist.csv and .md. Called again, it continues; ``--tables``
reads what is finished.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np

import wrlso
from benchmarks.molecules.noise import noise_search
from benchmarks.paper.options import RESULTS
from wrlso import methods
from wrlso.results.record import RunRecord
from wrlso.results.tables import markdown

OBJECTIVES = ("osimertinib", "amlodipine", "perindopril")
MOLECULES = 5000
ROWS = ("weighted retraining", "noise")
HEADER = ["objective", "seed", "best of the file"]
HEADER += [f"{figure}, {row}" for row in ROWS for figure in ("best", "top-10")]


def draw(data: Path, score_column: str, seed: int, path: Path) -> float:
    """Write the chemist's file; the best score in it."""
    with data.open(newline="") as file:
        rows = [(row["smiles"], row[score_column]) for row in csv.DictReader(file)]
    chosen = np.random.default_rng(seed).choice(len(rows), MOLECULES, replace=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("smiles", "score"), *(rows[i] for i in sorted(chosen))])
    return max(float(rows[i][1]) for i in chosen)


def search(objective: str, row: str, seed: int, options: argparse.Namespace) -> None:
    """Run a row, or continue it."""
    path = options.out / f"{objective}-{seed}.csv"
    if not path.exists():
        draw(options.data, objective, seed, path)
    task = wrlso.tasks.molecules(objective, data=str(path), score_column="score", workers=1)
    proposer: Any = None
    method = methods.weighted_retraining()
    if row == "noise":
        method = methods.lso().with_options(epochs=0.0)
        proposer = noise_search(task.vae, batch=options.batch)
    out = options.out / f"{objective}-{row.replace(' ', '-')}-{seed}"
    if out.exists():
        wrlso.resume(out, task=task, method=method, proposer=proposer)
        return
    wrlso.run(
        task,
        method,
        out=out,
        proposer=proposer,
        batch=options.batch if proposer is None else None,
        budget=options.budget,
        seeds=1,
        first_seed=seed,
    )


def finished(options: argparse.Namespace) -> list[list[str]]:
    """One line per objective and seed of which all rows are finished."""
    lines = []
    for objective in OBJECTIVES:
        for seed in range(options.seeds):
            folders = [options.out / f"{objective}-{r.replace(' ', '-')}-{seed}" for r in ROWS]
            if not all((folder / "summary.json").exists() for folder in folders):
                continue
            with (options.out / f"{objective}-{seed}.csv").open(newline="") as file:
                best = max(float(row["score"]) for row in csv.DictReader(file))
            of = [RunRecord(folder).summary["seeds"][0] for folder in folders]
            found = [x[figure] for x in of for figure in ("best", "top10")]
            lines.append([objective, str(seed), *(f"{score:.4f}" for score in (best, *found))])
    return lines


def write(lines: list[list[str]], options: argparse.Namespace) -> None:
    """Write the seeds so far."""
    with (RESULTS / "molecule_chemist.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *lines])
    body = []
    for objective in dict.fromkeys(line[0] for line in lines):
        numbers = np.array([line[2:] for line in lines if line[0] == objective], float)
        of = len(numbers)
        mean = [f"{m:.3f} ± {s:.3f}" for m, s in zip(numbers.mean(0), numbers.std(0), strict=True)]
        beaten = [f"{(numbers[:, 1] > numbers[:, i]).sum()} of {of}" for i in (0, 3)]
        body.append([objective, *mean, *beaten])
    header = [HEADER[0], *HEADER[2:], "beats the file", "beats noise"]
    text = (
        "# A chemist's job\n\n`python -m benchmarks.molecules.chemist --data FILE --out RUNS`: "
        f"{MOLECULES:,} scored molecules of ZINC250k, {options.budget} queries in batches of "
        f"{options.batch}, at most 38 heavy atoms. `noise` adds noise to the encodings of the best "
        "twenty molecules known, without a surrogate. Mean ± s.d. over seeds; every seed is in "
        "molecule_chemist.csv. The last columns count the seeds in which the best molecule of "
        "weighted retraining beats the best one of the file, and that of the noise "
        f"search.\n\n{markdown(header, body)}\n"
    )
    (RESULTS / "molecule_chemist.md").write_text(text)
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="SMILES, a column per objective")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=OBJECTIVES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=10, help="queries proposed together")
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--tables", action="store_true", help="only read what is finished")
    options = parser.parse_args()
    for seed in range(0 if options.tables else options.seeds):
        for objective in options.objectives:
            for row in ROWS:
                search(objective, row, seed, options)
    write(finished(options), options)


if __name__ == "__main__":
    main()
