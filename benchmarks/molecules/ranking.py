"""Which surrogate and acquisition function find the better molecules among candidates.

    python -m benchmarks.molecules.ranking --data FILE [--objectives ...] [--seeds 2]

FILE is a CSV file with SMILES and a column of scores per objective, such as ZINC250k. For each
objective and seed, 5,000 of its molecules are the known data. Candidates are decodes of draws
around the best 30, as proposer ``bo`` makes them. All that are new are scored by the objective.
Each surrogate ranks them at their encodings by each acquisition function. Looked at are the 30
that stand first: their mean score, and how many of them score above all known data. No run could
know this: the ranking alone is measured, without retraining.

Writes benchmarks/results/molecule_ranking.csv (one line per objective, seed and ranking) and .md.
"""

import argparse
import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import spearmanr

import wrlso
from benchmarks.molecules.chemist import draw
from benchmarks.paper.options import RESULTS
from wrlso import acquisition as acq
from wrlso import loop, methods
from wrlso.chem.objective import make_objective
from wrlso.models.vae import decode_all, encode_all
from wrlso.proposers.base import View
from wrlso.proposers.surrogate import (
    SurrogateConfig,
    fit_surrogate,
    initial_memory,
    predict,
)
from wrlso.results.tables import markdown

OBJECTIVES = ("osimertinib", "zaleplon", "perindopril", "amlodipine")
SURROGATES: dict[str, dict[str, Any]] = {
    "sparse, 1000 + 3000, M = 500": {"kind": "sparse", "best": 1000, "random": 3000},
    "exact, 500 + 500": {"kind": "exact", "best": 500, "random": 500},
    "exact, 300 + 300": {"kind": "exact", "best": 300, "random": 300},
    "exact, 1000 + 0": {"kind": "exact", "best": 1000, "random": 0},
}
ACQUISITIONS = ("mean", "ucb, beta 0.25", "ucb, beta 4", "log_ei")
CANDIDATES, GOOD, TOP = 768, 30, 30

Line = dict[str, Any]


def new_candidates(key: jax.Array, task: wrlso.Task, base: loop.BaseData) -> jax.Array:
    """Decodes around the best data, 0.1 to 1 away in each dimension, that are not in the data."""
    scale_key, noise_key = jax.random.split(key)
    _, good = jax.lax.top_k(jnp.where(base.distinct, base.dataset.scores, -jnp.inf), GOOD)
    centres = encode_all(task.vae, task.params, base.dataset.objects[good])
    scale = 10.0 ** jax.random.uniform(scale_key, (CANDIDATES, 1), minval=-1.0, maxval=0.0)
    step = scale * jax.random.normal(noise_key, (CANDIDATES, centres.shape[1]))
    objects = decode_all(task.vae, task.params, centres[jnp.arange(CANDIDATES) % GOOD] + step)
    known = {row.tobytes() for row in np.asarray(base.dataset.objects)}
    unique = {row.tobytes(): i for i, row in enumerate(np.asarray(objects))}
    return objects[jnp.array(sorted(i for row, i in unique.items() if row not in known))]


def ranked(name: str, mean: jax.Array, variance: jax.Array, best: jax.Array) -> jax.Array:
    """The values ``[n]`` of an acquisition function."""
    if name == "mean":
        return mean
    if name == "log_ei":
        return acq.log_expected_improvement(mean, variance, best)
    return acq.upper_confidence_bound(mean, variance, float(name.split()[-1]))


def measure(objective: str, seed: int, path: Path) -> Iterator[Line]:
    """One line per surrogate and acquisition function."""
    task = wrlso.tasks.molecules(objective, data=str(path), score_column="score", workers=1)
    base = wrlso.base_data(task)
    assert task.to_text is not None
    objects = new_candidates(jax.random.key(seed), task, base)
    score = make_objective(objective, None, "argument").score
    true = np.array([score(task.to_text(o)) for o in np.asarray(objects)])
    best = float(base.dataset.scores.max())
    latents = encode_all(task.vae, task.params, objects)
    state = loop.init(wrlso.algorithm(task, methods.lso(), budget=1), task.params, base.dataset)
    view = View(task.params, state.history, base.dataset, base.distinct)
    for name, data in SURROGATES.items():
        config = replace(task.bo.surrogate, **data)
        surrogate = fit(jax.random.key(seed), view, task.vae, config)
        mean, variance = predict(surrogate, surrogate.latent_units.apply(latents))
        for acquisition in ACQUISITIONS:
            values = np.asarray(ranked(acquisition, mean, variance, surrogate.best))
            top = true[np.argsort(-values, kind="stable")[:TOP]]
            yield {
                "objective": objective,
                "seed": seed,
                "surrogate": name,
                "acquisition": acquisition,
                "spearman": spearmanr(values, true)[0],
                "mean_top": top.mean(),
                "best_top": top.max(),
                "above_top": int((top > best).sum()),
                "candidates": len(true),
                "above": int((true > best).sum()),
                "mean": true.mean(),
                "best_known": best,
            }


def fit(key: jax.Array, view: View, vae: Any, config: SurrogateConfig) -> Any:
    """The surrogate of proposer ``bo``."""
    memory = initial_memory(vae, config)

    @jax.jit
    def fitted(key: jax.Array, view: View) -> Any:
        return fit_surrogate(key, view, memory, vae=vae, config=config, max_observations=1)[1]

    return fitted(key, view)


def table(lines: list[Line]) -> str:
    """Means over objectives and seeds."""
    body = []
    for surrogate in SURROGATES:
        for acquisition in ACQUISITIONS:
            of = [
                x for x in lines if (x["surrogate"], x["acquisition"]) == (surrogate, acquisition)
            ]
            figures = [np.mean([x[f] for x in of]) for f in ("spearman", "mean_top", "above_top")]
            body.append([surrogate, acquisition, *(f"{f:.3f}" for f in figures)])
    return markdown(
        ["surrogate", "acquisition", "rank correlation", f"mean of {TOP}", "above the data"], body
    )


def write(lines: list[Line]) -> None:
    """Write the table and the CSV file."""
    with (RESULTS / "molecule_ranking.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(
            {n: f"{v:.6g}" if isinstance(v, float) else v for n, v in line.items()}
            for line in lines
        )
    once = {(x["objective"], x["seed"]): x for x in lines}.values()
    text = (
        "# Which surrogate and acquisition function find better molecules\n\n`python -m "
        "benchmarks.molecules.ranking --data FILE`: known data are 5,000 molecules of ZINC250k "
        f"with scores; candidates are {CANDIDATES} decodes around the best {GOOD}, of which "
        f"{np.mean([x['candidates'] for x in once]):.0f} are new in the mean, with a mean score of "
        f"{np.mean([x['mean'] for x in once]):.3f}; {np.mean([x['above'] for x in once]):.1f} of "
        f"them score above all known data. Each row looks at the {TOP} that it ranks first: rank "
        "correlation over all candidates, their mean score, how many are above the data. Means "
        f"over {', '.join(dict.fromkeys(x['objective'] for x in lines))}, "
        f"{len({x['seed'] for x in lines})} seeds each; every line is in molecule_ranking.csv.\n\n"
        f"{table(lines)}\n"
    )
    (RESULTS / "molecule_ranking.md").write_text(text)
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="SMILES, a column per objective")
    parser.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=OBJECTIVES)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    lines: list[Line] = []
    with TemporaryDirectory() as folder:
        for objective in options.objectives:
            for seed in range(options.seeds):
                path = Path(folder) / f"{objective}-{seed}.csv"
                draw(options.data, objective, seed, path)
                lines += measure(objective, seed, path)
    write(lines)


if __name__ == "__main__":
    main()
