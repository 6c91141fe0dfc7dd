"""Small runs of every task, written down bit by bit, to compare two versions of the code.

Run it on both commits, on one machine, then compare the two files:

    python -m benchmarks.same_queries before.json    # on the older commit
    python -m benchmarks.same_queries after.json     # on the newer one
    python -m benchmarks.same_queries after.json --against before.json

Each run keeps the seed, round, latent, object, score and status of every query. A change of words
or layout leaves all of them unchanged. The file runs on any commit from 5412eb8 on: copy it there.
"""

import argparse
import hashlib
import json
import sqlite3
import sys
import tempfile
from pathlib import Path

import wrlso

_COLUMNS = 'seed, round, "index", latent, object, score, status'


def main() -> int:
    """Make the runs, or compare what two versions wrote."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="where the queries are written")
    parser.add_argument("--against", type=Path, help="compare the file with this one instead")
    arguments = parser.parse_args()
    if arguments.against is not None:
        return compare(arguments.file, arguments.against)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (task, settings) in small_runs(Path(folder)).items():
            method = wrlso.methods.weighted_retraining(retrain_every=settings.pop("retrain_every"))
            out = Path(folder) / name
            wrlso.run(task, method, out=out, seeds=2, progress=False, **settings)
            found[name] = queries(out / "queries.sqlite")
            print(f"{name}: {len(found[name])} queries, {digest(found[name])}", flush=True)
    arguments.file.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def small_runs(folder: Path) -> dict[str, tuple[wrlso.Task, dict]]:
    """Tasks and settings by name."""
    molecules = folder / "molecules.smi"
    molecules.write_text("".join(f"{one}\n" for one in made_molecules()))
    return {
        "shapes-grid": (wrlso.tasks.shapes(), {"budget": 60, "retrain_every": 20}),
        "shapes-bo": (
            wrlso.tasks.shapes(),
            {"budget": 20, "retrain_every": 10, "proposer": "bo"},
        ),
        "expressions": (wrlso.tasks.expressions(), {"budget": 16, "retrain_every": 8}),
        "molecules": (
            wrlso.tasks.molecules("qed", data=str(molecules), workers=1),
            {"budget": 8, "retrain_every": 4},
        ),
    }


def made_molecules() -> list[str]:
    """300 molecules: chains and rings with one group at each end."""
    groups = ["C", "O", "N", "F", "Cl", "C(=O)O", "C#N", "OC", "C(=O)N", "S(=O)(=O)C"]
    cores = ["CCCC", "c1ccc(cc1)", "C1CCN(CC1)"]
    return [f"{core}{a}" if core[-1] == ")" and b == "C" else f"{b.replace('(=O)', '')}{core}{a}"
            for core in cores for a in groups for b in ["C", "CC", "CO", "CN", "CCO", "CCN",
                                                        "CCC", "CC(C)", "COC", "CSC"]]  # fmt: skip


def queries(log: Path) -> list[list]:
    """Every query in order; bytes in hexadecimal, scores exactly."""
    with sqlite3.connect(log) as db:
        rows = db.execute(f'SELECT {_COLUMNS} FROM queries ORDER BY seed, round, "index"')
        return [
            [*row[:3], row[3].hex(), row[4].hex(), None if row[5] is None else row[5].hex(), row[6]]
            for row in rows
        ]


def digest(rows: list[list]) -> str:
    """A short name of all that was recorded."""
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def compare(file: Path, other: Path) -> int:
    """Print where two records differ first; 0 if they are equal."""
    ours, theirs = (json.loads(path.read_text()) for path in (file, other))
    same = ours.keys() == theirs.keys()
    for name in sorted(ours.keys() & theirs.keys()):
        equal = ours[name] == theirs[name]
        same &= equal
        print(f"{name}: {len(ours[name])} queries, {'identical' if equal else 'DIFFERENT'}")
        if not equal:
            pairs = zip(ours[name], theirs[name], strict=False)
            first = next((i for i, (a, b) in enumerate(pairs) if a != b), "the end")
            print(f"  {len(theirs[name])} queries in {other}; the first difference is at {first}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
