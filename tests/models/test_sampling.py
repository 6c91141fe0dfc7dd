import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from wrlso.loop.algorithm import query_key
from wrlso.models.sampling import _multiply_high, build_cdf, draw, prng_key
from wrlso.weighting.ranks import rank_weights


def test_multiply_high_equals_64_bit_arithmetic():
    rng = np.random.default_rng(0)
    a, b = rng.integers(2**32, size=(2, 1000), dtype=np.uint64)
    a[:2], b[:2] = 2**32 - 1, [2**32 - 1, 0]
    expected = (a * b >> np.uint64(32)).astype(np.uint32)
    got = _multiply_high(jnp.asarray(a, jnp.uint32), jnp.asarray(b, jnp.uint32))
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("k", [1e-3, 1e-1, np.inf])
def test_frequencies_match_weights_of_250_000_rows(k):
    """Against float64 expectations; rows of weight zero are never drawn."""
    n, draws = 250_000, 4_000_000
    rng = np.random.default_rng(0)
    scores = rng.normal(size=n).astype(np.float32)
    mask = rng.random(n) < 0.9
    mask[-5_000:] = False
    mask[:10] = False
    weights = np.asarray(rank_weights(scores, k, mask))
    cdf = jax.jit(build_cdf)(weights)
    rows = np.asarray(jax.jit(lambda key: draw(key, cdf, draws))(jax.random.key(0)))
    counts = np.bincount(rows, minlength=n)
    assert counts[~mask].sum() == 0
    # 2,000 groups of similar weight, so that each expects many draws.
    groups = np.array_split(np.argsort(-weights, kind="stable"), 2_000)
    expected = np.array([weights[g].astype(np.float64).sum() for g in groups])
    observed = np.array([counts[g].sum() for g in groups])
    kept = expected > 0
    expected = expected[kept] / expected.sum() * draws
    assert stats.chisquare(observed[kept], expected).pvalue > 1e-4


def test_every_row_of_positive_weight_can_be_drawn():
    weights = jnp.array([1.0, 1e-12, 0.0, 1e-30])
    share = np.diff(np.asarray(build_cdf(weights)).astype(np.int64), prepend=0)
    assert (share > 0).tolist() == [True, True, False, True]


def test_one_certain_row_and_zero_rows_at_both_ends():
    cdf = build_cdf(jnp.array([0.0, 0.0, 1.0, 0.0]))
    assert set(np.asarray(draw(jax.random.key(0), cdf, 1000)).tolist()) == {2}


def test_extreme_words_hit_the_first_and_last_row():
    """The smallest and largest random words must stay inside the table."""
    cdf = build_cdf(jnp.full(3, 1 / 3))
    for word, row in ((0, 0), (2**32 - 1, 2)):
        target = _multiply_high(jnp.uint32(word), cdf[-1])
        assert int(jnp.searchsorted(cdf, target, side="right")) == row


@pytest.mark.parametrize("lift", [lambda f: f, jax.jit])
@pytest.mark.parametrize("total", [1e-30, 0.3, 3.0, 1e3, 1e38])
def test_weights_are_divided_by_their_sum(lift, total):
    """Beyond two they wrapped around in 32 bits, and all draws were one row."""
    weights = np.random.default_rng(0).uniform(0, 1, 400)
    weights[7] = 0
    weights = total * weights / weights.sum()
    share = np.diff(
        np.asarray(lift(build_cdf)(jnp.asarray(weights, jnp.float32)), np.int64), prepend=0
    )
    assert (share >= 0).all()
    np.testing.assert_allclose(share / share.sum(), weights / weights.sum(), atol=1e-8)
    assert share[7] == 0


def test_weights_that_sum_to_one_by_rounding_are_taken_as_they_are():
    weights = jnp.asarray([0.25, 0.25, 0.5001], jnp.float32)
    share = np.diff(np.asarray(build_cdf(weights), np.int64), prepend=0)
    np.testing.assert_array_equal(share, np.round(np.asarray(weights, np.float64) * 2**31))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.5])
def test_weights_that_are_none_are_refused_or_count_as_zero(bad):
    weights = jnp.array([0.25, bad, 0.75])
    with pytest.raises(ValueError, match="weights must be finite and not negative"):
        build_cdf(weights)
    expected = build_cdf(jnp.array([0.25, 0.0, 0.75]))
    np.testing.assert_array_equal(jax.jit(build_cdf)(weights), expected)


@pytest.mark.parametrize("shape", [(0,), (), (2, 3)])
def test_weights_of_no_row_are_refused(shape):
    with pytest.raises(ValueError, match="weights must be a non-empty vector"):
        jax.eval_shape(build_cdf, jnp.zeros(shape))


@pytest.mark.parametrize("scale", [1e38, 1e30, 1.0, 1e-30])
def test_shares_do_not_depend_on_the_scale(scale):
    weights = np.array([1.0, 0.25, 0.0, 0.75]) * scale
    for build in (build_cdf, jax.jit(build_cdf)):
        share = np.diff(np.asarray(build(jnp.float32(weights)), np.int64), prepend=0)
        np.testing.assert_allclose(share / 2**31, [0.5, 0.125, 0, 0.375], atol=1e-6)


@pytest.mark.parametrize("scale", [1.7e308, 1e300, 1e-300])
def test_known_weights_in_double_precision_need_no_scale_either(scale):
    share = np.diff(np.asarray(build_cdf(np.array([1.0, 1.0]) * scale), np.int64), prepend=0)
    np.testing.assert_allclose(share / 2**31, [0.5, 0.5], atol=1e-6)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_would_be_another_one_is_refused(seed):
    with pytest.raises(ValueError, match=r"seed must be .* from 0 to 2\^32 - 1, got"):
        prng_key(seed)


KEY = jax.random.key(0)
SEEDS = {
    r"a key \(key<fry>\): give the number .* in place of jax\.random\.key\(0\)": KEY,
    r"an array of shape \(2,\); use vmap": jax.random.PRNGKey(0),
    r"(np\.float32\(1\.5\)|float32): give a number": np.float32(1.5),
    r"(np\.float32\(1\.0\)|float32): give a number": np.float32(1.0),
    r"(np\.True_|bool): give a number": np.bool_(True),
    r"(np\.complex64\(2\+0j\)|complex64): give a number": np.complex64(2),
}


@pytest.mark.parametrize("message", SEEDS)
def test_a_seed_that_is_no_whole_number_is_refused_with_a_remedy(message):
    """A key is the first that a user of JAX tries."""
    match = rf"^seed must be a whole number from 0 to 2\^32 - 1, got {message}"
    for call in (prng_key, lambda seed: jax.eval_shape(prng_key, seed), query):
        with pytest.raises(ValueError, match=match):
            call(SEEDS[message])


def query(seed):
    return query_key(seed, 0, 0)


@pytest.mark.parametrize("seed", [1.5, True, "1", None, [1, 2], 2**70])
def test_a_seed_of_python_that_is_no_whole_number_is_refused(seed):
    with pytest.raises(ValueError, match=r"^seed must be a whole number from 0 to 2\^32 - 1, got"):
        prng_key(seed)


@pytest.mark.parametrize("kind", [int, np.uint8, np.int16, np.uint64, jnp.int32, jnp.uint32])
def test_whole_seeds_of_any_type_give_the_same_key(kind):
    expected = jax.random.key_data(prng_key(7))
    for make in (prng_key, jax.jit(prng_key)):
        np.testing.assert_array_equal(jax.random.key_data(make(kind(7))), expected)


def test_weights_that_are_no_real_numbers_are_refused():
    for build in (build_cdf, lambda weights: jax.eval_shape(build_cdf, weights)):
        with pytest.raises(ValueError, match=r"^weights must be real numbers, got complex64"):
            build(np.ones(3, np.complex64))


@pytest.mark.parametrize("kind", [bool, np.int8, np.int32, np.float16, np.float32])
def test_weights_of_any_type_make_the_same_table_under_strict_types(kind):
    weights = np.array([1, 0, 1, 1]).astype(kind)
    expected = build_cdf(np.float32([1, 0, 1, 1]))
    with jax.numpy_dtype_promotion("strict"):
        for build in (build_cdf, jax.jit(build_cdf)):
            np.testing.assert_allclose(build(weights), expected, atol=1)
