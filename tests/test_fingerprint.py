import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wrlso.fingerprint import (
    find,
    fingerprint,
    first_fresh,
    first_occurrence,
    sort_fingerprints,
)


def objects(n, seed, values=2, length=5):
    return jnp.asarray(
        np.random.default_rng(seed).integers(values, size=(n, length)), dtype=jnp.uint8
    )


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int32, jnp.bool_])
def test_equal_fingerprints_mean_equal_objects(dtype):
    """All 4,096 strings of 12 bits, and the like in other types: no two share one."""
    bits = (np.arange(4096)[:, None] >> np.arange(12)) & 1
    prints = fingerprint(jnp.asarray(bits, dtype))
    both = np.asarray(prints.high, np.uint64) << np.uint64(32) | np.asarray(prints.low, np.uint64)
    assert len(np.unique(both)) == 4096
    # Each half alone behaves like a random 32-bit word: about 0.002 collisions expected.
    assert len(np.unique(prints.high)) >= 4094


def test_padding_with_zeros_is_another_object():
    assert not np.array_equal(
        fingerprint(jnp.zeros((1, 3), jnp.uint8)).high,
        fingerprint(jnp.zeros((1, 4), jnp.uint8)).high,
    )


@pytest.mark.parametrize("n", [1, 2, 3, 17, 64, 1000])
def test_find_equals_a_dict(n):
    known, wanted = objects(n, 0, length=8), objects(200, 1, length=8)
    first = {bytes(row): i for i, row in reversed(list(enumerate(np.asarray(known))))}
    expected = [first.get(bytes(row), -1) for row in np.asarray(wanted)]
    got = find(sort_fingerprints(fingerprint(known)), fingerprint(wanted))
    assert got.tolist() == expected


def test_masked_rows_are_not_found():
    known = objects(10, 0, values=200)
    prints = sort_fingerprints(fingerprint(known), jnp.arange(10) < 4)
    assert find(prints, fingerprint(known)).tolist() == [0, 1, 2, 3] + [-1] * 6


def test_first_occurrence_equals_a_set():
    rows = objects(60, 0, length=4)
    seen, expected = set(), []
    for row in np.asarray(rows):
        expected.append(bytes(row) not in seen)
        seen.add(bytes(row))
    assert first_occurrence(fingerprint(rows)).tolist() == expected


def test_first_fresh_keeps_the_order_and_puts_repeats_last():
    pool = jnp.array([[1], [2], [1], [3], [4], [2], [5]], jnp.uint8)
    known = sort_fingerprints(fingerprint(jnp.array([[3], [9]], jnp.uint8)))
    rows, fresh, [known_row] = first_fresh(fingerprint(pool), [known], 6)
    assert pool[rows, 0].tolist() == [1, 2, 4, 5, 1, 3]
    assert fresh.tolist() == [True, True, True, True, False, False]
    assert known_row.tolist() == [-1, -1, -1, 0, -1, -1, -1]


def test_a_dedup_key_decides_which_objects_are_equal():
    """Here a pair is the same in either order."""
    pairs = jnp.array([[1, 2], [2, 1], [2, 2], [1, 2]], jnp.uint8)
    prints = fingerprint(pairs, lambda p: jnp.sort(p, axis=1))
    assert first_occurrence(prints).tolist() == [True, False, True, False]
    assert first_occurrence(fingerprint(pairs)).tolist() == [True, True, True, False]


def test_jit_and_vmap_find_the_same_fresh_rows():
    pools = jnp.stack([objects(30, s) for s in range(3)])
    known = sort_fingerprints(fingerprint(objects(5, 7)))
    batched = jax.jit(jax.vmap(lambda p: first_fresh(fingerprint(p), [known], 6)))(pools)
    for i in range(3):
        rows, fresh, [known_row] = first_fresh(fingerprint(pools[i]), [known], 6)
        np.testing.assert_array_equal(batched[2][0][i], known_row)
        np.testing.assert_array_equal(batched[0][i], rows)
        np.testing.assert_array_equal(batched[1][i], fresh)


def test_words_that_differ_in_their_highest_bits_differ():
    objects = jnp.asarray(
        [[0, 0, 0, 0], [1 << 31, 0, 1 << 31, 0], [0, 1 << 31, 1 << 31, 0]], jnp.uint32
    )
    prints = fingerprint(objects)
    assert len(set(np.asarray(prints.high).tolist())) == 3
    assert len(set(np.asarray(prints.low).tolist())) == 3
