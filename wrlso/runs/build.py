"""From the names in a run's configuration to the things they name."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from wrlso import propose
from wrlso.ascent import WAYS, ascent
from wrlso.baselines import CURRENT, WEIGHTINGS
from wrlso.bo import bo
from wrlso.data import Dataset
from wrlso.loop import Algorithm
from wrlso.propose import Proposer
from wrlso.runs.config import RunConfig
from wrlso.runs.pretrained import data_digest
from wrlso.tasks import TASKS
from wrlso.tasks.base import Task

PROPOSERS = ("grid", "prior", "bo", *WAYS)
"""Names of the proposers."""

SURROGATES = ("bo", *WAYS)
"""Those that fit something to the scores: anew now and then also where the model is never
retrained."""

REFIT_EVERY = 50
"""Queries between fits where the model is never retrained: the paper's r."""


def task_of(config: RunConfig) -> Task:
    """The registered task that a configuration names.

    Raises:
      ValueError: if there is none of that name.
    """
    if config.task not in TASKS:
        raise ValueError(
            f"unknown task {config.task!r}; there are: {', '.join(TASKS)}. "
            "For a task of your own, pass it as the argument task"
        )
    return TASKS[config.task](**config.task_options)


def make_algorithm(task: Task, config: RunConfig) -> Algorithm:
    """The static part of a run.

    Raises:
      ValueError: if the weighting or proposer is unknown, or the proposer cannot
        work with the task.
    """
    if config.weighting not in WEIGHTINGS:
        raise ValueError(
            f"unknown weighting {config.weighting!r}; there are: {', '.join(WEIGHTINGS)}"
        )
    unless_retrained = REFIT_EVERY if config.proposer in SURROGATES else config.budget
    retrain_every = min(config.retrain_every or unless_retrained, config.budget)
    return Algorithm(
        vae=task.vae,
        weighting=WEIGHTINGS[config.weighting],
        proposer=_make_proposer(task, config, retrain_every),
        config=task.retrain
        if config.epochs is None
        else replace(task.retrain, first_epochs=config.epochs, epochs=config.epochs),
        budget=config.budget,
        retrain_every=retrain_every,
        retrain_after_first=config.retrain_every is not None,
        current_only=config.weighting in CURRENT,
        identity=task.identity,
    )


def _make_proposer(task: Task, config: RunConfig, retrain_every: int) -> Proposer:
    name = config.proposer
    if name not in PROPOSERS:
        raise ValueError(f"unknown proposer {name!r}; there are: {', '.join(PROPOSERS)}")
    if name == "bo":
        _refuse(config.climb, "climb", name, WAYS)
        batch = min(config.batch or 1, retrain_every)
        if retrain_every % batch:
            raise ValueError(
                f"batch = {batch} does not divide retrain_every = {retrain_every}, so the model "
                "could not be retrained in time: choose one that does"
            )
        return bo(task.vae, batch, room=retrain_every, config=task.bo)
    _refuse(config.batch, "batch", name, ("bo",))
    if name in WAYS:
        if config.climb != "objective":
            return ascent(name, task.vae, retrain_every)
        if task.soft_objective is None:
            raise ValueError(
                f"task {task.name!r} has no differentiable objective to climb: leave climb out"
            )
        return ascent(name, task.vae, retrain_every, task.soft_objective)
    _refuse(config.climb, "climb", name, WAYS)
    if name == "prior":
        return propose.prior(task.vae, retrain_every)
    if task.objective is None:
        raise ValueError(
            "proposer 'grid' ranks by an objective that is written in JAX, but that of task "
            f"{task.name!r} is a Python function: choose 'bo' or 'prior'"
        )
    return propose.grid(task.vae, task.objective, retrain_every)


def _refuse(value: Any, argument: str, proposer: str, owners: Sequence[str]) -> None:
    if value is not None:
        raise ValueError(
            f"{argument} = {value} means nothing to proposer {proposer!r}: leave it out, or choose "
            f"proposer {' or '.join(owners)}"
        )


def task_digest(task: Task, base: Dataset) -> str:
    """What a run's queries depend on besides its configuration, as far as data can tell."""
    digest = hashlib.sha256(repr((task.name, sorted(task.options.items()))).encode())
    digest.update(data_digest(base).encode())
    for leaf in jax.tree.leaves(task.params):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()[:16]
