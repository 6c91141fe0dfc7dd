"""The steps of Algorithm 1 as pure functions of one seed: retrain, fit, ask.

The last step, ``tell``, has a module of its own. ``wrlso.parallel`` lifts all of them to many
seeds.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int, PRNGKeyArray

from wrlso.data import NO_SCORE, History
from wrlso.loop.algorithm import Algorithm, Hyper, State, check_algorithm
from wrlso.loop.candidates import BaseData, Candidates, Evaluation, choose, no_candidates
from wrlso.loop.retraining import RetrainInfo, retrain_model
from wrlso.models.vae import decode_all
from wrlso.parallel import cond_over_lanes
from wrlso.proposers.base import Observations, Prediction, View
from wrlso.proposers.checks import (
    fantasized,
    fitted,
    is_own,
    measured,
    observed,
    predicted,
    proposed,
)
from wrlso.scores import Direction, Objective, less, negative, raw_scores
from wrlso.scores.checks import check_kind
from wrlso.status import Status


def check_parts(algorithm: Any, base: Any) -> None:
    """Refuse what is no algorithm, and base data that are not prepared.

    Raises:
      TypeError: with the remedy.
    """
    check_algorithm(algorithm)
    check_kind("base", base, BaseData, "wrlso.base_data(task) or wrlso.prepare_base(data)")


def retrain(
    algorithm: Algorithm,
    key: PRNGKeyArray,
    state: State,
    base: BaseData,
    steps: ArrayLike,
    hyper: Hyper | None = None,
) -> tuple[State, RetrainInfo]:
    """Line 3: train the model on all data, weighted by score.

    Args:
      algorithm: the method on its task (static).
      key: typed PRNG key of this seed and round.
      state: the seed's state.
      base: from :func:`wrlso.prepare_base`.
      steps: number of training steps, may be traced; see ``Algorithm.steps``.
      hyper: traced numbers that replace the algorithm's defaults.

    Returns:
      The state with the new parameters, and the outcome of the training.

    Raises:
      TypeError: if algorithm, base data or ``hyper`` are of another kind.
      ValueError: if ``hyper`` has an unknown name.
    """
    check_parts(algorithm, base)
    params, info = retrain_model(
        key,
        state.params,
        state.history,
        base.dataset,
        steps,
        algorithm.numbers(hyper),
        vae=algorithm.vae,
        weighting=algorithm.weighting,
        config=algorithm.retraining,
    )
    return state._replace(params=params), info


def fit(algorithm: Algorithm, key: PRNGKeyArray, state: State, base: BaseData) -> tuple[State, Any]:
    """Lines 4 and 5: encode data and fit the surrogate, which lasts until the next retraining.

    Returns:
      The state with the proposer's new memory, and the surrogate.

    Raises:
      TypeError: if algorithm or base data are of another kind.
      ValueError: if a function of a proposer of one's own returns something else than
        :class:`wrlso.Proposer` says: ``fit``, and also ``observe``, ``fantasize`` and ``measures``,
        which are traced here, before anything is evaluated.
    """
    check_parts(algorithm, base)
    memory, surrogate = fitted(algorithm.proposer, key, view(state, base), state.memory)
    _check_functions(algorithm, surrogate, state.history, base)
    return state._replace(memory=memory), surrogate


def _check_functions(algorithm: Algorithm, surrogate: Any, history: History, base: Any) -> None:
    """Trace those functions of one's own that are called with a surrogate later."""
    proposer = algorithm.proposer
    sizes = {"batch": proposer.batch, "max_duplicates": proposer.max_duplicates}

    def observe(surrogate: Any, history: History, base: BaseData) -> Any:
        none = no_candidates(history, base, **sizes)
        scores = jnp.zeros(none.status.shape, none.duplicates.scores.dtype)
        false = jnp.zeros(none.status.shape, bool)
        parts = none.duplicates, Observations(none.latents, scores, false, false)
        both = jax.tree.map(lambda *rows: jnp.concatenate(rows), *parts)
        return observed(proposer, surrogate, both)

    def fantasize(surrogate: Any, history: History, base: BaseData) -> Any:
        return fantasized(proposer, surrogate, history.latents, history.status == Status.PENDING)

    def measures(surrogate: Any, history: History, base: BaseData) -> Any:
        return measured(proposer, surrogate)

    for call in (observe, fantasize, measures):
        if is_own(getattr(proposer, call.__name__)):
            jax.eval_shape(call, surrogate, history, base)


def measures(algorithm: Algorithm, surrogate: Any) -> Mapping[str, Array]:
    """The proposer's measures of one seed's surrogate, as it was fitted.

    Returns:
      Numbers ``[]`` by name, see ``Proposer.measures``.

    Raises:
      ValueError: if a proposer of one's own returns something else.
    """
    return measured(algorithm.proposer, surrogate)


def ask(
    algorithm: Algorithm,
    key: PRNGKeyArray,
    state: State,
    surrogate: Any,
    base: BaseData,
    limit: ArrayLike | None = None,
) -> Candidates:
    """Lines 6 and 7: optimise the surrogate and decode the points found.

    Args:
      algorithm: the method on its task (static).
      key: typed PRNG key of this ask.
      state: the seed's state.
      surrogate: from :func:`fit`, updated by every ``tell`` since.
      base: from :func:`wrlso.prepare_base`.
      limit: maximum number of charged queries of the seed after this batch. Within a round this is
        the number at its beginning plus r. None: the budget. Places beyond are UNUSED.

    Returns:
      The candidates to evaluate.

    Raises:
      TypeError: if algorithm or base data are of another kind.
      ValueError: if the proposer's pool is smaller than its batch or its ``max_duplicates``.
    """
    check_parts(algorithm, base)
    limit = algorithm.budget if limit is None else limit
    remaining = jnp.asarray(limit, jnp.int32) - state.history.used
    # A seed that may ask for nothing needs only the shapes of a batch.
    return cond_over_lanes(
        remaining > 0,
        lambda: _search(algorithm, key, state, surrogate, base, remaining),
        lambda: no_candidates(
            state.history,
            base,
            batch=algorithm.proposer.batch,
            max_duplicates=algorithm.proposer.max_duplicates,
        ),
    )


def predict(
    algorithm: Algorithm, surrogate: Any, latents: Float[Array, "q d"]
) -> Prediction | None:
    """The scores that the surrogate expects at latent points; no query depends on them.

    Args:
      algorithm: the method on its task (static).
      surrogate: from :func:`fit`, updated by every ``tell`` since.
      latents: ``[q, d]``, such as those of candidates.

    Returns:
      Means and standard deviations ``[q]`` float32, less the offset of the base data; -inf where
      either is not finite. None: the proposer has no surrogate that predicts.

    Raises:
      ValueError: if ``predict`` returns anything but means and deviations ``[q]``.
    """
    check_algorithm(algorithm)
    found = predicted(algorithm.proposer, surrogate, latents)
    if found is None:
        return None
    mean, deviation = (jnp.asarray(part, jnp.float32) for part in found)
    known = jnp.isfinite(mean) & jnp.isfinite(deviation)
    return Prediction(*(jnp.where(known, part, NO_SCORE) for part in (mean, deviation)))


def _search(
    algorithm: Algorithm,
    key: Array,
    state: State,
    surrogate: Any,
    base: BaseData,
    remaining: Array,
) -> Candidates:
    """Propose a pool and choose its first new objects, decoding no more of it than needed."""
    proposer = algorithm.proposer
    pool = proposed(proposer, key, view(state, base), surrogate)
    latents, objects = _checked(proposer.name, pool, state.history)
    _check_pool(proposer.name, "gave a pool of {} points", len(latents), proposer)
    choose_from = partial(
        choose,
        history=state.history,
        base=base,
        remaining=remaining,
        batch=proposer.batch,
        max_duplicates=proposer.max_duplicates,
        dedup_key=algorithm.dedup_key,
        valid=algorithm.vae.valid,
        accept=algorithm.accept,
    )
    if objects is not None:
        return choose_from(latents, objects)
    decode = partial(decode_all, algorithm.vae, state.params)
    n = proposer.decode_first or len(latents)
    _check_pool(proposer.name, "decodes decode_first = {} points first", n, proposer)
    first = decode(latents[:n])
    found = choose_from(latents[:n], first)
    if n >= len(latents):
        return found

    lacks = ((found.status == Status.DUPLICATE) | (found.status == Status.REFUSED)).any()

    def choose_from_all() -> Candidates:
        return choose_from(latents, jnp.concatenate([first, decode(latents[n:])]))

    return cond_over_lanes(lacks, choose_from_all, lambda: found)


def _checked(name: str, pool: Any, history: History) -> tuple[Array, Array | None]:
    """The points and objects of a pool, if they are of the shapes and types of a history's."""
    if not isinstance(pool, tuple) or len(pool) != 2:
        raise ValueError(
            f"proposer {name!r} must give a Pool of points and their objects or None, got a "
            f"{type(pool).__name__}"
        )
    latents, objects = jnp.asarray(pool[0]), pool[1]
    dimensions = history.latents.shape[1]
    if latents.ndim != 2 or latents.shape[1] != dimensions:
        raise ValueError(
            f"proposer {name!r} must give points [P, {dimensions}] of the latent space, got shape "
            f"{latents.shape}"
        )
    if objects is None:
        return latents, None
    objects, like = jnp.asarray(objects), history.objects
    if objects.shape[:1] != latents.shape[:1]:
        raise ValueError(
            f"proposer {name!r} must give an object for each of {len(latents)} points, got "
            f"{list(objects.shape)}"
        )
    if (objects.shape[1:], objects.dtype) != (like.shape[1:], like.dtype):
        raise ValueError(
            f"proposer {name!r} must give objects {like.dtype}{list(like.shape[1:])}, as the model "
            f"decodes to, got {objects.dtype}{list(objects.shape[1:])}"
        )
    return latents, objects


def _check_pool(name: str, what: str, n: int, proposer: Any) -> None:
    if n < max(proposer.batch, proposer.max_duplicates):
        raise ValueError(
            f"proposer {name!r} {what.format(n)}, fewer than batch = {proposer.batch} or "
            f"max_duplicates = {proposer.max_duplicates}"
        )


def view(state: State, base: BaseData) -> View:
    """All that a proposer may look at."""
    return View(state.params, state.history, base.dataset, base.distinct, base.offset)


def score(objective: Objective, candidates: Candidates) -> Evaluation:
    """Evaluate candidates with an objective in JAX.

    Args:
      objective: ``objects [q, ...] -> scores [q]``, with the task's own sign. The scores of a task
        that minimises are negated here, as those of its base data are.
      candidates: from :func:`ask`.

    Raises:
      ValueError: if the objective does not return one real number per object.
    """
    return judge(raw_scores(objective, candidates.objects), candidates)


def judge(raw: Array, candidates: Candidates) -> Evaluation:
    """The evaluation of candidates whose scores ``[q]`` an objective in JAX has given."""
    if candidates.direction is Direction.MINIMIZE:
        raw = negative(raw)
    scores = less(raw, candidates.offset)
    status = status_after(scores, candidates.status)
    scores = jnp.where(status == Status.OK, scores, NO_SCORE)
    return Evaluation(scores, status, jnp.zeros(status.shape, bool))


def status_after(scores: Float[Array, " q"], status: Int[Array, " q"]) -> Int[Array, " q"]:
    """``[q]`` status after evaluation: an OK candidate without a finite score is FAILED."""
    return jnp.where((status == Status.OK) & ~jnp.isfinite(scores), Status.FAILED, status)
