"""The candidates of a batch: the first points of a proposer's pool whose objects are new.

Points before them decode to objects that were scored already, or that the task does not accept.
They cost nothing. The surrogate learns the scores of the former.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int, Integer

from wrlso.data import NO_SCORE, Dataset, History, array_of_list, fault_of_objects, in_use
from wrlso.fingerprint import (
    DedupKey,
    Fingerprints,
    SortedFingerprints,
    fingerprint,
    first_fresh,
    first_occurrence,
    sort_fingerprints,
)
from wrlso.proposers.base import Observations
from wrlso.scores import (
    Direction,
    check_range,
    less,
    negative_on_host,
    relative,
    score_offset,
    warn_of_merged,
)
from wrlso.scores.checks import is_concrete, native, values_of_rows
from wrlso.status import Status


class BaseData(NamedTuple):
    """The base data as all seeds read them.

    Attributes:
      dataset: the N scored objects.
      fingerprints: of the objects, sorted.
      distinct: ``[N]``, false for an object that is in an earlier row, too.
      offset: ``[]`` float32. Scores of the dataset, of histories and of surrogates are the task's
        less this number, which is zero unless the scores are far from it (:mod:`wrlso.scores`).
      direction: of the objective that scores candidates. Where it is MINIMIZE, the scores of the
        dataset, of histories and of surrogates are the negated ones: there higher is better.
    """

    dataset: Dataset
    fingerprints: SortedFingerprints
    distinct: Array
    offset: ArrayLike = 0.0
    direction: Direction = Direction.MAXIMIZE


def prepare_base(
    dataset: Dataset,
    dedup_key: DedupKey | None = None,
    offset: float | None = None,
    minimize: bool = False,
) -> BaseData:
    """Prepare the base data once for all seeds.

    Args:
      dataset: NumPy or JAX arrays: objects ``[N, ...]`` of integers of at most 32 bits, and scores
        ``[N]``. Scores are converted to float32, less the offset, as those of queries are. A row
        without a finite score is never learned from, but its object is never charged.
      dedup_key: the algorithm's; with another one, base objects may be charged.
      offset: subtracted from the scores, negated where they are; a float32. None: chosen from
        concrete scores.
      minimize: lower scores are better: they are negated here, and those of candidates when they
        are evaluated.

    Raises:
      TypeError: if objects are not integers, or have more than 32 bits, also under ``jit``.
      ValueError: if shapes do not fit, also under ``jit``; for concrete scores, if none is finite,
        or one is too large for float32. Distinct scores that become equal are warned of.
    """
    dataset = Dataset(*map(array_of_list, dataset))
    _check_types(dataset)
    given = negative_on_host(dataset.scores) if minimize else dataset.scores
    scores, offset = _prepare_scores(given, offset, minimize)
    objects = jnp.asarray(native(dataset.objects))
    # A key of the user's is no static argument, as JAX would keep it alive.
    index = _index if dedup_key is None else jax.jit(partial(_index_by, dedup_key=dedup_key))
    fingerprints, distinct = index(objects)
    subtracted = jnp.asarray(offset, jnp.float32)
    direction = Direction.MINIMIZE if minimize else Direction.MAXIMIZE
    return BaseData(Dataset(objects, scores), fingerprints, distinct, subtracted, direction)


def _index_by(
    objects: Array, dedup_key: DedupKey | None = None
) -> tuple[SortedFingerprints, Array]:
    """Sorted fingerprints, and whether an object is the first of its kind."""
    found = fingerprint(objects, dedup_key)
    return sort_fingerprints(found), first_occurrence(found)


_index = jax.jit(_index_by)
"""One program: at a run's start each operation by itself would be compiled."""


def _prepare_scores(scores: Any, offset: float | None, minimize: bool) -> tuple[Array, float]:
    """Scores ``[N]`` less the offset, in float32, as those of queries; and the offset. With
    ``minimize`` they are negated already."""
    if not is_concrete(scores):
        given = 0.0 if offset is None else offset
        return less(scores, given), given
    # A float32, as that of the candidates is.
    offset = score_offset(scores) if offset is None else float(np.float32(offset))
    used = relative(scores, offset)
    if not np.isfinite(used).any():
        raise ValueError("scores of the base data are all NaN, infinite or too large for float32")
    check_range("scores of the base data", scores, used, minimize)
    warn_of_merged(scores, offset, "the base data")
    return jnp.asarray(used), offset


def _check_types(dataset: Dataset) -> None:
    """Refuse base data by their types and shapes, which are known under ``jit``, too."""
    kind, shape = np.dtype(dataset.objects.dtype), np.shape(dataset.objects)
    if fault := fault_of_objects(kind):
        raise TypeError(f"objects of the base data {fault}")
    scores = np.shape(dataset.scores)
    if len(scores) != 1 or not shape or shape[0] != scores[0] or 0 in scores:
        raise ValueError(
            "base data must be objects [N, ...] and scores [N] of at least one row, "
            f"got objects {list(shape)} and scores {list(scores)}"
        )


class Candidates(NamedTuple):
    """A batch to evaluate.

    Rows with status OK are to be scored. INVALID rows are charged without being scored. DUPLICATE,
    REFUSED and UNUSED rows are neither scored nor charged.

    Attributes:
      latents: ``[q, d]``.
      objects: ``[q, ...]``.
      status: ``[q]``.
      duplicates: points that the proposer preferred to some of these, whose objects were scored
        before or refused; the surrogate learns them with the batch.
      refused: ``[]``, the number of points that the proposer preferred to some of these, and that
        ``accept`` refused.
      decoded_fingerprints: of the q objects as decoded. They stay when the evaluation replaces an
        object by its canonical spelling.
      fingerprints: of the q objects under the deduplication key.
      offset, direction: those of the base data, for the evaluation.
    """

    latents: Array
    objects: Array
    status: Array
    duplicates: Observations
    decoded_fingerprints: Fingerprints
    fingerprints: Fingerprints
    refused: Array
    offset: ArrayLike = 0.0
    direction: Direction = Direction.MAXIMIZE


class Evaluation(NamedTuple):
    """The outcome of evaluating a batch of candidates.

    Attributes:
      scores: ``[q]``, of the objects, negated if the candidates' direction is MINIMIZE, then less
        their offset: new, or for a DUPLICATE the known one; -inf or NaN where there is none.
      status: ``[q]``, after the evaluation.
      failed: ``[q]``, true for a DUPLICATE of an object that failed before.
    """

    scores: Array
    status: Array
    failed: Array


def choose(
    latents: Float[Array, "p d"],
    objects: Integer[Array, "p ..."],
    history: History,
    base: BaseData,
    remaining: Int[Array, ""],
    *,
    batch: int,
    max_duplicates: int,
    dedup_key: DedupKey | None = None,
    valid: Callable[[Array], Array] | None = None,
    accept: Callable[[Array], Array] | None = None,
) -> Candidates:
    """Choose the first points whose objects are new, and the duplicates before them.

    Args:
      latents: ``[P, d]``, in order of preference; P is at least ``batch`` and ``max_duplicates``.
      objects: ``[P, ...]``, their decodes.
      history: the seed's queries so far.
      base: from :func:`prepare_base`, with the same ``dedup_key``.
      remaining: ``[]``, the number of queries that may still be charged; places beyond are UNUSED.
      batch: q, the number of points to choose (static).
      max_duplicates: maximum number of duplicates that are returned (static).
      dedup_key: tells which objects are two spellings of one thing; None: only equal objects are.
      valid: ``objects [q, ...]`` to booleans ``[q]``; None: all are valid.
      accept: ``objects [q, ...]`` to booleans ``[q]``, false for valid objects that are not to be
        evaluated; None: all are accepted.
    """
    own, own_scores, own_refused, own_pending = _own_fingerprints(history, dedup_key)
    pool = fingerprint(objects, dedup_key)
    is_valid = _verdicts("valid", valid, objects)
    accepted = _verdicts("accept", accept, objects) | ~is_valid
    known = [base.fingerprints, own]
    rows, fresh, (in_base, in_own) = first_fresh(pool, known, batch, accepted)
    passed = jnp.arange(len(latents), dtype=rows.dtype) <= rows.max()
    refused = ~accepted | ((in_own >= 0) & own_refused[in_own])
    score = jnp.where(in_own >= 0, own_scores[in_own], NO_SCORE)
    of_base = base.dataset.scores[in_base]
    of_base = jnp.where(jnp.isfinite(of_base), of_base, NO_SCORE)
    score = jnp.where(in_base >= 0, of_base, score)
    pending = (in_own >= 0) & own_pending[in_own]
    latents = latents.astype(history.latents.dtype)
    seen = ((in_base >= 0) | (in_own >= 0) | refused) & passed
    # A base object without a score is no failure.
    unknown = pending | (in_base >= 0)
    duplicates = _first_known(latents, seen, score, refused, unknown, max_duplicates)
    chosen = Fingerprints(*(words[rows] for words in pool))
    status = jnp.where(is_valid[rows], Status.OK, Status.INVALID)
    status = jnp.where(fresh, status, Status.DUPLICATE)
    status = jnp.where(accepted[rows], status, Status.REFUSED)
    status = jnp.where(jnp.arange(batch, dtype=remaining.dtype) < remaining, status, Status.UNUSED)
    return Candidates(
        latents[rows],
        objects[rows],
        status.astype(jnp.int32),
        duplicates,
        fingerprint(objects[rows]),
        chosen,
        (~accepted & passed).sum(dtype=jnp.int32),
        jnp.asarray(base.offset, jnp.float32),
        base.direction,
    )


def _verdicts(name: str, test: Callable[[Array], Array] | None, objects: Array) -> Array:
    """Booleans ``[P]`` of a test of objects ``[P, ...]``; all true without one."""
    if test is None:
        return jnp.ones(len(objects), bool)
    task = f"map objects {list(objects.shape)} to booleans {list(objects.shape[:1])}"
    return values_of_rows(name, lambda: test(objects), len(objects), task).astype(bool)


def no_candidates(
    history: History,
    base: BaseData,
    *,
    batch: int,
    max_duplicates: int,
) -> Candidates:
    """An empty batch in the shapes of :func:`choose`: nothing to evaluate and nothing to learn."""

    def zeros(rows: Array, n: int) -> Array:
        return jnp.zeros((n, *rows.shape[1:]), rows.dtype)

    return Candidates(
        zeros(history.latents, batch),
        zeros(base.dataset.objects, batch),
        jnp.full(batch, int(Status.UNUSED), jnp.int32),
        Observations(
            zeros(history.latents, max_duplicates),
            jnp.full(max_duplicates, NO_SCORE, base.dataset.scores.dtype),
            jnp.zeros(max_duplicates, bool),
            jnp.zeros(max_duplicates, bool),
        ),
        jax.tree.map(lambda words: zeros(words, batch), history.decoded_fingerprints),
        jax.tree.map(lambda words: zeros(words, batch), history.fingerprints),
        jnp.zeros((), jnp.int32),
        jnp.asarray(base.offset, jnp.float32),
        base.direction,
    )


def _own_fingerprints(
    history: History, dedup_key: DedupKey | None
) -> tuple[SortedFingerprints, Array, Array, Array]:
    """All spellings that a seed has asked for, their scores, -inf where there is none, and which of
    them were refused, or are being measured."""
    aliases = history.aliases
    # The integers of a deduplication key could be mistaken for those of an object.
    decoded = history.decoded_fingerprints if dedup_key is None else history.fingerprints
    parts = zip(history.fingerprints, decoded, aliases.fingerprints, strict=True)
    asked = in_use(history)
    aliased = jnp.arange(len(aliases.scores), dtype=jnp.int32) < aliases.used
    mask = jnp.concatenate([asked, asked, aliased])
    own = sort_fingerprints(Fingerprints(*map(jnp.concatenate, parts)), mask)
    scores = jnp.concatenate([history.scores, history.scores, aliases.scores])
    charged = jnp.zeros(2 * len(history.scores), bool)
    pending = history.status == Status.PENDING
    pending = jnp.concatenate([pending, pending, jnp.zeros(aliases.scores.shape, bool)])
    return own, scores, jnp.concatenate([charged, aliases.refused]), pending


def _first_known(
    latents: Array, known: Array, score: Array, refused: Array, unknown: Array, n: int
) -> Observations:
    """The first n points of a pool whose objects are ``known``, or known to be ``refused``. One
    without a score has failed, unless its score is ``unknown``."""
    rows = jnp.argsort(~known, stable=True)[:n]
    learned = jnp.where(known & ~refused, score, NO_SCORE)
    failed = known & ~refused & ~unknown & ~jnp.isfinite(score)
    return Observations(latents[rows], learned[rows], failed[rows], (known & refused)[rows])
