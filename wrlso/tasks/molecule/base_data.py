"""Base data of the molecules task: from a file, or from the model's prior."""

import hashlib
import logging
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from wrlso.chem.cache import pack, read_arrays, unpack, write_arrays
from wrlso.chem.load import load_molecules
from wrlso.chem.objective import Objective
from wrlso.chem.report import report
from wrlso.chem.scoring import check_scores, describe_failures, score_molecules
from wrlso.chem.spelling import RowAccept
from wrlso.data import Dataset
from wrlso.evaluation.objective import measured
from wrlso.evaluation.pools import rescoring
from wrlso.models.sampling import prng_key
from wrlso.models.vae import decode_all
from wrlso.storage.bars import bars_shown
from wrlso.storage.cache import cache_dir
from wrlso.storage.digest import describe
from wrlso.tasks.molecule.model import MoleculeModel, model_digest

_logger = logging.getLogger(__name__)

_SAMPLED = 10_000
"""Number of molecules of the base data, if no file is given."""

_DRAWS = 20
"""Maximum number of batches that are drawn to find them; a batch has a quarter of this number."""


class Starting(NamedTuple):
    """Base data, and the number of molecules that were scored for them."""

    dataset: Dataset
    scored: int


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
    if objective.score is not measured:
        check_scores(smiles, scores, name, objective, workers, timeout)


def from_file(
    path: str,
    reading: dict[str, Any],
    accept: RowAccept,
    score_all: ScoreAll,
    check: CheckScores,
    workers: int | None,
    initial: int | None = None,
) -> Starting:
    """Base data from the molecules of a file that the model can write and that are small enough.

    At most ``initial`` of them are scored, a draw; None: all. Molecules that the user's own test
    refuses stay: their scores are known.
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
    assert loaded.rows is not None
    scores = loaded.scores
    if scores is not None:
        if rescoring():
            _logger.warning(
                f"rescore: all {len(loaded.smiles)} starting molecules of {path} are evaluated "
                "again, outside the budget"
            )
            scores = score_all(loaded.smiles)
        else:
            check(loaded.smiles, scores, reading["score_column"])
        return Starting(_dataset(loaded.rows, scores, spelling.length), 0)
    drawn = _draw(len(loaded.smiles), initial)
    scores = score_all([loaded.smiles[row] for row in drawn])
    return Starting(_dataset(loaded.rows[drawn], scores, spelling.length), len(drawn))


def _draw(count: int, most: int | None) -> np.ndarray:
    """Row numbers of a draw of ``most`` of ``count`` molecules, ascending; all if None."""
    if most is None or most >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, most, replace=False))


def from_prior(
    model: MoleculeModel, accept: RowAccept, score_all: ScoreAll, initial: int | None = None
) -> Starting:
    """Base data from distinct samples of the model's prior that the accept test accepts.

    At most ``initial`` of them are scored; None: all.
    """
    recipe = repr((model_digest(model), accept.max_heavy_atoms, describe(accept.tests)))
    name = hashlib.sha256(recipe.encode()).hexdigest()[:24]
    path = cache_dir() / "molecules" / f"prior-{name}.arrays"
    kept = read_arrays(path)
    smiles = _sampled(model, accept) if kept is None else unpack(kept["smiles"])
    if kept is None:
        write_arrays(path, {"smiles": pack(smiles)})
    smiles = smiles[:initial]
    rows = np.stack([accept.spelling.row(one) for one in smiles])
    return Starting(_dataset(rows, score_all(smiles), accept.spelling.length), len(smiles))


def _sampled(model: MoleculeModel, accept: RowAccept) -> list[str]:
    vae = model.vae()
    decode = jax.jit(lambda z: decode_all(vae, model.params, z))
    sampled: dict[str, None] = {}
    with tqdm(
        total=_SAMPLED,
        desc="sampling the model's prior (once)",
        unit=" molecules",
        disable=not bars_shown(),
    ) as bar:
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


def starting_loader(
    made: Objective,
    trained: MoleculeModel,
    data: str | None,
    reading: dict[str, Any],
    accept: RowAccept,
    workers: int | None,
    timeout: float,
    initial: int | None,
) -> Callable[[], Starting]:
    """The function that makes the starting data, once: a run and its figures share them."""
    score_all = partial(scores_of, made, workers, timeout)
    if data is None:
        return cache(partial(from_prior, trained, accept, score_all, initial))
    check = partial(check_column, made, workers, timeout)
    return cache(partial(from_file, data, reading, accept, score_all, check, workers, initial))
