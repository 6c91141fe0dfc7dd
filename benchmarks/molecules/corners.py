"""The four corners on molecules: weights or none, retraining or none; and reference points.

    python -m benchmarks.molecules.corners --data FILE --out RUNS [--objectives ...] [--methods ...]
        [--seeds 0 16] [--budget 500]

At most 38 heavy atoms, nothing uncharged but the base data. Seeds are paired: seed i of every row
draws the same numbers. Each block of seeds of each row is a run of its own, which is continued if
the script is called again; what is finished is read. ``--tables`` runs nothing.

Writes benchmarks/results/molecule_corners.csv (one line per seed) and molecule_corners.md. Seeds
that RUNS does not hold stay in the table; ``--no-tables`` leaves it to a later call. mol-ga follows
PYTHONHASHSEED: 0 repeats its row.
"""

import argparse
import csv
import dataclasses
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import wrlso
from benchmarks.molecules import genetic
from benchmarks.molecules.chemistry import figures
from benchmarks.molecules.corner_tables import (
    BLOCK,
    MOST_ATOMS,
    OBJECTIVES,
    REFERENCES,
    ROWS,
    Line,
    tables,
)
from benchmarks.molecules.noise import noise_search
from benchmarks.paper import statistics as stats
from benchmarks.paper.options import RESULTS
from wrlso import methods
from wrlso.results.record import RunRecord
from wrlso.results.summary import charged_scores, describer
from wrlso.runs.log import latent_of


def method_and_proposer(row: str, task: wrlso.Task, batch: int) -> tuple[wrlso.Method, Any]:
    """The method of a row, and a proposer if it is not the task's."""
    named = {
        "weighted-retraining": methods.weighted_retraining(),
        "learned-prior": methods.weighted_retraining(),
        "retrain-only": methods.retrain_only(),
        "weight-only": methods.weight_only(),
        "lso": methods.lso(),
        "prior": methods.random_search(),
    }
    if row == "noise":
        return methods.lso().with_options(epochs=0.0), noise_search(task.vae, batch=batch)
    return named[row], None


def run_block(objective: str, row: str, seeds: range, options: argparse.Namespace) -> None:
    """Start or continue the run of some seeds of a row."""
    if row in REFERENCES:
        for seed in seeds:
            run_reference(objective, row, seed, options)
        return
    out = folder(options.out, objective, row, seeds, options.budget)
    task = wrlso.tasks.molecules(
        objective,
        data=options.data,
        score_column=objective if options.scored else None,
        model=options.model,
        half_products=options.half_products,
        workers=options.workers,
        learned_prior=row == "learned-prior",
    )
    method, proposer = method_and_proposer(row, task, options.batch)
    data = load_once(objective, task)
    task = dataclasses.replace(task, load_data=lambda: data)
    if out.exists():
        wrlso.resume(out, task=task, method=method, proposer=proposer)
        return
    wrlso.run(
        task,
        method,
        out=out,
        proposer=proposer,
        budget=options.budget,
        seeds=len(seeds),
        first_seed=seeds[0],
        batch=None if row in ("noise", "prior") else options.batch,
    )


def run_reference(objective: str, row: str, seed: int, options: argparse.Namespace) -> None:
    """Run a search without a latent space, unless it is finished."""
    path = options.out / f"{objective}-{options.budget}" / row / f"seed-{seed}.csv"
    if path.exists():
        return
    known = genetic.known_scores(options.data, objective)
    if row == "random":
        charged = genetic.random_molecules(known, options.budget, seed)
    else:
        charged = genetic.genetic_algorithm(objective, known, options.budget, MOST_ATOMS, seed)
    genetic.save(path, charged)


_loaded: dict[str, Any] = {}


def load_once(objective: str, task: wrlso.Task) -> Any:
    """The base data of an objective."""
    if objective not in _loaded:
        _loaded[objective] = task.load_data()
    return _loaded[objective]


def folder(out: Path, objective: str, row: str, seeds: range, budget: int) -> Path:
    """The folder of some seeds of a row."""
    return out / f"{objective}-{budget}" / row / f"seeds-{seeds[0]}-{seeds[-1]}"


def line_of(
    objective: str, row: str, seed: int, smiles: list[str], scores: np.ndarray, budget: int
) -> Line:
    """The columns that every row has, of charged molecules in order; a failure's score is NaN."""
    return {
        "objective": objective,
        "row": row,
        "seed": seed,
        "charged": len(scores),
        "failed": int(np.isnan(scores).sum()),
        "best": np.nanmax(scores),
        "top10": stats.top_at(scores, 10, budget),
        "auc_top10": stats.area_under_top(scores, budget, 0.0),
        **{
            f"median_{start + BLOCK}": np.nanmedian(scores[start : start + BLOCK])
            for start in range(0, budget, BLOCK)
            if np.isfinite(scores[start : start + BLOCK]).any()
        },
        "best_object": smiles[int(np.nanargmax(scores))],
    }


def reference_line(objective: str, path: Path, budget: int) -> Line:
    """The line of a search without a latent space."""
    smiles, scores = zip(*genetic.read(path), strict=True)
    seed = int(path.stem.removeprefix("seed-"))
    found = line_of(objective, path.parent.name, seed, list(smiles), np.array(scores), budget)
    # Filters take minutes for the many seeds of these rows, and say little about the library.
    unknown = ("refused", "norm", "pass_filters", "fit_spearman")
    return {**found, **dict.fromkeys(unknown, math.nan)}


def lines_of(objective: str, row: str, path: Path) -> Iterator[Line]:
    """One line per seed of a finished run."""
    result = RunRecord(path)
    config, queries = result.folder.config, result.queries()
    with closing(result.folder.open_log(read_only=True)) as log:
        rounds = log.rounds()
    smiles = describer(wrlso.tasks.molecules(objective, model=config.task_options.get("model")))
    assert smiles is not None
    phases = result.summary["seconds"]
    working = sum(s for phase, s in phases.items() if phase not in ("session", "compile"))
    for summary in result.summary["seeds"]:
        seed = summary["seed"]
        asked = [q for q in queries if q.seed == seed and q.status.charged]
        norms = np.linalg.norm([latent_of(q) for q in asked], axis=1)
        kinds = figures([smiles(q) for q in asked if q.score is not None])
        fits = [r.fit_spearman for r in rounds if r.seed == seed and r.fit_spearman is not None]
        yield {
            **line_of(
                objective, row, seed, [smiles(q) for q in asked], charged_scores(asked),
                config.budget,
            ),
            "refused": summary["refused"],
            "norm": np.median(norms),
            "pass_filters": kinds.passes.mean(),
            "fit_spearman": np.mean(fits) if fits else math.nan,
            "processor": config.provenance.get("processor", ""),
            "seconds": working / len(result.summary["seeds"]),
            "compile_seconds": phases.get("compile", 0.0),
        }  # fmt: skip


def read_all(out: Path, budget: int) -> list[Line]:
    """The lines of all finished runs."""
    jobs = []
    for objective in OBJECTIVES:
        for row in ROWS:
            folder = out / f"{objective}-{budget}" / row
            jobs += [(objective, row, p.parent) for p in sorted(folder.glob("*/summary.json"))]
            jobs += [(objective, row, p) for p in sorted(folder.glob("seed-*.csv"))]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        read = pool.map(partial(lines_at, budget=budget), jobs)
        return [line for lines in tqdm(read, total=len(jobs), unit="run") for line in lines]


def lines_at(job: tuple[str, str, Path], budget: int) -> list[Line]:
    """The lines of a finished run, in a worker process."""
    objective, row, path = job
    if path.is_dir():
        return list(lines_of(objective, row, path))
    return [reference_line(objective, path, budget)]


def draw_best(lines: Sequence[Line], objective: str, seeds: int = 4) -> Path:
    """Draw the best molecule of some seeds of the first and the fourth row."""
    from matplotlib.figure import Figure

    from wrlso.chem.draw import pictures

    chosen = [
        [x for x in lines if x["objective"] == objective and x["row"] == row][:seeds]
        for row in (ROWS[0], "lso")
    ]
    columns = max(map(len, chosen))
    figure = Figure(figsize=(3 * columns, 6.4), layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False)
    for places, row in zip(axes, chosen, strict=True):
        for axis in places:
            axis.set_axis_off()
        images = pictures([x["best_object"] for x in row])
        for axis, line, image in zip(places, row, images, strict=False):
            axis.imshow(image)
            axis.set_title(f"{line['row']}, seed {line['seed']}: {line['best']:.2f}", fontsize=9)
    path = RESULTS / f"molecule_corners-{objective}.png"
    figure.savefig(path, dpi=80)
    return path


def committed() -> list[Line]:
    """The lines of the table so far."""
    path = RESULTS / "molecule_corners.csv"
    if not path.exists():
        return []
    texts = ("objective", "row", "best_object", "processor")
    numbers = ("seed", "charged", "failed")
    with path.open(newline="") as file:
        return [
            {
                name: text if name in texts else (int if name in numbers else float)(text)
                for name, text in row.items()
                if text
            }
            for row in csv.DictReader(file)
        ]


def merged(old: Sequence[Line], new: Sequence[Line]) -> list[Line]:
    """All lines in the order of the table; a new one in place of an old one of the same seed."""

    def key(line: Line) -> tuple[str, str, int]:
        return line["objective"], line["row"], line["seed"]

    found = {key(line): line for line in (*old, *new)}
    order = lambda x: (OBJECTIVES.index(x["objective"]), ROWS.index(x["row"]), x["seed"])  # noqa: E731
    return sorted(found.values(), key=order)


def write(lines: Sequence[Line], budget: int) -> None:
    """Write the table, the CSV file and the pictures."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    with (RESULTS / "molecule_corners.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(
            {n: f"{v:.6g}" if isinstance(v, float) else v for n, v in line.items()}
            for line in lines
        )
    text = (
        "# The four corners on molecules\n\n`python -m benchmarks.molecules.corners --data "
        f"FILE --scored --half-products --batch 10 --out RUNS`: {budget} charged "
        "queries per seed, at most 38 heavy atoms, base data ZINC250k with its "
        "scores; nothing else is read. All queries are new: known molecules are not charged. "
        "`learned-prior` fits a normalising flow over the latents with the same weights, and "
        "leaves the model as it is. `noise` adds noise to the "
        "encodings of the best twenty molecules known, without a surrogate; `prior` samples "
        "the prior; `mol-ga` is a genetic algorithm that starts from the best 1,000 base "
        "molecules; `random` takes base molecules as if none was scored. "
        "Mean ± s.d. over seeds; every seed is in molecule_corners.csv. `medians of 50`: of each "
        "50 queries. `norm`: median of the queries' latents. `filters`: share of queries without "
        "an alert of Brenk or PAINS, with sane rings and SA below 4.5. `fit`: rank correlation of "
        "the surrogate on held-out base data. `refused`: proposals that the size limit refused, at "
        "no charge. `seconds`: of a seed, on one core of a CPU beside other work, or on a GPU that "
        "ran all 16 seeds in one program while two other runs shared it; compilation, in the CSV, "
        f"is not counted.\n\n{tables(lines, budget)}\n"
    )
    for objective in dict.fromkeys(x["objective"] for x in lines if x["row"] == ROWS[0]):
        path = draw_best(lines, objective)
        text += f"\n![The best molecules, {objective}]({path.name})\n"
    (RESULTS / "molecule_corners.md").write_text(text)
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="a file of molecules, such as ZINC250k")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--model", help="a model of 'wrlso train molecules'")
    parser.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=OBJECTIVES)
    parser.add_argument("--methods", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 16), help="first, and end")
    parser.add_argument("--block", type=int, default=2, help="seeds per run")
    parser.add_argument("--workers", type=int, default=1, help="processes that score molecules")
    parser.add_argument("--batch", type=int, default=10, help="queries proposed together")
    parser.add_argument("--scored", action="store_true", help="FILE has a column per objective")
    parser.add_argument("--half-products", action="store_true", help="as for wrlso run molecules")
    parser.add_argument("--budget", type=int, default=500)
    parser.add_argument("--tables", action="store_true", help="only read what is finished")
    parser.add_argument("--no-tables", action="store_true", help="only run")
    options = parser.parse_args()
    first, end = options.seeds
    for start in range(first, end if not options.tables else first, options.block):
        for objective in options.objectives:
            for row in options.methods:
                run_block(objective, row, range(start, min(start + options.block, end)), options)
    if not options.no_tables:
        write(merged(committed(), read_all(options.out, options.budget)), options.budget)


if __name__ == "__main__":
    main()
