"""The task: data, a model, an objective, and the defaults of the protocol."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wrlso.data import Dataset
from wrlso.evaluation.objective import HostObjective, measured
from wrlso.fingerprint import DedupKey
from wrlso.loop.algorithm import Accept
from wrlso.loop.retraining import RetrainConfig
from wrlso.models.elbo import BetaSchedule, constant_beta
from wrlso.models.sampling import prng_key
from wrlso.models.vae import VAE, object_like
from wrlso.proposers.bo_config import BOConfig
from wrlso.scores import Direction, Objective, negative, negative_on_host
from wrlso.scores.checks import (
    all_plain,
    as_whole,
    check_function,
    check_kind,
    keep_numbers,
    keep_whole,
)
from wrlso.storage.tensors import load_tree
from wrlso.weighting.checks import check_rate


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of the pretraining of a task's model: once, before any run, unweighted, with Adam.

    Attributes:
      epochs: number of passes over the data.
      batch_size: number of objects per step.
      learning_rate: learning rate of Adam.
      beta: factor of the KL divergence: a number, or a function of the step such as
        ``wrlso.models.elbo.geometric_beta``.
      seed: seed of the initial parameters and the minibatches.

    Raises:
      ValueError: if a number is out of range or not whole.
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 1e-3
    beta: float | BetaSchedule = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "seed"):
            whole = as_whole(f"{name} of the pretraining", getattr(self, name))
            object.__setattr__(self, name, whole)
        rates = ["learning_rate"] if callable(self.beta) else ["learning_rate", "beta"]
        keep_numbers(self, *rates, of=" of the pretraining")
        for name in rates:
            check_rate(f"{name} of the pretraining", getattr(self, name))
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


_FUNCTIONS = (
    "objective", "soft_objective", "dedup_key", "accept", "to_text", "from_text", "to_images",
)  # fmt: skip
"""Names of functions that a task may have."""


@dataclass(frozen=True, eq=False)
class Task:
    """A black box to optimise in the latent space of a model.

    Attributes:
      name: name of the task, as on the command line.
      vae: the generative model.
      load_data: function that returns the base data; it is called once per run.
      objective: JAX function from objects to scores; higher is better, unless ``minimize``.
      host_objective: Python function from one object, as a NumPy array, to its score; it may raise.
        A :class:`HostObjective` also states how it is evaluated, such as the number of processes.
        With neither, or with :func:`wrlso.tasks.measured`, people measure the scores: see
        ``wrlso.open``.
      minimize: lower scores are better. Data, objectives and a penalty have the user's sign, and so
        have logs, tables and figures; inside the loop scores are negated.
      soft_objective: ``objective`` as a differentiable function of the model's soft objects, for
        the proposers that follow its gradient; None if it has no such form.
      dedup_key: JAX function from objects to integer arrays (:data:`wrlso.fingerprint.DedupKey`).
        Two objects with equal arrays are two spellings of the same object: if one was scored, the
        other is a duplicate. None: only equal objects are the same.
      accept: JAX function from objects ``[q, ...]`` to booleans ``[q]``: false for objects that are
        neither evaluated nor charged, such as molecules that are too large. They are passed over
        while candidates are chosen, at no cost. ``HostObjective.accept`` is the same in Python.
      pretrain: settings of the pretraining; None if ``params`` are given.
      params: pretrained parameters; None: the model is pretrained, and the parameters are cached.
      retrain: the retraining of the protocol.
      effective_rows: effective sample size of rank weights where the user names no k. On small
        data it is a fifth of the rows, but no less than 50. None: k is the method's.
      proposer: name of the default proposer.
      bo: settings of proposer ``bo``, such as the kind and the data of the surrogate.
      version: version of data, model and pretraining; part of the name of cached parameters.
      options: arguments of the task's factory, for the record of a run.
      stated: facts that every table shows, by name, such as a size limit without which scores are
        meaningless.
      starting: the starting data in words, such as ``scored molecules from mine.csv``.
      initial: maximum number of evaluations that ``load_data`` makes and that count towards the
        budget; 0: its evaluations are cheap, or it makes none.
      initial_spent: function of no argument, called after ``load_data``: the number of these.
      to_text: function from one object in storage form to a line of text, for tables and the log.
      from_text: the inverse of ``to_text``, for measurements that were made elsewhere; it raises
        ValueError if the text is no object.
      to_images: function from objects in storage form to pictures in [0, 1], ``[B, H, W]`` grey or
        ``[B, H, W, 3]`` in colour, for figures.

    Raises:
      TypeError: for a part of another kind.
      ValueError: if both objectives are given, or a number is out of range or not whole.
    """

    name: str
    vae: VAE
    load_data: Callable[[], Dataset]
    retrain: RetrainConfig = field(default_factory=RetrainConfig)
    objective: Objective | None = None
    host_objective: Callable[[np.ndarray], float] | HostObjective | None = None
    minimize: bool = False
    soft_objective: Objective | None = None
    dedup_key: DedupKey | None = None
    accept: Accept | None = None
    pretrain: PretrainConfig | None = None
    params: Any = None
    effective_rows: float | None = None
    proposer: str = "bo"
    bo: BOConfig = field(default_factory=BOConfig)
    version: str = "1"
    options: Mapping[str, Any] = field(default_factory=dict)
    stated: Mapping[str, Any] = field(default_factory=dict)
    starting: str = "scored objects"
    initial: int = 0
    initial_spent: Callable[[], int] = lambda: 0
    to_text: Callable[[np.ndarray], str] | None = None
    from_text: Callable[[str], np.ndarray] | None = None
    to_images: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        self._check_kinds()
        if self.objective is not None and self.host_objective is not None:
            raise ValueError(
                f"task {self.name!r} has an objective in JAX and a host_objective: give one of them"
            )
        keep_whole(self, {"initial": 0}, of=" of a task")
        if self.effective_rows is not None:
            keep_numbers(self, "effective_rows", of=" of a task")
        for name in ("options", "stated"):  # no file holds numbers of NumPy
            object.__setattr__(self, name, all_plain(getattr(self, name)))

    def _check_kinds(self) -> None:
        kinds = {"vae": VAE, "retrain": RetrainConfig, "bo": BOConfig}
        kinds |= {"pretrain": PretrainConfig} if self.pretrain is not None else {}
        for name, kind in kinds.items():
            check_kind(
                f"{name} of a task", getattr(self, name), kind, f"wrlso.{kind.__name__}(...)"
            )
        for name in ("load_data", "initial_spent", *_FUNCTIONS):
            if name not in _FUNCTIONS or getattr(self, name) is not None:
                check_function(f"{name} of a task", getattr(self, name))

    @property
    def sign(self) -> float:
        """1, or -1 if lower scores are better: a score times this is what the loop maximises."""
        return -1.0 if self.minimize else 1.0

    @property
    def direction(self) -> Direction:
        """Which scores are better."""
        return Direction.MINIMIZE if self.minimize else Direction.MAXIMIZE

    def maximized(self) -> "Task":
        """The same task as the loop sees it: higher is better in data, JAX objectives and penalty.

        ``host_objective`` stays as it is: runs turn the sign of each of its scores.
        """
        if not self.minimize:
            return self

        def load_data() -> Dataset:
            data = self.load_data()
            return data._replace(scores=negative_on_host(data.scores))

        surrogate = self.bo.surrogate
        if isinstance(surrogate.penalty, (int, float)):
            surrogate = replace(surrogate, penalty=-surrogate.penalty)
        return replace(
            self,
            minimize=False,
            load_data=load_data,
            objective=_negated(self.objective),
            soft_objective=_negated(self.soft_objective),
            bo=replace(self.bo, surrogate=surrogate),
        )

    @property
    def measured(self) -> bool:
        """Whether people measure the scores, as the task has no objective that could be called."""
        host = self.host_objective
        score = host.score if isinstance(host, HostObjective) else host
        return self.objective is None and score in (None, measured)


def _negated(objective: Objective | None) -> Objective | None:
    return None if objective is None else lambda objects: negative(objective(objects))


def shipped_params(path: Path, vae: VAE) -> Any:
    """Read parameters that come with the package, as NumPy arrays; this does not start JAX."""
    return load_tree(path, jax.eval_shape(lambda: vae.init(prng_key(0))), "install wrlso again")


def read_object(from_text: Callable[[str], np.ndarray], text: str) -> np.ndarray:
    """The object that a line of text names.

    Raises:
      ValueError: if the function raises, whatever it raises.
    """
    try:
        return from_text(text)
    except ValueError:
        raise
    except Exception as error:
        kind = type(error).__name__
        raise ValueError(f"from_text cannot read {text!r}: {kind}: {error}") from error


def describer(task: Task) -> Callable[[bytes], str] | None:
    """A function from an object in storage form to its line of text; None if the task has none.

    The line is empty if the object has no text form.
    """
    to_text, like = task.to_text, object_like(task.vae)
    if to_text is None:
        return None

    def describe(stored: bytes) -> str:
        try:
            return str(to_text(np.frombuffer(stored, like.dtype).reshape(like.shape)))
        except (Exception, SystemExit):  # an error of the user's function must not fail a run
            return ""

    return describe
