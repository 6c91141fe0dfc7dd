"""The shapes task: the four corners of the ablation, r = 5, and other pretrained models.

    python -m benchmarks.shapes            the default architecture, pretraining seeds 0 to 2
    python -m benchmarks.shapes --paper    the paper's architecture (hours)
    python -m benchmarks.shapes --bo       Bayesian optimisation and gradient proposers instead
                                           of the grid that peeks

Runs are kept under --runs and resumed if interrupted; a finished one is read,
not run again. Results go to benchmarks/results/shapes*.csv and .md.
"""

import argparse
import csv
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wrlso import Result, methods
from wrlso.methods import Method
from wrlso.parallel import request_cpu_devices
from wrlso.report.tables import markdown

RESULTS = Path(__file__).parent / "results"

_MORE_FIGURES = ("weights", "prior_samples")

_PROPOSERS = {"shapes": "`grid`", "shapes-paper": "`grid`", "shapes-bo": "as named"}


@dataclass(frozen=True)
class Entry:
    """A run of the grid."""

    name: str
    method: Method
    pretrain_seed: int
    proposer: str = "grid"
    climb: Literal["regressor", "objective"] | None = None


def without_grid(pretrain_seeds: list[int]) -> Iterator[Entry]:
    headline, first = methods.weighted_retraining(1e-3, 50), pretrain_seeds[0]
    for seed in pretrain_seeds:
        yield Entry("bo, weighted retraining, r = 50", headline, seed, "bo")
    for climb in ("regressor", "objective"):
        for way in ("latent_ascent", "data_ascent", "generator"):
            name = f"{way} on the {climb}, weighted retraining, r = 50"
            yield Entry(name, headline, first, way, climb)  # type: ignore[arg-type]
    yield Entry("bo, LSO", methods.lso(), first, "bo")


def entries(pretrain_seeds: list[int], with_r5: bool) -> Iterator[Entry]:
    for seed in pretrain_seeds:
        yield Entry("LSO", methods.lso(), seed)
        yield Entry("weight only", methods.weight_only(1e-3), seed)
        yield Entry("retrain only, r = 50", methods.retrain_only(50), seed)
        yield Entry("weighted retraining, r = 50", methods.weighted_retraining(1e-3, 50), seed)
        if with_r5 and seed == pretrain_seeds[0]:
            yield Entry("weighted retraining, r = 5", methods.weighted_retraining(1e-3, 5), seed)


def execute(entry: Entry, architecture: str, runs: Path, seeds: int, budget: int) -> Result:
    import wrlso
    from wrlso.runs.folder import RunFolder

    name = entry.name.replace(" ", "_").replace(",", "").replace("=", "")
    out = runs / f"{architecture}-pretrain{entry.pretrain_seed}-{name}"
    task = wrlso.tasks.shapes(architecture=architecture, pretrain_seed=entry.pretrain_seed)
    if (out / "config.json").exists():
        asked, stored = (budget, seeds), RunFolder(out).config
        if (stored.budget, stored.seeds) != asked:
            raise SystemExit(f"{out} has another budget or number of seeds: choose other --runs")
        return wrlso.resume(out, task=task)
    return wrlso.run(
        task,
        entry.method,
        out=out,
        budget=budget,
        seeds=seeds,
        proposer=entry.proposer,
        climb=entry.climb,
    )


def write(rows: list[tuple[Entry, Result]], stem: str, command: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{stem}-seeds.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(
            [
                "method",
                "k",
                "retrain_every",
                "pretrain_seed",
                "seed",
                "best",
                "top10",
                "top50",
                "charged",
                "uncharged_all_seeds",
                "wall_seconds_all_seeds",
            ]
        )
        for entry, result in rows:
            s = result.summary
            for seed in s["seeds"]:
                out.writerow(
                    [
                        entry.name,
                        s["hyper"]["k"],
                        s["retrain_every"] or "",
                        entry.pretrain_seed,
                        seed["seed"],
                        seed["best"],
                        round(seed["top10"], 2),
                        round(seed["top50"], 2),
                        seed["charged"],
                        s["uncharged_evaluations"],
                        round(s["wall_seconds"], 1),
                    ]
                )
    with (RESULTS / f"{stem}-queries.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["method", "pretrain_seed", "seed", "round", "index", "score", "status"])
        first = rows[0][0].pretrain_seed
        for entry, result in rows:
            if entry.pretrain_seed == first:
                out.writerows(
                    [
                        entry.name,
                        first,
                        q.seed,
                        q.round,
                        q.index,
                        "" if q.score is None else f"{q.score:g}",
                        q.status.name,
                    ]
                    for q in result.queries()
                )
    (RESULTS / f"{stem}.md").write_text(
        f"# Shapes, {rows[0][1].summary['budget']} charged queries a seed, proposer "
        f"{_PROPOSERS[stem]}\n\n`{command}`\n\n"
        "Best score, mean ± s.d. over the run's seeds (divisor S, as published), with every "
        "seed. Uncharged: what was read of the objective beyond the budget, all seeds together; a "
        "`grid` round reads 2,500 scores. Seconds are wall time without pretraining, on a machine "
        "that may have been shared: see "
        "speed.md for measured times.\n\n" + table(rows) + "\n"
    )


def table(rows: list[tuple[Entry, Result]]) -> str:
    header = [
        "method",
        "pretraining seed",
        "best",
        "top-10",
        "top-50",
        "each seed",
        "charged",
        "uncharged",
        "s",
    ]
    body = []
    for entry, result in rows:
        s = result.summary
        body.append(
            [
                entry.name,
                str(entry.pretrain_seed),
                f"{s['best']['mean']:.1f} ± {s['best']['sd']:.1f}",
                f"{s['top10']['mean']:.1f}",
                f"{s['top50']['mean']:.1f}",
                ", ".join(f"{seed['best']:g}" for seed in s["seeds"]),
                str(s["charged_evaluations"]),
                str(s["uncharged_evaluations"]),
                f"{s['wall_seconds']:.0f}",
            ]
        )
    return markdown(header, body)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks-shapes"))
    parser.add_argument("--paper", action="store_true", help="the paper's architecture")
    parser.add_argument(
        "--bo", action="store_true", help="Bayesian optimisation and gradient proposers"
    )
    parser.add_argument("--pretrain-seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=500)
    parser.add_argument(
        "--only", nargs="*", help="methods to run, by name; results are then only shown"
    )
    options = parser.parse_args()
    request_cpu_devices(options.seeds)
    architecture = "paper" if options.paper else "coordinate"
    stem = "shapes-paper" if options.paper else "shapes-bo" if options.bo else "shapes"
    flag = " --paper" * options.paper + " --bo" * options.bo
    todo = (
        without_grid(options.pretrain_seeds)
        if options.bo
        else entries(options.pretrain_seeds, with_r5=not options.paper)
    )
    rows = []
    for entry in todo:
        if options.only and entry.name not in options.only:
            continue
        result = execute(entry, architecture, options.runs, options.seeds, options.budget)
        rows.append((entry, result))
        print(
            f"\n{entry.name}, pretraining seed {entry.pretrain_seed}\n{result.table()}\n",
            flush=True,
        )
        if not options.only:
            write(rows, stem, "python -m benchmarks.shapes" + flag)
    print(table(rows))
    if not (options.only or options.paper):
        headline = next(r for e, r in rows if "weighted retraining, r = 50" in e.name)
        drawn = {path.stem: path for path in headline.plot()}
        for name in ("best_so_far", "manifold", *(() if options.bo else _MORE_FIGURES)):
            shutil.copy(drawn[name], RESULTS / f"{stem}-{name.replace('_', '-')}.png")


if __name__ == "__main__":
    main()
