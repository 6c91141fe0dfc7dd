"""Base data of the molecules task: from a file, or from the model's prior."""

import hashlib
import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from wrlso.chem.load import load_molecules
from wrlso.chem.objective import Objective
from wrlso.chem.report import report
from wrlso.chem.scoring import check_scores, describe_failures, score_molecules
from wrlso.chem.spelling import RowAccept
from wrlso.data import Dataset
from wrlso.evaluation.pools import rescoring
from wrlso.models.sampling import prng_key
from wrlso.models.vae import decode_all
from wrlso.storage.cache import cache_dir
from wrlso.storage.digest import describe
from wrlso.storage.files import write_atomically
from wrlso.tasks.molecule.model import MoleculeModel, model_digest

_logger = logging.getLogger(__name__)

_SAMPLED = 10_000
"""Number of molecules of the base data, if no file is given."""

_DRAWS = 20
"""Maximum number of batches that are drawn to find them; a batch has a quarter of this number."""

ScoreAll = Callable[[list[str]], np.ndarray]
"""A function from SMILES to scores; NaN for a molecule without a score."""

CheckScores = Callable[[list[str], np.ndarray, str], None]
"""A check of SMILES, their scores, and the name of the column."""


def scores_of(
    objective: Objective, workers: int | None, timeout: float, smiles: list[str]
) -> np.ndarray:
    """Scores ``[N]``, NaN for a molecule without a score; the reasons are logged."""
    scored = score_molecules(smiles, objective, cache_dir() / "molecules", workers, timeout)
    if scored.failures:
        _logger.warning(describe_failures(scored))
    return scored.scores


def check_column(
    objective: Objective,
    workers: int | None,
    timeout: float,
    smiles: list[str],
    scores: np.ndarray,
    name: str,
) -> None:
    """Evaluate three molecules of a file with scores ``[N]``; see
    :func:`wrlso.chem.scoring.check_scores`."""
    check_scores(smiles, scores, name, objective, workers, timeout)


def from_file(
    path: str,
    reading: dict[str, Any],
    accept: RowAccept,
    score_all: ScoreAll,
    check: CheckScores,
    workers: int | None,
) -> Dataset:
    """Base data from the molecules of a file that the model can write and that are small enough.

    Molecules that the user's own test refuses stay: their scores are known.
    """
    spelling = accept.spelling
    loaded = load_molecules(
        path,
        vocabulary=spelling.vocabulary,
        max_symbols=spelling.length,
        max_heavy_atoms=accept.max_heavy_atoms,
        workers=workers,
        directory=cache_dir() / "molecules",
        **reading,
    )
    if loaded.rejected or loaded.duplicates or loaded.findings.stereo or loaded.findings.changes:
        _logger.warning("%s: %s", path, report(loaded))
    scores = loaded.scores
    if scores is None or rescoring():
        scores = score_all(loaded.smiles)
    else:
        check(loaded.smiles, scores, reading["score_column"])
    assert loaded.rows is not None
    return _dataset(loaded.rows, scores, spelling.length)


def from_prior(model: MoleculeModel, accept: RowAccept, score_all: ScoreAll) -> Dataset:
    """Base data from distinct samples of the model's prior that the accept test accepts."""
    recipe = repr((model_digest(model), accept.max_heavy_atoms, describe(accept.tests)))
    name = hashlib.sha256(recipe.encode()).hexdigest()[:24]
    path = cache_dir() / "molecules" / f"prior-{name}.smi"
    if path.exists():
        smiles = path.read_text().split()
    else:
        smiles = _sampled(model, accept)
        write_atomically(path, "".join(f"{one}\n" for one in smiles).encode())
    spelling = accept.spelling
    rows = np.stack([spelling.row(one) for one in smiles])
    return _dataset(rows, score_all(smiles), spelling.length)


def _sampled(model: MoleculeModel, accept: RowAccept) -> list[str]:
    vae = model.vae()
    decode = jax.jit(lambda z: decode_all(vae, model.params, z))
    sampled: dict[str, None] = {}
    with tqdm(total=_SAMPLED, desc="sampling the model's prior (once)", unit=" molecules") as bar:
        for number in range(_DRAWS):
            key = jax.random.fold_in(prng_key(0), number)
            latents = jax.random.normal(key, (_SAMPLED // 4, vae.latent_dim))
            for row in np.asarray(decode(latents)):
                _add_if_possible(sampled, row, accept)
                bar.update(min(len(sampled), _SAMPLED) - bar.n)
            if len(sampled) >= _SAMPLED:
                return list(sampled)[:_SAMPLED]
    limits = f"max_heavy_atoms = {accept.max_heavy_atoms}"
    if accept.tests:
        limits += " and what the accept test accepts"
    drawn = _DRAWS * _SAMPLED // 4
    if not sampled:
        raise ValueError(
            f"none of {drawn:,} samples of the model's prior is within {limits}: loosen it, or "
            "give a file of molecules as data"
        )
    _logger.warning(
        f"{len(sampled):,} of {drawn:,} samples of the model's prior are distinct and within "
        f"{limits}; the base data should have {_SAMPLED:,}"
    )
    return list(sampled)


def _add_if_possible(sampled: dict[str, None], row: np.ndarray, accept: RowAccept) -> None:
    """Add the molecule of a row if it is accepted and has a canonical row."""
    try:
        smiles = accept.spelling.smiles(row)
        accept.spelling.row(smiles)
    except ValueError:
        return
    if accept.judge(smiles) is None:
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
    kept: Any = np.asarray(scores[usable], np.float64)  # float32 may lose what they differ by
    return Dataset(jnp.asarray(rows), kept)
