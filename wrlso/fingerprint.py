"""Recognising an object that was scored before, inside jit.

Objects are arrays of integers, compared by a 64-bit fingerprint, kept as two
32-bit words since JAX has no 64-bit integers by default: two multilinear hashes
of the scrambled elements, with fixed random factors. Two given objects share one
with a probability of about 2^-60, as far as scrambled elements are random.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

DedupKey = Callable[[Array], Array]
"""``objects [B, ...]`` to integers ``[B, ...]``: equal rows mean that two objects are two spellings
of one thing. It is a property of objects, and reads no score."""


class Fingerprints(NamedTuple):
    """Two uint32 words for each of N objects: ``high [N]``, ``low [N]``."""

    high: Array
    low: Array


def fingerprint(objects: Array, dedup_key: DedupKey | None = None) -> Fingerprints:
    """Fingerprints of ``[N, ...]`` integer objects; equal objects, equal fingerprints. A
    ``dedup_key`` is applied to the objects first."""
    objects = objects if dedup_key is None else dedup_key(objects)
    words = objects.reshape(objects.shape[0], -1).astype(jnp.uint32) + jnp.uint32(1)
    words = _scramble(words)  # a product hands a high bit to higher ones only: two would cancel
    factors = np.random.default_rng(0).integers(2**32, size=(2, words.shape[1]), dtype=np.uint32)
    high, low = (_scramble((words * (f | 1)).sum(-1, dtype=jnp.uint32)) for f in factors)
    return Fingerprints(high, low)


class SortedFingerprints(NamedTuple):
    """Fingerprints in order, for :func:`find`, with the row each came from: ``row [N]``."""

    high: Array
    low: Array
    row: Array


def sort_fingerprints(prints: Fingerprints, mask: Array | None = None) -> SortedFingerprints:
    """Sorted for :func:`find`. Masked rows become the largest fingerprint, all ones."""
    high, low = prints
    if mask is not None:
        high, low = (jnp.where(mask, w, jnp.uint32(0xFFFFFFFF)) for w in (high, low))
    rows = jnp.arange(high.shape[0], dtype=jnp.int32)
    return SortedFingerprints(*lax.sort((high, low, rows), num_keys=2))


def find(known: SortedFingerprints, wanted: Fingerprints) -> Array:
    """``[Q]`` rows of the known objects that equal the wanted ones, -1 for none. O(Q log N)."""
    n = known.high.shape[0]

    def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = jnp.minimum((low + high) // 2, n - 1)
        a, b = known.high[middle], known.low[middle]
        before = (a < wanted.high) | ((a == wanted.high) & (b < wanted.low))
        before &= low < high
        return jnp.where(before, middle + 1, low), jnp.where(before, high, middle)

    start = jnp.zeros(wanted.high.shape, jnp.int32)
    place, _ = lax.fori_loop(0, n.bit_length(), halve, (start, start + n))
    at = jnp.minimum(place, n - 1)
    equal = (place < n) & (known.high[at] == wanted.high) & (known.low[at] == wanted.low)
    return jnp.where(equal, known.row[at], -1)


def first_occurrence(prints: Fingerprints) -> Array:
    """``[N]`` booleans: true for the first of each set of equal fingerprints."""
    n = prints.high.shape[0]
    high, low, row = lax.sort((*prints, jnp.arange(n)), num_keys=3)
    same = (high[1:] == high[:-1]) & (low[1:] == low[:-1])
    leads = jnp.concatenate([jnp.ones(1, bool), ~same])
    return jnp.zeros(n, bool).at[row].set(leads)


def first_fresh(
    pool: Fingerprints, known: list[SortedFingerprints], n: int
) -> tuple[Array, Array, list[Array]]:
    """Choose n of a pool, those that are new first, otherwise in the pool's order.

    Args:
      pool: fingerprints of P objects in order of preference, P >= n.
      known: what was scored before.
      n: how many to choose.

    Returns:
      Rows of the pool ``[n]``; whether each is new ``[n]``: neither known nor
      equal to an earlier one of the pool; and for each of ``known`` the rows
      ``[P]`` there that equal the pool's objects, -1 for none.
    """
    found = [find(seen, pool) for seen in known]
    fresh = first_occurrence(pool)
    for row in found:
        fresh &= row < 0
    rows = jnp.argsort(~fresh, stable=True)[:n]
    return rows, fresh[rows], found


def _scramble(x: Array) -> Array:
    """A bijection of 32-bit words that spreads every bit (two multiply-xorshift rounds)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)
