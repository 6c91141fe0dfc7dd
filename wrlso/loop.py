"""Algorithm 1 of the paper as five pure functions: init, retrain, fit, ask, tell.

They are written for one seed; ``parallel`` runs them for many. The same five
serve an objective written in JAX, when everything stays in one compiled
program (:func:`simulate`), and an objective on the host, which scores the
candidates between ``ask`` and ``tell``.

Every random number comes from ``fold_in`` of seed, round and ask, so any query
of any run can be computed again on its own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from wrlso import retrain as retraining
from wrlso.candidates import Candidates, Shared, choose, no_candidates
from wrlso.data import Acquired, Dataset, Status, append, empty_acquired, remember
from wrlso.identity import Identity, fingerprint
from wrlso.propose import Objective, Proposer, Told, View, decode_all, evaluate
from wrlso.retrain import RetrainConfig, RetrainInfo
from wrlso.vae import VAE
from wrlso.weighting import Weighting

Hyper = Mapping[str, ArrayLike]

RETRAIN, FIT = -1, 2**31 - 2
"""Instead of an ask's number in :func:`query_key`; further fits of a round are ``FIT - 1, ...``."""


class State(NamedTuple):
    """What one seed carries on: its model's parameters, its queries, and its proposer's
    memory, such as hyperparameters to start the next fit from."""

    params: Any
    acquired: Acquired
    memory: Any = ()


@dataclass(frozen=True, eq=False)
class Algorithm:
    """One method on one task: everything static, as pure functions close over it."""

    vae: VAE
    weighting: Weighting
    proposer: Proposer
    config: RetrainConfig
    budget: int
    retrain_every: int
    """r: charged queries between retrainings, at most the budget; where the model is not retrained,
    between fits of the surrogate."""
    retrain_after_first: bool = True
    """False for the methods that never retrain once queries have begun."""
    current_only: bool = False
    """True for the methods whose weighting counts the last round's r queries only: a pass is one
    over these, and before them there is none."""
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
        if self.current_only:
            rows = 0 if round == 0 else self.retrain_every
            return math.ceil(epochs * rows / self.config.batch_size)
        steps = math.ceil(epochs * rows / self.config.batch_size)
        return max(steps, self.config.least_steps) if epochs > 0 else 0


def init(algorithm: Algorithm, params: Any, base: Dataset) -> State:
    """A seed's state before its first retraining: ``params``, and room for a budget of queries of
    objects like the base data's."""
    buffer = empty_acquired(algorithm.budget, base.objects[0], algorithm.vae.latent_dim)
    return State(params, buffer, algorithm.proposer.memory)


def retrain(
    algorithm: Algorithm, key: Array, state: State, shared: Shared, steps: ArrayLike, hyper: Hyper
) -> tuple[State, RetrainInfo]:
    """Line 3: train the model on all data, weighted by score.

    Returns:
      The state with the new parameters, and what became of the training.
    """
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
    """Lines 4 and 5: encode data and fit the surrogate, which lasts until the next retraining.

    Returns:
      The state with the proposer's new memory, and the surrogate.
    """
    memory, surrogate = algorithm.proposer.fit(key, _view(state, shared), state.memory)
    return state._replace(memory=memory), surrogate


def ask(
    algorithm: Algorithm,
    key: Array,
    state: State,
    surrogate: Any,
    shared: Shared,
    limit: ArrayLike | None = None,
) -> Candidates:
    """Lines 6 and 7: optimise the surrogate and decode the points found.

    Args:
      algorithm: the method on its task (static).
      key: typed PRNG key of this ask.
      state: the seed's state.
      surrogate: as fitted, and told of earlier queries.
      shared: from :func:`wrlso.candidates.share`.
      limit: charged queries that the seed may have had after this batch, such as those when the
        round began and r more; None: the budget. Places beyond are UNUSED.
    """
    limit = algorithm.budget if limit is None else limit
    room = jnp.asarray(limit, jnp.int32) - state.acquired.used
    # Only a batch's shapes are needed where there is nothing to ask for.
    return lax.cond(
        room > 0,
        lambda: _search(algorithm, key, state, surrogate, shared, room),
        lambda: no_candidates(
            state.acquired,
            shared.base,
            batch=algorithm.proposer.batch,
            lessons=algorithm.proposer.lessons,
        ),
    )


def _search(
    algorithm: Algorithm, key: Array, state: State, surrogate: Any, shared: Shared, room: Array
) -> Candidates:
    latents, objects = algorithm.proposer.propose(key, _view(state, shared), surrogate)
    batch, lessons = algorithm.proposer.batch, algorithm.proposer.lessons
    if len(latents) < max(batch, lessons):
        raise ValueError(
            f"proposer {algorithm.proposer.name!r} gave a pool of {len(latents)} points, fewer "
            f"than batch = {batch} or lessons = {lessons}"
        )
    among = partial(
        choose,
        acquired=state.acquired,
        shared=shared,
        room=room,
        batch=batch,
        lessons=lessons,
        identity=algorithm.identity,
        valid=algorithm.vae.valid,
    )
    if objects is not None:
        return among(latents, objects)
    decode = partial(decode_all, algorithm.vae, state.params)
    n = algorithm.proposer.likely or len(latents)
    if n < max(batch, lessons):
        raise ValueError(
            f"proposer {algorithm.proposer.name!r} decodes likely = {n} points first, fewer than "
            f"batch = {batch} or lessons = {lessons}"
        )
    likely = decode(latents[:n])
    found = among(latents[:n], likely)
    if n >= len(latents):
        return found

    def among_all() -> Candidates:
        return among(latents, jnp.concatenate([likely, decode(latents[n:])]))

    return lax.cond((found.status == Status.DUPLICATE).any(), among_all, lambda: found)


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
      scores: ``[q]``; what is not finite is recorded as a failure. The score of a DUPLICATE is
        learnt by the surrogate only: -inf where it failed before, NaN where nothing is known.
      status: ``[q]``, the candidates' status as the evaluation left it.
      round: in which they were asked for.

    Returns:
      The new state and surrogate, which also learns the candidates' lessons.
    """
    scores = jnp.asarray(scores, jnp.float32)
    status = settle(scores, status)
    duplicate = status == Status.DUPLICATE
    # What was known when it was chosen is among the lessons; here, only what the evaluation found.
    another = duplicate & (candidates.status != Status.DUPLICATE)
    uncharged = duplicate | (status == Status.UNUSED)
    failed = ~uncharged & (status != Status.OK) | another & jnp.isneginf(scores)
    scores = jnp.where(jnp.isfinite(scores), scores, jnp.nan)
    learnt = jnp.where((status == Status.OK) | another, scores, jnp.nan)
    scores = jnp.where(status == Status.OK, scores, jnp.nan)
    acquired = append(
        state.acquired,
        candidates.objects,
        candidates.latents,
        scores,
        status,
        fingerprint(candidates.objects, algorithm.identity),
        candidates.decoded,
        ~uncharged,
        round,
    )
    spelled = another & (jnp.isfinite(learnt) | failed)
    again = remember(acquired.again, candidates.prints, learnt, spelled)
    acquired = acquired._replace(again=again)
    new = Told(candidates.latents, learnt, failed)
    told = jax.tree.map(lambda *parts: jnp.concatenate(parts), candidates.lessons, new)
    return state._replace(acquired=acquired), algorithm.proposer.observe(surrogate, told)


def _view(state: State, shared: Shared) -> View:
    return View(state.params, state.acquired, shared.base, shared.distinct)


def score(objective: Objective, candidates: Candidates) -> tuple[Array, Array]:
    """Scores ``[q]``, NaN where there is nothing to score, and status ``[q]``, of an objective in
    JAX."""
    scores = evaluate(objective, candidates.objects)
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
    The number of asks is fixed: a seed whose model repeats itself ends with
    fewer charged queries than the budget, where ``wrlso.run`` would ask again.

    Args:
      algorithm: the method on its task (static).
      objective: ``objects [q, ...] -> scores [q]``, in JAX.
      seed: integer.
      params: the pretrained parameters.
      shared: from :func:`wrlso.candidates.share`.
      hyper: traced numbers of the weighting, such as ``{"k": 1e-3}``; ``learning_rate`` and
        ``beta`` where they are not the algorithm's.

    Returns:
      The final state; ``state.acquired`` holds the queries in order.
    """
    n = shared.base.scores.shape[0]
    first = algorithm.steps(0, n)
    later = jnp.array([algorithm.steps(1, n + used) for used in range(algorithm.budget + 1)])

    def one_ask(
        round: Array, limit: Array, carry: tuple[State, Any], key: Array
    ) -> tuple[tuple[State, Any], None]:
        candidates = ask(algorithm, key, *carry, shared, limit)
        scores, status = score(objective, candidates)
        return tell(algorithm, *carry, candidates, scores, status, round), None

    def one_round(state: State, round: Array) -> tuple[State, None]:
        steps = jnp.where(round == 0, first, later[state.acquired.used])
        key = query_key(seed, round, RETRAIN)
        state, _ = retrain(algorithm, key, state, shared, steps, hyper)
        state, surrogate = fit(algorithm, query_key(seed, round, FIT), state, shared)
        limit = jnp.minimum(state.acquired.used + algorithm.retrain_every, algorithm.budget)
        keys = jax.vmap(lambda i: query_key(seed, round, i))(jnp.arange(algorithm.asks))
        (state, _), _ = lax.scan(partial(one_ask, round, limit), (state, surrogate), keys)
        return state, None

    start = init(algorithm, params, shared.base)
    state, _ = lax.scan(one_round, start, jnp.arange(algorithm.rounds))
    return state
