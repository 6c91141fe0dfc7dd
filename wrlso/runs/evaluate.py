"""Scoring a batch of candidates of all seeds, in JAX or on the host."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wrlso.candidates import Candidates
from wrlso.data import Acquired, Dataset, Status
from wrlso.host.calls import Wanted, call
from wrlso.host.workers import Outcome, WorkerPool, as_score
from wrlso.identity import Fingerprints, Identity, fingerprint
from wrlso.runs.log import Query, QueryLog
from wrlso.tasks.base import HostObjective


@dataclass(frozen=True)
class Place:
    """Where a batch stands: the seeds and logs of its lanes, its round and first index."""

    seeds: list[int]
    logs: list[QueryLog]
    round: int
    first_index: int


def record(place: Place, candidates: Candidates, scores: np.ndarray, status: np.ndarray) -> None:
    """Commit a scored batch ``[lanes, q]`` to the logs, a transaction each."""
    queries: dict[QueryLog, list[Query]] = {log: [] for log in place.logs}
    for lane, j in _used(place, candidates):
        score, outcome = float(scores[lane, j]), Status(status[lane, j])
        queries[place.logs[lane]].append(_query(place, candidates, lane, j, score, outcome))
    for log, new in queries.items():
        log.add(new)


class Seen:
    """What the base data and each seed's queries hold already, and its score: NaN for a failure."""

    def __init__(self, base: Dataset, acquired: Acquired, seeds: int) -> None:
        self.base = {_name(x): float(s) for x, s in zip(*map(np.asarray, base), strict=True)}
        self.own: list[dict[bytes, float]] = []
        for lane in range(seeds):
            n = int(acquired.used[lane])
            objects, scores = acquired.objects[lane][:n], acquired.scores[lane][:n]
            named = zip(np.asarray(objects), np.asarray(scores), strict=True)
            self.own.append({_name(x): float(s) for x, s in named})

    def find(self, lane: int, thing: np.ndarray) -> float | None:
        """Its score, or None if it is new."""
        name = _name(thing)
        return self.own[lane].get(name, self.base.get(name))

    def add(self, lane: int, thing: np.ndarray, score: float) -> None:
        """It was scored."""
        self.own[lane][_name(thing)] = score


def _name(thing: np.ndarray) -> bytes:
    return np.ascontiguousarray(thing).tobytes().rstrip(b"\0")


class Host:
    """Calls an objective in Python, in this process or in others; a context manager."""

    def __init__(self, objective: HostObjective | Callable[[np.ndarray], float]) -> None:
        if not isinstance(objective, HostObjective):
            objective = HostObjective(objective)
        self.objective = objective
        self._call = partial(call, objective.score, objective.canonical)
        self._pool: WorkerPool | None = None
        if objective.workers != 0:
            self._pool = WorkerPool(self._call, objective.workers, objective.timeout)

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.close()

    def outcomes(self, what: Wanted, objects: Sequence[np.ndarray]) -> Iterator[Outcome]:
        """``"score"`` or ``"canonical"`` of objects, each as soon as it is there."""
        asked = [(what, thing) for thing in objects]
        yield from (
            map(self._here, range(len(asked)), asked)
            if self._pool is None
            else self._pool.outcomes(asked)
        )

    def scores(self, objects: np.ndarray) -> np.ndarray:
        """Scores of objects ``[B, ...]``, NaN for a failure."""
        scores = np.full(len(objects), np.nan)
        for outcome in self.outcomes("score", list(np.asarray(objects))):
            if outcome.kind == "ok":
                scores[outcome.position] = as_score(outcome.value)[0]
        return scores

    def _here(self, position: int, asked: tuple[Wanted, np.ndarray]) -> Outcome:
        try:
            return Outcome(position, "ok", self._call(asked))
        except Exception as error:
            return Outcome(position, "failed", None, f"{type(error).__name__}: {error}")


def evaluate_on_host(
    host: Host,
    place: Place,
    candidates: Candidates,
    seen: Seen,
    identity: Identity | None = None,
) -> tuple[Candidates, np.ndarray, np.ndarray]:
    """Score objects, committing each to the log as soon as it is scored.

    What stands in the log already, from before the process was killed, is not
    evaluated again: the logged query takes the candidate's place, also where
    another machine's rounding proposes something else now. An exception, a crash, a
    time-out or a score that is not finite is recorded with its reason, and the run
    goes on. What was scored before under another spelling is a DUPLICATE.

    Returns:
      The candidates, with the objects that were evaluated but the status that they were asked
      with; their scores ``[lanes, q]``, NaN where there is none (a DUPLICATE's is what it scored
      before, -inf if that failed); and the status ``[lanes, q]`` that the evaluation left.
    """
    queries: dict[tuple[int, int], Query] = {}
    asked = []
    for lane, j in _used(place, candidates):
        query = _query(place, candidates, lane, j, np.nan, Status(int(candidates.status[lane, j])))
        logged = place.logs[lane].find(query.seed, query.round, query.index)
        queries[lane, j] = logged or query
        if logged is None and query.status == Status.OK:
            asked.append((lane, j))
        elif logged is None:
            place.logs[lane].add([query])

    def settle(key: tuple[int, int], score: Any, status: Status, reason: str | None) -> None:
        number, status, reason = _checked(score, status, reason)
        queries[key] = replace(queries[key], score=number, status=status, reason=reason)
        place.logs[key[0]].add([queries[key]])

    like = np.asarray(candidates.objects)[0, 0]
    things = {key: _thing(queries[key], like) for key in queries}
    if host.objective.canonical is not None:
        asked = _canonical(host, asked, things, queries, settle)
    fresh = []
    names: set[tuple[int, bytes]] = set()
    for key in asked:
        name = key[0], _name(things[key])
        if name in names or seen.find(key[0], things[key]) is not None:
            queries[key] = replace(queries[key], status=Status.DUPLICATE)
            place.logs[key[0]].add([queries[key]])
        else:
            fresh.append(key)
            names.add(name)
    for outcome in host.outcomes("score", [things[key] for key in fresh]):
        status = Status.OK if outcome.kind == "ok" else Status[outcome.kind.upper()]
        settle(fresh[outcome.position], outcome.value, status, outcome.reason)
    return _evaluated(candidates, queries, things, seen, identity)


def _canonical(
    host: Host,
    asked: list[tuple[int, int]],
    things: dict[tuple[int, int], np.ndarray],
    queries: dict[tuple[int, int], Query],
    settle: Callable[..., None],
) -> list[tuple[int, int]]:
    """Put the canonical spelling in the place of each object; those that have one."""
    left = []
    for outcome in host.outcomes("canonical", [things[key] for key in asked]):
        key = asked[outcome.position]
        if outcome.kind == "ok":
            things[key] = np.asarray(outcome.value, things[key].dtype)
            spelled = np.ascontiguousarray(things[key]).tobytes()
            queries[key] = replace(queries[key], object=spelled)
            left.append(key)
        else:
            settle(key, None, Status[outcome.kind.upper()], outcome.reason)
    return sorted(left)


def _evaluated(
    candidates: Candidates,
    queries: dict[tuple[int, int], Query],
    things: dict[tuple[int, int], np.ndarray],
    seen: Seen,
    identity: Identity | None,
) -> tuple[Candidates, np.ndarray, np.ndarray]:
    asked = np.asarray(candidates.latents, "<f4")
    latents, objects, status = (np.array(part) for part in candidates[:3])
    scores = np.full(status.shape, np.nan, np.float32)
    for key, query in queries.items():
        latents[key] = np.frombuffer(query.latent, "<f4")
        objects[key], status[key] = things[key], query.status
        if query.status == Status.DUPLICATE:
            before = seen.find(key[0], things[key])
            failed = before is not None and np.isnan(before)
            scores[key] = -np.inf if failed else np.nan if before is None else before
        else:
            scores[key] = np.nan if query.score is None else query.score
            seen.add(key[0], things[key], scores[key])
    evaluated = candidates._replace(latents=jnp.asarray(latents), objects=jnp.asarray(objects))
    return _as_logged(evaluated, (latents != asked).any(-1), identity), scores, status


def _as_logged(
    candidates: Candidates, replaced: np.ndarray, identity: Identity | None
) -> Candidates:
    """Where the log put another query in a candidate's place ``[lanes, q]``, its object counts as
    what was decoded."""
    if not replaced.any():
        return candidates

    def put(old: Fingerprints, identity: Identity | None) -> Fingerprints:
        lanes = [fingerprint(objects, identity) for objects in candidates.objects]
        logged = Fingerprints(*(jnp.stack(words) for words in zip(*lanes, strict=True)))
        return jax.tree.map(lambda new, old: jnp.asarray(np.where(replaced, new, old)), logged, old)

    return candidates._replace(
        decoded=put(candidates.decoded, None), prints=put(candidates.prints, identity)
    )


def _checked(
    score: Any, status: Status, reason: str | None
) -> tuple[float | None, Status, str | None]:
    """A finite number, or a failure with its reason."""
    if status != Status.OK:
        return None, status, reason
    number, reason = as_score(score)
    return (number, Status.OK, None) if reason is None else (None, Status.FAILED, reason)


def _used(place: Place, candidates: Candidates) -> Iterator[tuple[int, int]]:
    for lane in range(len(place.seeds)):
        for j in np.flatnonzero(np.asarray(candidates.status[lane]) != Status.UNUSED):
            yield lane, int(j)


def _thing(query: Query, like: np.ndarray) -> np.ndarray:
    return np.frombuffer(query.object, like.dtype).reshape(like.shape)


def _query(
    place: Place, candidates: Candidates, lane: int, j: int, score: float, status: Status
) -> Query:
    return Query(
        seed=place.seeds[lane],
        round=place.round,
        index=place.first_index + j,
        latent=np.asarray(candidates.latents[lane, j], "<f4").tobytes(),
        object=np.ascontiguousarray(candidates.objects[lane, j]).tobytes(),
        score=score if status == Status.OK else None,
        status=status,
    )
