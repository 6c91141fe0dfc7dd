"""Training of a model of molecules from a file of molecules; a stopped training can continue."""

import hashlib
import json
import logging
import math
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from filelock import FileLock, Timeout

from wrlso.chem.checks import MOST_ATOMS
from wrlso.chem.chunks import map_parts
from wrlso.chem.load import load_molecules
from wrlso.chem.properties import PROPERTIES, standard_properties
from wrlso.chem.report import report
from wrlso.chem.ringtree.learn import learn_vocabulary
from wrlso.chem.ringtree.rows import read_rows, write_rows
from wrlso.chem.ringtree.tables import make_tables
from wrlso.chem.ringtree.vocabulary import Vocabulary
from wrlso.models.vae import VAE, decode_all, encode_all
from wrlso.runs.outputs import check_output
from wrlso.storage.cache import cache_dir
from wrlso.storage.files import sweep_parts
from wrlso.tasks.molecule.machine import make_machine
from wrlso.tasks.molecule.model import MoleculeModel, save_model
from wrlso.tasks.molecule.training import Settings, split, train
from wrlso.tasks.molecule.vae import Sizes, make_vae

SIZES = Sizes(properties=len(PROPERTIES))
"""Sizes of the model that comes with the package."""

_LONGEST = 64
"""Maximum number of symbols of a molecule to train on: a few large ones would cost all others."""

_RECONSTRUCTED = 10_000
"""Maximum number of held-out molecules that are reconstructed after training."""

_logger = logging.getLogger(__name__)


def train_molecules(
    data: str | Path,
    out: str | Path,
    settings: Settings,
    *,
    sizes: Sizes = SIZES,
    column: str = "smiles",
    delimiter: str | None = None,
    standardize: bool = False,
    half_products: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Train a model of molecules and write it to a file, or continue a training that was stopped.

    Its vocabulary is learnt from the molecules. A linear head predicts their
    :data:`wrlso.chem.properties.PROPERTIES` from the latent, which orders the latent space.

    Args:
      data: a file of molecules, see ``wrlso.chem.load.load_molecules``; ``zinc250k`` for the one of
        the extra ``zinc``.
      out: the model's file. A folder beside it, ``<out>.training``, holds checkpoints and the log.
      settings: see :class:`wrlso.tasks.molecule.training.Settings`.
      sizes: sizes of the model, see :data:`SIZES`.
      column, delimiter, standardize: how it is read, see ``load_molecules``.
      half_products: multiply in bfloat16 while training, which is faster on processors with such
        products.
      workers: number of processes that read molecules; None: one per core.
      progress: show bars, and a line every few minutes of training.

    Returns:
      The model's card.

    Raises:
      ValueError: if the file has too few molecules, the folder holds another training or is in use,
        or ``out`` is the file of molecules or another model.
      FloatingPointError: if training diverges.
    """
    out = Path(out)
    folder = out.with_name(out.name + ".training")
    check_output(out, [Path(data)])
    if out.exists() and not folder.exists():
        raise ValueError(
            f"out = {out} exists already, and the folder of its training, {folder.name}, does not: "
            "choose another name, as no model is replaced by that of another training"
        )
    reading = {"column": column, "delimiter": delimiter, "standardize": standardize}
    smiles, rows, vocabulary = prepare(data, out, workers, progress, **reading)
    check_number(data, len(rows), settings)
    cache = cache_dir() / "molecules"
    targets = standard_properties(smiles, cache, workers, progress)[:, : sizes.properties]
    machine = make_machine(make_tables(vocabulary), rows.shape[1])
    vae = make_vae(machine, rows.shape[1], sizes, jnp.bfloat16 if half_products else None)
    tell = print if progress else lambda line: None
    with _locked(folder):
        params = train(vae, rows, targets, folder, settings, tell=tell)
    # Runs use parameters in half precision and products in float32.
    params = jax.tree.map(lambda a: a.astype(jnp.float16).astype(jnp.float32), params)
    held_out = split(len(rows), settings).held_out
    card = {
        "data": Path(data).name,
        "molecules": len(rows),
        "digest": hashlib.sha256("\n".join(smiles).encode()).hexdigest()[:16],
        "settings": asdict(settings),
        "head": list(PROPERTIES[: sizes.properties]),
        "held_out": len(held_out),
    }
    stored = {name: json.dumps(value) for name, value in card.items()}
    model = MoleculeModel(params, vocabulary, sizes, rows.shape[1], stored)
    save_model(out, model)
    some = held_out[:_RECONSTRUCTED]
    exact = reconstructed(model.vae(), model, [smiles[i] for i in some], rows[some])
    return {**card, "held_out_reconstructed": exact}


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the folder of a training, and lock it against other processes.

    Raises:
      ValueError: if another process trains there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ValueError(
            f"another process is training in {folder}: wait for it or end it, or choose another out"
        ) from None
    try:
        sweep_parts(folder)
        yield
    finally:
        lock.release()


def reconstructed(vae: VAE, model: MoleculeModel, smiles: Sequence[str], rows: np.ndarray) -> float:
    """Share of the molecules that are decoded from the means of their encodings; NaN if none."""
    if len(rows) == 0:
        return math.nan
    back = jax.jit(lambda params, x: decode_all(vae, params, encode_all(vae, params, x)))
    decoded = np.asarray(back(model.params, jnp.asarray(rows)))
    found = read_rows(decoded, model.vocabulary)
    return float(np.mean([a == b for a, b in zip(smiles, found, strict=True)]))


def check_number(data: str | Path, number: int, settings: Settings) -> None:
    """Refuse fewer molecules than a step of training takes.

    Raises:
      ValueError: naming the data, the number of molecules and the remedy.
    """
    some = len(split(number, settings).train)
    if some < settings.batch_size:
        raise ValueError(
            f"data = {data} has {_molecules(number)} to learn from, and {some} after some are held "
            f"out, fewer than batch_size = {settings.batch_size}: give more molecules, or lower "
            "batch_size"
        )


def _molecules(number: int) -> str:
    return f"{number} molecule{'s' * (number != 1)}"


def prepare(
    data: str | Path, out: Path, workers: int | None, progress: bool, **reading: Any
) -> tuple[list[str], np.ndarray, Vocabulary]:
    """The distinct molecules of a file that can be written, their rows, and the vocabulary.

    Raises:
      ValueError: naming the data and the remedy, if there are none.
    """
    cache = cache_dir() / "molecules"
    loaded = load_molecules(data, workers=workers, progress=progress, directory=cache, **reading)
    if loaded.rejected or loaded.duplicates or loaded.findings.stereo or loaded.findings.changes:
        _logger.warning("%s: %s", data, report(loaded))
    label = "vocabulary" if progress else None
    over = partial(map_parts, workers=workers, label=label)
    vocabulary = learn_vocabulary(loaded.smiles, over=over)
    written = write_rows(loaded.smiles, vocabulary, _LONGEST, canonical=True, over=over)
    if not len(written.places):
        first = written.rejected[0]
        raise ValueError(
            f"none of the {_molecules(len(loaded.smiles))} of data = {data} can be written; the "
            f"first, {loaded.smiles[first.place]}: {first.reason}. A piece is learnt if two "
            "molecules have it: give more molecules"
        )
    if written.rejected:
        first = written.rejected[0]
        _logger.warning(
            f"{len(written.rejected)} of {len(loaded.smiles)} molecules cannot be written; the "
            f"first, {loaded.smiles[first.place]}: {first.reason}. After training, this "
            f"lists all: {_listing(data, out, reading)}"
        )
    longest = int((written.rows > 0).sum(1).max(initial=0))
    return [loaded.smiles[i] for i in written.places], written.rows[:, :longest], vocabulary


def _listing(data: str | Path, out: Path, reading: dict[str, Any]) -> str:
    """The command that lists the molecules that a trained model cannot write."""
    words = ["wrlso", "data", str(data), "--model", str(out)]
    words += ["--max-heavy-atoms", str(MOST_ATOMS), "--rejected", "rejected.csv"]
    for name in ("column", "delimiter"):
        if reading.get(name) not in (None, "smiles"):
            words += [f"--{name}", reading[name]]
    return shlex.join(words + ["--standardize"] * bool(reading.get("standardize")))
