"""KL weight, latent dimensions and the head of the model of molecules, at the same number of steps.

    python -m benchmarks.molecules.sizes --data FILE --out FOLDER [--half-products] [--only CASE]

Each case trains a model on FILE, such as ZINC250k, with the vocabulary of the shipped one, from the
same seed and the same batches; a training that was stopped goes on. Then its figures are those of
the model card (``benchmarks.molecules.latent_space``). FOLDER keeps models and figures. Writes
benchmarks/results/molecule_sizes.md and .csv of all cases that are finished; ``--tables`` does only
that.
"""

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.molecules import latent_space
from benchmarks.molecules.chemistry import figures_of
from benchmarks.paper.options import RESULTS
from wrlso.chem.chunks import map_parts
from wrlso.chem.load import load_molecules
from wrlso.chem.properties import PROPERTIES, standard_properties
from wrlso.chem.ringtree.rows import write_rows
from wrlso.results.tables import markdown
from wrlso.storage.cache import cache_dir
from wrlso.storage.files import write_atomically
from wrlso.tasks.molecule.model import MoleculeModel, load_model, save_model
from wrlso.tasks.molecule.task import SHIPPED
from wrlso.tasks.molecule.training import Settings, split, train
from wrlso.tasks.molecule.vae import make_vae


class Case(NamedTuple):
    """KL weight, steps in which it rises from 0 (None: all), d, factor of the head's errors."""

    beta: float
    warmup: int | None = 1000
    latent_dim: int = 56
    head: float = 1.0


CASES = {
    "0.03": Case(0.03),
    "0.1": Case(0.1),
    "0.3": Case(0.3),
    "0.3, rising to the end": Case(0.3, warmup=None),
    "0.3, 32 dimensions": Case(0.3, latent_dim=32),
    "0.3, no head": Case(0.3, head=0.0),
}
"""By name; all but what a name states is that of ``0.3``, which the shipped model ends with."""

SECTIONS = ("prior", "noise", "halfway", "reconstruction", "surrogate")

COLUMNS = {
    "KL, nats": ("reconstruction", "KL, nats"),
    "active dimensions": ("reconstruction", "active dimensions"),
    "posterior s.d.": ("reconstruction", "posterior s.d."),
    "held-out exact": ("reconstruction", "exact"),
    "misses' similarity": ("reconstruction", "similarity of the misses"),
    "prior: ring > 7": ("prior", "ring of more than 7 atoms"),
    "prior: SA": ("prior", "SA"),
    "prior: QED": ("prior", "QED"),
    "prior: median": ("prior", "penalised logP, median"),
    "prior: passes": ("prior", "no alert, sane, no large ring, SA < 4.5"),
    "halfway: median": ("halfway", "penalised logP, median"),
    "similarity at 0.5 s.d.": ("noise", "0.5 posterior s.d.", "similarity"),
    "plogP R²": ("surrogate", "penalised logP", "R2"),
    "plogP Spearman": ("surrogate", "penalised logP", "Spearman"),
    "QED R²": ("surrogate", "QED", "R2"),
    "osimertinib R²": ("surrogate", "osimertinib", "R2"),
}
"""Places of the table's figures among those of ``latent_space``."""


class Data(NamedTuple):
    """Molecules that the shipped vocabulary writes, their rows and standardised properties."""

    smiles: list[str]
    rows: np.ndarray
    targets: np.ndarray


def load(path: str, shipped: MoleculeModel, workers: int) -> Data:
    """The molecules of a file."""
    directory = cache_dir() / "molecules"
    loaded = load_molecules(path, workers=workers, progress=True, directory=directory)
    over = partial(map_parts, workers=workers, label="rows")
    written = write_rows(loaded.smiles, shipped.vocabulary, shipped.length, True, over)
    smiles = [loaded.smiles[i] for i in written.places]
    return Data(smiles, written.rows, standard_properties(smiles, directory, workers))


def train_case(
    case: Case, shipped: MoleculeModel, data: Data, folder: Path, steps: int, half: bool
) -> MoleculeModel:
    """Train the model of a case, or read it if it is finished."""
    path = folder / "model.safetensors"
    if path.exists():
        return load_model(path)
    settings = Settings(
        steps=steps, beta=case.beta, warmup=steps if case.warmup is None else case.warmup,
        head=case.head,
    )  # fmt: skip
    sizes = replace(
        shipped.sizes, latent_dim=case.latent_dim, properties=len(PROPERTIES) if case.head else 0
    )
    compute = jnp.bfloat16 if half else None
    vae = make_vae(shipped.machine, shipped.length, sizes, compute)
    params = train(vae, data.rows, data.targets, folder, settings)
    card = {"settings": json.dumps(asdict(settings))}
    params = jax.tree.map(lambda a: a.astype(jnp.float16).astype(jnp.float32), params)
    model = MoleculeModel(params, shipped.vocabulary, sizes, shipped.length, card)
    save_model(path, model)
    return model


def measure(model: MoleculeModel, data: Data, samples: int, workers: int) -> dict[str, Any]:
    """The figures of a model."""
    rows = split(len(data.smiles), Settings(**json.loads(model.card["settings"])))
    held_out = np.random.default_rng(0).permutation(rows.held_out)
    with get_context("spawn").Pool(workers) as pool:
        pool.map(figures_of, ["C"] * workers)
        case = latent_space.Case(
            model,
            [data.smiles[i] for i in rows.train],
            [data.smiles[i] for i in held_out],
            partial(pool.imap, chunksize=20),
            pool.imap,
            samples,
        )
        return {name: latent_space.SECTIONS[name](case) for name in SECTIONS}


def steps_of(folder: Path) -> str:
    """The steps of a training."""
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))[-1]["step"]


def figure(found: Any, place: Sequence[str]) -> float:
    """The figure at a place of nested dictionaries."""
    for name in place:
        found = found[name]
    return float(found)


def write(out: Path) -> None:
    """Write the table of the cases that are finished."""
    lines = []
    for name in CASES:
        folder = out / name
        if not (folder / "figures.json").exists():
            continue
        found = json.loads((folder / "figures.json").read_text())
        numbers = [f"{figure(found, place):.3g}" for place in COLUMNS.values()]
        lines.append([name, steps_of(folder), *numbers])
    header = ["KL weight", "steps", *COLUMNS]
    with (RESULTS / "molecule_sizes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    turned = [list(row) for row in zip(header, *lines, strict=True)]
    text = (
        "# KL weight and size of the model of molecules\n\n"
        "`python -m benchmarks.molecules.sizes --data FILE --out FOLDER --half-products`: FILE is"
        " ZINC250k. Each model has the shipped vocabulary and was trained for the same steps of "
        "128 molecules from the same seed, one seed each, with products in bfloat16. The shipped "
        "model has 7,433 steps: columns compare with each other, not with it. 2,000 samples of "
        "the prior, 2,000 held-out molecules, of which a surrogate learns from 1,600; figures as "
        "in the model card (wrlso/tasks/molecule/pretrained.md).\n\n"
        f"{markdown(turned[0], turned[1:])}\n"
    )
    (RESULTS / "molecule_sizes.md").write_text(text)
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="a file of molecules, such as ZINC250k")
    parser.add_argument("--out", type=Path, required=True, help="folder of models and figures")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2, help="processes that read and score")
    parser.add_argument("--half-products", action="store_true", help="as for wrlso train molecules")
    parser.add_argument("--tables", action="store_true", help="only read what is finished")
    options = parser.parse_args()
    if not options.tables:
        if options.data is None:
            parser.error("--data is required, but for --tables")
        shipped = load_model(SHIPPED)
        data = load(options.data, shipped, options.workers)
        for name in options.only:
            folder = options.out / name
            model = train_case(
                CASES[name], shipped, data, folder, options.steps, options.half_products
            )
            if not (folder / "figures.json").exists():
                found = measure(model, data, options.samples, options.workers)
                text = json.dumps(found, indent=1, default=float)
                write_atomically(folder / "figures.json", text.encode())
    write(options.out)


if __name__ == "__main__":
    main()
