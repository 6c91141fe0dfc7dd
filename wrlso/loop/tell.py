"""Line 8 of Algorithm 1: what the evaluation of a batch changes.

Words used here:

- A query is *charged* if it counts towards the budget. Charged queries form the *history*.
- A *duplicate* is a candidate whose object was scored before. ``ask`` recognises most of them. Some
  are recognised only by the evaluation on the host, which knows more spellings: their decodes are
  kept as *aliases* of the known object, so that ``ask`` recognises them the next time.
- An object is *refused* if the task's ``accept`` test refuses it: nothing is paid for it. The test
  is part of ``ask`` where it is written in JAX, and part of the evaluation where it is in Python.
- The surrogate *learns* a score, or that a point failed. It learns of a refused point a *fantasy*,
  the score that it expects there, so that it looks elsewhere.

====================================  =======  ==========  ==============  ================  =====
status after evaluation               charged  in history  trains the VAE  surrogate learns  alias
====================================  =======  ==========  ==============  ================  =====
OK                                    yes      yes         yes             the score         no
INVALID, FAILED, TIMEOUT              yes      yes         no              a failure         no
DUPLICATE, recognised by ``ask``      no       no          no              (already told)    no
DUPLICATE, scored before              no       no          no              the old score     yes
DUPLICATE, failed before              no       no          no              a failure         yes
DUPLICATE, nothing known              no       no          no              nothing           no
REFUSED by ``ask``                    no       no          no              a fantasy         no
REFUSED by the evaluation             no       no          no              a fantasy         yes
UNUSED                                no       no          no              nothing           no
PENDING, until it is settled          yes      yes         no              nothing yet       no
====================================  =======  ==========  ==============  ================  =====

:func:`consequences` is this table. :func:`settle` gives a pending query its outcome later.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Int

from wrlso.data import NO_SCORE, History, append, append_aliases, forget_aliases, in_use
from wrlso.fingerprint import fingerprint
from wrlso.loop.algorithm import Algorithm, State
from wrlso.loop.candidates import Candidates, Evaluation
from wrlso.loop.steps import status_after
from wrlso.proposers.base import Observations
from wrlso.proposers.own_queries import current_latents
from wrlso.status import Status


class Consequences(NamedTuple):
    """The consequences of evaluating each of q candidates.

    Attributes:
      charged: ``[q]``, true where the query enters the history.
      status: ``[q]`` as recorded there.
      scores: ``[q]`` as recorded there, -inf unless the status is OK.
      learned: ``[q]`` scores that the surrogate learns, -inf for none.
      failed: ``[q]``, true where it learns of a failure.
      refused: ``[q]``, true where it learns that a point was refused.
      alias: ``[q]``, true where the decode becomes an alias of a known or refused object.
    """

    charged: Array
    status: Array
    scores: Array
    learned: Array
    failed: Array
    refused: Array
    alias: Array


def consequences(asked_status: Int[Array, " q"], evaluation: Evaluation) -> Consequences:
    """The table above.

    Args:
      asked_status: ``[q]``, the candidates' status as ``ask`` gave it.
      evaluation: of the q candidates.
    """
    scores = jnp.asarray(evaluation.scores, jnp.float32)
    status = status_after(scores, evaluation.status)
    duplicate = status == Status.DUPLICATE
    recognised_late = duplicate & (asked_status != Status.DUPLICATE)
    refused = status == Status.REFUSED
    charged = ~(duplicate | refused | (status == Status.UNUSED))
    scores = jnp.where(jnp.isfinite(scores), scores, NO_SCORE)
    learned = jnp.where((status == Status.OK) | recognised_late, scores, NO_SCORE)
    failed = charged & (status != Status.OK) & (status != Status.PENDING)
    failed = jnp.where(charged, failed, recognised_late & evaluation.failed)
    return Consequences(
        charged=charged,
        status=status,
        scores=jnp.where(status == Status.OK, scores, NO_SCORE),
        learned=learned,
        failed=failed,
        refused=refused,
        alias=(recognised_late & (jnp.isfinite(learned) | failed))
        | (refused & (asked_status != Status.REFUSED)),
    )


def tell(
    algorithm: Algorithm,
    state: State,
    surrogate: Any,
    candidates: Candidates,
    evaluation: Evaluation,
    round: ArrayLike,
) -> tuple[State, Any]:
    """Add an evaluated batch to the history, and to what the surrogate knows.

    Args:
      algorithm: the method on its task (static).
      state: the seed's state.
      surrogate: from ``fit``, updated by every ``tell`` since.
      candidates: from ``ask``.
      evaluation: of the candidates, from ``score`` or from the host.
      round: in which they were asked for.

    Returns:
      The new state and surrogate. The surrogate also learns the candidates' duplicates.
    """
    outcome = consequences(candidates.status, evaluation)
    history = append(
        state.history,
        candidates.objects,
        candidates.latents,
        outcome.scores,
        outcome.status,
        fingerprint(candidates.objects, algorithm.dedup_key),
        candidates.decoded_fingerprints,
        outcome.charged,
        round,
    )
    aliases = append_aliases(
        history.aliases,
        candidates.fingerprints,
        outcome.learned,
        outcome.refused,
        outcome.alias,
    )
    history = history._replace(aliases=aliases)
    new = Observations(candidates.latents, outcome.learned, outcome.failed, outcome.refused)
    observed = jax.tree.map(lambda *parts: jnp.concatenate(parts), candidates.duplicates, new)
    return state._replace(history=history), algorithm.proposer.observe(surrogate, observed)


class Settlement(NamedTuple):
    """Outcomes of rows of a history that were asked for earlier.

    Attributes:
      rows: ``[C]``, true where there is one.
      scores: ``[C]``, -inf unless the status is OK.
      status: ``[C]``.
    """

    rows: Array
    scores: Array
    status: Array


def with_outcomes(history: History, settlement: Settlement) -> History:
    """The history with outcomes of its rows. Aliases of corrected rows are dropped with the old
    scores."""
    rows, scores, status = settlement
    scores = jnp.asarray(scores, history.scores.dtype)
    status = status_after(scores, status)
    scores = jnp.where(status == Status.OK, scores, NO_SCORE)
    corrected = rows & in_use(history) & (history.status != Status.PENDING)
    return history._replace(
        scores=jnp.where(rows, scores, history.scores),
        status=jnp.where(rows, status, history.status),
        aliases=forget_aliases(history.aliases, history.scores, corrected),
    )


def settle(
    algorithm: Algorithm, state: State, surrogate: Any, settlement: Settlement
) -> tuple[State, Any]:
    """Give queries of the history their outcome: of pending ones, which come late, or corrected.

    Returns:
      The new state and surrogate, which learns the outcomes at the queries' present latents.
    """
    history = with_outcomes(state.history, settlement)
    rows, settled = settlement.rows, history.status == Status.OK
    latents = current_latents(algorithm.vae, state.params, history)[0]
    new = Observations(
        latents,
        jnp.where(rows & settled, history.scores, NO_SCORE),
        rows & ~settled,
        jnp.zeros(rows.shape, bool),
    )
    return state._replace(history=history), algorithm.proposer.observe(surrogate, new)


def fantasize_pending(algorithm: Algorithm, state: State, surrogate: Any) -> Any:
    """The surrogate as if each pending query had scored its mean, so that others are proposed."""
    pending = in_use(state.history) & (state.history.status == Status.PENDING)
    latents = current_latents(algorithm.vae, state.params, state.history)[0]
    return algorithm.proposer.fantasize(surrogate, latents, pending)
