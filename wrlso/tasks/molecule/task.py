"""Molecules: find a molecule of high score, such as penalised logP (the paper's third task)."""

import logging
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import jax.numpy as jnp

from wrlso.chem.command import Feed
from wrlso.chem.filters import MoleculeFilter, molecule_filter
from wrlso.chem.objective import Objective, make_objective
from wrlso.chem.ringtree.tables import atoms_of_symbols
from wrlso.chem.ringtree.vocabulary import Vocabulary
from wrlso.chem.spelling import AcceptMolecule, RowAccept, RowScore, RowScores, Spelling
from wrlso.chem.zinc import ZINC_NAME, zinc_file
from wrlso.evaluation.objective import HostObjective, measured
from wrlso.loop.algorithm import Accept
from wrlso.replicates import Replicates, check_replicates
from wrlso.tasks.base import Task
from wrlso.tasks.learned_prior import with_learned_prior
from wrlso.tasks.molecule.base_data import starting_loader
from wrlso.tasks.molecule.initial import (
    check_measured,
    default_penalty,
    initial_evaluations,
    starting_words,
)
from wrlso.tasks.molecule.model import MoleculeModel, load_model
from wrlso.tasks.molecule.protocol import bayesian_optimisation, retraining

_logger = logging.getLogger(__name__)

SHIPPED = Path(__file__).with_name("pretrained.safetensors")
"""The model that comes with the package; ``pretrained.md`` is its card."""

MOST_HEAVY_ATOMS = 38
"""Default of the maximum number of heavy atoms; ZINC250k's largest molecule has them."""

_READING: dict[str, Any] = {
    "column": "smiles",
    "score_column": None,
    "delimiter": None,
    "replicates": "mean",
    "standardize": False,
}
"""The defaults of the options that say how a file is read."""

_RECORDED = (
    "objective", "command", "feed", "data", "model", "max_heavy_atoms", "penalty", "half_products",
    "timeout", "workers",
)  # fmt: skip
_RECORDED_IF_GIVEN = {
    "batch_size": None,
    "retries": 0,
    **_READING,
    "initial": None,
    "minimize": False,
    "require": (),
    "forbid": (),
    "alerts": (),
    "max_weight": None,
    "learned_prior": False,
}


def molecules(
    objective: str | Mapping[str, Any] | Callable[[str], float] = "penalized_logp",
    command: str | None = None,
    feed: Feed = "argument",
    batch_size: int | None = None,
    data: str | None = None,
    column: str = "smiles",
    score_column: str | None = None,
    delimiter: str | None = None,
    replicates: Replicates = "mean",
    standardize: bool = False,
    initial: int | None = None,
    minimize: bool = False,
    model: str | None = None,
    max_heavy_atoms: int | None = MOST_HEAVY_ATOMS,
    penalty: float | Literal["lowest"] | None = None,
    half_products: bool = False,
    timeout: float = 60.0,
    workers: int | None = None,
    retries: int = 0,
    require: tuple[str, ...] = (),
    forbid: tuple[str, ...] = (),
    alerts: tuple[str, ...] = (),
    max_weight: float | None = None,
    learned_prior: bool = False,
    accept: AcceptMolecule | None = None,
) -> Task:
    """Find a molecule of high score, such as penalised logP.

    Args:
      objective: name of the objective: penalized_logp, qed, or an objective of GuacaMol's and
        PMO's: median_1, median_2, osimertinib, fexofenadine, ranolazine, perindopril, amlodipine,
        sitagliptin, zaleplon, valsartan, deco_hop, scaffold_hop, albuterol_similarity,
        mestranol_similarity, celecoxib_rediscovery, thiothixene_rediscovery,
        troglitazone_rediscovery, isomers_c7h8n2o2, isomers_c9h10n2o2pf2cl; or a TOML file of
        several properties, see docs/objectives.md; or measured, by people, with 'wrlso open'. In
        Python it may also be a function of a canonical SMILES; higher is better, unless minimize.
        Worker processes call it, and it may raise.
      command: a program that gets a SMILES and prints its score, such as 'python dock.py'; it
        replaces the objective.
      feed: the way in which the program gets a SMILES: 'argument' (in place of {}, or else as the
        last argument), 'stdin' (a line on its standard input), 'lines' (started once, it reads
        line after line and flushes each answer), or 'batch' (started for a batch, it reads one line
        per molecule and prints one).
      batch_size: maximum number of molecules that a program with feed 'batch' gets at once, and in
        Python a function, which then gets a list of SMILES. Default: 1,000 for a program; a
        function gets one SMILES.
      data: a file of molecules: one SMILES per line, a table with a column 'smiles', SDF or
        Parquet; plain or compressed. 'zinc250k' is the one of the extra 'zinc'. Default: 10,000
        samples of the model's prior.
      column: the column of a table that holds the SMILES: its name, or its number from 1.
      score_column: the column that holds scores, in units of the objective. Default: molecules of
        the file are scored at first use, see initial, and the scores are cached; a molecule without
        a score is left out.
      delimiter: what separates the columns of a table: a character, 'tab' or 'space'. Default: it
        is recognised.
      replicates: the score of a molecule that has different ones in the file: their mean, their
        median, the best, or refuse the file. Molecules that differ in stereochemistry are equal
        here.
      standardize: read the parents of salts, neutral where that is possible, without atom maps and
        isotopes. Without it, salts and labelled molecules are rejected and counted.
      initial: maximum number of starting molecules that are scored before the search, if they come
        without scores; they are drawn at random and count towards the budget, and the others are
        left out. Default: 50 for a function or a program of yours, also as a component; a built-in
        objective scores all of them without charge.
      minimize: lower scores are better.
      model: a file of 'wrlso train molecules'. Default: the model that comes with wrlso.
      max_heavy_atoms: maximum number of atoms other than hydrogen; larger molecules are refused
        before they cost anything. 38 is ZINC250k's largest. In Python None means no limit.
      penalty: the score that the surrogate uses for a failure: a number, or 'lowest', the lowest
        score in its data. Default: -4 for penalised logP, 0 for QED and GuacaMol, else 'lowest'.
      half_products: multiply in bfloat16 while the model is retrained and molecules are encoded:
        faster where the processor has such products (AVX512-BF16, AMX), slower elsewhere.
      timeout: maximum number of seconds per molecule, or per batch; a slower molecule fails.
      workers: number of processes that score molecules. Default: one per core.
      retries: number of times that a query is evaluated again after a failure.
      require: SMARTS patterns that must all occur in a molecule. Molecules that fail this test, or
        forbid, alerts, max_weight or accept, are refused: they are neither evaluated nor charged.
      forbid: SMARTS patterns of which none may occur.
      alerts: catalogues of structural alerts of which none may occur: pains, brenk, nih, chembl and
        others of RDKit's FilterCatalog.
      max_weight: maximum molecular weight in g/mol, hydrogens included. Default: no limit.
      learned_prior: fit a normalising flow over the latents in place of retraining the model, and
        search in its base space. The model stays as it is.
      accept: in Python only: a test of your own of a canonical SMILES. True or None: the molecule
        may be evaluated. False, or a text with the reason: it is refused.

    Raises:
      ValueError: if an argument is invalid.
      FileNotFoundError: if the model or the data file does not exist.
    """
    given = dict(locals())
    made = make_objective(objective, command, feed, batch_size)
    reading = _reading(data, given)
    check_measured(made, data, score_column)
    initial = initial_evaluations(initial, score_column, made.built_in)
    trained = _load_model(model)
    spelling = Spelling(trained.vocabulary, trained.length)
    filters = molecule_filter(require=require, forbid=forbid, alerts=alerts, max_weight=max_weight)
    row_accept = RowAccept(spelling, max_heavy_atoms, _tests(filters, made.filter, accept))
    penalty = default_penalty(made, minimize) if penalty is None else penalty
    load = starting_loader(made, trained, data, reading, row_accept, workers, timeout, initial)
    task = Task(
        name="molecules",
        vae=trained.vae(half_products),
        load_data=lambda: load().dataset,
        host_objective=_on_host(made, spelling, row_accept, workers, timeout, retries),
        accept=_within_size(trained.vocabulary, max_heavy_atoms),
        minimize=minimize,
        starting=starting_words(data, score_column, initial, made.name),
        initial=initial or 0,
        initial_spent=lambda: load().scored,
        params=trained.params,
        retrain=retraining(trained.kl_weight),
        effective_rows=2000.0,
        proposer="bo",
        bo=bayesian_optimisation(penalty, trained.sizes.latent_dim),
        options=_options(made, {**given, "penalty": penalty, "initial": initial}),
        stated=_stated(made, max_heavy_atoms, filters),
        to_text=spelling.smiles,
        from_text=spelling.standard_row if standardize else spelling.row,
        to_images=spelling.pictures,
    )
    return with_learned_prior(task) if learned_prior else task


def _on_host(
    made: Objective,
    spelling: Spelling,
    accept: RowAccept,
    workers: int | None,
    timeout: float,
    retries: int,
) -> HostObjective:
    """The objective as a function of rows of symbols."""
    return HostObjective(
        measured
        if made.score is measured
        else (RowScores if made.together else RowScore)(spelling, made.score),
        spelling.canonical,
        workers,
        timeout,
        accept,
        retries,
        batch_size=made.batch_size if made.together else 1,
        base_is_canonical=True,
        hint=made.hint,
    )


def _options(made: Objective, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of ``molecules`` as a run records them; some only where they differ from their
    defaults, and functions not at all."""
    stated = {name: given[name] for name in _RECORDED}
    command = given["command"]
    paths = [name for name in ("data", "model") if given[name] not in (None, ZINC_NAME)]
    stated["objective"] = "penalized_logp" if command is not None else made.record
    stated["command"] = None if command is None else made.name.removeprefix("command ")
    stated |= {name: os.path.abspath(given[name]) for name in paths}
    for name, default in _RECORDED_IF_GIVEN.items():
        if given[name] != default:
            value = given[name]
            stated[name] = list(value) if isinstance(value, tuple) else value
    return stated


def _stated(
    made: Objective, max_heavy_atoms: int | None, filters: MoleculeFilter
) -> dict[str, str | int]:
    """Facts for every table; a score without a bound has a caution among them."""
    stated: dict[str, str | int] = {
        "objective": made.name,
        "max_heavy_atoms": "none" if max_heavy_atoms is None else max_heavy_atoms,
    }
    limited = max_heavy_atoms is not None or any(
        one is not None and one.limits_size for one in (filters, made.filter)
    )
    if made.grows and not limited:
        stated["caution"] = f"{made.grows} grows with a molecule's size, which has no limit"
        _warn_once(
            f"{stated['caution']}: the search will find large molecules, not good ones; give "
            "max_heavy_atoms (--max-heavy-atoms) or max_weight, and compare scores at equal limits"
        )
    return stated


@cache
def _warn_once(text: str) -> None:
    _logger.warning(text)


def _tests(
    filters: MoleculeFilter, of_objective: MoleculeFilter | None, accept: AcceptMolecule | None
) -> tuple[AcceptMolecule, ...]:
    """The tests that there are, the library's before the user's."""
    tests: list[AcceptMolecule] = [filters] if filters.conditions else []
    return (*tests, *(test for test in (of_objective, accept) if test is not None))


def _within_size(vocabulary: Vocabulary, max_heavy_atoms: int | None) -> Accept | None:
    """The size limit in JAX, on rows of symbols."""
    if max_heavy_atoms is None:
        return None
    atoms = atoms_of_symbols(vocabulary)
    return lambda rows: jnp.asarray(atoms)[rows].sum(-1) <= max_heavy_atoms


def _check_limit(max_heavy_atoms: int | None) -> None:
    if max_heavy_atoms is not None and max_heavy_atoms < 1:
        raise ValueError(f"max_heavy_atoms must be at least 1, got {max_heavy_atoms}")


def _reading(data: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """How the file is read, once that and the size limit are checked."""
    _check_limit(given["max_heavy_atoms"])
    reading = {name: given[name] for name in _READING}
    _check_data(data, reading)
    return {**reading, "minimize": given["minimize"]}


def _check_data(data: str | None, reading: dict[str, Any]) -> None:
    check_replicates(reading["replicates"])
    changed = {name: value for name, value in reading.items() if value != _READING[name]}
    if data is None and changed:
        said = " and ".join(f"{name} = {value!r}" for name, value in changed.items())
        raise ValueError(f"{said} say how a table is read: give it as data")
    if data == ZINC_NAME:
        zinc_file()  # it says how to install it
    elif data is not None and not os.path.exists(data):
        raise FileNotFoundError(f"data = {str(data)!r}: there is no such file")
    elif data is not None and os.path.isdir(data):
        raise ValueError(f"data = {str(data)!r} is a folder: give a file of molecules")


def _load_model(model: str | None) -> MoleculeModel:
    """The model of a file, or the model that comes with the package."""
    if model is None and not SHIPPED.exists():
        raise FileNotFoundError(
            "this version of wrlso comes without a model of molecules: train one with 'wrlso train "
            "molecules --data FILE --out MODEL', and give it as model (--model MODEL)"
        )
    return load_model(model or SHIPPED)
