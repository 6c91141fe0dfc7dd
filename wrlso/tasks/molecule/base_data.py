"""Base data of the molecules task: from a file, or from the model's prior."""

import hashlib
import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from wrlso.chem.load import load_molecules, report
from wrlso.chem.objective import Objective
from wrlso.chem.scoring import describe_failures, score_molecules
from wrlso.chem.spelling import RowScore
from wrlso.data import Dataset
from wrlso.models.sampling import prng_key
from wrlso.models.vae import decode_all
from wrlso.storage.cache import cache_dir
from wrlso.storage.files import write_atomically
from wrlso.tasks.molecule.model import MoleculeModel, model_digest

_logger = logging.getLogger(__name__)

_SAMPLED = 10_000
"""Number of molecules of the base data, if no file is given."""

_DRAWS = 20
"""Maximum number of batches that are drawn to find them; a batch has a quarter of this number."""

ScoreAll = Callable[[list[str]], np.ndarray]
"""A function from SMILES to scores; NaN for a molecule without a score."""


def scores_of(
    objective: Objective, workers: int | None, timeout: float, smiles: list[str]
) -> np.ndarray:
    """Scores ``[N]``, NaN for a molecule without a score; the reasons are logged."""
    scored = score_molecules(smiles, objective, cache_dir() / "molecules", workers, timeout)
    if scored.failures:
        _logger.warning(describe_failures(scored))
    return scored.scores


def from_file(
    path: str,
    columns: dict[str, Any],
    score: RowScore,
    score_all: ScoreAll,
    workers: int | None,
) -> Dataset:
    """Base data from the molecules of a file that the model can write and that are small enough."""
    spelling = score.spelling
    loaded = load_molecules(
        path,
        vocabulary=spelling.vocabulary,
        max_symbols=spelling.length,
        max_heavy_atoms=score.max_heavy_atoms,
        workers=workers,
        directory=cache_dir() / "molecules",
        **columns,
    )
    if loaded.rejected:
        _logger.warning("%s: %s", path, report(loaded.rejected))
    scores = score_all(loaded.smiles) if loaded.scores is None else loaded.scores
    assert loaded.rows is not None
    return _dataset(loaded.rows, scores, spelling.length)


def from_prior(model: MoleculeModel, score: RowScore, score_all: ScoreAll) -> Dataset:
    """Base data from distinct samples of the model's prior that are within the limits."""
    recipe = repr((model_digest(model), score.max_heavy_atoms))
    name = hashlib.sha256(recipe.encode()).hexdigest()[:24]
    path = cache_dir() / "molecules" / f"prior-{name}.smi"
    if path.exists():
        smiles = path.read_text().split()
    else:
        smiles = _sampled(model, score)
        write_atomically(path, "".join(f"{one}\n" for one in smiles).encode())
    spelling = score.spelling
    rows = np.stack([spelling.row(one) for one in smiles])
    return _dataset(rows, score_all(smiles), spelling.length)


def _sampled(model: MoleculeModel, score: RowScore) -> list[str]:
    vae = model.vae()
    decode = jax.jit(lambda z: decode_all(vae, model.params, z))
    sampled: dict[str, None] = {}
    with tqdm(total=_SAMPLED, desc="sampling the model's prior (once)", unit=" molecules") as bar:
        for number in range(_DRAWS):
            key = jax.random.fold_in(prng_key(0), number)
            latents = jax.random.normal(key, (_SAMPLED // 4, vae.latent_dim))
            for row in np.asarray(decode(latents)):
                _add_if_possible(sampled, row, score)
                bar.update(min(len(sampled), _SAMPLED) - bar.n)
            if len(sampled) >= _SAMPLED:
                return list(sampled)[:_SAMPLED]
    limits = f"max_heavy_atoms = {score.max_heavy_atoms}"
    drawn = _DRAWS * _SAMPLED // 4
    if not sampled:
        raise ValueError(
            f"none of {drawn:,} samples of the model's prior is within {limits}: raise it, or "
            "give a file of molecules as data"
        )
    _logger.warning(
        f"{len(sampled):,} of {drawn:,} samples of the model's prior are distinct and within "
        f"{limits}; the base data should have {_SAMPLED:,}"
    )
    return list(sampled)


def _add_if_possible(sampled: dict[str, None], row: np.ndarray, score: RowScore) -> None:
    """Add the molecule of a row if it is within the limits and has a canonical row."""
    try:
        smiles = score.spelling.smiles(row)
        score.check_size(smiles)
        score.spelling.row(smiles)
    except ValueError:
        return
    sampled[smiles] = None


def _dataset(rows: np.ndarray, scores: np.ndarray, length: int) -> Dataset:
    """Rows of ``length`` symbols and scores of the molecules that have a score."""
    usable = np.isfinite(scores)
    if not usable.any():
        raise ValueError(
            f"none of the {len(scores)} molecules of the base data has a score: see the warnings "
            "for the reasons"
        )
    rows = np.pad(rows[usable], [(0, 0), (0, length - rows.shape[1])])
    return Dataset(jnp.asarray(rows), jnp.asarray(scores[usable], jnp.float32))
