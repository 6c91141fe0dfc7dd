"""Of the points that a proposer prefers, those to evaluate: the first whose objects are new.

Points before them whose objects were scored already are not wasted: the surrogate is taught what
they score, for nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from wrlso.data import Acquired, Dataset, Status, in_use
from wrlso.identity import (
    Fingerprints,
    Identity,
    Known,
    fingerprint,
    first_fresh,
    first_occurrence,
    sort_fingerprints,
)
from wrlso.propose import Told


class Shared(NamedTuple):
    """What all seeds read: the base data, its fingerprints, and ``distinct [N]``, false for a
    base object that stands in an earlier row, too."""

    base: Dataset
    known: Known
    distinct: Array


def share(base: Dataset, identity: Identity | None = None) -> Shared:
    """Prepare the base data once for all seeds, with the algorithm's ``identity``: with another,
    its objects may be charged. Scores that are no floats of 32 bits become such, and arrays of
    NumPy arrays of JAX."""
    scores = jnp.asarray(base.scores)
    scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
    base = Dataset(jnp.asarray(base.objects), scores)
    prints = fingerprint(base.objects, identity)
    return Shared(base, sort_fingerprints(prints), first_occurrence(prints))


class Candidates(NamedTuple):
    """A batch to evaluate: ``latents [q, d]``, ``objects [q, ...]``, ``status [q]``; and what the
    pool taught by itself, ``lessons``: points that were preferred to some of these, but
    decode to objects that were scored before. ``decoded``: fingerprints of the objects as decoded,
    which stay as they are where the evaluation puts another spelling in an object's place;
    ``prints``: the same with the identity.

    Rows with status OK are to be scored; INVALID ones are charged without being
    scored; DUPLICATE and UNUSED ones are neither.
    """

    latents: Array
    objects: Array
    status: Array
    lessons: Told
    decoded: Fingerprints
    prints: Fingerprints


def choose(
    latents: Array,
    objects: Array,
    acquired: Acquired,
    shared: Shared,
    room: Array,
    *,
    batch: int,
    lessons: int,
    identity: Identity | None = None,
    valid: Callable[[Array], Array] | None = None,
) -> Candidates:
    """The first points whose objects are new, and what those before them teach.

    Args:
      latents: ``[P, d]``, in order of preference; P at least ``batch`` and ``lessons``.
      objects: ``[P, ...]``, their decodes.
      acquired: the seed's queries so far.
      shared: from :func:`share`, with the same ``identity``.
      room: places of the batch that may be used, ``[]``; those beyond are UNUSED.
      batch: q, points to choose (static).
      lessons: points to learn from, at most (static).
      identity: when objects are the same; None: when they are equal.
      valid: ``objects [q, ...]`` to booleans ``[q]``; None: all are.
    """
    own, own_scores = _own(acquired, identity)
    prints = fingerprint(objects, identity)
    rows, fresh, (in_base, in_own) = first_fresh(prints, [shared.known, own], batch)
    score = jnp.where(in_own >= 0, own_scores[in_own], jnp.nan)
    score = jnp.where(in_base >= 0, shared.base.scores[in_base], score)
    known = ((in_base >= 0) | (in_own >= 0)) & (jnp.arange(len(latents)) <= rows.max())
    latents = latents.astype(acquired.latents.dtype)
    told = _lessons(latents, known, score, lessons)
    latents, objects = latents[rows], objects[rows]
    status = jnp.where(True if valid is None else valid(objects), Status.OK, Status.INVALID)
    status = jnp.where(fresh, status, Status.DUPLICATE)
    status = jnp.where(jnp.arange(batch) < room, status, Status.UNUSED)
    status = status.astype(jnp.int32)
    chosen = Fingerprints(*(words[rows] for words in prints))
    return Candidates(latents, objects, status, told, fingerprint(objects), chosen)


def no_candidates(acquired: Acquired, base: Dataset, *, batch: int, lessons: int) -> Candidates:
    """In the shapes of :func:`choose`, nothing to evaluate and nothing to learn."""

    def like(rows: Array, n: int) -> Array:
        return jnp.zeros((n, *rows.shape[1:]), rows.dtype)

    return Candidates(
        like(acquired.latents, batch),
        like(base.objects, batch),
        jnp.full(batch, int(Status.UNUSED), jnp.int32),
        Told(
            like(acquired.latents, lessons),
            jnp.full(lessons, jnp.nan, base.scores.dtype),
            jnp.zeros(lessons, bool),
        ),
        jax.tree.map(lambda words: like(words, batch), acquired.decoded),
        jax.tree.map(lambda words: like(words, batch), acquired.prints),
    )


def _own(acquired: Acquired, identity: Identity | None) -> tuple[Known, Array]:
    """All spellings that a seed has asked for, and what they score: NaN for a failure."""
    again = acquired.again
    # An identity's integers are not to be mistaken for an object's own.
    decoded = acquired.decoded if identity is None else acquired.prints
    parts = zip(acquired.prints, decoded, again.prints, strict=True)
    asked = in_use(acquired)
    mask = jnp.concatenate([asked, asked, jnp.arange(len(again.scores)) < again.used])
    known = sort_fingerprints(Fingerprints(*map(jnp.concatenate, parts)), mask)
    return known, jnp.concatenate([acquired.scores, acquired.scores, again.scores])


def _lessons(latents: Array, known: Array, score: Array, most: int) -> Told:
    """The first points of a pool that decode to what is ``known``."""
    rows = jnp.argsort(~known, stable=True)[:most]
    learnt = jnp.where(known, score, jnp.nan)[rows]
    return Told(latents[rows], learnt, (known & ~jnp.isfinite(score))[rows])
