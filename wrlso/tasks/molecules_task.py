"""Molecules: find one of high score, such as penalised logP (the paper's third task)."""

import hashlib
import os
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from wrlso.bo import BOConfig
from wrlso.chem.command import Feed
from wrlso.chem.corpus import encode_corpus
from wrlso.chem.load import load_molecules, report
from wrlso.chem.objective import Objective, make_objective
from wrlso.chem.scoring import describe_failures, score_molecules
from wrlso.chem.spelling import RowScore, Spelling
from wrlso.data import Dataset
from wrlso.gp.fit import FitConfig
from wrlso.host.cache import cache_dir
from wrlso.host.files import write_atomically
from wrlso.propose import decode_all
from wrlso.retrain import RetrainConfig
from wrlso.surrogate import SurrogateConfig
from wrlso.tasks.base import HostObjective, Task
from wrlso.tasks.molecules_model import MoleculeModel, load_model, model_digest

SHIPPED = Path(__file__).parents[1] / "models" / "molecules.safetensors"
"""The model that comes with the package."""

_SAMPLED = 10_000
"""Molecules that a run without a file begins with."""

_DRAWS = 20
"""Batches of a quarter of these that are drawn, at most, to find so many different ones."""


def molecules(
    objective: str | Callable[[str], float] = "penalized_logp",
    command: str | None = None,
    feed: Feed = "argument",
    data: str | None = None,
    column: str = "smiles",
    score_column: str | None = None,
    model: str | None = None,
    max_tokens: int = 80,
    max_heavy_atoms: int | None = 38,
    penalty: float | Literal["lowest"] | None = None,
    half_products: bool = False,
    timeout: float = 60.0,
    workers: int | None = None,
) -> Task:
    """The molecules task.

    Args:
      objective: one of ``wrlso.chem.objective.OBJECTIVES``, or a function of a canonical SMILES,
        higher is better, which may raise; it is sent to worker processes.
      command: instead of ``objective``: a program with its arguments, as in a shell, that gets
        a SMILES and prints its score.
      feed: how the program gets it, see ``wrlso.chem.command.Command``.
      data: a file of molecules, see ``wrlso.chem.load.load_molecules``; None: 10,000 different
        samples of the model's prior.
      column: of the SMILES, where the file is a table.
      score_column: of the table's scores, in units of the objective; None: its molecules are
        scored at first use, and those that cannot be are left out.
      model: a file of ``wrlso train molecules``; None: the model that comes with wrlso.
      max_tokens: SELFIES tokens of a molecule, at most.
      max_heavy_atoms: its atoms other than hydrogen, at most; 38 is ZINC250k's largest. What is
        larger is a failure. None: no limit.
      penalty: what a failure counts as for the surrogate: a number, or ``"lowest"``, the lowest
        score that it knows. None: the paper's -4 for penalised logP, 0 for QED and GuacaMol,
        else ``"lowest"``.
      half_products: multiply in bfloat16 while the model is retrained and molecules are
        encoded; faster where the processor has such products, slower elsewhere.
      timeout: seconds for one molecule.
      workers: processes; None: one a core.

    Raises:
      ValueError: if an argument cannot be meant.
      FileNotFoundError: if there is no such model, or no such data.
    """
    scored_by = make_objective(objective, command, feed)
    if not 1 <= max_tokens <= 300:
        raise ValueError(f"max_tokens must be between 1 and 300, got {max_tokens}")
    if max_heavy_atoms is not None and max_heavy_atoms < 1:
        raise ValueError(f"max_heavy_atoms must be at least 1, got {max_heavy_atoms}")
    if data is None and (column, score_column) != ("smiles", None):
        raise ValueError(
            f"column = {column!r} and score_column = {score_column!r} are columns of a table: give "
            "it as data"
        )
    if data is not None and not os.path.exists(data):
        raise FileNotFoundError(f"data = {str(data)!r}: there is no such file")
    if model is None and not SHIPPED.exists():
        raise FileNotFoundError(
            "this version of wrlso comes without a model of molecules: train one with 'wrlso train "
            "molecules --data FILE --out MODEL', and give it as model (--model MODEL)"
        )
    trained = load_model(model or SHIPPED)
    largest = int(trained.fragments.sizes.max())
    if max_tokens < largest:
        raise ValueError(
            f"max_tokens must be at least {largest}, the tokens of the model's largest symbol, got "
            f"{max_tokens}"
        )
    spelling = Spelling(trained.fragments, max_tokens)
    row_score = RowScore(spelling, scored_by.score, max_heavy_atoms)
    penalty = scored_by.penalty if penalty is None else penalty
    score_all = partial(_scores, scored_by, workers, timeout)
    if data is None:
        load = partial(_from_prior, trained, row_score, score_all, workers)
    else:
        columns = {"column": column, "score_column": score_column}
        load = partial(_from_file, data, columns, row_score, score_all, workers)
    return Task(
        name="molecules",
        summary="find a molecule of high score, such as penalised logP",
        vae=trained.vae(max_tokens, half_products),
        load_data=cache(load),  # a run and its figures ask for them, each
        host_objective=HostObjective(row_score, spelling.canonical, workers, timeout),
        params=trained.params,
        retrain=RetrainConfig(
            first_epochs=0.1,
            epochs=0.05,
            least_steps=80,
            batch_size=128,
            learning_rate=3e-4,
            beta=0.03,
        ),
        proposer="bo",
        bo=BOConfig(
            evaluations=40,
            region=0.3,
            surrogate=SurrogateConfig(
                kind="sparse",
                best=2000,
                random=8000,
                inducing=500,
                fit=FitConfig(restarts=1, evaluations=20),
                penalty=penalty,
            ),
        ),
        options={
            "objective": "penalized_logp" if command is not None else scored_by.name,
            "command": None if command is None else scored_by.name.removeprefix("command "),
            "feed": feed,
            "data": None if data is None else os.path.abspath(data),
            "model": None if model is None else os.path.abspath(model),
            "max_tokens": max_tokens,
            "max_heavy_atoms": max_heavy_atoms,
            "penalty": penalty,
            "half_products": half_products,
            "timeout": timeout,
            "workers": workers,
            **({} if column == "smiles" else {"column": column}),
            **({} if score_column is None else {"score_column": score_column}),
        },
        stated={
            "objective": scored_by.name,
            "max_tokens": max_tokens,
            "max_heavy_atoms": "none" if max_heavy_atoms is None else max_heavy_atoms,
        },
        to_text=spelling.smiles,
        to_images=spelling.pictures,
    )


_ScoreAll = Callable[[list[str]], np.ndarray]


def _scores(
    objective: Objective, workers: int | None, timeout: float, smiles: list[str]
) -> np.ndarray:
    """Scores ``[N]``, NaN where there is none; why, is said."""
    found = score_molecules(smiles, objective, cache_dir() / "molecules", workers, timeout)
    if found.failures:
        print(describe_failures(found))
    return found.scores


def _from_file(
    path: str,
    columns: dict[str, Any],
    score: RowScore,
    score_all: _ScoreAll,
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
        print(f"{path}: {report(loaded.rejected)}")
    scores = score_all(loaded.smiles) if loaded.scores is None else loaded.scores
    return _dataset(loaded.smiles, scores, spelling, workers)


def _from_prior(
    model: MoleculeModel, score: RowScore, score_all: _ScoreAll, workers: int | None
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
    print(f"only {len(found):,} of {drawn:,} samples of the model's prior are new, within {limits}")
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
