"""Data sets: base data shared by all seeds, acquired points owned by each seed."""

from enum import IntEnum
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from wrlso.identity import Fingerprints


class Status(IntEnum):
    """What became of a query. Only ``DUPLICATE`` and ``UNUSED`` are not charged to the budget."""

    OK = 0
    INVALID = 1
    """The latent did not decode to an object."""
    FAILED = 2
    """The objective raised, or returned NaN or an infinity."""
    TIMEOUT = 3
    """The objective did not answer in time."""
    DUPLICATE = 4
    """The object was scored before, or stands in the base data; it was not evaluated."""
    UNUSED = 5
    """A place in a batch that the budget no longer covers."""


class Dataset(NamedTuple):
    """Scored objects: ``objects [N, ...]`` integers in storage form, ``scores [N]``, higher is
    better."""

    objects: Array
    scores: Array


class Spellings(NamedTuple):
    """What DUPLICATE queries decoded to, which an evaluation knew for another spelling of a scored
    object: fingerprints and ``scores`` of C, NaN for a failure, ``used []`` int32: rows in use.
    """

    prints: Fingerprints
    scores: Array
    used: Array


class Acquired(NamedTuple):
    """A seed's own queries, in order; capacity C is the budget, the rest is padding.

    ``objects [C, ...]``, ``latents [C, d]`` (as proposed), ``scores [C]`` (NaN unless the
    status is OK), ``status [C]`` int32, ``prints``: fingerprints of C objects, ``decoded``: of
    what the latents decoded to, which may be other spellings of these, ``round [C]`` int32: when
    each was asked for, ``used []`` int32: rows in use; and ``again``: what was not charged.
    """

    objects: Array
    latents: Array
    scores: Array
    status: Array
    prints: Fingerprints
    decoded: Fingerprints
    round: Array
    used: Array
    again: Spellings


def empty_acquired(capacity: int, object_like: Array, latent_dim: int) -> Acquired:
    """An empty buffer for objects of the shape and dtype of ``object_like``."""

    def prints() -> Fingerprints:
        return Fingerprints(*(jnp.zeros(capacity, jnp.uint32) for _ in range(2)))

    def scores() -> Array:
        return jnp.full(capacity, jnp.nan, jnp.float32)

    return Acquired(
        objects=jnp.zeros((capacity, *object_like.shape), object_like.dtype),
        latents=jnp.zeros((capacity, latent_dim), jnp.float32),
        scores=scores(),
        status=jnp.full(capacity, int(Status.UNUSED), jnp.int32),
        prints=prints(),
        decoded=prints(),
        round=jnp.zeros(capacity, jnp.int32),
        used=jnp.zeros((), jnp.int32),
        again=Spellings(prints(), scores(), jnp.zeros((), jnp.int32)),
    )


def append(
    acquired: Acquired,
    objects: Array,
    latents: Array,
    scores: Array,
    status: Array,
    prints: Fingerprints,
    decoded: Fingerprints,
    charged: Array,
    round: ArrayLike = 0,
) -> Acquired:
    """Append the ``charged`` rows of a batch, in order; rows beyond the capacity are dropped."""
    rounds = jnp.full(scores.shape, round, jnp.int32)
    new = objects, latents, scores, status, prints, decoded, rounds
    filled, used = _fill(tuple(acquired[:-2]), new, acquired.used, charged)
    return Acquired._make([*filled, used, acquired.again])


def remember(spellings: Spellings, prints: Fingerprints, scores: Array, which: Array) -> Spellings:
    """Append the rows of a batch that ``which`` says; rows beyond the capacity are dropped."""
    filled, used = _fill(tuple(spellings[:-1]), (prints, scores), spellings.used, which)
    return Spellings._make([*filled, used])


def _fill(buffer: Any, new: Any, used: Array, which: Array) -> tuple[Any, Array]:
    capacity = jax.tree.leaves(buffer)[0].shape[0]
    place = jnp.where(which, used + jnp.cumsum(which) - 1, capacity)
    filled = jax.tree.map(lambda old, rows: old.at[place].set(rows, mode="drop"), buffer, new)
    return filled, jnp.minimum(used + which.sum(), capacity).astype(jnp.int32)


def in_use(acquired: Acquired) -> Array:
    """``[C]`` booleans: which rows of the buffer hold a query."""
    return jnp.arange(acquired.scores.shape[0]) < acquired.used


def all_scores(base: Dataset, acquired: Acquired) -> tuple[Array, Array]:
    """Scores ``[N + C]`` of base and acquired rows, and which of them are usable."""
    usable = in_use(acquired) & (acquired.status == Status.OK)
    scores = jnp.concatenate([base.scores, acquired.scores])
    return scores, jnp.concatenate([jnp.isfinite(base.scores), usable])


def all_rounds(base: Dataset, acquired: Acquired) -> Array:
    """``[N + C]`` int32: -1 for base rows, else the round in which a row was asked for."""
    return jnp.concatenate([jnp.full(base.scores.shape, -1, jnp.int32), acquired.round])


def gather(base: Dataset, acquired: Acquired, rows: Array) -> Array:
    """Objects ``[B, ...]`` by row number, counting the base rows first.

    Base and acquired objects are never concatenated: the base is stored once
    for all seeds.
    """
    n = base.scores.shape[0]
    from_base = base.objects[jnp.minimum(rows, n - 1)]
    from_acquired = acquired.objects[jnp.clip(rows - n, 0, acquired.scores.shape[0] - 1)]
    is_base = (rows < n).reshape(-1, *([1] * (from_base.ndim - 1)))
    return jnp.where(is_base, from_base, from_acquired)


def check_dataset(data: Dataset, name: str = "data") -> None:
    """Refuse a base data set that cannot be weighted.

    Raises:
      ValueError: naming the argument, if it is empty, its parts differ in
        length, objects are not integers of at most 32 bits, or a score is NaN or infinite.
    """
    objects, scores = np.asarray(data.objects), np.asarray(data.scores)
    if scores.ndim != 1 or len(scores) == 0:
        raise ValueError(f"{name}.scores must be a non-empty vector, got shape {scores.shape}")
    if len(objects) != len(scores):
        raise ValueError(f"{name} has {len(objects)} objects but {len(scores)} scores")
    if objects.dtype.kind not in "iub":
        raise ValueError(
            f"{name}.objects must be integers (indices, packed bits), got {objects.dtype}: "
            "equal objects are recognised bit by bit, so store a quantised form"
        )
    if objects.dtype.itemsize > 4:
        raise ValueError(
            f"{name}.objects must be integers of 32 bits at most, got {objects.dtype}: they are "
            "recognised by 32-bit words, so store them as such"
        )
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise ValueError(
            f"{name}.scores has {len(bad)} values that are NaN or infinite, the first in row "
            f"{bad[0]}: drop those rows, or give them the task's stated penalty"
        )
