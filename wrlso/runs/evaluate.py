"""Scoring a batch of candidates of all seeds, in JAX or on the host."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from wrlso.data import Status
from wrlso.loop import Candidates
from wrlso.runs.log import Query, QueryLog


@dataclass(frozen=True)
class Place:
    """Where a batch stands in a run: the seeds of its lanes, its round and first index."""

    seeds: list[int]
    round: int
    first_index: int


def record(
    log: QueryLog, place: Place, candidates: Candidates, scores: np.ndarray, status: np.ndarray
) -> None:
    """Commit a scored batch ``[lanes, q]`` to the log."""
    log.add(
        _query(place, candidates, lane, j, float(scores[lane, j]), Status(status[lane, j]), None)
        for lane, j in _used(place, candidates)
    )


def evaluate_on_host(
    objective: Callable[[np.ndarray], float], log: QueryLog, place: Place, candidates: Candidates
) -> tuple[Candidates, np.ndarray]:
    """Score one object after the other, committing each as soon as it is scored.

    What stands in the log already, from before the process was killed, is not
    evaluated again: the logged query takes the candidate's place, also where
    another machine's rounding proposes something else now. An exception or a
    score that is not finite is recorded as FAILED with its reason, and the run
    goes on.

    Returns:
      The candidates as evaluated and their scores ``[lanes, q]``.
    """
    latents, objects, status = (np.array(part) for part in candidates[:3])
    scores = np.full(status.shape, np.nan, np.float32)
    for lane, j in _used(place, candidates):
        query = _query(place, candidates, lane, j, np.nan, Status(status[lane, j]), None)
        logged = log.find(query.seed, query.round, query.index)
        if logged is None:
            if query.status == Status.OK:
                query = _score(objective, objects[lane, j], query)
            log.add([query])
            logged = query
        latents[lane, j] = np.frombuffer(logged.latent, "<f4")
        objects[lane, j] = np.frombuffer(logged.object, objects.dtype).reshape(objects.shape[2:])
        status[lane, j] = logged.status
        scores[lane, j] = np.nan if logged.score is None else logged.score
    evaluated = candidates._replace(
        latents=jnp.asarray(latents), objects=jnp.asarray(objects), status=jnp.asarray(status)
    )
    return evaluated, scores


def _score(objective: Callable[[np.ndarray], float], item: np.ndarray, query: Query) -> Query:
    status, reason, score = Status.OK, None, None
    try:
        score = float(objective(item))
    except Exception as error:
        status, reason = Status.FAILED, f"{type(error).__name__}: {error}"
    if score is not None and not np.isfinite(np.float32(score)):
        status, reason, score = Status.FAILED, f"score is {score}", None
    return Query(
        query.seed, query.round, query.index, query.latent, query.object, score, status, reason
    )


def _used(place: Place, candidates: Candidates) -> Iterator[tuple[int, int]]:
    for lane in range(len(place.seeds)):
        for j in np.flatnonzero(np.asarray(candidates.status[lane]) != Status.UNUSED):
            yield lane, int(j)


def _query(
    place: Place,
    candidates: Candidates,
    lane: int,
    j: int,
    score: float,
    status: Status,
    reason: str | None,
) -> Query:
    return Query(
        seed=place.seeds[lane],
        round=place.round,
        index=place.first_index + j,
        latent=np.asarray(candidates.latents[lane, j], "<f4").tobytes(),
        object=np.ascontiguousarray(candidates.objects[lane, j]).tobytes(),
        score=score if status == Status.OK else None,
        status=status,
        reason=reason,
    )
