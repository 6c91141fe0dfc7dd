"""A chemist's job from start to end: 5,000 scored molecules of one's own, 100 queries, one seed.

    python -m benchmarks.molecules.chemist --data FILE --score-column NAME [--objective osimertinib]
        --out RUNS [--seeds 5]

For each seed, 5,000 molecules of FILE are drawn and written to a CSV file with their scores, as a
chemist would have them. From it weighted retraining starts, and a search that adds noise to the
encodings of the best twenty molecules known. Nothing else is read. Writes
benchmarks/results/molecule_chemist.csv and .md. Called again, it continues.
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
from wrlso.results.tables import markdown

MOLECULES = 5000
ROWS = ("weighted retraining", "noise")
HEADER = ["seed", "best of the file", *ROWS]


def draw(data: Path, score_column: str, seed: int, path: Path) -> float:
    """Write the chemist's file; the best score in it."""
    with data.open(newline="") as file:
        rows = [(row["smiles"], row[score_column]) for row in csv.DictReader(file)]
    chosen = np.random.default_rng(seed).choice(len(rows), MOLECULES, replace=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("smiles", "score"), *(rows[i] for i in sorted(chosen))])
    return max(float(rows[i][1]) for i in chosen)


def search(row: str, seed: int, path: Path, options: argparse.Namespace) -> wrlso.Result:
    """Run a row, or continue it."""
    task = wrlso.tasks.molecules(options.objective, data=str(path), score_column="score", workers=1)
    proposer: Any = None
    method = methods.weighted_retraining()
    if row == "noise":
        method, proposer = (
            methods.lso().with_options(epochs=0.0),
            noise_search(task.vae, batch=options.batch),
        )
    out = options.out / row.replace(" ", "-") / f"seed-{seed}"
    if out.exists():
        return wrlso.resume(out, task=task, method=method, proposer=proposer)
    return wrlso.run(
        task,
        method,
        out=out,
        proposer=proposer,
        batch=options.batch if proposer is None else None,
        budget=options.budget,
        seeds=1,
        first_seed=seed,
    )


def write(table: list[list[str]], options: argparse.Namespace) -> None:
    """Write the seeds so far."""
    with (RESULTS / "molecule_chemist.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *table])
    numbers = np.array([row[1:] for row in table], float)
    mean = [f"{m:.3f} ± {s:.3f}" for m, s in zip(numbers.mean(0), numbers.std(0), strict=True)]
    beaten = [(numbers[:, 1] > numbers[:, i]).sum() for i in (0, 2)]
    text = (
        "# A chemist's job\n\n`python -m benchmarks.molecules.chemist --data FILE --score-column "
        f"{options.score_column} --objective {options.objective}`: {MOLECULES:,} scored molecules "
        f"of ZINC250k, {options.budget} queries in batches of {options.batch}, at most 38 heavy "
        "atoms; best scores. Weighted "
        f"retraining beats the best of the file in {beaten[0]} of {len(table)} seeds, and the "
        f"noise search in {beaten[1]}.\n\n{markdown(HEADER, [*table, ['mean ± s.d.', *mean]])}\n"
    )
    (RESULTS / "molecule_chemist.md").write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="a CSV file with SMILES and scores"
    )
    parser.add_argument("--score-column", required=True)
    parser.add_argument("--objective", default="osimertinib")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=10, help="queries proposed together")
    parser.add_argument("--budget", type=int, default=100)
    options = parser.parse_args()
    table = []
    for seed in range(options.seeds):
        path = options.out / f"molecules-{seed}.csv"
        best = draw(options.data, options.score_column, seed, path)
        found = [float(search(row, seed, path, options).best[0]) for row in ROWS]
        table.append([str(seed), *(f"{score:.4f}" for score in (best, *found))])
        print(*table[-1], flush=True)
        write(table, options)


if __name__ == "__main__":
    main()
