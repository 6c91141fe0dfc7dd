"""Algorithm 1 of the paper as four pure functions: init, retrain, ask, tell.

They are written for one seed; ``parallel`` runs them for many. The same four
serve an objective written in JAX, when everything stays in one compiled
program (:func:`simulate`), and an objective on the host, which scores the
candidates between ``ask`` and ``tell``.

Every random number comes from ``fold_in`` of seed, round and ask, so any query
of any run can be computed again on its own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from wrlso import retrain as retraining
from wrlso.data import Acquired, Dataset, Status, append, empty_acquired, in_use
from wrlso.identity import Fingerprints, fingerprint, first_fresh, sort_fingerprints
from wrlso.propose import Objective, Proposer, View
from wrlso.retrain import RetrainConfig, RetrainInfo
from wrlso.vae import VAE
from wrlso.weighting import Weighting

Hyper = Mapping[str, ArrayLike]


class State(NamedTuple):
    """What one seed carries on: its model's parameters and its queries."""

    params: Any
    acquired: Acquired


class Shared(NamedTuple):
    """What all seeds read: the base data, and its fingerprints, sorted."""

    base: Dataset
    known: Fingerprints


class Candidates(NamedTuple):
    """A batch to evaluate: ``latents [q, d]``, ``objects [q, ...]`` and ``status [q]``.

    Rows with status OK are to be scored; INVALID ones are charged without being
    scored; DUPLICATE and UNUSED ones are neither.
    """

    latents: Array
    objects: Array
    status: Array


@dataclass(frozen=True, eq=False)
class Algorithm:
    """One method on one task: everything static, as pure functions close over it."""

    vae: VAE
    weighting: Weighting
    proposer: Proposer
    config: RetrainConfig
    budget: int
    retrain_every: int
    """r: queries between retrainings, at most the budget."""
    retrain_after_first: bool = True
    """False for the methods that never retrain once queries have begun."""

    @property
    def rounds(self) -> int:
        """Rounds that the budget takes if every proposal is new."""
        return math.ceil(self.budget / self.retrain_every)

    @property
    def asks(self) -> int:
        """Asks in a round."""
        return math.ceil(self.retrain_every / self.proposer.batch)

    def steps(self, round: int, rows: int) -> int:
        """Training steps of a round's retraining on ``rows`` rows of data."""
        if round > 0 and not self.retrain_after_first:
            return 0
        epochs = self.config.first_epochs if round == 0 else self.config.epochs
        return math.ceil(epochs * rows / self.config.batch_size)


def share(base: Dataset) -> Shared:
    """Prepare the base data once for all seeds."""
    return Shared(base, sort_fingerprints(fingerprint(base.objects)))


def init(algorithm: Algorithm, params: Any, base: Dataset) -> State:
    """A seed's state before its first retraining."""
    buffer = empty_acquired(algorithm.budget, base.objects[0], algorithm.vae.latent_dim)
    return State(params, buffer)


def retrain(
    algorithm: Algorithm, key: Array, state: State, shared: Shared, steps: ArrayLike, hyper: Hyper
) -> tuple[State, RetrainInfo]:
    """Line 3: train the model on all data, weighted by score."""
    params, info = retraining.retrain(
        key,
        state.params,
        state.acquired,
        shared.base,
        steps,
        hyper,
        vae=algorithm.vae,
        weighting=algorithm.weighting,
        config=algorithm.config,
    )
    return state._replace(params=params), info


def ask(algorithm: Algorithm, key: Array, state: State, shared: Shared) -> Candidates:
    """Lines 5 to 7: choose latent points and decode them."""
    acquired = state.acquired
    pool = algorithm.proposer.propose(key, View(state.params, acquired, shared.base))
    asked_before = sort_fingerprints(fingerprint(acquired.objects), in_use(acquired))
    rows, fresh = first_fresh(pool.objects, [shared.known, asked_before], algorithm.proposer.batch)
    objects = pool.objects[rows]
    valid = True if algorithm.vae.valid is None else algorithm.vae.valid(objects)
    status = jnp.where(valid, Status.OK, Status.INVALID)
    status = jnp.where(fresh, status, Status.DUPLICATE)
    room = algorithm.budget - acquired.used
    status = jnp.where(jnp.arange(len(rows)) < room, status, Status.UNUSED)
    return Candidates(pool.latents[rows], objects, status.astype(jnp.int32))


def tell(state: State, candidates: Candidates, scores: Array, status: Array) -> State:
    """Line 8: add what was evaluated to the data.

    Args:
      state: the seed's state.
      candidates: as asked.
      scores: ``[q]``; what is not finite is recorded as a failure.
      status: ``[q]``, the candidates' status as the evaluation left it.
    """
    status = settle(scores, status)
    scores = jnp.where(status == Status.OK, scores, jnp.nan).astype(jnp.float32)
    charged = (status != Status.DUPLICATE) & (status != Status.UNUSED)
    acquired = append(
        state.acquired, candidates.objects, candidates.latents, scores, status, charged
    )
    return state._replace(acquired=acquired)


def settle(scores: Array, status: Array) -> Array:
    """``[q]`` status, with FAILED for a score that is NaN or infinite."""
    return jnp.where((status == Status.OK) & ~jnp.isfinite(scores), Status.FAILED, status)


def query_key(seed: ArrayLike, round: ArrayLike, ask: ArrayLike) -> Array:
    """The key of one ask; ``ask = -1`` for the round's retraining."""
    key = jax.random.fold_in(jax.random.key(seed), round)
    return jax.random.fold_in(key, jnp.asarray(ask, jnp.int32) + 1)


def simulate(
    algorithm: Algorithm,
    objective: Objective,
    seed: ArrayLike,
    params: Any,
    shared: Shared,
    hyper: Hyper,
) -> State:
    """The whole experiment of one seed as one pure function, for an objective in JAX.

    Jit it, vmap it over seeds or over ``hyper``. Nothing is written anywhere;
    for long experiments use ``wrlso.run``, which logs every query and resumes.
    The number of rounds is fixed: a seed whose model repeats itself ends with
    fewer charged queries than the budget, where ``wrlso.run`` would go on.

    Args:
      algorithm: the method on its task (static).
      objective: ``objects [q, ...] -> scores [q]``, in JAX.
      seed: integer.
      params: the pretrained parameters.
      shared: from :func:`share`.
      hyper: traced numbers.

    Returns:
      The final state; ``state.acquired`` holds the queries in order.
    """
    n = shared.base.scores.shape[0]
    first = algorithm.steps(0, n)
    later = jnp.array([algorithm.steps(1, n + used) for used in range(algorithm.budget + 1)])

    def one_ask(state: State, key: Array) -> tuple[State, None]:
        candidates = ask(algorithm, key, state, shared)
        return tell(state, candidates, objective(candidates.objects), candidates.status), None

    def one_round(state: State, round: Array) -> tuple[State, None]:
        steps = jnp.where(round == 0, first, later[state.acquired.used])
        state, _ = retrain(algorithm, query_key(seed, round, -1), state, shared, steps, hyper)
        keys = jax.vmap(lambda i: query_key(seed, round, i))(jnp.arange(algorithm.asks))
        return lax.scan(one_ask, state, keys)

    start = init(algorithm, params, shared.base)
    state, _ = lax.scan(one_round, start, jnp.arange(algorithm.rounds))
    return state
