"""Numbers of every type: the same weights, or a sentence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wrlso.weighting import baselines, ranks
from wrlso.weighting.registry import WEIGHTINGS, weighting_named, weights_of

SCORES = jnp.array([0.3, 1.2, -0.4, 0.9, 2.0, 1.7, -1.1, 0.1], jnp.float32)
MASK, ROUNDS = jnp.arange(8) != 2, jnp.array([-1, -1, -1, 0, 0, 0, 1, 1], jnp.int32)
TYPES = {
    **{kind.__name__: kind for kind in (int, float, np.int8, np.uint16, np.int64, np.float16)},
    "a wide int": lambda value: np.array(value, np.uint64),
    "another byte order": lambda value: np.array(value, ">i2"),
    "float64": np.float64,
    "jnp.int32": jnp.int32,
    "jnp.bfloat16": jnp.bfloat16,
}


def numbers(kind, one=1, rows=4):
    value = dict.fromkeys(("k", "quantile", "noise", "alpha"), kind(one))
    return {**value, "effective_rows": kind(rows)}


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_numbers_of_every_type_give_the_same_weights(name):
    weigh = lambda hyper: weights_of(weighting_named(name), SCORES, MASK, ROUNDS, hyper)  # noqa: E731
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        expected = weigh(numbers(jnp.float32))
        for kind in TYPES.values():
            found = weigh(numbers(kind))
            assert found.dtype == jnp.float32
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
        for double in (False, True):
            with jax.enable_x64(double):
                for kind in (int, np.int16, np.int64, np.float64, jnp.bfloat16):
                    assert jax.eval_shape(lambda k=kind: weigh(numbers(k))).dtype == jnp.float32
                    given = {n: jnp.asarray(v) for n, v in numbers(kind).items()}
                    assert jax.eval_shape(weigh, given).dtype == jnp.float32
                yes = numbers(np.bool_, rows=1)
                assert jax.eval_shape(weigh, yes).dtype == jnp.float32


@pytest.mark.parametrize("name", ["rank_adaptive", "rank_effective"])
def test_effective_rows_are_counted_in_a_float(name):
    """Of 16 bits, 40,000 rows had no room: one row had all the weight."""
    rows = 40_000
    scores, mask = jnp.arange(rows, dtype=jnp.float32), jnp.ones(rows, bool)
    for kind in (np.int16, np.uint8):
        given = {"effective_rows": kind(100)}
        weights = weighting_named(name)(scores, mask, jnp.zeros(rows, jnp.int32), given)
        assert float(ranks.effective_sample_size(weights)) == pytest.approx(100, rel=1e-3)


WHOLE = {
    "far apart": [0, 1, 2**40, 2**40, 3],
    "far from zero": [2**60, 2**60 + 1, 2**60 + 3, 2**60 + 3, 2**60 + 2],
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("far apart", np.int64), ("far from zero", np.int64), ("far from zero", np.uint64)],
)
def test_whole_numbers_are_ranked_exactly_eagerly_and_compiled(name, kind):
    scores, near = np.array(WHOLE[name], kind), np.float32([0, 1, 3, 3, 2])
    expected = ranks.rank_weights(near, 0.1)
    np.testing.assert_array_equal(ranks.rank_weights(scores, 0.1), expected)
    with jax.enable_x64(True):
        for weigh in (ranks.rank_weights, jax.jit(ranks.rank_weights)):
            found = weigh(scores, 0.1, MASK[:5])
            assert found.dtype == jnp.float64
            right = ranks.rank_weights(near.astype(np.float64), 0.1, MASK[:5])
            np.testing.assert_allclose(found, right, rtol=1e-15)


def test_traced_whole_numbers_of_32_bits_that_float32_would_tie():
    scores = jnp.array([0, 1, 2**30, 2**30 + 1, -(2**31)], jnp.int32)
    expected = ranks.rank_weights(np.float32([1, 2, 3, 4, 0]), 0.1)
    for weigh in (ranks.rank_weights, jax.jit(ranks.rank_weights)):
        np.testing.assert_array_equal(weigh(scores, 0.1), expected)


VECTORS = {
    "rank_weights": lambda v: ranks.rank_weights(v, 0.1),
    "uniform_weights": lambda v: ranks.uniform_weights(v),
    "cem_pi_weights": lambda v: baselines.cem_pi_weights(v, 0.5),
    "rwr_weights": lambda v: baselines.rwr_weights(v, 0.5),
    "effective_sample_size": ranks.effective_sample_size,
    "cumulative_weight": lambda v: ranks.cumulative_weight(v, np.array([0, 1], np.int8)),
}


@pytest.mark.parametrize("name", VECTORS)
def test_the_type_of_weights_does_not_depend_on_compilation(name):
    """Whole numbers of 32 and 64 bits count in JAX's default float, shorter ones in float32."""
    function = VECTORS[name]
    with jax.enable_x64(True):
        for kind in (np.int8, np.uint16, np.int32, np.int64, np.float16, np.float32, np.float64):
            given = np.array([3, 1, 2], kind)
            wide = kind in (np.int32, np.int64, np.float64)
            expected = jnp.float64 if wide else jnp.float32
            assert jax.eval_shape(lambda given=given: function(given)).dtype == expected, kind
            assert jax.eval_shape(function, given).dtype == expected, kind


REAL = {
    "k": lambda z: ranks.rank_weights(SCORES, z),
    "scores": lambda z: ranks.uniform_weights(SCORES * z),
    "mask": lambda z: ranks.rank_weights(SCORES, 0.1, SCORES * z),
    "weights": lambda z: ranks.effective_sample_size(SCORES * z),
    "weights of a curve": lambda z: ranks.cumulative_weight(SCORES * z, np.float32([0.5])),
    "quantiles": lambda z: ranks.cumulative_weight(SCORES, z),
    "k of a share": lambda z: ranks.rank_weight_share(z, 0.2, 0.7),
    "low": lambda z: ranks.rank_weight_share(0.1, z, 0.7),
    "high": lambda z: ranks.rank_weight_share(0.1, 0.2, z),
    "n": lambda z: ranks.k_of_effective_rows(z, 5.0),
    "effective": lambda z: ranks.k_of_effective_rows(100, z),
    "quantile": lambda z: baselines.cem_pi_weights(SCORES, z),
    "noise": lambda z: baselines.dbas_reference_weights(SCORES, ROUNDS, 0.5, z),
    "alpha": lambda z: baselines.rwr_weights(SCORES, z),
    "rounds": lambda z: baselines.feedback_weights(SCORES, ROUNDS * z, 0.5),
    "effective_rows": lambda z: weighting_named("rank_adaptive")(
        SCORES, MASK, ROUNDS, {"effective_rows": z}
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_complex_numbers_are_refused_by_name(name):
    z = np.complex64(0.1 + 1j)
    message = f"^{name.split()[0]} must be real numbers, got complex64: give their real parts"
    for call in (REAL[name], lambda z: jax.eval_shape(REAL[name], z)):
        with pytest.raises(ValueError, match=message):
            call(z)


def test_keys_are_no_numbers():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"^k must be real numbers, got key<fry>: convert them"):
        jax.eval_shape(lambda key: ranks.rank_weights(SCORES, key), key)
