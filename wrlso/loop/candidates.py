"""The candidates of a batch: the first points of a proposer's pool whose objects are new.

Points before them decode to objects that were scored already, or that the task does not accept.
They cost nothing. The surrogate learns the scores of the former.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Integer

from wrlso.data import NO_SCORE, Dataset, History, in_use
from wrlso.fingerprint import (
    DedupKey,
    Fingerprints,
    SortedFingerprints,
    fingerprint,
    first_fresh,
    first_occurrence,
    sort_fingerprints,
)
from wrlso.objective import at_least_single
from wrlso.proposers.base import Observations
from wrlso.status import Status


class BaseData(NamedTuple):
    """The base data as all seeds read them.

    Attributes:
      dataset: the N scored objects.
      fingerprints: of the objects, sorted.
      distinct: ``[N]``, false for an object that is in an earlier row, too.
    """

    dataset: Dataset
    fingerprints: SortedFingerprints
    distinct: Array


def prepare_base(dataset: Dataset, dedup_key: DedupKey | None = None) -> BaseData:
    """Prepare the base data once for all seeds.

    Args:
      dataset: NumPy or JAX arrays. Scores are converted to float32, or stay in a wider float.
      dedup_key: the algorithm's; with another one, base objects may be charged.
    """
    scores = jnp.asarray(dataset.scores)
    scores = scores.astype(at_least_single(scores.dtype))
    found = fingerprint(dataset.objects, dedup_key)
    return BaseData(
        Dataset(jnp.asarray(dataset.objects), scores),
        sort_fingerprints(found),
        first_occurrence(found),
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
    """

    latents: Array
    objects: Array
    status: Array
    duplicates: Observations
    decoded_fingerprints: Fingerprints
    fingerprints: Fingerprints
    refused: Array


class Evaluation(NamedTuple):
    """The outcome of evaluating a batch of candidates.

    Attributes:
      scores: ``[q]``, of the objects: new, or for a DUPLICATE the known one; -inf or NaN where
        there is none.
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
    is_valid = jnp.ones(len(latents), bool) if valid is None else valid(objects)
    accepted = jnp.ones(len(latents), bool) if accept is None else accept(objects) | ~is_valid
    known = [base.fingerprints, own]
    rows, fresh, (in_base, in_own) = first_fresh(pool, known, batch, accepted)
    passed = jnp.arange(len(latents), dtype=rows.dtype) <= rows.max()
    refused = ~accepted | ((in_own >= 0) & own_refused[in_own])
    score = jnp.where(in_own >= 0, own_scores[in_own], NO_SCORE)
    score = jnp.where(in_base >= 0, base.dataset.scores[in_base], score)
    pending = (in_base < 0) & (in_own >= 0) & own_pending[in_own]
    latents = latents.astype(history.latents.dtype)
    seen = ((in_base >= 0) | (in_own >= 0) | refused) & passed
    duplicates = _first_known(latents, seen, score, refused, pending, max_duplicates)
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
    )


def no_candidates(
    history: History, dataset: Dataset, *, batch: int, max_duplicates: int
) -> Candidates:
    """An empty batch in the shapes of :func:`choose`: nothing to evaluate and nothing to learn."""

    def zeros(rows: Array, n: int) -> Array:
        return jnp.zeros((n, *rows.shape[1:]), rows.dtype)

    return Candidates(
        zeros(history.latents, batch),
        zeros(dataset.objects, batch),
        jnp.full(batch, int(Status.UNUSED), jnp.int32),
        Observations(
            zeros(history.latents, max_duplicates),
            jnp.full(max_duplicates, NO_SCORE, dataset.scores.dtype),
            jnp.zeros(max_duplicates, bool),
            jnp.zeros(max_duplicates, bool),
        ),
        jax.tree.map(lambda words: zeros(words, batch), history.decoded_fingerprints),
        jax.tree.map(lambda words: zeros(words, batch), history.fingerprints),
        jnp.zeros((), jnp.int32),
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
    latents: Array, known: Array, score: Array, refused: Array, pending: Array, n: int
) -> Observations:
    """The first n points of a pool whose objects are ``known``, or known to be ``refused``."""
    rows = jnp.argsort(~known, stable=True)[:n]
    learned = jnp.where(known & ~refused, score, NO_SCORE)
    failed = known & ~refused & ~pending & ~jnp.isfinite(score)
    return Observations(latents[rows], learned[rows], failed[rows], (known & refused)[rows])
