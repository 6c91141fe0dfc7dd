"""Algorithm 1 of the paper as five pure functions: init, retrain, fit, ask, tell.

They are written for one seed; ``parallel`` runs them for many. The same five
serve an objective written in JAX, when everything stays in one compiled
program (:func:`simulate`), and an objective on the host, which scores the
candidates between ``ask`` and ``tell``.

Every random number comes from ``fold_in`` of seed, round and ask, so any query
of any run can be computed again on its own.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from wrlso import retrain as retraining
from wrlso.data import Acquired, Dataset, Status, append, empty_acquired, in_use
from wrlso.identity import (
    Known,
    fingerprint,
    first_fresh,
    first_occurrence,
    sort_fingerprints,
)
from wrlso.propose import Objective, Proposer, Told, View, decode_all
from wrlso.retrain import RetrainConfig, RetrainInfo
from wrlso.vae import VAE
from wrlso.weighting import Weighting

Hyper = Mapping[str, ArrayLike]

Identity = Callable[[Array], Array]
"""``objects [B, ...]`` to integers ``[B, ...]`` that are equal where two objects are the same thing
in two spellings. A property of objects: it reads no score."""

RETRAIN, FIT = -1, 2**31 - 2
"""Instead of an ask's number in :func:`query_key`."""


class State(NamedTuple):
    """What one seed carries on: its model's parameters, its queries, and its proposer's
    memory, such as hyperparameters to start the next fit from."""

    params: Any
    acquired: Acquired
    memory: Any = ()


class Shared(NamedTuple):
    """What all seeds read: the base data, its fingerprints, and ``distinct [N]``, false for a
    base object that stands in an earlier row, too."""

    base: Dataset
    known: Known
    distinct: Array


class Candidates(NamedTuple):
    """A batch to evaluate: ``latents [q, d]``, ``objects [q, ...]``, ``status [q]``; and what the
    pool taught by itself, ``lessons``: points that were preferred to some of these, but
    decode to objects that were scored before.

    Rows with status OK are to be scored; INVALID ones are charged without being
    scored; DUPLICATE and UNUSED ones are neither.
    """

    latents: Array
    objects: Array
    status: Array
    lessons: Told


@dataclass(frozen=True, eq=False)
class Algorithm:
    """One method on one task: everything static, as pure functions close over it."""

    vae: VAE
    weighting: Weighting
    proposer: Proposer
    config: RetrainConfig
    budget: int
    retrain_every: int
    """r: queries between retrainings, at most the budget; where the model is not retrained,
    between fits of the surrogate."""
    retrain_after_first: bool = True
    """False for the methods that never retrain once queries have begun."""
    identity: Identity | None = None
    """When objects are the same thing; None: when they are equal."""

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
        steps = math.ceil(epochs * rows / self.config.batch_size)
        return max(steps, self.config.least_steps) if epochs > 0 else 0


def share(base: Dataset, identity: Identity | None = None) -> Shared:
    """Prepare the base data once for all seeds, with the algorithm's ``identity``."""
    prints = fingerprint(base.objects, identity)
    return Shared(base, sort_fingerprints(prints), first_occurrence(prints))


def init(algorithm: Algorithm, params: Any, base: Dataset) -> State:
    """A seed's state before its first retraining."""
    buffer = empty_acquired(algorithm.budget, base.objects[0], algorithm.vae.latent_dim)
    return State(params, buffer, algorithm.proposer.memory)


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


def fit(algorithm: Algorithm, key: Array, state: State, shared: Shared) -> tuple[State, Any]:
    """Lines 4 and 5: encode data and fit the surrogate, which lasts until the next retraining."""
    memory, surrogate = algorithm.proposer.fit(key, _view(state, shared), state.memory)
    return state._replace(memory=memory), surrogate


def ask(
    algorithm: Algorithm, key: Array, state: State, surrogate: Any, shared: Shared
) -> Candidates:
    """Lines 6 and 7: optimise the surrogate and decode the points found."""
    latents, objects = algorithm.proposer.propose(key, _view(state, shared), surrogate)
    if objects is not None:
        return _choose(algorithm, latents, objects, state, shared)
    decode = partial(decode_all, algorithm.vae, state.params)
    n = algorithm.proposer.likely
    likely = decode(latents[:n])
    found = _choose(algorithm, latents[:n], likely, state, shared)
    if n >= len(latents):
        return found

    def among_all() -> Candidates:
        objects = jnp.concatenate([likely, decode(latents[n:])])
        return _choose(algorithm, latents, objects, state, shared)

    return lax.cond((found.status == Status.DUPLICATE).any(), among_all, lambda: found)


def _choose(
    algorithm: Algorithm, latents: Array, objects: Array, state: State, shared: Shared
) -> Candidates:
    """The first points whose objects are new, and what those before them teach."""
    acquired = state.acquired
    own = sort_fingerprints(acquired.prints, in_use(acquired))
    rows, fresh, found = first_fresh(
        fingerprint(objects, algorithm.identity), [shared.known, own], algorithm.proposer.batch
    )
    lessons = _lessons(algorithm, latents, rows.max(), found, acquired, shared.base)
    latents, objects = latents[rows], objects[rows]
    valid = True if algorithm.vae.valid is None else algorithm.vae.valid(objects)
    status = jnp.where(valid, Status.OK, Status.INVALID)
    status = jnp.where(fresh, status, Status.DUPLICATE)
    room = algorithm.budget - acquired.used
    status = jnp.where(jnp.arange(len(rows)) < room, status, Status.UNUSED)
    return Candidates(latents, objects, status.astype(jnp.int32), lessons)


def _lessons(
    algorithm: Algorithm,
    latents: Array,
    last: Array,
    found: list[Array],
    acquired: Acquired,
    base: Dataset,
) -> Told:
    """The first points of a pool that decode to what is known, up to the last that is chosen."""
    in_base, in_acquired = found
    score = jnp.where(in_acquired >= 0, acquired.scores[in_acquired], jnp.nan)
    score = jnp.where(in_base >= 0, base.scores[in_base], score)
    known = (in_base >= 0) | (in_acquired >= 0)
    known &= jnp.arange(len(known)) <= last
    rows = jnp.argsort(~known, stable=True)[: algorithm.proposer.lessons]
    learnt = jnp.where(known, score, jnp.nan)[rows]
    return Told(latents[rows], learnt, (known & ~jnp.isfinite(score))[rows])


def tell(
    algorithm: Algorithm,
    state: State,
    surrogate: Any,
    candidates: Candidates,
    scores: Array,
    status: Array,
    round: ArrayLike,
) -> tuple[State, Any]:
    """Line 8: add what was evaluated to the data, and to the surrogate.

    Args:
      algorithm: the method on its task (static).
      state: the seed's state.
      surrogate: as fitted, and told of earlier queries.
      candidates: as asked.
      scores: ``[q]``; what is not finite is recorded as a failure. The score of a DUPLICATE, if
        it is finite, is learnt by the surrogate only.
      status: ``[q]``, the candidates' status as the evaluation left it.
      round: in which they were asked for.

    Returns:
      The new state and surrogate, which also learns the candidates' lessons.
    """
    status = settle(scores, status)
    scores = jnp.where(jnp.isfinite(scores), scores, jnp.nan).astype(jnp.float32)
    uncharged = (status == Status.DUPLICATE) | (status == Status.UNUSED)
    learnt = jnp.where((status == Status.OK) | (status == Status.DUPLICATE), scores, jnp.nan)
    scores = jnp.where(status == Status.OK, scores, jnp.nan)
    acquired = append(
        state.acquired,
        candidates.objects,
        candidates.latents,
        scores,
        status,
        fingerprint(candidates.objects, algorithm.identity),
        ~uncharged,
        round,
    )
    new = Told(candidates.latents, learnt, ~uncharged & (status != Status.OK))
    told = jax.tree.map(lambda *parts: jnp.concatenate(parts), candidates.lessons, new)
    return state._replace(acquired=acquired), algorithm.proposer.observe(surrogate, told)


def _view(state: State, shared: Shared) -> View:
    return View(state.params, state.acquired, shared.base, shared.distinct)


def score(objective: Objective, candidates: Candidates) -> tuple[Array, Array]:
    """Scores ``[q]``, NaN where there is nothing to score, and status ``[q]``, of an objective in
    JAX."""
    scores = objective(candidates.objects)
    scores = jnp.where(candidates.status == Status.OK, scores, jnp.nan)
    return scores, settle(scores, candidates.status)


def settle(scores: Array, status: Array) -> Array:
    """``[q]`` status, with FAILED for a score that is NaN or infinite."""
    return jnp.where((status == Status.OK) & ~jnp.isfinite(scores), Status.FAILED, status)


def query_key(seed: ArrayLike, round: ArrayLike, ask: ArrayLike) -> Array:
    """The key of one ask; ``RETRAIN`` and ``FIT`` stand for the round's retraining and fit."""
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

    def one_ask(
        round: Array, carry: tuple[State, Any], key: Array
    ) -> tuple[tuple[State, Any], None]:
        candidates = ask(algorithm, key, *carry, shared)
        scores, status = score(objective, candidates)
        return tell(algorithm, *carry, candidates, scores, status, round), None

    def one_round(state: State, round: Array) -> tuple[State, None]:
        steps = jnp.where(round == 0, first, later[state.acquired.used])
        key = query_key(seed, round, RETRAIN)
        state, _ = retrain(algorithm, key, state, shared, steps, hyper)
        state, surrogate = fit(algorithm, query_key(seed, round, FIT), state, shared)
        keys = jax.vmap(lambda i: query_key(seed, round, i))(jnp.arange(algorithm.asks))
        (state, _), _ = lax.scan(partial(one_ask, round), (state, surrogate), keys)
        return state, None

    start = init(algorithm, params, shared.base)
    state, _ = lax.scan(one_round, start, jnp.arange(algorithm.rounds))
    return state
