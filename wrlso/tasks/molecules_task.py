"""Molecules: find one of high score, such as penalised logP (the paper's third task)."""

import shlex
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from wrlso.bo import BOConfig
from wrlso.chem.command import Command, Feed
from wrlso.chem.corpus import encode_corpus, score_corpus
from wrlso.chem.guacamol import GOALS, guacamol
from wrlso.chem.load import load_molecules, report
from wrlso.chem.model_file import MoleculeModel, load_model
from wrlso.chem.scores import penalized_logp, qed
from wrlso.chem.spelling import RowScore, Spelling
from wrlso.data import Dataset
from wrlso.gp.fit import FitConfig
from wrlso.host.cache import cache_dir
from wrlso.propose import decode_all
from wrlso.retrain import RetrainConfig
from wrlso.surrogate import SurrogateConfig
from wrlso.tasks.base import HostObjective, Task

OBJECTIVES = ("penalized_logp", "qed", *GOALS)
"""Objectives by name."""

SHIPPED = Path(__file__).parents[1] / "models" / "molecules.safetensors"
"""The model that comes with the package."""

_SAMPLED = 10_000
"""Molecules that a run without a file begins with."""


def molecules(
    objective: str | Callable[[str], float] = "penalized_logp",
    command: str | None = None,
    feed: Feed = "argument",
    data: str | None = None,
    model: str | None = None,
    max_tokens: int = 80,
    max_heavy_atoms: int | None = 38,
    penalty: float | None = None,
    half_products: bool = False,
    timeout: float = 60.0,
    workers: int | None = None,
) -> Task:
    """The molecules task.

    Args:
      objective: one of :data:`OBJECTIVES`, or a function of a canonical SMILES, higher is
        better, which may raise; it is sent to worker processes.
      command: instead of ``objective``: a program with its arguments, as in a shell, that gets
        a SMILES and prints its score.
      feed: how the program gets it, see ``wrlso.chem.command.Command``.
      data: a file of molecules, see ``wrlso.chem.load.load_molecules``; None: 10,000 different
        samples of the model's prior, scored at first use.
      model: a file of ``wrlso train molecules``; None: the model that comes with wrlso.
      max_tokens: SELFIES tokens of a molecule, at most.
      max_heavy_atoms: its atoms other than hydrogen, at most; 38 is ZINC250k's largest. What is
        larger is a failure. None: no limit.
      penalty: what a failure counts as for the surrogate; None: the paper's -4 for penalised
        logP, 0 for the others.
      half_products: multiply in bfloat16 while the model is retrained and molecules are
        encoded; faster where the processor can.
      timeout: seconds for one molecule.
      workers: processes; None: one a core.

    Raises:
      ValueError: if an argument cannot be meant.
      FileNotFoundError: if there is no such model.
    """
    name, score = _objective(objective, command, feed)
    if not 1 <= max_tokens <= 300:
        raise ValueError(f"max_tokens must be between 1 and 300, got {max_tokens}")
    if max_heavy_atoms is not None and max_heavy_atoms < 1:
        raise ValueError(f"max_heavy_atoms must be at least 1, got {max_heavy_atoms}")
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
    row_score = RowScore(spelling, score, max_heavy_atoms)
    penalty = penalty if penalty is not None else -4.0 if name == "penalized_logp" else 0.0
    return Task(
        name="molecules",
        summary="find a molecule of high score, such as penalised logP",
        vae=trained.vae(max_tokens, half_products),
        # Read once: a run and its figures ask for them, each.
        load_data=cache(
            partial(_from_prior, trained, row_score, name, workers)
            if data is None
            else partial(_from_file, data, row_score, name, workers)
        ),
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
            "objective": objective if isinstance(objective, str) else name,
            "command": command,
            "feed": feed,
            "data": None if data is None else str(Path(data)),
            "model": None if model is None else str(Path(model)),
            "max_tokens": max_tokens,
            "max_heavy_atoms": max_heavy_atoms,
            "penalty": penalty,
            "half_products": half_products,
            "timeout": timeout,
            "workers": workers,
        },
        stated={
            "objective": name,
            "max_tokens": max_tokens,
            "max_heavy_atoms": "none" if max_heavy_atoms is None else max_heavy_atoms,
        },
        to_text=spelling.smiles,
        to_images=spelling.pictures,
    )


def _objective(
    objective: str | Callable[[str], float], command: str | None, feed: Feed
) -> tuple[str, Callable[[str], float]]:
    if command is not None:
        return f"command {command}", Command(tuple(shlex.split(command)), feed)
    if callable(objective):
        return getattr(objective, "__name__", repr(objective)), objective
    named = {"penalized_logp": penalized_logp, "qed": qed}
    if objective in named:
        return objective, named[objective]
    try:
        return objective, guacamol(objective)
    except ValueError as error:
        raise ValueError(
            f"unknown objective {objective!r}; there are: {', '.join(OBJECTIVES)}"
        ) from error


def _from_file(path: str, score: RowScore, name: str, workers: int | None) -> Dataset:
    """The molecules of a file that the model can spell, within the limits."""
    spelling = score.spelling
    loaded = load_molecules(
        path,
        alphabet=spelling.fragments.alphabet,
        max_tokens=spelling.max_tokens,
        max_heavy_atoms=score.max_heavy_atoms,
        workers=workers,
    )
    if loaded.rejected:
        print(f"{path}: {report(loaded.rejected)}")
    return _scored(loaded.smiles, score, name, workers)


def _from_prior(model: MoleculeModel, score: RowScore, name: str, workers: int | None) -> Dataset:
    """Different molecules from the model's prior, within the limits."""
    spelling = score.spelling
    vae = model.vae(spelling.max_tokens)
    decode = jax.jit(lambda z: decode_all(vae, model.params, z))
    found: dict[str, None] = {}
    for number in range(20):
        key = jax.random.fold_in(jax.random.key(0), number)
        rows = np.asarray(decode(jax.random.normal(key, (_SAMPLED // 4, vae.latent_dim))))
        for row in rows:
            _add_if_possible(found, row, score)
        if len(found) >= _SAMPLED:
            break
    return _scored(list(found)[:_SAMPLED], score, name, workers)


def _add_if_possible(found: dict[str, None], row: np.ndarray, score: RowScore) -> None:
    try:
        smiles = score.spelling.smiles(row)
        score.check_size(smiles)
        score.spelling.row(smiles)
    except ValueError:
        return
    found[smiles] = None


def _scored(smiles: list[str], score: RowScore, name: str, workers: int | None) -> Dataset:
    """Rows and scores of molecules, without those that the objective refuses."""
    spelling, directory = score.spelling, cache_dir() / "molecules"
    corpus = encode_corpus(smiles, directory, workers=workers)
    numbers = [spelling.fragments.alphabet.number[token] for token in corpus.alphabet.tokens]
    rows = spelling.fragments.merge(np.array(numbers, np.uint8)[corpus.tokens])
    rows = np.pad(rows, [(0, 0), (0, spelling.max_tokens - rows.shape[1])])
    scores = score_corpus(corpus.smiles, score.objective, name, directory, workers)
    usable = np.isfinite(scores)
    return Dataset(jnp.asarray(rows[usable]), jnp.asarray(scores[usable], jnp.float32))
