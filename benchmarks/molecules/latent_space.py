"""The latent space of a model of molecules: what its prior, its noise and its paths decode to.

    python -m benchmarks.molecules.latent_space --model MODEL --data SMILES --out FOLDER

``--data`` is the file that the model was trained on: what is held out is found by its training's
seed. Writes ``latent_space.md`` and ``latent_space.json``.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import spearmanr

from benchmarks.molecules.chemistry import Figures, Map, diversity, figures, figures_of, similarity
from wrlso.chem.guacamol import guacamol
from wrlso.chem.ringtree.rows import read_rows, write_rows
from wrlso.chem.scores import penalized_logp, qed
from wrlso.gp import exact
from wrlso.gp.fit import FitConfig, default_hyperparameters, fit
from wrlso.gp.kernels import KERNELS
from wrlso.tasks.molecule.model import MoleculeModel, load_model
from wrlso.tasks.molecule.training import Settings, split

_SLICE = 500
_STEPS = (0.1, 0.25, 0.5, 1.0, 2.0)
_ACTIVE = 0.1
"""Nats of KL from which a dimension counts as active."""


@dataclass(frozen=True, eq=False)
class Case:
    """A model, molecules ``train`` and ``held_out`` with rows, a pool's maps over molecules and
    over chunks of them, and a number of samples."""

    model: MoleculeModel
    train: list[str]
    held_out: list[str]
    over: Map
    chunks_over: Map
    samples: int

    @cached_property
    def vae(self) -> Any:
        return self.model.vae()

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Rows of latents."""
        return _sliced(self._decode, latents)

    def encode(self, smiles: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations of molecules that have rows."""
        both = _sliced(self._encode, self.rows(smiles))
        mean, log_std = np.split(both, 2, axis=1)
        return mean, np.exp(log_std)

    @cached_property
    def _decode(self) -> Callable[[Any], Any]:
        return jax.jit(partial(self.vae.decode, self.model.params))

    @cached_property
    def _encode(self) -> Callable[[Any], Any]:
        return jax.jit(lambda x: jnp.concatenate(self.vae.encode(self.model.params, x), -1))

    def rows(self, smiles: list[str]) -> np.ndarray:
        """Rows of molecules that have them."""
        return write_rows(
            smiles, self.model.vocabulary, self.model.length, True, self.chunks_over
        ).rows

    def smiles(self, latents: np.ndarray) -> list[str]:
        """Molecules of latents."""
        return read_rows(self.decode(latents), self.model.vocabulary, self.chunks_over)

    def figures(self, smiles: list[str]) -> Figures:
        return figures(smiles, self.over)


def _sliced(function: Callable[[Any], Any], rows: np.ndarray) -> np.ndarray:
    """``function(rows)`` in slices, the last filled up."""
    n = len(rows)
    filled = rows[np.minimum(np.arange(-(-n // _SLICE) * _SLICE), n - 1)]
    slices = [function(filled[i : i + _SLICE]) for i in range(0, len(filled), _SLICE)]
    return np.concatenate(slices)[:n]


def describe(found: Figures) -> dict[str, float]:
    """The rows of a table of molecules."""
    median, high, highest = np.quantile(found.plogp, [0.5, 0.9, 0.99])
    return {
        "closed-shell": found.closed_shell.mean(),
        "ring of more than 7 atoms": found.large_ring.mean(),
        "penalised logP, median": median,
        "penalised logP, 90%": high,
        "penalised logP, 99%": highest,
        "SA": found.sa.mean(),
        "QED": found.qed.mean(),
        "sane": found.sane.mean(),
        "no alert, sane, no large ring, SA < 4.5": found.passes.mean(),
        "heavy atoms": found.atoms.mean(),
    }


def section_data(case: Case) -> dict[str, Any]:
    """Molecules that were kept back."""
    some = case.held_out[: case.samples]
    return {**describe(case.figures(some)), "diversity": diversity(some[:1000])}


def section_prior(case: Case) -> dict[str, Any]:
    """Samples of the prior, decoded to the most likely symbols."""
    latents = np.asarray(jax.random.normal(jax.random.key(0), (case.samples, case.vae.latent_dim)))
    rows = case.decode(latents)
    smiles = read_rows(rows, case.model.vocabulary, case.chunks_over)
    again = write_rows(smiles, case.model.vocabulary, case.model.length, True, case.chunks_over)
    same = (again.rows == rows[again.places]).all(1).sum() / len(rows)
    sites = 2 + len(case.model.vocabulary.sites)
    bridge = [node.in_bridge for node in case.model.vocabulary.nodes]
    bridges = len(case.model.vocabulary) - len(bridge) + np.flatnonzero(bridge)
    chains = [i for i, use in enumerate(case.model.vocabulary.sites, 2) if use[0] in (1, 2, 3, 4)]
    return {
        "valid": 1.0,
        **describe(case.figures(smiles)),
        "different": len(set(smiles)) / len(smiles),
        "in the training data": len(set(smiles) & set(case.train)) / len(smiles),
        "diversity": diversity(smiles[:1000]),
        "with a string of its own": len(again.rows) / len(rows),
        "decoded as that string": same,
        "with a spelled node": ((rows > 0) & (rows < sites)).any(1).mean(),
        "with an assembled ring system": np.isin(rows, [*bridges, *chains]).any(1).mean(),
        "examples": smiles[:24],
    }


def section_noise(case: Case) -> dict[str, Any]:
    """Decodes of mean + s * noise, s in posterior standard deviations and absolute."""
    some = case.held_out[: min(1000, case.samples)]
    mean, std = case.encode(some)
    noise = np.asarray(jax.random.normal(jax.random.key(1), mean.shape))
    result = {}
    for name, scale in (("posterior s.d.", std), ("absolute", np.ones_like(std))):
        for s in _STEPS:
            smiles = case.smiles(mean + s * scale * noise)
            alike = similarity(some, smiles)
            result[f"{s} {name}"] = {
                "similarity": alike.mean(),
                "same molecule": np.mean([a == b for a, b in zip(some, smiles, strict=True)]),
                **describe(case.figures(smiles)),
            }
    return result


def section_halfway(case: Case) -> dict[str, Any]:
    """Points halfway between encodings of two molecules."""
    n = min(1000, len(case.held_out) // 2, case.samples)
    mean, _ = case.encode(case.held_out[: 2 * n])
    return describe(case.figures(case.smiles((mean[:n] + mean[n:]) / 2)))


def section_reconstruction(case: Case) -> dict[str, Any]:
    """Encodings' means, decoded; the KL of encodings."""
    some = case.held_out[: max(2000, case.samples)]
    mean, std = case.encode(some)
    smiles = case.smiles(mean)
    missed = [i for i, (a, b) in enumerate(zip(some, smiles, strict=True)) if a != b]
    alike = similarity([some[i] for i in missed], [smiles[i] for i in missed])
    kl = (0.5 * (std**2 + mean**2 - 1 - 2 * np.log(std))).mean(0)
    return {
        "molecules": len(some),
        "exact": 1 - len(missed) / len(some),
        "similarity of the misses": alike.mean(),
        "KL, nats": kl.sum(),
        "posterior s.d.": std.mean(),
        "active dimensions": (kl > _ACTIVE).mean(),
        "KL by dimension, ascending": np.sort(kl).round(2).tolist(),
        "norm of the means": np.linalg.norm(mean, axis=1).mean(),
    }


def section_surrogate(case: Case) -> dict[str, Any]:
    """A Gaussian process from latents to scores: 80% to learn from, 20% held out."""
    some = case.held_out[: case.samples]
    mean, _ = case.encode(some)
    scores: dict[str, Callable[[str], float]] = {
        "penalised logP": penalized_logp,
        "QED": qed,
        "osimertinib": guacamol("osimertinib"),
    }
    return {
        name: _surrogate(mean, np.array(list(case.over(score, some))))
        for name, score in scores.items()
    }


def _surrogate(latents: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    learnt = int(0.8 * len(scores))
    x = jnp.asarray((latents - latents.mean(0)) / latents.std(0), jnp.float32)
    y = jnp.asarray((scores - scores[:learnt].mean()) / scores[:learnt].std(), jnp.float32)

    def evidence(hyper: Any) -> Any:
        kernel = KERNELS["matern52"](hyper.lengthscales, hyper.variance)
        return exact.log_marginal_likelihood(kernel, hyper.noise, x[:1000], y[:1000])

    config = FitConfig(restarts=1, evaluations=30)
    start = default_hyperparameters(x.shape[1], config)
    hyper, _ = jax.jit(lambda: fit(jax.random.key(0), evidence, start, config))()
    kernel = KERNELS["matern52"](hyper.lengthscales, hyper.variance)
    gp = jax.jit(lambda x, y: exact.condition(kernel, hyper.noise, x, y))(x[:learnt], y[:learnt])
    predicted = np.asarray(exact.predict(gp, x[learnt:])[0])
    truth = np.asarray(y[learnt:])
    left = ((truth - predicted) ** 2).mean() / truth.var()
    return {"R2": 1 - left, "Spearman": spearmanr(predicted, truth)[0], "learnt from": learnt}


SECTIONS = {
    "data": section_data,
    "prior": section_prior,
    "noise": section_noise,
    "halfway": section_halfway,
    "reconstruction": section_reconstruction,
    "surrogate": section_surrogate,
}


def markdown(results: dict[str, Any]) -> str:
    """The results as lists of figures."""
    lines = ["# The latent space of the model of molecules", ""]
    for name, section in results.items():
        lines += [f"## {(SECTIONS[name].__doc__ or name).rstrip('.')}", "", *_lines(section), ""]
    return "\n".join(lines)


def _lines(section: dict[str, Any], indent: str = "") -> list[str]:
    lines = []
    for name, value in section.items():
        if isinstance(value, dict):
            lines += [f"{indent}- {name}", *_lines(value, indent + "  ")]
        elif isinstance(value, float):
            lines.append(f"{indent}- {name}: {value:.4g}")
        else:
            lines.append(f"{indent}- {name}: {value}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True, help="canonical SMILES, one a line")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--only", nargs="*", default=list(SECTIONS))
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    model = load_model(args.model)
    smiles = Path(args.data).read_text().split()
    settings = Settings(**json.loads(model.card.get("settings", "{}")))
    rows = split(len(smiles), settings)
    with Pool(args.workers) as pool:
        case = Case(
            model,
            [smiles[i] for i in rows.train],
            [smiles[i] for i in np.random.default_rng(0).permutation(rows.held_out)],
            partial(pool.imap, chunksize=20),
            pool.imap,
            args.samples,
        )
        pool.map(figures_of, ["C"] * args.workers)
        args.out.mkdir(parents=True, exist_ok=True)
        results = {}
        for name in args.only:
            results[name] = SECTIONS[name](case)
            text = json.dumps(results, indent=1, default=float)
            (args.out / "latent_space.json").write_text(text)
            (args.out / "latent_space.md").write_text(markdown(json.loads(text)))
            print(markdown({name: json.loads(text)[name]}), flush=True)


if __name__ == "__main__":
    main()
