"""The model of molecules: its reconstruction, its prior and its speed.

    MOLECULES=FILE [MODEL=FILE] python -m benchmarks.molecules.model [--only NAME ...]

MOLECULES is the file that the model was trained on, as ZINC250k. MODEL is a file of 'wrlso train
molecules' (default: the shipped model). Writes benchmarks/results/molecule_model.md and .csv, and
figures of the prior's properties and samples beside them. Ratios carry over, times do not.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.molecules.card import write_card
from benchmarks.paper.options import RESULTS
from benchmarks.speed.harness import Row, main

DATA = os.environ.get("MOLECULES")
SAMPLES = 10_000


def _model() -> Any:
    from wrlso.tasks.molecule.model import load_model
    from wrlso.tasks.molecule.task import SHIPPED

    return load_model(os.environ.get("MODEL") or SHIPPED)


def _corpus() -> tuple[list[str], np.ndarray, np.ndarray]:
    """SMILES and rows of the training file, and the numbers of the held-out rows."""
    from wrlso.runs.molecule_training import prepare
    from wrlso.runs.sequence_training import TrainingConfig, split

    if DATA is None:
        raise SystemExit("set MOLECULES to the file that the model was trained on")
    model = _model()
    corpus, rows, fragments = prepare(DATA, len(model.fragments), None, True)
    if fragments.to_json() != model.fragments.to_json():
        raise SystemExit(
            f"{DATA} is not the file that the model was trained on: its symbols differ"
        )
    config = TrainingConfig(**json.loads(model.card["config"]))
    return corpus.smiles, rows, split(len(rows), config).held_out


def _samples() -> list[str]:
    """SMILES of samples of the prior: most likely symbols, and tokens as in the training data."""
    import jax

    from wrlso.chem.spelling import Spelling
    from wrlso.models.vae import decode_all

    model = _model()
    vae, spelling = model.vae(80), Spelling(model.fragments, 80)
    latents = jax.random.normal(jax.random.key(0), (SAMPLES, vae.latent_dim))
    rows = np.asarray(jax.jit(partial(decode_all, vae, model.params))(latents))
    found = []
    for row in rows:
        try:
            found.append(spelling.smiles(row))
        except ValueError:
            found.append("")
    return found


def section_reconstruction() -> list[Row]:
    """Molecules held out from training, encoded to the mean and decoded."""
    import jax

    from wrlso.runs.sequence_training import reconstructed, round_trip

    model = _model()
    _, rows, held_out = _corpus()
    vae = model.vae(80)
    padded = np.pad(rows, [(0, 0), (0, 80 - rows.shape[1])])
    exact = partial(reconstructed, jax.jit(partial(round_trip, vae)), model.params)
    card = {name: json.loads(text) for name, text in model.card.items()}
    trained = np.setdiff1d(np.arange(len(rows)), held_out)[: len(held_out)]
    said = f"{card['config']['epochs']:g} epochs of {len(rows) - len(held_out):,} molecules"
    return [
        (
            "held-out molecules reconstructed exactly, most likely symbols",
            f"{exact(padded[held_out]):.1%}",
            "> 76.7% (JT-VAE), aim 90%",
            f"all {len(held_out):,} held out; {said} in {card['seconds'] / 3600:.1f} h",
        ),
        (
            "the same, molecules trained on",
            f"{exact(padded[trained]):.1%}",
            "stated",
            f"{len(trained):,} of them",
        ),
    ]


def section_samples() -> list[Row]:
    """Validity, uniqueness and novelty of prior samples, and their properties against the data."""
    from scipy.stats import wasserstein_distance

    from wrlso.chem.molecule import parse

    smiles, _, _ = _corpus()
    drawn = _samples()
    valid = [one for one in drawn if one and parse(one)]
    unique = set(valid)
    new = unique - set(smiles)
    rng = np.random.default_rng(0)
    data = [smiles[i] for i in rng.choice(len(smiles), min(SAMPLES, len(smiles)), replace=False)]
    rows: list[Row] = [
        (
            f"valid of {SAMPLES:,} samples of the prior",
            f"{len(valid) / SAMPLES:.2%}",
            "100% by construction",
            f"read by RDKit; {sum(not one for one in drawn)} have no atoms",
        ),
        (
            "distinct molecules among these",
            f"{len(unique) / SAMPLES:.1%}",
            ">= 95%",
            "by canonical SMILES",
        ),
        (
            "distinct molecules that are not in the data",
            f"{len(new) / max(len(unique), 1):.1%}",
            "stated",
            "",
        ),
    ]
    found = {}
    for name, function in _properties().items():
        ours = np.array([function(parse(one)) for one in valid])
        theirs = np.array([function(parse(one)) for one in data])
        found[name] = ours, theirs
        distance = wasserstein_distance(ours, theirs) / theirs.std()
        rows.append(
            (
                f"{name}: mean ± s.d., samples against data",
                f"{ours.mean():.2f} ± {ours.std():.2f} against "
                f"{theirs.mean():.2f} ± {theirs.std():.2f}",
                "stated",
                f"Wasserstein distance {distance:.2f} s.d. of the data; {len(data):,} of the data",
            )
        )
    _draw_properties(found)
    _draw_samples(valid[:24])
    return rows


def _properties() -> dict[str, Callable[[Any], float]]:
    from rdkit.Chem.rdMolDescriptors import CalcCrippenDescriptors, CalcNumRings

    from wrlso.chem.molecule import heavy_atoms
    from wrlso.chem.scores import penalized_logp, qed, synthetic_accessibility

    return {
        "heavy atoms": heavy_atoms,
        "rings": CalcNumRings,
        "logP": lambda mol: CalcCrippenDescriptors(mol)[0],
        "SA": synthetic_accessibility,
        "QED": qed,
        "penalised logP": penalized_logp,
    }


def _draw_properties(found: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(10, 5.4), layout="constrained")
    for axis, (name, (ours, theirs)) in zip(axes.flat, found.items(), strict=True):
        low, high = np.quantile(np.concatenate([ours, theirs]), [0.001, 0.999])
        whole = name in ("heavy atoms", "rings")
        bins = np.arange(low, high + 2) - 0.5 if whole else np.linspace(low, high, 50)
        axis.hist(theirs, bins.tolist(), density=True, color="#c8ced6", label="data")
        axis.hist(ours, bins.tolist(), density=True, histtype="step", color="#1b6ca8", lw=1.8,
                  label="samples of the prior")  # fmt: skip
        axis.set(xlabel=name, yticks=[])
    axes.flat[0].legend(frameon=False, fontsize=8)
    figure.savefig(RESULTS / "molecule_model-properties.png", dpi=110)


def _draw_samples(smiles: Sequence[str]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from wrlso.chem.draw import pictures

    figure, axes = plt.subplots(4, 6, figsize=(10, 6.8), layout="constrained")
    for axis, image in zip(axes.flat, pictures(smiles), strict=True):
        axis.imshow(image)
        axis.set_axis_off()
    figure.savefig(RESULTS / "molecule_model-samples.png", dpi=110)


def section_speed() -> list[Row]:
    """Encoding and decoding against the same model in PyTorch."""
    from benchmarks.speed.molecule_model import time_against_torch

    _, rows, held_out = _corpus()
    return time_against_torch(_model(), rows[held_out[:SAMPLES]])


SECTIONS = {
    "reconstruction": section_reconstruction,
    "samples": section_samples,
    "speed": section_speed,
}


if __name__ == "__main__":
    RESULTS.mkdir(exist_ok=True)
    title = "The model of molecules"
    main("benchmarks.molecules.model", "molecule_model", title, __doc__, SECTIONS)
    if "MODEL" not in os.environ and not sys.argv[1:]:
        write_card(_model())
