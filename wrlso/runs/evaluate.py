"""Evaluation of a batch of all seeds on the host, as a list of pending queries in five passes.

1. *Reuse what the log knows.* A query that was logged before the process was killed takes its
   candidate's place, and is not evaluated again; also where another machine's rounding proposes
   something else now.
2. *Canonicalise.* The objective's canonical spelling replaces each object.
3. *Drop duplicates.* An object that was scored before, under any spelling, is not evaluated.
4. *Ask the accept test* whether the others are to be evaluated at all.
5. *Score* the others. An exception, a crash, a time-out or a score that is not finite is recorded
   with its reason, and the run goes on.

Each query is committed to the log as soon as its status is known.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wrlso.data import NO_SCORE
from wrlso.evaluation.components import ComponentValue, components_of
from wrlso.evaluation.objective import HostEvaluator
from wrlso.fingerprint import DedupKey, Fingerprints, fingerprint
from wrlso.loop.candidates import Candidates, Evaluation
from wrlso.proposers.base import Prediction
from wrlso.runs.compiled import Batches
from wrlso.runs.log import Query, QueryLog
from wrlso.runs.rows import PredictedScore
from wrlso.runs.scored import ScoredObjects, name_of
from wrlso.scores import relative
from wrlso.status import Status, refusal


@dataclass(frozen=True)
class BatchPosition:
    """The place of a batch in its run: seeds and logs of its lanes, round, first index.

    A logged score times ``sign``, less ``offset``, is what the loop maximises. The surrogate's
    ``prediction`` ``[lanes, q]`` is of such scores.
    """

    seeds: list[int]
    logs: list[QueryLog]
    round: int
    first_index: int
    sign: float = 1.0
    offset: float = 0.0
    prediction: Prediction | None = None

    def expected(self, prediction: Prediction | None, *at: int) -> PredictedScore | None:
        """One prediction in the task's units; None if there is none."""
        if prediction is None or not np.isfinite(prediction.mean[at]):
            return None
        mean = self.sign * (float(prediction.mean[at]) + self.offset)
        return PredictedScore(mean, float(prediction.deviation[at]))


@dataclass
class PendingQuery:
    """A candidate on its way to its final status.

    Attributes:
      lane, place: of the candidate in the batch.
      query: as it will be logged.
      thing: the object that is evaluated.
      open: true until the query is committed with its final status.
      components: the components of the score.
    """

    lane: int
    place: int
    query: Query
    thing: np.ndarray
    open: bool = True
    components: tuple[ComponentValue, ...] = ()


def evaluate_on_host(
    evaluator: HostEvaluator,
    position: BatchPosition,
    candidates: Candidates,
    scored: ScoredObjects,
    dedup_key: DedupKey | None = None,
) -> tuple[Candidates, Evaluation]:
    """Evaluate the candidates ``[lanes, q]`` and log them; see the module for the five passes.

    Returns:
      The candidates, with the objects that were evaluated but the status that they were asked with,
      and their evaluation.
    """
    pending = list(_pending(position, candidates))
    _reuse_logged(pending, position)
    if evaluator.objective.canonical is not None:
        _canonicalise(pending, evaluator, position)
    _drop_duplicates(pending, scored, position)
    if evaluator.objective.accept is not None:
        _refuse(pending, evaluator, scored, position)
    _score(pending, evaluator, position)
    return _collect(pending, position.sign, candidates, scored, dedup_key)


def publish(
    evaluator: HostEvaluator | None,
    position: BatchPosition,
    candidates: Candidates,
    scored: ScoredObjects,
) -> list[Query]:
    """Log the candidates ``[lanes, q]`` for people to measure, who settle them in the log.

    The passes of :func:`evaluate_on_host` but for the last.

    Returns:
      The new queries, whose status is PENDING.
    """
    pending = list(_pending(position, candidates))
    _reuse_logged(pending, position, also_pending=True)
    if evaluator is not None and evaluator.objective.canonical is not None:
        _canonicalise(pending, evaluator, position)
    _drop_duplicates(pending, scored, position)
    if evaluator is not None and evaluator.objective.accept is not None:
        _refuse(pending, evaluator, scored, position)
    new = _open(pending)
    for one in new:
        _commit(one, position, status=Status.PENDING)
    return [one.query for one in new]


def read_from_log(
    position: BatchPosition,
    candidates: Candidates,
    scored: ScoredObjects,
    dedup_key: DedupKey | None = None,
) -> tuple[Candidates, Evaluation]:
    """As :func:`evaluate_on_host`, for candidates that were published: the log has the answers."""
    pending = list(_pending(position, candidates))
    _reuse_logged(pending, position, also_pending=True)
    return _collect(pending, position.sign, candidates, scored, dedup_key)


def _pending(position: BatchPosition, candidates: Candidates) -> Iterator[PendingQuery]:
    for lane, place in used_places(position, candidates):
        status = Status(int(candidates.status[lane, place]))
        query = make_query(position, candidates, lane, place, None, status)
        yield PendingQuery(lane, place, query, np.asarray(candidates.objects[lane, place]))


def _reuse_logged(
    pending: list[PendingQuery], position: BatchPosition, also_pending: bool = False
) -> None:
    """Take logged queries as they are; commit the candidates that are not to be scored.

    A query that nobody measured is scored here, unless ``also_pending``.
    """
    for one in pending:
        query = one.query
        logged = position.logs[one.lane].find(query.seed, query.round, query.index)
        if logged is not None and (also_pending or logged.status != Status.PENDING):
            one.query, one.open = logged, False
            stored = np.frombuffer(logged.object, one.thing.dtype)
            one.thing = stored.reshape(one.thing.shape)
        elif query.status != Status.OK:
            _commit(one, position)


def _canonicalise(
    pending: list[PendingQuery], evaluator: HostEvaluator, position: BatchPosition
) -> None:
    """Put the canonical spelling in the place of each open object; without one, it has failed."""
    waiting = _open(pending)
    for outcome in evaluator.outcomes("canonical", [one.thing for one in waiting]):
        one = waiting[outcome.position]
        if outcome.kind == "ok":
            one.thing = outcome.value
            one.query = replace(one.query, object=np.ascontiguousarray(one.thing).tobytes())
        else:
            _commit(one, position, status=Status[outcome.kind.upper()], reason=outcome.reason)


def _drop_duplicates(
    pending: list[PendingQuery], scored: ScoredObjects, position: BatchPosition
) -> None:
    """Commit open queries whose object was scored before, or is earlier in the batch."""
    names: set[tuple[int, bytes]] = set()
    for one in _open(pending):
        name = one.lane, name_of(one.thing)
        if name in names or scored.find(one.lane, one.thing) is not None:
            _commit(one, position, status=Status.DUPLICATE)
        names.add(name)


def _refuse(
    pending: list[PendingQuery],
    evaluator: HostEvaluator,
    scored: ScoredObjects,
    position: BatchPosition,
) -> None:
    """Commit open queries whose object the accept test refuses; an answer is asked for once."""
    waiting = _open(pending)
    new = {
        name_of(one.thing): one.thing
        for one in waiting
        if name_of(one.thing) not in scored.verdicts
    }
    names = list(new)
    for outcome in evaluator.outcomes("accept", list(new.values())):
        if outcome.kind == "ok":
            reason = refusal(outcome.value)
        else:
            reason = f"the accept test did not answer: {outcome.reason}"
        scored.verdicts[names[outcome.position]] = reason
    for one in waiting:
        reason = scored.verdicts[name_of(one.thing)]
        if reason is not None:
            _commit(one, position, status=Status.REFUSED, reason=reason)


def _score(pending: list[PendingQuery], evaluator: HostEvaluator, position: BatchPosition) -> None:
    """Score the open queries."""
    waiting = _open(pending)
    for outcome in evaluator.outcomes("score", [one.thing for one in waiting]):
        one = waiting[outcome.position]
        if outcome.kind == "ok":
            one.components = components_of(outcome.value)
            _commit(one, position, score=float(outcome.value), reason=outcome.reason)
        else:
            _commit(one, position, status=Status[outcome.kind.upper()], reason=outcome.reason)


def _open(pending: Iterable[PendingQuery]) -> list[PendingQuery]:
    return [one for one in pending if one.open]


def _commit(one: PendingQuery, position: BatchPosition, **changes: Any) -> None:
    """Settle a query and write it to the log."""
    one.query, one.open = replace(one.query, **changes), False
    expected = position.expected(position.prediction, one.lane, one.place)
    position.logs[one.lane].add([one.query], one.components, [expected])


def _collect(
    pending: list[PendingQuery],
    sign: float,
    candidates: Candidates,
    scored: ScoredObjects,
    dedup_key: DedupKey | None,
) -> tuple[Candidates, Evaluation]:
    """The candidates and their evaluation as arrays; and what was scored is remembered."""
    asked = np.asarray(candidates.latents, "<f4")
    latents, objects, status = (np.array(part) for part in candidates[:3])
    scores = np.full(status.shape, NO_SCORE)
    failed = np.zeros(status.shape, bool)
    for one in pending:
        at, query = (one.lane, one.place), one.query
        latents[at] = np.frombuffer(query.latent, "<f4")
        objects[at], status[at] = one.thing, query.status
        if query.status == Status.REFUSED:
            continue
        if query.status == Status.DUPLICATE:
            known = scored.find(one.lane, one.thing)
            scores[at] = NO_SCORE if known is None else known
            failed[at] = scored.has_failed(one.lane, one.thing)
        else:
            scores[at] = NO_SCORE if query.score is None else sign * query.score
            scored.add(one.lane, one.thing, scores[at], query.status == Status.PENDING)
    evaluated = candidates._replace(latents=latents, objects=objects)  # type: ignore[arg-type]
    evaluated = _with_logged_decodes(evaluated, (latents != asked).any(-1), dedup_key)
    answers: Any = relative(scores, scored.offset), status, failed
    return evaluated, Evaluation(*answers)


def _with_logged_decodes(
    candidates: Candidates, replaced: np.ndarray, dedup_key: DedupKey | None
) -> Candidates:
    """Count the logged object as the decode where the log put another query in a candidate's place
    ``[lanes, q]``."""
    if not replaced.any():
        return candidates

    def put(old: Fingerprints, dedup_key: DedupKey | None) -> Fingerprints:
        lanes = [fingerprint(objects, dedup_key) for objects in candidates.objects]
        logged = Fingerprints(*(jnp.stack(words) for words in zip(*lanes, strict=True)))
        return jax.tree.map(lambda new, old: np.where(replaced, new, old), logged, old)

    return candidates._replace(
        decoded_fingerprints=put(candidates.decoded_fingerprints, None),
        fingerprints=put(candidates.fingerprints, dedup_key),
    )


def record_batches(position: BatchPosition, batches: Batches) -> None:
    """Commit all batches of a search that was scored in JAX, one transaction per log.

    Args:
      position: of the first batch.
      batches: with an axis ``[lanes]`` in front, as NumPy arrays.
    """
    queries: dict[QueryLog, list[Query]] = {log: [] for log in position.logs}
    expected: dict[QueryLog, list[PredictedScore | None]] = {log: [] for log in position.logs}
    batch = batches.status.shape[2]
    for lane, seed in enumerate(position.seeds):
        for ask, place in np.argwhere(batches.status[lane] != Status.UNUSED):
            status = Status(batches.status[lane, ask, place])
            score = position.sign * float(batches.scores[lane, ask, place])
            new = Query(
                seed=seed,
                round=position.round,
                index=position.first_index + int(ask) * batch + int(place),
                latent=batches.latents[lane, ask, place].astype("<f4").tobytes(),
                object=np.ascontiguousarray(batches.objects[lane, ask, place]).tobytes(),
                score=score if status == Status.OK else None,
                status=status,
            )
            log = position.logs[lane]
            queries[log].append(new)
            expected[log].append(position.expected(batches.prediction, lane, ask, place))
    for log, found in queries.items():
        log.add(found, predictions=expected[log])


def used_places(position: BatchPosition, candidates: Candidates) -> Iterator[tuple[int, int]]:
    """Lane and place of each candidate that the budget covers."""
    for lane in range(len(position.seeds)):
        for place in np.flatnonzero(np.asarray(candidates.status[lane]) != Status.UNUSED):
            yield lane, int(place)


def make_query(
    position: BatchPosition,
    candidates: Candidates,
    lane: int,
    place: int,
    score: float | None,
    status: Status,
) -> Query:
    """The row of the log for a candidate."""
    return Query(
        seed=position.seeds[lane],
        round=position.round,
        index=position.first_index + place,
        latent=np.asarray(candidates.latents[lane, place], "<f4").tobytes(),
        object=np.ascontiguousarray(candidates.objects[lane, place]).tobytes(),
        score=score if status == Status.OK else None,
        status=status,
    )
