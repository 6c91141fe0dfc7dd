"""One method on one task, and the state that one seed carries from query to query."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import PRNGKeyArray

from wrlso.data import Dataset, History, empty_history
from wrlso.fingerprint import DedupKey
from wrlso.loop.retraining import TRAINING_NUMBERS, RetrainConfig
from wrlso.models.sampling import prng_key
from wrlso.models.vae import VAE, object_like
from wrlso.proposers.base import Proposer
from wrlso.scores import Direction
from wrlso.scores.checks import check_kind
from wrlso.weighting.checks import check_rate
from wrlso.weighting.registry import Weighting

Hyper = Mapping[str, ArrayLike]
"""Traced numbers by name: those of the weighting, ``learning_rate`` and ``beta``."""

Accept = Callable[[Array], Array]
"""A test in JAX: ``objects [q, ...] -> [q]`` booleans, false for objects not to be evaluated."""

RETRAIN, FIT = -1, 2**31 - 2
"""Stand in for the number of an ask in :func:`query_key`. Further fits of a round are
``FIT - 1, FIT - 2, ...``."""


class State(NamedTuple):
    """All that one seed carries on.

    Attributes:
      params: the model's parameters.
      history: the seed's charged queries.
      memory: the proposer's memory, such as hyperparameters that the next fit starts from.
    """

    params: Any
    history: History
    memory: Any = ()


@dataclass(frozen=True, eq=False)
class Algorithm:
    """One method on one task with every setting resolved; pure functions close over it.

    ``wrlso.algorithm(task, method)`` makes one. All of it is static.

    Attributes:
      vae: the generative model.
      weighting: from scores to training weights.
      proposer: chooses the latent points.
      retraining: epochs, batch size, optimizer and rates of each retraining.
      budget: maximum number of charged queries per seed.
      retrain_every: r, the charged queries per round, at most the budget. Where the model is not
        retrained, the surrogate is fitted anew every r queries.
      retrain_after_first: false for methods that train the model once, before the first query.
      current_only: true for methods whose weighting counts only the queries of the last round. A
        pass is then one over these r queries, and the first round has none.
      dedup_key: tells which objects are two spellings of one thing; None: only equal objects are.
      accept: ``objects [q, ...]`` to booleans ``[q]``, false for objects that are neither evaluated
        nor charged; None: all are accepted.
      hyper: default values of the weighting's traced numbers, such as ``{"k": 1e-3}``. Other names
        are refused, unless this is empty.
      direction: which of the task's scores are better; base data of the other are refused.
    """

    vae: VAE
    weighting: Weighting
    proposer: Proposer
    retraining: RetrainConfig
    budget: int
    retrain_every: int
    retrain_after_first: bool = True
    current_only: bool = False
    dedup_key: DedupKey | None = None
    accept: Accept | None = None
    hyper: Mapping[str, float] = field(default_factory=dict)
    direction: Direction = Direction.MAXIMIZE

    @property
    def rounds(self) -> int:
        """Number of rounds that the budget takes if every proposal is new."""
        return math.ceil(self.budget / self.retrain_every)

    @property
    def asks(self) -> int:
        """Number of asks per round."""
        return math.ceil(self.retrain_every / self.proposer.batch)

    def steps(self, round: int, rows: int) -> int:
        """Number of training steps of a round's retraining on ``rows`` rows of data."""
        if round > 0 and not self.retrain_after_first:
            return 0
        config = self.retraining
        epochs = config.first_epochs if round == 0 else config.epochs
        if self.current_only:
            rows = 0 if round == 0 else self.retrain_every
            return math.ceil(epochs * rows / config.batch_size)
        stated = config.first_steps if round == 0 else config.steps
        if stated is not None:
            return stated
        steps = math.ceil(epochs * rows / config.batch_size)
        return max(steps, config.min_steps) if epochs > 0 else 0

    def numbers(self, hyper: Hyper | None = None) -> dict[str, ArrayLike]:
        """The traced numbers of a retraining: the defaults, replaced by those in ``hyper``.

        Raises:
          TypeError: if ``hyper`` is no mapping.
          ValueError: if ``hyper`` has a name that the weighting does not know, or a concrete rate
            that is negative or not finite.
        """
        if hyper is not None:
            check_kind("hyper", hyper, Mapping, "{'k': 1e-3}")
        given = dict(hyper or {})
        known = {*TRAINING_NUMBERS, *self.hyper}
        unknown = sorted(given.keys() - known) if self.hyper else []
        if unknown:
            raise ValueError(
                f"hyper has no {unknown[0]!r}; the names are: {', '.join(sorted(known))}"
            )
        for name in TRAINING_NUMBERS:
            check_rate(name, given.get(name, 0))
        rates = {name: getattr(self.retraining, name) for name in TRAINING_NUMBERS}
        return {**rates, **self.hyper, **given}


def check_algorithm(algorithm: Any) -> None:
    """Refuse what is no algorithm, such as a task.

    Raises:
      TypeError: with the remedy.
    """
    check_kind("algorithm", algorithm, Algorithm, "wrlso.algorithm(task, method)")


def init(algorithm: Algorithm, params: Any, base: Dataset, capacity: int | None = None) -> State:
    """A seed's state before its first retraining: ``params`` and an empty history.

    Args:
      algorithm: the method on its task (static).
      params: the pretrained parameters.
      base: the base data.
      capacity: number of queries that the history has room for. None: the budget.

    Raises:
      TypeError: if algorithm or base data are of another kind.
      ValueError: if the model decodes to other objects than those of the base data, also under
        ``jit``.
    """
    check_algorithm(algorithm)
    check_kind("base", base, Dataset, "the dataset of wrlso.base_data(task)")
    like, kept = object_like(algorithm.vae), base.objects
    if (like.shape, np.dtype(like.dtype)) != (kept.shape[1:], np.dtype(kept.dtype)):
        raise ValueError(
            f"the model decodes to {like.dtype}{list(like.shape)}, but the objects of the base "
            f"data are {kept.dtype}{list(kept.shape[1:])}: equal objects are recognised bit by "
            "bit, so give both the same form"
        )
    capacity = algorithm.budget if capacity is None else capacity
    history = empty_history(capacity, base.objects[0], algorithm.vae.latent_dim)
    return State(params, history, algorithm.proposer.memory)


def query_key(seed: ArrayLike, round: ArrayLike, ask: ArrayLike) -> PRNGKeyArray:
    """The key of one ask; ``RETRAIN`` and ``FIT`` stand for the round's retraining and fit.

    Any query of any run can be computed again from its seed, round and ask alone.
    """
    key = jax.random.fold_in(prng_key(seed), round)
    return jax.random.fold_in(key, jnp.asarray(ask, jnp.int32) + 1)
