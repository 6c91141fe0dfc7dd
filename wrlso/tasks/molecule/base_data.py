"""The molecules that runs begin with: from a file, or from the model's prior."""

import hashlib
import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from wrlso.chem.corpus import encode_corpus
from wrlso.chem.load import load_molecules, report
from wrlso.chem.objective import Objective
from wrlso.chem.scoring import describe_failures, score_molecules
from wrlso.chem.spelling import RowScore, Spelling
from wrlso.data import Dataset
from wrlso.models.vae import decode_all
from wrlso.storage.cache import cache_dir
from wrlso.storage.files import write_atomically
from wrlso.tasks.molecule.model import MoleculeModel, model_digest

_logger = logging.getLogger(__name__)

_SAMPLED = 10_000
"""Number of molecules that a run without a file begins with."""

_DRAWS = 20
"""Maximum number of batches, each a quarter of these, that are drawn to find so many."""

ScoreAll = Callable[[list[str]], np.ndarray]


def scores_of(
    objective: Objective, workers: int | None, timeout: float, smiles: list[str]
) -> np.ndarray:
    """Scores ``[N]``, NaN where there is none; the reasons are logged."""
    found = score_molecules(smiles, objective, cache_dir() / "molecules", workers, timeout)
    if found.failures:
        _logger.warning(describe_failures(found))
    return found.scores


def from_file(
    path: str,
    columns: dict[str, Any],
    score: RowScore,
    score_all: ScoreAll,
    workers: int | None,
) -> Dataset:
    """The molecules of a file that the model can spell, within the limits."""
    spelling = score.spelling
    loaded = load_molecules(
        path,
        alphabet=spelling.fragments.alphabet,
        max_tokens=spelling.max_tokens,
        max_heavy_atoms=score.max_heavy_atoms,
        workers=workers,
        directory=cache_dir() / "molecules",
        **columns,
    )
    if loaded.rejected:
        _logger.warning("%s: %s", path, report(loaded.rejected))
    scores = score_all(loaded.smiles) if loaded.scores is None else loaded.scores
    return _dataset(loaded.smiles, scores, spelling, workers)


def from_prior(
    model: MoleculeModel, score: RowScore, score_all: ScoreAll, workers: int | None
) -> Dataset:
    """Different molecules from the model's prior, within the limits."""
    recipe = repr((model_digest(model), score.spelling.max_tokens, score.max_heavy_atoms))
    name = hashlib.sha256(recipe.encode()).hexdigest()[:24]
    path = cache_dir() / "molecules" / f"prior-{name}.smi"
    if path.exists():
        smiles = path.read_text().split()
    else:
        smiles = _sampled(model, score)
        write_atomically(path, "".join(f"{one}\n" for one in smiles).encode())
    return _dataset(smiles, score_all(smiles), score.spelling, workers)


def _sampled(model: MoleculeModel, score: RowScore) -> list[str]:
    spelling = score.spelling
    vae = model.vae(spelling.max_tokens)
    decode = jax.jit(lambda z: decode_all(vae, model.params, z))
    found: dict[str, None] = {}
    with tqdm(total=_SAMPLED, desc="sampling the model's prior (once)", unit=" molecules") as bar:
        for number in range(_DRAWS):
            key = jax.random.fold_in(jax.random.key(0), number)
            latents = jax.random.normal(key, (_SAMPLED // 4, vae.latent_dim))
            for row in np.asarray(decode(latents)):
                _add_if_possible(found, row, score)
                bar.update(min(len(found), _SAMPLED) - bar.n)
            if len(found) >= _SAMPLED:
                return list(found)[:_SAMPLED]
    limits = f"max_tokens = {spelling.max_tokens}, max_heavy_atoms = {score.max_heavy_atoms}"
    drawn = _DRAWS * _SAMPLED // 4
    if not found:
        raise ValueError(
            f"none of {drawn:,} samples of the model's prior is within {limits}: raise these, or "
            "give molecules of your own as data (--data FILE)"
        )
    _logger.warning(
        f"only {len(found):,} of {drawn:,} samples of the model's prior are new, within {limits}"
    )
    return list(found)


def _add_if_possible(found: dict[str, None], row: np.ndarray, score: RowScore) -> None:
    try:
        smiles = score.spelling.smiles(row)
        score.check_size(smiles)
        score.spelling.row(smiles)
    except ValueError:
        return
    found[smiles] = None


def _dataset(
    smiles: list[str], scores: np.ndarray, spelling: Spelling, workers: int | None
) -> Dataset:
    """Rows and scores of molecules, without those that have no score."""
    corpus = encode_corpus(smiles, cache_dir() / "molecules", workers=workers)
    numbers = [spelling.fragments.alphabet.number[token] for token in corpus.alphabet.tokens]
    rows = spelling.fragments.merge(np.array(numbers, np.uint8)[corpus.tokens])
    rows = np.pad(rows, [(0, 0), (0, spelling.max_tokens - rows.shape[1])])
    usable = np.isfinite(scores)
    usable[corpus.altered] = False  # their tokens are another molecule's
    if not usable.any():
        raise ValueError(
            f"none of the {len(smiles)} molecules to begin with has a score: see the reasons above"
        )
    return Dataset(jnp.asarray(rows[usable]), jnp.asarray(scores[usable], jnp.float32))
