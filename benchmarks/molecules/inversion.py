"""Whether a run's own molecules come back from their latents after the model was retrained.

    python -m benchmarks.molecules.inversion --run RUN

RUN is a finished run of molecules that was not retrained after its first query, such as weight only
of ``benchmarks.paper --task molecules``. Each seed's model is retrained as in weighted retraining.
Its queries are then decoded from the latents at which they were asked for, from their encodings,
and from encodings after some steps of ``wrlso.models.inversion``. The same is done for as many base
molecules. Also, 300 samples of the prior are scored. Writes
benchmarks/results/molecule_inversion.md and .csv.
"""

import argparse
import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import wrlso
from benchmarks.paper.options import RESULTS
from wrlso import loop, methods
from wrlso.models.inversion import invert
from wrlso.models.vae import decode_all, encode_all
from wrlso.results.record import task_of
from wrlso.results.result import Result
from wrlso.results.tables import markdown
from wrlso.status import Status

RETRAININGS = (0, 1, 5)
STEPS = (0, 3, 10, 30)
SAMPLES = 300
K = 1e-3


class Line(NamedTuple):
    """One row of the CSV: the share of ``molecules`` that come back from one seed's model."""

    seed: int
    retrainings: int
    molecules: str
    latents: str
    back: float
    correlation: float
    norm: float


class Prior(NamedTuple):
    """Scores of samples of the prior of one seed's model."""

    seed: int
    retrainings: int
    mean: float
    median: float
    upper_decile: float
    best: float


def score_all(task: Any, objects: Any) -> np.ndarray:
    """Scores ``[n]``, NaN for a molecule that cannot be scored."""

    def score(row: np.ndarray) -> float:
        try:
            return task.host_objective.score(row)
        except Exception:  # as in a run: a molecule that cannot be scored is a failure
            return np.nan

    return np.array([score(row) for row in np.asarray(objects)])


class Molecules(NamedTuple):
    """``objects [n, ...]``, ``scores [n]``, and the latents of the queries, ``[n, d]`` or None."""

    objects: Any
    scores: np.ndarray
    asked: Any


class Probe:
    """The measurements of a model."""

    def __init__(self, task: Any) -> None:
        self.task, vae = task, task.vae
        self.encode = jax.jit(partial(encode_all, vae))
        self.decode = jax.jit(partial(decode_all, vae))
        self.invert = jax.jit(partial(invert, vae), static_argnames="steps")

    def lines(
        self, seed: int, retrainings: int, params: Any, sets: dict[str, Molecules]
    ) -> list[Line]:
        found = []
        for name, molecules in sets.items():
            for place, latents in self.places(params, molecules):
                measured = self.back(params, latents, molecules)
                found.append(Line(seed, retrainings, name, place, *map(float, measured)))
        return found

    def places(self, params: Any, molecules: Molecules) -> Iterator[tuple[str, Any]]:
        if molecules.asked is not None:
            yield "where asked for", molecules.asked
        encoded = self.encode(params, molecules.objects)
        for steps in STEPS:
            name = f"encoding, {steps} steps" if steps else "encoding"
            yield name, self.invert(params, encoded, molecules.objects, steps=steps)

    def back(
        self, params: Any, latents: Any, molecules: Molecules
    ) -> tuple[np.floating, np.floating, np.floating]:
        """Three numbers for decodes of latents.

        They are the share that is the molecule in any spelling, the correlation of the decodes'
        scores with the molecules', and the mean norm of the latents.
        """
        canonical = self.task.host_objective.canonical
        found = np.asarray(self.decode(params, latents))
        pairs = zip(found, np.asarray(molecules.objects), strict=True)
        same = np.mean([np.array_equal(canonical(a), canonical(b)) for a, b in pairs])
        new = score_all(self.task, found)
        both = np.isfinite(new) & np.isfinite(molecules.scores)
        correlation = np.corrcoef(new[both], molecules.scores[both])[0, 1]
        return same, correlation, np.linalg.norm(latents, axis=1).mean()

    def prior(self, seed: int, retrainings: int, params: Any) -> Prior:
        z = jax.random.normal(jax.random.key(0), (SAMPLES, self.task.vae.latent_dim))
        scores = score_all(self.task, self.decode(params, z))
        drawn = scores[np.isfinite(scores)]
        known = np.mean(drawn), np.median(drawn), np.quantile(drawn, 0.9), drawn.max()
        return Prior(seed, retrainings, *map(float, known))


def measure(path: Path) -> tuple[list[Line], list[Prior], str]:
    """The lines of all seeds of a run, and a description of the run."""
    result = Result(path)
    config = result.folder.config
    task = task_of(config)
    base = task.load_data()
    method = methods.weighted_retraining(K, config.algorithm["retrain_every"])
    algorithm = wrlso.algorithm(task, method, budget=config.budget)
    steps = algorithm.steps(1, len(base.scores))
    probe, shared = Probe(task), wrlso.prepare_base(base, task.dedup_key)
    retrain = jax.jit(
        lambda key, state, shared: loop.retrain(algorithm, key, state, shared, steps)[0]
    )
    states = result.state(task=task)
    lines: list[Line] = []
    priors: list[Prior] = []
    for seed in tqdm(range(len(states.history.used)), desc="seeds"):
        state = jax.tree.map(lambda leaf, i=seed: jnp.asarray(leaf[i]), states)
        sets = molecules_of(state, base, seed)
        for n in range(max(RETRAININGS) + 1):
            if n:
                state = retrain(jax.random.key(100 * seed + n), state, shared)
            if n in RETRAININGS:
                lines += probe.lines(seed, n, state.params, sets)
                priors.append(probe.prior(seed, n, state.params))
    stated = {**task.stated, "molecules": len(base.scores), "steps per retraining": steps}
    return lines, priors, ", ".join(f"{name} = {value}" for name, value in stated.items())


def molecules_of(state: Any, base: Any, seed: int) -> dict[str, Molecules]:
    """A seed's own molecules with their latents, and as many of the base data."""
    own = np.flatnonzero(np.asarray(state.history.status) == Status.OK)
    own = own[own < int(state.history.used)]
    others = np.random.default_rng(seed).choice(len(base.scores), len(own), replace=False)
    history = state.history
    return {
        "own": Molecules(
            history.objects[own], np.asarray(history.scores)[own], history.latents[own]
        ),
        "base": Molecules(base.objects[others], np.asarray(base.scores)[others], None),
    }


def _spread(values: list[float], digits: int = 2) -> str:
    return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"


def table(lines: list[Line]) -> str:
    keys = list(dict.fromkeys((line.retrainings, line.molecules, line.latents) for line in lines))
    rows = []
    for key in keys:
        of = [line for line in lines if line[1:4] == key]
        back = _spread([100 * line.back for line in of], 0) + "%"
        correlation = _spread([line.correlation for line in of])
        rows.append((*map(str, key), back, correlation, _spread([line.norm for line in of], 1)))
    header = ["retrainings", "molecules", "decoded from", "come back", "scores correlate", "norm"]
    return markdown(header, rows)


def prior_table(priors: list[Prior]) -> str:
    rows = []
    for n in RETRAININGS:
        of = [prior for prior in priors if prior.retrainings == n]
        columns = zip(*(prior[2:] for prior in of), strict=True)
        rows.append((str(n), *(_spread(list(column)) for column in columns)))
    return markdown(["retrainings", "mean", "median", "upper decile", "best"], rows)


def main() -> None:
    """Measure a run and write both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    options = parser.parse_args()
    lines, priors, stated = measure(options.run)
    stem = RESULTS / "molecule_inversion"
    with stem.with_suffix(".csv").open("w", newline="") as file:
        csv.writer(file).writerows([Line._fields, *lines])
    stem.with_suffix(".md").write_text(
        "# Molecules and their latents, after retraining\n\n"
        f"`python -m benchmarks.molecules.inversion --run {options.run.name}`: {stated}; rank "
        f"weights, k = {K:g}. Mean ± s.d. over seeds.\n\n{table(lines)}\n\n"
        f"Scores of {SAMPLES} samples of the prior:\n\n{prior_table(priors)}\n"
    )
    print(stem.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
