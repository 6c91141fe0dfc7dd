"""The candidates of a batch: the first points of a proposer's pool whose objects are new.

Points before them decode to objects that were scored already. They cost nothing, and the surrogate
learns their scores.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Integer

from wrlso.data import Dataset, History, in_use
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
    scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
    found = fingerprint(dataset.objects, dedup_key)
    return BaseData(
        Dataset(jnp.asarray(dataset.objects), scores),
        sort_fingerprints(found),
        first_occurrence(found),
    )


class Candidates(NamedTuple):
    """A batch to evaluate.

    Rows with status OK are to be scored. INVALID rows are charged without being scored. DUPLICATE
    and UNUSED rows are neither scored nor charged.

    Attributes:
      latents: ``[q, d]``.
      objects: ``[q, ...]``.
      status: ``[q]``.
      duplicates: points that the proposer preferred to some of these, whose objects were scored
        before; the surrogate learns them with the batch.
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


class Evaluation(NamedTuple):
    """The outcome of evaluating a batch of candidates.

    Attributes:
      scores: ``[q]``, of the objects: new, or for a DUPLICATE the known one; NaN where there is
        none.
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
    """
    own, own_scores = _own_fingerprints(history, dedup_key)
    pool = fingerprint(objects, dedup_key)
    rows, fresh, (in_base, in_own) = first_fresh(pool, [base.fingerprints, own], batch)
    score = jnp.where(in_own >= 0, own_scores[in_own], jnp.nan)
    score = jnp.where(in_base >= 0, base.dataset.scores[in_base], score)
    known = ((in_base >= 0) | (in_own >= 0)) & (jnp.arange(len(latents)) <= rows.max())
    latents = latents.astype(history.latents.dtype)
    duplicates = _first_known(latents, known, score, max_duplicates)
    latents, objects = latents[rows], objects[rows]
    status = jnp.where(True if valid is None else valid(objects), Status.OK, Status.INVALID)
    status = jnp.where(fresh, status, Status.DUPLICATE)
    status = jnp.where(jnp.arange(batch) < remaining, status, Status.UNUSED)
    status = status.astype(jnp.int32)
    chosen = Fingerprints(*(words[rows] for words in pool))
    return Candidates(latents, objects, status, duplicates, fingerprint(objects), chosen)


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
            jnp.full(max_duplicates, jnp.nan, dataset.scores.dtype),
            jnp.zeros(max_duplicates, bool),
        ),
        jax.tree.map(lambda words: zeros(words, batch), history.decoded_fingerprints),
        jax.tree.map(lambda words: zeros(words, batch), history.fingerprints),
    )


def _own_fingerprints(
    history: History, dedup_key: DedupKey | None
) -> tuple[SortedFingerprints, Array]:
    """All spellings that a seed has asked for, and their scores: NaN for a failure."""
    aliases = history.aliases
    # The integers of a deduplication key could be mistaken for those of an object.
    decoded = history.decoded_fingerprints if dedup_key is None else history.fingerprints
    parts = zip(history.fingerprints, decoded, aliases.fingerprints, strict=True)
    asked = in_use(history)
    mask = jnp.concatenate([asked, asked, jnp.arange(len(aliases.scores)) < aliases.used])
    own = sort_fingerprints(Fingerprints(*map(jnp.concatenate, parts)), mask)
    return own, jnp.concatenate([history.scores, history.scores, aliases.scores])


def _first_known(latents: Array, known: Array, score: Array, n: int) -> Observations:
    """The first n points of a pool whose objects are ``known``."""
    rows = jnp.argsort(~known, stable=True)[:n]
    learned = jnp.where(known, score, jnp.nan)[rows]
    return Observations(latents[rows], learned, (known & ~jnp.isfinite(score))[rows])
