"""The commands ``wrlso data`` and ``wrlso train molecules``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

ABOUT_ZINC = """ZINC250k: 249,455 drug-like molecules.

It is not part of this library. Gómez-Bombarelli et al. drew it from ZINC and published it
with 'Automatic Chemical Design Using a Data-Driven Continuous Representation of Molecules'
(ACS Cent. Sci. 4, 268, 2018):
  repository  aspuru-guzik-group/chemical_vae
  file        models/zinc_properties/250k_rndm_zinc_drugs_clean_3.csv
Give the path of that file, or of its column of SMILES, one per line, in the same order.

'wrlso data FILE' then says whether it is that file. The SHA-256 of its SMILES, with a line feed
after each, is
  {digest}
For any other file of molecules it says how many lines are rejected, and why."""


@dataclass(frozen=True)
class Data:
    """Check whether a file is ZINC250k, or report its molecules and its rejected lines."""

    path: Positional[Path | None] = None
    """A file of molecules, or a folder that holds ZINC250k. Without a path, the command explains
    what ZINC250k is and where to get it."""
    max_heavy_atoms: int | None = None
    """Maximum number of atoms other than hydrogen per molecule."""
    column: str = "smiles"
    """The column of a CSV file that holds the SMILES."""
    model: Path | None = None
    """A model: molecules that it cannot write are rejected. Default: the model that comes with
    wrlso."""
    any_model: bool = False
    """Accept all molecules that a model of their own could write, as 'wrlso train molecules'
    does."""
    rejected: Path | None = None
    """A CSV file to which every rejected line is written, with the reason."""


@dataclass(frozen=True)
class TrainMolecules:
    """Train a model of molecules from a file of them. After a stop, the same command continues."""

    data: Path
    """A file of molecules: one SMILES per line, or a CSV file with a column 'smiles'."""
    out: Path
    """The model's file, for 'wrlso run molecules --model'. Checkpoints and log.csv are in a folder
    of this name that ends in .training."""
    steps: int = 10_000
    """Number of gradient steps. It can be raised later, until the learning rate falls."""
    decay: float = 0.4
    """Share of the steps, at the end, in which the learning rate falls."""
    batch_size: int = 128
    """Number of molecules per step."""
    learning_rate: float = 1e-3
    """Learning rate of Adam."""
    beta: float = 0.3
    """Factor of the KL divergence; retraining keeps it. More of it makes the prior resemble the
    data, less of it reconstructs more molecules exactly."""
    head: float = 1.0
    """Factor of the squared errors of the properties that a linear head predicts from the latent,
    which orders the latent space; 0: no head."""
    seed: int = 0
    """Seed of parameters, held-out molecules, order and noise."""
    half_products: bool = False
    """Multiply in bfloat16: faster on processors with such products (AVX512-BF16, AMX), slower on
    others."""
    progress: bool = True
    """Show progress bars."""


def data(command: Data) -> int:
    """Run ``wrlso data``."""
    from wrlso.chem.load import (
        ZINC_SHA256,
        find_zinc,
        load_molecules,
        report,
        write_rejected,
    )
    from wrlso.storage.cache import cache_dir
    from wrlso.tasks.molecule.model import load_model
    from wrlso.tasks.molecule.task import SHIPPED

    path = command.path
    if path is None:
        print(ABOUT_ZINC.format(digest=ZINC_SHA256))
        return 0
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    try:
        print(f"{path}: ZINC250k, all of its {len(find_zinc(path))} molecules")
        return 0
    except ValueError:
        zinc = f"{path} is not ZINC250k (run 'wrlso data' for a description of ZINC250k)."
    model = None if command.any_model else load_model(command.model or SHIPPED)
    loaded = load_molecules(
        path,
        column=command.column,
        vocabulary=None if model is None else model.vocabulary,
        max_symbols=None if model is None else model.length,
        max_heavy_atoms=command.max_heavy_atoms,
        directory=cache_dir() / "molecules",
    )
    print(f"{path}: {len(loaded.smiles)} different molecules; {report(loaded.rejected)}\n{zinc}")
    if command.rejected is not None:
        write_rejected(command.rejected, loaded.rejected)
        print(f"rejected lines: {command.rejected}")
    return 0


def train_molecules(command: TrainMolecules) -> int:
    """Run ``wrlso train molecules``."""
    from wrlso.runs.molecule_training import train_molecules
    from wrlso.tasks.molecule.training import Settings

    names = ("steps", "decay", "batch_size", "learning_rate", "beta", "head", "seed")
    settings = Settings(**{name: getattr(command, name) for name in names})
    card = train_molecules(
        command.data,
        command.out,
        settings,
        half_products=command.half_products,
        progress=command.progress,
    )
    print(f"model: {command.out}")
    print(
        f"{card['held_out_reconstructed']:.1%} of {card['held_out']} held-out molecules are "
        "reconstructed exactly"
    )
    return 0
