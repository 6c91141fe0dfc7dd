import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wrlso.fingerprint import (
    _sums,
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


# --- Structured changes ---------------------------------------------------------------------------

INTEGERS = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32]
PAIRS = 25_000


def bits_of(prints):
    return [np.asarray(word, np.uint32) for word in prints]


def random_objects(rng, dtype, length):
    """Half of them any bits, half small numbers, as symbols are."""
    info = np.iinfo(dtype)
    any_bits = rng.integers(info.min, info.max, (PAIRS // 2, length), dtype, endpoint=True)
    small = rng.integers(0, min(12, info.max), (PAIRS - PAIRS // 2, length)).astype(dtype)
    return np.concatenate([any_bits, small])


def swapped(rng, x):
    rows = np.arange(len(x))
    i, j = np.sort(np.argsort(rng.random(x.shape), 1)[:, :2], 1).T
    y = x.copy()
    y[rows, i], y[rows, j] = x[rows, j], x[rows, i]
    return y


def rotated(rng, x):
    return np.roll(x, 1, 1)


def turned(rng, x):
    return x[:, ::-1]


def one_bit(rng, x):
    y = x.copy().view(f"u{x.itemsize}")
    bit = rng.integers(0, 8 * x.itemsize, len(x)).astype(y.dtype)
    y[np.arange(len(x)), rng.integers(0, x.shape[1], len(x))] ^= np.array(1, y.dtype) << bit
    return y.view(x.dtype)


def one_up_one_down(rng, x):
    y, at = x.copy(), rng.integers(0, x.shape[1] - 1, len(x))
    y[np.arange(len(x)), at] += np.array(1, x.dtype)
    y[np.arange(len(x)), at + 1] -= np.array(1, x.dtype)
    return y


def first_of_their_kind(before, after):
    """Which pairs of 64-bit words differ from all pairs before them, in either order."""
    words = [high.astype(np.uint64) << np.uint64(32) | low for high, low in (before, after)]
    pair = np.minimum(*words) * np.uint64(0x9E3779B97F4A7C15) + np.maximum(*words)
    return np.isin(np.arange(len(pair)), np.unique(pair, return_index=True)[1])


def test_structured_changes_collide_as_rarely_as_random_words():
    """Over 2.5 million pairs, 16 bits agree by chance in one of 65,536: of the upper and lower
    half of either word, and 8 of each."""
    agree, pairs, worst = np.zeros(5), 0, 0
    pick = jax.jit(fingerprint)
    for seed, dtype in enumerate(INTEGERS):
        rng = np.random.default_rng(seed)
        for length in (2, 4, 15, 40):
            x = random_objects(rng, dtype, length)
            before = bits_of(pick(x))
            for change in (swapped, rotated, turned, one_bit, one_up_one_down):
                y = change(rng, x)
                other, after = (x != y).any(1), bits_of(pick(y))
                counted = other & first_of_their_kind(before, after)
                high, low = (a ^ b for a, b in zip(before, after, strict=True))
                np.testing.assert_array_equal((high != 0) | (low != 0), other)
                same = [high >> 16, high & 0xFFFF, low >> 16, low & 0xFFFF]
                same.append((high & 0xFF) | (low & 0xFF) << 8)
                counts = [((part == 0) & counted).sum() for part in same]
                agree += counts
                pairs += counted.sum()
                worst = max(worst, *counts)
    expected = pairs / 65_536
    assert pairs > 2_500_000
    assert (np.abs(agree - expected) < 5 * np.sqrt(expected)).all(), (agree, expected)
    assert worst < 8  # Of some 25,000 pairs, 0.4 expected.


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.uint32])
def test_pairs_of_numbers_are_told_apart(dtype):
    """``[21019, 5, 7, 1020063]`` and its swap once shared a fingerprint, as did 5 of 28 swaps of
    49525 and 61292."""
    pair = (21019, 1020063) if np.dtype(dtype).itemsize == 4 else (49525, 61292)
    seen = []
    for i in range(8):
        for j in range(8):
            row = np.arange(8)
            row[i], row[j] = pair
            seen.append(row)
    seen = np.unique(np.array(seen, dtype), axis=0)
    for word in bits_of(fingerprint(seen)):
        assert len(np.unique(word)) == len(seen)


def test_all_pairs_of_bytes_differ():
    """65,536 objects: 0.5 collisions are expected of a random 32-bit word."""
    both = np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1).reshape(-1, 2)
    for dtype in (np.uint8, np.int8):
        for word in bits_of(fingerprint(both.astype(dtype))):
            assert len(np.unique(word)) > 65_536 - 6


@pytest.mark.parametrize("double", [False, True])
def test_both_halves_of_64_bits_count(double):
    """Of NumPy arrays also where JAX has no 64-bit integers; in range, as in 32 bits."""
    wide = np.array([[1, 2**40], [1, 2**41], [1, 0], [2**32, 0], [1, -5]])
    with jax.enable_x64(double):
        for dtype in (np.int64, np.uint64):
            objects = wide.astype(dtype)
            prints = fingerprint(jnp.asarray(objects) if double else objects)
            assert first_occurrence(prints).all()
            np.testing.assert_array_equal(
                prints.high[2], fingerprint(np.array([[1, 0]], np.int32)).high[0]
            )
        negative = fingerprint(wide[4:])
        np.testing.assert_array_equal(negative.low, fingerprint(np.array([[1, -5]], np.int32)).low)


@pytest.mark.parametrize("lift", [lambda f: f, jax.jit])
def test_floats_are_refused(lift):
    with pytest.raises(TypeError, match="integers"):
        lift(fingerprint)(jnp.ones((2, 3)))


def test_all_swaps_of_16_bit_numbers_at_8_places():
    """A swap of a and b at places i and j changes nothing where ``e_i - e_j``, what a number adds
    at one place less what it adds at the other, is the same for both: so 65,536 values of it stand
    for 2^31 swaps. Of random words 0.5 are equal."""
    places, values = 8, np.arange(2**16, dtype=np.uint32)
    sums = jax.jit(_sums)
    added = []
    for place in range(places):
        objects = np.zeros((2**16, places), np.uint32)
        objects[:, place] = values
        added.append([np.asarray(word) for word in sums(objects)])
    pairs = [(i, j) for i in range(places) for j in range(i)]
    repeats = 0
    for i, j in pairs:
        high, low = (a - b for a, b in zip(added[i], added[j], strict=True))
        repeats += sum(len(values) - len(np.unique(word)) for word in (high, low))
        both = high.astype(np.uint64) << np.uint64(32) | low
        assert len(np.unique(both)) == len(values)
    assert repeats < len(pairs) + 5 * np.sqrt(len(pairs))


def test_numbers_in_a_wider_type_have_the_same_fingerprint():
    numbers = np.array([[0, 1, 2**31 - 1, 2**31, 2**32 - 1]])
    for narrow, wide, count in (
        (np.uint8, np.int16, 2),
        (np.int32, np.int64, 3),
        (np.uint32, np.int64, 3),
        (np.uint32, np.uint64, 5),
    ):
        some = numbers[:, :count]
        assert fingerprint(some.astype(narrow)) == fingerprint(some.astype(wide))
    assert fingerprint(-numbers[:, :3].astype(np.int32)) == fingerprint(-numbers[:, :3])


@pytest.mark.parametrize("shape", [(0,), (0, 3), (0, 2, 4), (2, 0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_there_may_be_no_objects_and_none_of_their_parts(shape, dtype):
    for word in fingerprint(np.zeros(shape, dtype)):
        assert (word.shape, word.dtype) == (shape[:1], np.uint32)


def test_nothing_is_found_among_no_objects():
    """An index below the first of no rows was an error of JAX's own."""
    none = sort_fingerprints(fingerprint(np.zeros((0, 5), np.uint8)))
    pool = fingerprint(objects(4, 0))
    assert find(none, pool).tolist() == jax.jit(find)(none, pool).tolist() == [-1] * 4
    rows, fresh, [found] = first_fresh(pool, [none], 2)
    assert (rows.tolist(), fresh.tolist(), found.tolist()) == ([0, 1], [True, True], [-1] * 4)


@pytest.mark.parametrize("kind", ["i2", "i4", "i8", "u4"])
def test_objects_in_another_byte_order_and_in_lists_are_the_same_objects(kind):
    rows = np.arange(6).reshape(3, 2)
    swapped = rows.astype(f">{kind}")
    expected = fingerprint(rows.astype(kind))
    for same in (
        fingerprint(swapped),
        fingerprint(rows.tolist()),
        fingerprint(swapped, lambda x: x),
    ):
        np.testing.assert_array_equal(same, expected)


@pytest.mark.parametrize("shape", [(1,), (5,), (3, 1), ()])
def test_a_mask_of_another_shape_is_refused_also_when_traced(shape):
    """One of a single row counted for all of them."""
    prints = fingerprint(objects(3, 0))
    with pytest.raises(
        ValueError, match=r"^mask must be \[3\] booleans, one per object, got shape"
    ):
        jax.eval_shape(sort_fingerprints, prints, jnp.ones(shape, bool))
    with pytest.raises(ValueError, match=r"^accepted must be \[3\] booleans"):
        jax.eval_shape(lambda a: first_fresh(prints, [], 2, a), jnp.ones(shape, bool))


def test_no_more_are_chosen_than_there_are_and_a_number_is_no_object():
    for n in (4, -1, 1.5):
        with pytest.raises(ValueError, match=r"^n must be"):
            first_fresh(fingerprint(objects(3, 0)), [], n)
    with pytest.raises(ValueError, match=r"^objects must be \[N, ...\]"):
        fingerprint(np.int32(3))
