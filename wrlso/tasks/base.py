"""What a task is: data, a model, an objective, and the protocol's defaults."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wrlso.bo import BOConfig
from wrlso.data import Dataset
from wrlso.elbo import BetaSchedule, constant_beta
from wrlso.identity import Identity
from wrlso.propose import Objective
from wrlso.retrain import RetrainConfig
from wrlso.vae import VAE


@dataclass(frozen=True)
class PretrainConfig:
    """How a task's model is trained before any run, once, unweighted.

    Attributes:
      epochs: passes over the data.
      batch_size: objects a step.
      learning_rate: Adam's.
      beta: factor of the KL, a number or, as ``wrlso.elbo.geometric_beta``, a function of the step.
      seed: of the initial parameters and the minibatches.
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 1e-3
    beta: float | BetaSchedule = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(
                f"pretraining needs at least 1 epoch and batches of at least 1, got epochs = "
                f"{self.epochs}, batch_size = {self.batch_size}"
            )
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"pretrain seed must be in [0, 2^31), got {self.seed}")

    @property
    def beta_at(self) -> BetaSchedule:
        """beta as a function of the step."""
        return self.beta if callable(self.beta) else constant_beta(self.beta)


@dataclass(frozen=True, eq=False)
class HostObjective:
    """An objective in Python, and where it is evaluated.

    Attributes:
      score: one object as a NumPy array to its score, higher is better; may raise. A score
        that is NaN or infinite is a failure, too.
      canonical: one object to the one that stands for all spellings of the same thing, of the
        same shape; may raise where there is none. What was scored under any spelling is
        recognised, neither scored nor charged again; and the data keep this spelling. None
        if objects differ wherever their arrays do.
      workers: processes that evaluate side by side; 0: one after the other in this process;
        None: one a core. A crash in a worker loses one object.
      timeout: seconds for one object, in worker processes only; None: no limit.
    """

    score: Callable[[np.ndarray], float]
    canonical: Callable[[np.ndarray], np.ndarray] | None = None
    workers: int | None = 0
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"timeout must be positive seconds or None, got {self.timeout:g}")
        if self.workers is not None and self.workers < 0:
            raise ValueError(f"workers must be 0, positive or None, got {self.workers}")
        if self.timeout is not None and self.workers == 0:
            raise ValueError(
                f"workers = 0 evaluates in this process, which no timeout can end: give workers = "
                f"1 or more, or timeout = None (it is {self.timeout:g} s)"
            )


@dataclass(frozen=True, eq=False)
class Task:
    """A black box to optimise in the latent space of a model.

    Attributes:
      name: as on the command line.
      summary: one line for ``wrlso tasks``.
      vae: the generative model.
      load_data: the base data set; called once a run.
      objective: objects to scores, higher is better, in JAX.
      host_objective: instead of ``objective``: one object as a NumPy array to its
        score, any Python function; may raise. Exactly one of the two is given. A
        :class:`HostObjective` says more, such as how many processes evaluate.
      soft_objective: ``objective`` on the model's soft objects, differentiable, for
        the proposers that climb it; None if it has no such form.
      identity: objects to integer arrays that are equal where two objects are the same thing
        (see ``wrlso.identity.Identity``), in JAX; None if objects differ wherever they are not
        equal. What was scored is not asked for again under another spelling.
      pretrain: how the model is pretrained, or None if ``params`` are given.
      params: pretrained parameters, or None to pretrain (cached).
      retrain: the protocol's retraining.
      proposer: default proposer.
      bo: settings of proposer ``bo``, such as the surrogate's kind and data.
      version: of data, model and pretraining together; part of the cache's key.
      options: what distinguishes this instance of the task, for the run's record.
      stated: what every table must say of the task, by name, such as a size limit without which
        scores mean nothing.
      to_text: one object in storage form to a line of text, for tables.
      to_images: storage form to pictures in [0, 1], ``[B, H, W]`` grey or ``[B, H, W, 3]``, for
        the figures.
    """

    name: str
    summary: str
    vae: VAE
    load_data: Callable[[], Dataset]
    retrain: RetrainConfig = field(default_factory=RetrainConfig)
    objective: Objective | None = None
    host_objective: Callable[[np.ndarray], float] | HostObjective | None = None
    soft_objective: Objective | None = None
    identity: Identity | None = None
    pretrain: PretrainConfig | None = None
    params: Any = None
    proposer: str = "bo"
    bo: BOConfig = field(default_factory=BOConfig)
    version: str = "1"
    options: Mapping[str, Any] = field(default_factory=dict)
    stated: Mapping[str, Any] = field(default_factory=dict)
    to_text: Callable[[np.ndarray], str] | None = None
    to_images: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        if (self.objective is None) == (self.host_objective is None):
            raise ValueError(
                f"task {self.name!r} needs exactly one of objective (in JAX) and host_objective"
            )
