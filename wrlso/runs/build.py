"""From the names in a run's configuration to the things they name."""

import hashlib

import jax
import numpy as np

from wrlso import propose
from wrlso.data import Dataset
from wrlso.loop import Algorithm
from wrlso.propose import Proposer
from wrlso.runs.config import RunConfig
from wrlso.runs.pretrained import data_digest
from wrlso.tasks import TASKS
from wrlso.tasks.base import Task
from wrlso.weighting import WEIGHTINGS

PROPOSERS = ("grid", "prior")
"""Names of the proposers."""


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
    retrain_every = config.retrain_every or config.budget
    return Algorithm(
        vae=task.vae,
        weighting=WEIGHTINGS[config.weighting],
        proposer=_make_proposer(task, config.proposer, retrain_every),
        config=task.retrain,
        budget=config.budget,
        retrain_every=retrain_every,
        retrain_after_first=config.retrain_every is not None,
    )


def _make_proposer(task: Task, name: str, batch: int) -> Proposer:
    if name == "grid":
        if task.objective is None:
            raise ValueError(
                "proposer 'grid' reads the objective inside jit, but the objective of task "
                f"{task.name!r} runs on the host: choose 'prior'"
            )
        return propose.grid(task.vae, task.objective, batch)
    if name == "prior":
        return propose.prior(task.vae, batch)
    raise ValueError(f"unknown proposer {name!r}; there are: {', '.join(PROPOSERS)}")


def task_digest(task: Task, base: Dataset) -> str:
    """What a run's queries depend on besides its configuration, as far as data can tell."""
    digest = hashlib.sha256(repr((task.name, sorted(task.options.items()))).encode())
    digest.update(data_digest(base).encode())
    for leaf in jax.tree.leaves(task.params):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()[:16]
