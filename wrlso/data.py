"""Data sets: base data that all seeds share, and the history of queries that each seed owns."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from wrlso.fingerprint import DedupKey, Fingerprints, keys_of
from wrlso.replicates import Combined, Replicates, combine
from wrlso.scores import in_double
from wrlso.status import Status
from wrlso.storage.numbers import shown

NO_SCORE = -math.inf
"""The score of a row that has none. It is no NaN, so that compiled programs return none and
``jax_debug_nans`` can be switched on."""

_ALIASES = 4
"""Aliases that a history has room for, per charged query."""


class Dataset(NamedTuple):
    """Scored objects: ``objects [N, ...]`` integers in storage form, ``scores [N]``, higher is
    better."""

    objects: Array
    scores: Array


class Aliases(NamedTuple):
    """Decodes that cost an evaluation step but no budget.

    The evaluation recognised each of them as another spelling of an object that was scored before,
    or refused it by the task's ``accept`` test.

    Attributes:
      fingerprints: of A objects as decoded; A is four times the budget.
      scores: ``[A]``, :data:`NO_SCORE` for a failure and for a refused object.
      refused: ``[A]``, true for a refused object.
      used: ``[]`` int32, the number of rows in use.
    """

    fingerprints: Fingerprints
    scores: Array
    refused: Array
    used: Array


class History(NamedTuple):
    """The charged queries of one seed, in order. The capacity C is the budget; other rows are
    padding.

    Attributes:
      objects: ``[C, ...]``.
      latents: ``[C, d]``, as proposed.
      scores: ``[C]``, :data:`NO_SCORE`, which is -inf, unless the status is OK.
      status: ``[C]`` int32.
      fingerprints: of the C objects.
      decoded_fingerprints: of the C decodes of the latents, which may be other spellings of the
        objects.
      round: ``[C]`` int32, the round of each query.
      used: ``[]`` int32, the number of rows in use.
      aliases: decodes that only the evaluation recognised as duplicates, or refused.
    """

    objects: Array
    latents: Array
    scores: Array
    status: Array
    fingerprints: Fingerprints
    decoded_fingerprints: Fingerprints
    round: Array
    used: Array
    aliases: Aliases


def empty_history(capacity: int, object_like: Array, latent_dim: int) -> History:
    """An empty history for objects of the shape and dtype of ``object_like``."""
    kind = jnp.dtype(object_like.dtype)
    return _empty_history(capacity, object_like.shape, kind, latent_dim)


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _empty_history(
    capacity: int, shape: tuple[int, ...], kind: np.dtype, latent_dim: int
) -> History:
    # One program: at a run's start each array by itself would be one.
    def fingerprints(rows: int = capacity) -> Fingerprints:
        return Fingerprints(*(jnp.zeros(rows, jnp.uint32) for _ in range(2)))

    def scores(rows: int = capacity) -> Array:
        return jnp.full(rows, NO_SCORE, jnp.float32)

    others = _ALIASES * capacity

    return History(
        objects=jnp.zeros((capacity, *shape), kind),
        latents=jnp.zeros((capacity, latent_dim), jnp.float32),
        scores=scores(),
        status=jnp.full(capacity, int(Status.UNUSED), jnp.int32),
        fingerprints=fingerprints(),
        decoded_fingerprints=fingerprints(),
        round=jnp.zeros(capacity, jnp.int32),
        used=jnp.zeros((), jnp.int32),
        aliases=Aliases(
            fingerprints(others),
            scores(others),
            jnp.zeros(others, bool),
            jnp.zeros((), jnp.int32),
        ),
    )


def append(
    history: History,
    objects: Array,
    latents: Array,
    scores: Array,
    status: Array,
    fingerprints: Fingerprints,
    decoded_fingerprints: Fingerprints,
    charged: Array,
    round: ArrayLike = 0,
) -> History:
    """Append the ``charged`` rows of a batch, in order; rows beyond the capacity are dropped."""
    rounds = jnp.full(scores.shape, round, jnp.int32)
    new = objects, latents, scores, status, fingerprints, decoded_fingerprints, rounds
    filled, used = _append_rows(tuple(history[:-2]), new, history.used, charged)
    return History._make([*filled, used, history.aliases])


def append_aliases(
    aliases: Aliases, fingerprints: Fingerprints, scores: Array, refused: Array, selected: Array
) -> Aliases:
    """Append the ``selected`` rows of a batch; rows beyond the capacity are dropped."""
    new = fingerprints, scores, refused
    filled, used = _append_rows(tuple(aliases[:-1]), new, aliases.used, selected)
    return Aliases._make([*filled, used])


def forget_aliases(aliases: Aliases, scores: Array, corrected: Array) -> Aliases:
    """Drop the aliases that have the score of a ``corrected`` row ``[C]``, as it was.

    An alias does not name its object: those of other objects with that score are dropped, too. The
    evaluation recognises all of them again.
    """
    old = jnp.sort(jnp.where(corrected, scores, jnp.inf))
    at = jnp.clip(jnp.searchsorted(old, aliases.scores), 0, len(old) - 1)
    rows = jnp.arange(len(aliases.scores), dtype=jnp.int32)
    wrong = (old[at] == aliases.scores) & ~aliases.refused & (rows < aliases.used)
    order = jnp.argsort(wrong, stable=True)
    kept = jax.tree.map(lambda a: a[order], tuple(aliases[:-1]))
    return Aliases._make([*kept, aliases.used - wrong.sum(dtype=jnp.int32)])


def _append_rows(buffer: Any, new: Any, used: Array, selected: Array) -> tuple[Any, Array]:
    capacity = jax.tree.leaves(buffer)[0].shape[0]
    place = jnp.where(selected, used + jnp.cumsum(selected, dtype=jnp.int32) - 1, capacity)
    filled = jax.tree.map(lambda old, rows: old.at[place].set(rows, mode="drop"), buffer, new)
    return filled, jnp.minimum(used + selected.sum(dtype=jnp.int32), capacity)


def in_use(history: History) -> Array:
    """``[C]`` booleans: true for the rows that hold a query."""
    return jnp.arange(history.scores.shape[0], dtype=jnp.int32) < history.used


def all_scores(base: Dataset, history: History) -> tuple[Array, Array]:
    """Scores ``[N + C]`` of base and history rows, and booleans ``[N + C]``, true where usable."""
    usable = in_use(history) & (history.status == Status.OK)
    scores = jnp.concatenate([base.scores, history.scores])
    return scores, jnp.concatenate([jnp.isfinite(base.scores), usable])


def all_rounds(base: Dataset, history: History) -> Array:
    """``[N + C]`` int32: -1 for a base row, else the round of the query."""
    return jnp.concatenate([jnp.full(base.scores.shape, -1, jnp.int32), history.round])


def gather(base: Dataset, history: History, rows: Array) -> Array:
    """Objects ``[B, ...]`` by row number, counting the base rows first.

    Base and history objects are never concatenated: the base is stored once
    for all seeds.
    """
    n = base.scores.shape[0]
    from_base = base.objects[jnp.minimum(rows, n - 1)]
    from_history = history.objects[jnp.clip(rows - n, 0, history.scores.shape[0] - 1)]
    is_base = (rows < n).reshape(-1, *([1] * (from_base.ndim - 1)))
    return jnp.where(is_base, from_base, from_history)


def check_dataset(data: Dataset, name: str = "data") -> None:
    """Refuse a base data set that cannot be weighted.

    Raises:
      ValueError: naming the argument, if it is empty, its parts differ in
        length, objects are not integers of at most 32 bits, or a score is NaN or infinite.
    """
    objects, scores = np.asarray(data.objects), in_double(data.scores, f"{name}.scores")
    if scores.ndim != 1 or len(scores) == 0:
        raise ValueError(f"{name}.scores must be a non-empty vector, got shape {scores.shape}")
    if len(objects) != len(scores):
        raise ValueError(f"{name} has {len(objects)} objects but {len(scores)} scores")
    _check_type_of_objects(objects.dtype, name)
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise ValueError(
            f"{name}.scores has {len(bad)} values that are NaN or infinite, the first in row "
            f"{bad[0]}: drop those rows, or give them the task's stated penalty"
        )


def fault_of_objects(kind: np.dtype) -> str | None:
    """The rule that objects of a type break, and the remedy; None: they are integers of at most 32
    bits."""
    if kind.kind not in "iub":
        return (
            f"must be integers (indices, packed bits), got {kind}: equal objects are recognised "
            "bit by bit, so store a quantised form"
        )
    if kind.itemsize > 4:
        return (
            f"must be integers of 32 bits at most, got {kind}: cast them, as 64 bits are cut to 32 "
            "where JAX has no 64-bit types"
        )
    return None


def _check_type_of_objects(kind: np.dtype, name: str = "data") -> None:
    if fault := fault_of_objects(kind):
        raise ValueError(f"{name}.objects {fault}")


def merge_replicates(
    data: Dataset,
    how: Replicates = "mean",
    dedup_key: DedupKey | None = None,
    minimize: bool = False,
    canonical: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Dataset:
    """A data set that has each object once, at the place of its first row. Means and medians of
    whole numbers are floats. Scores that are masked, NaN or infinite count where an object has no
    other.

    Args:
      data: ``objects [N, ...]``, ``scores [N]``: arrays, or lists.
      how: the score of an object that has different ones: their 'mean', their 'median', the 'best',
        which is the highest, or the lowest if ``minimize``; or 'refuse' such data.
      dedup_key: tells which objects are two spellings of one thing; None: only equal objects are.
      minimize: lower scores are better.
      canonical: the canonical spelling of an object, as of :class:`wrlso.HostObjective`: objects of
        equal spellings are one, and are put into it. None: only equal objects are.

    Raises:
      ValueError: if scores differ and are to be refused, ``how`` is none of these, objects are not
        integers of at most 32 bits, or there is not a score for each of at least one object.
    """
    data = _arrays(data)
    _check_type_of_objects(np.dtype(data.objects.dtype))
    if canonical is not None:
        spelled = [np.asarray(canonical(one)) for one in np.array(data.objects)]
        data = data._replace(objects=jnp.asarray(np.array(spelled), data.objects.dtype))
    rows, combined = find_replicates(data, how, dedup_key, minimize)
    if how == "refuse" and len(combined.differing):
        raise ValueError(f"data: {describe_conflict(data, rows, combined)}")
    _, first = np.unique(rows, return_index=True)
    kind = np.asarray(data.scores).dtype
    averaged = how in ("mean", "median") and not jnp.issubdtype(kind, jnp.floating)
    scores: Any = combined.scores if averaged else combined.scores.astype(kind)
    in_jax = isinstance(data.scores, Array)  # which may have no float64
    return Dataset(data.objects[first], jnp.asarray(scores) if in_jax else scores)


def _arrays(data: Dataset) -> Dataset:
    """Data of lists as arrays; the lengths are checked."""
    objects, scores = map(array_of_list, data)
    if np.ndim(scores) != 1 or len(scores) == 0 or np.shape(objects)[:1] != np.shape(scores):
        raise ValueError(
            "data must be objects [N, ...] and scores [N] of at least one row, got objects "
            f"{list(np.shape(objects))} and scores {list(np.shape(scores))}"
        )
    return Dataset(objects, scores)


def array_of_list(values: Any) -> Any:
    """Lists as arrays; their whole numbers in 32 bits, where NumPy takes 64, if they fit."""
    if not isinstance(values, (list, tuple)):
        return values
    array = np.asarray(values)
    fits = array.dtype == np.int64 and (array == array.astype(np.int32)).all()
    return array.astype(np.int32) if fits else array


def find_replicates(
    data: Dataset, how: Replicates, dedup_key: DedupKey | None = None, minimize: bool = False
) -> tuple[np.ndarray, Combined]:
    """The number of the thing ``[N]`` that each row is about, in order of appearance, and the
    things' scores: of rows with a finite one, where there is any."""
    objects = data.objects if dedup_key is None else jnp.asarray(data.objects)
    keys = np.asarray(keys_of(objects, dedup_key))
    keys = np.ascontiguousarray(keys.reshape(len(keys), -1))
    numbers: dict[bytes, int] = {}
    things = np.array([numbers.setdefault(key.tobytes(), len(numbers)) for key in keys], np.int64)
    scores = in_double(data.scores)
    known = np.isfinite(scores)
    _, places = np.unique(things, return_index=True)
    first = np.isin(np.arange(len(things)), places)
    counts = known | (first & ~np.isin(things, things[known]))
    return things, combine(scores[counts], things[counts], how, minimize)


def describe_conflict(
    data: Dataset,
    things: np.ndarray,
    combined: Combined,
    argument: str = "",
    minimize: bool = False,
) -> str:
    """How many things have different scores, the first of them, and the remedy: a merge, with the
    argument that it needs. With ``minimize`` the data hold negated scores."""
    rows = np.flatnonzero(things == combined.differing[0])
    scores = np.asarray(data.scores)[rows] * (-1 if minimize else 1)
    needed = ["data", "'mean'", *[argument] * bool(argument), *["minimize=True"] * minimize]
    other = int(np.argmax(scores != scores[0]))
    first, second = (shown(score, 6) for score in (scores[0], scores[other]))
    return (
        f"{len(combined.differing)} objects are there several times with different scores, such as "
        f"rows {rows[0]} and {rows[other]} with {first} and {second}: give each "
        f"once, or merge them by wrlso.merge_replicates({', '.join(needed)}), 'median' or 'best'"
    )
