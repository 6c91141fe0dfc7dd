"""Results that people tell, checked against the log before any of them is recorded."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from wrlso.runs.log import Query, QueryLog, Told
from wrlso.runs.rows import PredictedScore, latent_of
from wrlso.status import Status
from wrlso.storage.numbers import shown

_SHOWN = 5
"""Maximum number of faults that a message names."""

MEASURED = (Status.OK, Status.FAILED, Status.TIMEOUT, Status.PENDING)
"""Statuses of queries that a result can be told for."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """An object to measure.

    Attributes:
      id: its name in the run, such as ``r0q7``: round 0, query 7.
      text: the object as a line of text; empty if the task has no text form.
      object: the object in storage form, a NumPy array.
      latent: ``[d]``, the latent point that decodes to it.
      prediction: the score that the surrogate expected when it asked; None if the proposer has no
        surrogate that predicts.
    """

    id: str
    text: str
    object: np.ndarray
    latent: np.ndarray
    prediction: PredictedScore | None = None


def candidates(
    queries: Iterable[Query],
    expected: Mapping[tuple[int, int, int], PredictedScore],
    describe: Callable[[bytes], str | None] | None,
    stored: Callable[[bytes], np.ndarray],
) -> list[Candidate]:
    """Queries as candidates, with their texts, objects and what the surrogate expected."""
    return [
        Candidate(
            id=query.id,
            text=query.text or (describe and describe(query.object)) or "",
            object=stored(query.object),
            latent=latent_of(query),
            prediction=expected.get((query.seed, query.round, query.index)),
        )
        for query in queries
    ]


@dataclass(frozen=True)
class Entry:
    """One result as somebody tells it.

    Attributes:
      where: its place, for messages, such as ``line 3``.
      id: of the candidate; None: it is recognised by its object.
      object: the object in storage form, raw bytes; it is required without ``id``.
      text: the object as a line of text, or None.
      score: the score, None for a failure.
      reason: the reason for a failure, or None.
    """

    where: str
    id: str | None
    score: float | None
    object: bytes | None = None
    text: str | None = None
    reason: str | None = None


@dataclass
class TellReport:
    """The outcome of telling results.

    Attributes:
      new: number of candidates that have a score now.
      failed: number of candidates that failed.
      repeated: number of results that were told before.
      elsewhere: number of new measurements that were made elsewhere.
      replaced: number of results that replaced another one.
      kept: a sentence about each result that was left out, such as one that differs from the one
        told before.
      pending: number of candidates that are still being measured.
    """

    new: int = 0
    failed: int = 0
    repeated: int = 0
    elsewhere: int = 0
    replaced: int = 0
    kept: list[str] = field(default_factory=list)
    pending: int = 0

    @property
    def changed(self) -> bool:
        """Whether anything was recorded."""
        return self.new + self.failed + self.elsewhere + self.replaced > 0

    def __str__(self) -> str:
        counts = {
            "new": self.new, "failed": self.failed, "told before": self.repeated,
            "replaced": self.replaced, "measured elsewhere": self.elsewhere,
        }  # fmt: skip
        told = ", ".join(f"{n} {name}" for name, n in counts.items() if n) or "nothing new"
        return "\n".join([f"{told}; {self.pending} still open", *self.kept])


def as_result(where: str, score: Any, reason: str | None) -> tuple[float | None, str | None]:
    """A score and its reason for failure; None and a reason for None, NaN and infinities.

    Raises:
      ValueError: if the score is neither a number nor None.
    """
    if score is None:
        return None, reason or "failed"
    try:
        number = float(score)
    except (TypeError, ValueError):
        raise ValueError(
            f"{where}: the score {score!r} is not a number: give a number with a decimal point, "
            "or None for a failure"
        ) from None
    with np.errstate(over="ignore"):
        if math.isfinite(number) and np.isfinite(np.float32(number)):
            return number, None
    return None, reason or f"score is {number}"


def entries(
    results: Any, reasons: Mapping[str, str], to_bytes: Callable[[Any], bytes]
) -> list[Entry]:
    """Entries from a mapping or pairs of a candidate, an id or an object and its score.

    Raises:
      ValueError: if a score is not a number.
    """
    pairs = results.items() if isinstance(results, Mapping) else results
    found = []
    for key, score in pairs:
        if isinstance(getattr(key, "id", None), str):
            key = key.id
        if isinstance(key, str):
            number, reason = as_result(key, score, reasons.get(key))
            found.append(Entry(key, key, number, reason=reason))
        else:
            where = f"object {len(found)}"
            number, reason = as_result(where, score, None)
            found.append(Entry(where, None, number, object=to_bytes(key), reason=reason))
    return found


def record(
    log: QueryLog,
    seed: int,
    told: Iterable[Entry],
    source: str | None = None,
    overwrite: bool = False,
    starting: Mapping[bytes, Any] | None = None,
    forget: Callable[[], None] | None = None,
) -> TellReport:
    """Record results in one transaction; a result that was told before is not recorded again.

    Args:
      log: the run's log.
      seed: the run's seed.
      told: the results. An entry without id is the result of the candidate with its object, or
        else a measurement that was made elsewhere.
      source: their origin, for the log.
      overwrite: let a result replace a different one that was told before.
      starting: the scores of the starting data, by object as raw bytes; they count as told.
      forget: called before anything is recorded: it forgets what is known of the old results.

    Raises:
      ValueError: naming all results that cannot be recorded. None is recorded then.
    """
    with log.transaction():  # nobody else tells between what is read and what is written
        return _recorded(log, seed, told, source, overwrite, starting, forget)


def _recorded(
    log: QueryLog,
    seed: int,
    told: Iterable[Entry],
    source: str | None,
    overwrite: bool,
    starting: Mapping[bytes, Any] | None,
    forget: Callable[[], None] | None,
) -> TellReport:
    queries = [q for q in log.queries(seed) if q.status in MEASURED]
    by_id = {q.id: q for q in queries}
    by_object = {_name(q.object): q for q in queries}
    by_text = {q.text: q for q in queries if q.text}
    known = {_name(one): score for one, score in (starting or {}).items()}
    known |= {_name(one.object): one.score for one in log.elsewhere()}
    report, new = TellReport(), list[Told]()
    faults = list[tuple[str, str]]()
    for entry in told:
        query = by_id.get(entry.id) if entry.id is not None else None
        if fault := _fault(entry, query):
            faults.append(fault)
            continue
        if query is None:
            assert entry.object is not None
            query = by_object.get(_name(entry.object)) or by_text.get(entry.text or "?")
        if query is None:
            new += _elsewhere(entry, known, source, overwrite, report)
        else:
            query, rows = _of_query(entry, query, source, overwrite, report)
            by_id[query.id] = by_object[_name(query.object)] = query
            by_text[query.text or ""] = query
            new += rows
    if faults:
        raise _refused(faults, queries)
    if new and forget is not None:
        forget()
    log.add_results(new)
    report.pending = sum(q.status == Status.PENDING for q in by_id.values())
    return report


def check_one_seed(path: Path, seeds: int) -> None:
    """Refuse a run of several seeds, where an id names no one query.

    Raises:
      ValueError: with the remedy.
    """
    if seeds != 1:
        raise ValueError(f"{path} is a run of {seeds} seeds, and a study has one: begin a new one")


def _name(stored: bytes) -> bytes:
    return stored.rstrip(b"\0")


def _fault(entry: Entry, query: Query | None) -> tuple[str, str] | None:
    """Why an entry with an id is no result of the candidate with that id, and the remedy; None: it
    is one."""
    if entry.id is None:
        return None
    if query is None:
        fault = f"{entry.where}: there is no candidate {entry.id!r}"
        return fault, "ids are those of 'wrlso ask': rename a column 'id' that names compounds"
    asked = query.text or query.object.hex()
    if entry.text in (None, asked):
        return None
    if entry.object is not None and _name(entry.object) == _name(query.object):
        return None
    fault = f"{entry.where}: candidate {query.id} is {asked}, and the row has {entry.text}"
    return fault, "put ids beside their objects again, or drop the column that is wrong"


def _refused(faults: Sequence[tuple[str, str]], queries: Sequence[Query]) -> ValueError:
    """The error that names faults, their remedies and the open candidates."""
    text = f"nothing was recorded: {'; '.join(fault for fault, _ in faults[:_SHOWN])}"
    text += f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    remedies = "; ".join(dict.fromkeys(remedy for _, remedy in faults))
    open_ones = ", ".join(q.id for q in queries if q.status == Status.PENDING) or "none"
    return ValueError(f"{text}. Remedy: {remedies}. Open candidates: {open_ones}")


def _of_query(
    entry: Entry, query: Query, source: str | None, overwrite: bool, report: TellReport
) -> tuple[Query, list[Told]]:
    """The query after an entry about it, and the row to record."""
    result = Told(
        (query.seed, query.round, query.index), query.object, entry.score, entry.reason, source,
        query.text,
    )  # fmt: skip
    status = Status.FAILED if entry.score is None else Status.OK
    after = replace(query, score=entry.score, status=status, reason=entry.reason)
    if query.status == Status.PENDING:
        report.new += status == Status.OK
        report.failed += status == Status.FAILED
        return after, [result]
    if entry.score == query.score:
        report.repeated += 1
        return query, []
    if overwrite:
        report.replaced += 1
        return after, [result]
    report.kept.append(_stays(entry, query.id, query.score))
    return query, []


def _elsewhere(
    entry: Entry,
    known: dict[bytes, Any],
    source: str | None,
    overwrite: bool,
    report: TellReport,
) -> Sequence[Told]:
    """The row of a measurement that was made elsewhere, unless it is known or has no score.

    ``known`` holds the scores of the starting data and of other measurements, by object.
    """
    assert entry.object is not None
    name, text = _name(entry.object), entry.text or "this object"
    if entry.score is None:
        has = f"; its score {_words(known[name])} stays" if name in known else ""
        report.kept.append(
            f"{entry.where}: {text} was left out: nobody asked for it and it has no score{has}"
        )
        return []
    if name in known and _same(entry.score, known[name]):
        report.repeated += 1
        return []
    if name in known and not overwrite:
        report.kept.append(_stays(entry, text, known[name]))
        return []
    report.replaced += name in known
    report.elsewhere += name not in known
    known[name] = entry.score
    return [Told(None, entry.object, entry.score, None, source, entry.text)]


def _same(score: float, known: Any) -> bool:
    """Whether a score is the known one, in the precision in which that is known."""
    return bool(np.asarray(score, np.asarray(known).dtype) == known)


def _stays(entry: Entry, name: str, known: Any) -> str:
    """The sentence about a result that another one keeps out."""
    old, new = _words(known), _words(entry.score)
    if old == new:  # as rounded
        old, new = str(known), str(entry.score)
    return (
        f"{entry.where}: {name} was told as {old} before, which stays; --replace (in Python "
        f"replace=True) takes {new}"
    )


def _words(score: Any) -> str:
    return "a failure" if score is None else shown(float(score), 6)
