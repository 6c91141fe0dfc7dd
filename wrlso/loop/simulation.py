"""The whole of Algorithm 1 for one seed as one pure function, for an objective in JAX."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from wrlso.loop.algorithm import FIT, RETRAIN, Algorithm, Hyper, State, init, query_key
from wrlso.loop.candidates import BaseData
from wrlso.loop.steps import ask, check_parts, fit, measures, retrain, score
from wrlso.loop.tell import tell
from wrlso.scores import Objective
from wrlso.scores.checks import check_function


class Rounds(NamedTuple):
    """The figures that ``wrlso.run`` records of each round, ``[rounds]`` each.

    Attributes:
      steps: number of training steps.
      loss: mean loss over these steps, in nats per object.
      effective_rows: effective sample size of the weights.
      diverged: true if training was not finite and was undone.
      asks: number of asks.
      uncharged: number of objective evaluations that the budget does not pay for.
      refused: number of points that were passed over, as the task does not accept them.
      measures: by name, what the proposer measured at the fit, see ``Proposer.measures``.
    """

    steps: Array
    loss: Array
    effective_rows: Array
    diverged: Array
    asks: Array
    uncharged: Array
    refused: Array
    measures: Mapping[str, Array]


def simulate(
    algorithm: Algorithm,
    objective: Objective,
    seed: ArrayLike,
    params: Any,
    base: BaseData,
    hyper: Hyper | None = None,
) -> tuple[State, Rounds]:
    """The whole experiment of one seed as one pure function, for an objective in JAX.

    Jit it; vmap it over seeds or over ``hyper``. Pass ``params`` and ``base`` through ``jit`` as
    arguments: what a function closes over becomes a constant of its program. It writes no file.
    Long experiments are better run by ``wrlso.run``, which logs every query and resumes. The number
    of asks is fixed: a seed whose model repeats itself ends with fewer charged queries than the
    budget, where ``wrlso.run`` asks again.

    Args:
      algorithm: from ``wrlso.algorithm`` (static).
      objective: ``objects [q, ...] -> scores [q]``, in JAX, with the task's own sign.
      seed: integer.
      params: the pretrained parameters, from ``wrlso.pretrained``.
      base: from ``wrlso.base_data`` or ``wrlso.prepare_base``.
      hyper: traced numbers that replace the algorithm's defaults, such as ``{"k": 1e-3}``; also
        ``learning_rate`` and ``beta``.

    Returns:
      The final state, whose ``history`` holds the queries in order, and the :class:`Rounds`. In the
      history higher is better: the scores of a task that minimises are negated there, as they are
      in ``wrlso.base_data``, and all are less ``base.offset``.

    Raises:
      TypeError: if an argument is of another kind, such as base data that are not prepared.
      ValueError: if ``hyper`` has an unknown name, the base data are to minimise where the
        algorithm's task is not, or the reverse, or the model decodes to other objects than those
        of the base data.
    """
    check_parts(algorithm, base)
    check_function("objective", objective)
    if base.direction is not algorithm.direction:
        raise ValueError(
            f"the algorithm's task is to {algorithm.direction.value}, and the base data are to "
            f"{base.direction.value}: make both from one task, or give prepare_base its minimize"
        )
    n = base.dataset.scores.shape[0]
    first = algorithm.steps(0, n)
    later = jnp.array(
        [algorithm.steps(1, n + used) for used in range(algorithm.budget + 1)], jnp.int32
    )

    def one_ask(
        round: Array, limit: Array, carry: tuple[State, Any], key: Array
    ) -> tuple[tuple[State, Any], tuple[Array, Array]]:
        goes_on = (carry[0].history.used < limit).astype(jnp.int32)
        candidates = ask(algorithm, key, *carry, base, limit)
        evaluation = score(objective, candidates)
        told = tell(algorithm, *carry, candidates, evaluation, round)
        return told, (goes_on, candidates.refused)

    def one_round(state: State, round: Array) -> tuple[State, Rounds]:
        steps = jnp.where(round == 0, first, later[state.history.used])
        key = query_key(seed, round, RETRAIN)
        state, info = retrain(algorithm, key, state, base, steps, hyper)
        state, surrogate = fit(algorithm, query_key(seed, round, FIT), state, base)
        measured = measures(algorithm, surrogate)
        limit = jnp.minimum(state.history.used + algorithm.retrain_every, algorithm.budget)
        keys = jax.vmap(lambda i: query_key(seed, round, i))(jnp.arange(algorithm.asks))
        one = partial(one_ask, round, limit)
        (state, _), (asked, refused) = lax.scan(one, (state, surrogate), keys)
        asks = asked.sum(dtype=jnp.int32)
        return state, Rounds(
            steps=steps,
            loss=info.loss,
            effective_rows=info.effective_rows,
            # Without any weight there is no training, which is no divergence.
            diverged=~info.finite & (info.effective_rows > 0),
            asks=asks,
            uncharged=algorithm.proposer.uncharged * asks,
            refused=refused.sum(dtype=jnp.int32),
            measures=measured,
        )

    start = init(algorithm, params, base.dataset)
    return lax.scan(one_round, start, jnp.arange(algorithm.rounds, dtype=jnp.int32))
