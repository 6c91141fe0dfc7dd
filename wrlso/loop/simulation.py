"""The whole of Algorithm 1 for one seed as one pure function, for an objective in JAX."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from wrlso.loop.algorithm import FIT, RETRAIN, Algorithm, Hyper, State, init, query_key
from wrlso.loop.candidates import BaseData
from wrlso.loop.steps import ask, fit, retrain, score
from wrlso.loop.tell import tell
from wrlso.objective import Objective


def simulate(
    algorithm: Algorithm,
    objective: Objective,
    seed: ArrayLike,
    params: Any,
    base: BaseData,
    hyper: Hyper | None = None,
) -> State:
    """The whole experiment of one seed as one pure function, for an objective in JAX.

    Jit it; vmap it over seeds or over ``hyper``. It writes no file. Long experiments are better run
    by ``wrlso.run``, which logs every query and resumes. The number of asks is fixed: a seed whose
    model repeats itself ends with fewer charged queries than the budget, where ``wrlso.run`` asks
    again.

    Args:
      algorithm: from ``wrlso.algorithm`` (static).
      objective: ``objects [q, ...] -> scores [q]``, in JAX.
      seed: integer.
      params: the pretrained parameters, from ``wrlso.pretrained``.
      base: from ``wrlso.base_data`` or ``wrlso.prepare_base``.
      hyper: traced numbers that replace the algorithm's defaults, such as ``{"k": 1e-3}``; also
        ``learning_rate`` and ``beta``.

    Returns:
      The final state; ``state.history`` holds the queries in order.

    Raises:
      ValueError: if ``hyper`` has an unknown name.
    """
    n = base.dataset.scores.shape[0]
    first = algorithm.steps(0, n)
    later = jnp.array([algorithm.steps(1, n + used) for used in range(algorithm.budget + 1)])

    def one_ask(
        round: Array, limit: Array, carry: tuple[State, Any], key: Array
    ) -> tuple[tuple[State, Any], None]:
        candidates = ask(algorithm, key, *carry, base, limit)
        evaluation = score(objective, candidates)
        return tell(algorithm, *carry, candidates, evaluation, round), None

    def one_round(state: State, round: Array) -> tuple[State, None]:
        steps = jnp.where(round == 0, first, later[state.history.used])
        key = query_key(seed, round, RETRAIN)
        state, _ = retrain(algorithm, key, state, base, steps, hyper)
        state, surrogate = fit(algorithm, query_key(seed, round, FIT), state, base)
        limit = jnp.minimum(state.history.used + algorithm.retrain_every, algorithm.budget)
        keys = jax.vmap(lambda i: query_key(seed, round, i))(jnp.arange(algorithm.asks))
        (state, _), _ = lax.scan(partial(one_ask, round, limit), (state, surrogate), keys)
        return state, None

    start = init(algorithm, params, base.dataset)
    state, _ = lax.scan(one_round, start, jnp.arange(algorithm.rounds))
    return state
