"""What a task is: data, a model, an objective, and the protocol's defaults."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wrlso.data import Dataset
from wrlso.evaluation.objective import HostObjective
from wrlso.fingerprint import DedupKey
from wrlso.loop.retraining import RetrainConfig
from wrlso.models.elbo import BetaSchedule, constant_beta
from wrlso.models.vae import VAE
from wrlso.objective import Objective
from wrlso.proposers.bayesian import BOConfig
from wrlso.storage.tensors import load_tree


@dataclass(frozen=True)
class PretrainConfig:
    """How a task's model is trained before any run: once, unweighted, with Adam.

    Attributes:
      epochs: passes over the data.
      batch_size: objects per step.
      learning_rate: of Adam.
      beta: factor of the KL divergence: a number, or a function of the step such as
        ``wrlso.models.elbo.geometric_beta``.
      seed: of the initial parameters and the minibatches.

    Raises:
      ValueError: if a number is out of range.
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
class Task:
    """A black box to optimise in the latent space of a model.

    Attributes:
      name: as on the command line.
      vae: the generative model.
      load_data: returns the base data set; called once per run.
      objective: objects to scores, higher is better, in JAX.
      host_objective: instead of ``objective``: any Python function from one object as a NumPy array
        to its score; may raise. A :class:`HostObjective` also says how it is evaluated, such as in
        how many processes. Exactly one of ``objective`` and ``host_objective`` is given.
      soft_objective: ``objective`` on the model's soft objects, differentiable, for the proposers
        that follow its gradient; None if it has no such form.
      dedup_key: objects to integer arrays, in JAX, that are equal where two objects are two
        spellings of one thing (:data:`wrlso.fingerprint.DedupKey`). An object that was scored is
        not asked for again under another spelling. None: only equal objects are the same.
      pretrain: how the model is pretrained, or None if ``params`` are given.
      params: pretrained parameters, or None to pretrain (cached).
      retrain: the protocol's retraining.
      proposer: name of the default proposer.
      bo: settings of proposer ``bo``, such as the surrogate's kind and data.
      version: of data, model and pretraining together; part of the cache's key.
      options: tells this instance of the task from others, for the run's record.
      stated: facts that every table shows, by name, such as a size limit without which scores mean
        nothing.
      to_text: one object in storage form to a line of text, for tables.
      to_images: storage form to pictures in [0, 1], ``[B, H, W]`` grey or ``[B, H, W, 3]``, for the
        figures.

    Raises:
      ValueError: if both objectives are given, or none.
    """

    name: str
    vae: VAE
    load_data: Callable[[], Dataset]
    retrain: RetrainConfig = field(default_factory=RetrainConfig)
    objective: Objective | None = None
    host_objective: Callable[[np.ndarray], float] | HostObjective | None = None
    soft_objective: Objective | None = None
    dedup_key: DedupKey | None = None
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


def shipped_params(path: Path, vae: VAE) -> Any:
    """Pretrained parameters that come with the package, as NumPy arrays; JAX is not started."""
    return load_tree(path, jax.eval_shape(lambda: vae.init(jax.random.key(0))))
