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
from wrlso.data import (
    Acquired,
    Dataset,
    Status,
    append,
    empty_acquired,
    in_use,
    remember,
)
from wrlso.identity import (
    Fingerprints,
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
"""Instead of an ask's number in :func:`query_key`; further fits of a round are ``FIT - 1, ...``."""


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
    decode to objects that were scored before. ``decoded``: fingerprints of the objects as decoded,
    which stay as they are where the evaluation puts another spelling in an object's place.

    Rows with status OK are to be scored; INVALID ones are charged without being
    scored; DUPLICATE and UNUSED ones are neither.
    """

    latents: Array
    objects: Array
    status: Array
    lessons: Told
    decoded: Fingerprints


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
      shared: from :func:`share`.
      limit: charged queries that the seed may have had after this batch, such as those when the
        round began and r more; None: the budget. Places beyond are UNUSED.
    """
    limit = algorithm.budget if limit is None else limit
    room = jnp.asarray(limit, jnp.int32) - state.acquired.used
    # Only a batch's shapes are needed where there is nothing to ask for.
    return lax.cond(
        room > 0,
        lambda: _search(algorithm, key, state, surrogate, shared, room),
        lambda: _no_candidates(algorithm, state.acquired, shared.base),
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
    if objects is not None:
        return _choose(algorithm, latents, objects, state, shared, room)
    decode = partial(decode_all, algorithm.vae, state.params)
    n = algorithm.proposer.likely or len(latents)
    likely = decode(latents[:n])
    found = _choose(algorithm, latents[:n], likely, state, shared, room)
    if n >= len(latents):
        return found

    def among_all() -> Candidates:
        objects = jnp.concatenate([likely, decode(latents[n:])])
        return _choose(algorithm, latents, objects, state, shared, room)

    return lax.cond((found.status == Status.DUPLICATE).any(), among_all, lambda: found)


def _choose(
    algorithm: Algorithm,
    latents: Array,
    objects: Array,
    state: State,
    shared: Shared,
    room: Array,
) -> Candidates:
    """The first points whose objects are new, and what those before them teach."""
    own, own_scores = _own(state.acquired)
    rows, fresh, (in_base, in_own) = first_fresh(
        fingerprint(objects, algorithm.identity), [shared.known, own], algorithm.proposer.batch
    )
    score = jnp.where(in_own >= 0, own_scores[in_own], jnp.nan)
    score = jnp.where(in_base >= 0, shared.base.scores[in_base], score)
    known = ((in_base >= 0) | (in_own >= 0)) & (jnp.arange(len(latents)) <= rows.max())
    lessons = _lessons(algorithm, latents, known, score)
    latents, objects = latents[rows], objects[rows]
    valid = True if algorithm.vae.valid is None else algorithm.vae.valid(objects)
    status = jnp.where(valid, Status.OK, Status.INVALID)
    status = jnp.where(fresh, status, Status.DUPLICATE)
    status = jnp.where(jnp.arange(len(rows)) < room, status, Status.UNUSED)
    return Candidates(latents, objects, status.astype(jnp.int32), lessons, fingerprint(objects))


def _no_candidates(algorithm: Algorithm, acquired: Acquired, base: Dataset) -> Candidates:
    def like(rows: Array, n: int) -> Array:
        return jnp.zeros((n, *rows.shape[1:]), rows.dtype)

    batch, lessons = algorithm.proposer.batch, algorithm.proposer.lessons
    return Candidates(
        like(acquired.latents, batch),
        like(base.objects, batch),
        jnp.full(batch, int(Status.UNUSED), jnp.int32),
        Told(
            like(acquired.latents, lessons),
            jnp.full(lessons, jnp.nan, base.scores.dtype),
            jnp.zeros(lessons, bool),
        ),
        jax.tree.map(lambda words: like(words, batch), acquired.decoded),
    )


def _own(acquired: Acquired) -> tuple[Known, Array]:
    """All spellings that a seed has asked for, and what they score: NaN for a failure."""
    again = acquired.again
    parts = zip(acquired.prints, acquired.decoded, again.prints, strict=True)
    asked = in_use(acquired)
    mask = jnp.concatenate([asked, asked, jnp.arange(len(again.scores)) < again.used])
    known = sort_fingerprints(Fingerprints(*map(jnp.concatenate, parts)), mask)
    return known, jnp.concatenate([acquired.scores, acquired.scores, again.scores])


def _lessons(algorithm: Algorithm, latents: Array, known: Array, score: Array) -> Told:
    """The first points of a pool that decode to what is ``known``."""
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
    uncharged = duplicate | (status == Status.UNUSED)
    failed = ~uncharged & (status != Status.OK) | duplicate & jnp.isneginf(scores)
    scores = jnp.where(jnp.isfinite(scores), scores, jnp.nan)
    learnt = jnp.where((status == Status.OK) | duplicate, scores, jnp.nan)
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
    spelled = duplicate & (jnp.isfinite(learnt) | failed)
    again = remember(acquired.again, candidates.decoded, learnt, spelled)
    acquired = acquired._replace(again=again)
    new = Told(candidates.latents, learnt, failed)
    told = jax.tree.map(lambda *parts: jnp.concatenate(parts), candidates.lessons, new)
    return state._replace(acquired=acquired), algorithm.proposer.observe(surrogate, told)


def _view(state: State, shared: Shared) -> View:
    return View(state.params, state.acquired, shared.base, shared.distinct)


def score(objective: Objective, candidates: Candidates) -> tuple[Array, Array]:
    """Scores ``[q]``, NaN where there is nothing to score, and status ``[q]``, of an objective in
    JAX."""
    scores = objective(candidates.objects).astype(jnp.float32)
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
      shared: from :func:`share`.
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
