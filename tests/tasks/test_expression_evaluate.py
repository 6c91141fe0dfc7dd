"""Values and scores against NumPy's evaluation of the strings."""

import gzip
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.builders import EXPRESSIONS, needs_expressions
from wrlso.tasks.expression.data import base_data, read_expressions, sample_expressions, worse_half
from wrlso.tasks.expression.evaluate import (
    POINTS,
    WORST,
    evaluate,
    log_mse_scores,
    parse_target,
    same_values,
)
from wrlso.tasks.expression.grammar import NOTHING, decode, encode

TARGET = "1 / 3 + x + sin(x * x)"


def by_numpy(text, x=POINTS):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return eval(text, {"x": x, "sin": np.sin, "exp": np.exp}) + 0 * x


def score_by_numpy(text, target=TARGET, x=POINTS):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mse = np.mean((by_numpy(text, x) - by_numpy(target, x)) ** 2)
    return max(WORST, -np.log1p(mse)) if np.isfinite(mse) else WORST


@needs_expressions
@pytest.mark.parametrize("every", [10, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_scores_of_the_expressions_of_the_paper_equal_numpys(every):
    with gzip.open(EXPRESSIONS, "rt") as file:
        lines = file.read().splitlines()[99_999::-every]
    expected = np.array([score_by_numpy(line) for line in lines])
    derivations = read_expressions(EXPRESSIONS)[99_999::-every]
    scores = np.asarray(jax.jit(log_mse_scores)(derivations, parse_target(TARGET)))
    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-7)
    # Ranks: what differs by more than rounding, is in the same order.
    order = np.argsort(expected, kind="stable")
    assert (np.diff(scores[order]) >= -2e-6 * np.abs(expected[order][1:])).all()
    assert (scores == WORST).sum() == (expected == WORST).sum() > 10_000 / every
    assert every > 1 or scores.max() == 0


def test_scores_of_sampled_expressions_equal_numpys():
    """But for those like sin(exp(x * x)), which are rounding error in any precision: NumPy's
    own scores differ between double and extended precision."""
    rows = sample_expressions(1000, seed=1)
    texts = [decode(row) for row in rows]
    expected = np.array([score_by_numpy(text) for text in texts])
    extended = np.array([score_by_numpy(text, x=POINTS.astype(np.longdouble)) for text in texts])
    determined = np.abs(expected - extended) < 1e-7
    scores = np.asarray(jax.jit(log_mse_scores)(rows, parse_target(TARGET)))
    np.testing.assert_allclose(scores[determined], expected[determined], rtol=1e-6, atol=1e-7)
    assert determined.sum() > 950
    assert len(np.unique(expected)) > 100


@pytest.mark.parametrize(
    "text",
    [
        "1 + 2 * x / 3 * x",  # operators bind as usual
        "x / x / x + 3",
        "3 / (1 + x) + sin(exp(x))",
        "x + x * (x + x)",
        "((x)) / 3 * 2",
        "sin(sin(1) + x * 2) / exp(x)",
    ],
)
def test_values_equal_numpys(text):
    values = evaluate(encode([text]))[0]
    assert values.dtype == jnp.float32
    np.testing.assert_allclose(values, by_numpy(text), rtol=1e-6)
    at = np.array([0.5, -2.0])
    np.testing.assert_allclose(evaluate(encode([text]), at)[0], by_numpy(text, at), rtol=1e-6)


def test_undefined_values_score_worst():
    undefined = [
        "sin(exp(exp(x)))",
        "exp(exp(x)) / exp(exp(x))",
        "exp(x * x * x)",
        "1 / (x / exp(exp(x)))",
    ]
    far = ["exp(x)", "x * x * x"]
    defined = ["x", "exp(x * x) / exp(x * x)"]  # the last is 1, though beyond float32 on the way
    scores = log_mse_scores(encode(undefined + far + defined), parse_target(TARGET))
    assert scores[:6].tolist() == [WORST] * 6
    assert (scores[6:] > WORST).all()
    assert scores[7] == log_mse_scores(encode(["1"]), parse_target(TARGET))[0]


def test_the_target_is_an_argument_and_scores_zero():
    for target in (TARGET, "x * x", "+".join(["x"] * 20)):
        aim = parse_target(target)
        rows = encode(["x", "x * x", "1"])
        expected = [score_by_numpy(decode(row), target) for row in rows]
        np.testing.assert_allclose(log_mse_scores(rows, aim), expected, rtol=1e-6)
        assert log_mse_scores(aim[None], aim)[0] == 0


def test_under_vmap_and_within_a_float32_program():
    aim, rows = parse_target(TARGET), sample_expressions(40)
    one = jax.jit(lambda row: log_mse_scores(row[None], aim)[0] * jnp.float32(2))
    np.testing.assert_array_equal(jax.vmap(one)(rows), 2 * log_mse_scores(rows, aim))
    assert not jax.config.jax_enable_x64
    assert jax.jit(log_mse_scores)(rows, aim).dtype == jnp.float32


def test_the_score_of_rubbish_is_defined():
    rubbish = np.random.default_rng(0).integers(0, 12, (50, 15)).astype(np.uint8)
    scores = np.asarray(log_mse_scores(rubbish, parse_target(TARGET)))
    assert ((scores >= WORST) & (scores <= 0)).all()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("exp(exp(x))", "has no finite value at x = 6.577 and 171 other points"),
        ("1 / (x + 1 + 3 + 3 + 3)", "has no finite value at x = -10 and 0 other points"),
        ("y + 1", "target 'y \\+ 1' is not an expression of x: line 1, column 1"),
        ("1 + 2", "does not contain x"),
        ("", "the expression ends"),
    ],
)
def test_targets_that_are_not_expressions_are_refused(target, message):
    with pytest.raises(ValueError, match=message):
        parse_target(target)


def test_base_data_are_a_draw_from_the_worse_half():
    aim = parse_target(TARGET)
    pool = sample_expressions(400)
    scores = np.asarray(log_mse_scores(pool, aim))
    half = worse_half(np.concatenate([pool, pool]), aim, rows=1000)
    assert len(half.scores) == 200  # repetitions are dropped first
    np.testing.assert_array_equal(np.sort(half.scores), np.sort(scores)[:200])
    some = worse_half(pool, aim, rows=50)
    assert len(np.unique(np.asarray(some.objects), axis=0)) == 50
    np.testing.assert_array_equal(log_mse_scores(some.objects, aim), some.scores)
    assert set(np.asarray(some.scores).tolist()) <= set(np.asarray(half.scores).tolist())


@pytest.mark.slow
def test_the_default_data_need_no_file():
    data = base_data(None, parse_target(TARGET))
    assert data.objects.shape == (5000, 15)
    assert float(data.scores.max()) < -4


@pytest.mark.parametrize(
    ("group", "others"),
    [
        (["x + 1 / 3", "1 / 3 + x", "(x) + 1 / 3", "1 / 3 + (x * 1)"], ["x + 1", "x / 3 + 1"]),
        (["x / (x / x)", "x"], ["x * x", "exp(x)"]),
        (["sin(x) / (1 / x)", "x * sin(x)"], ["sin(x * x)"]),
        (["1 / (x / x / x) / x", "1"], ["2 / 2 * x"]),
    ],
)
def test_functions_are_told_apart_by_their_values(group, others):
    same, different = (np.asarray(same_values(encode(texts))) for texts in (group, others))
    assert (same == same[0]).all()
    assert (different != same[0]).any(1).all()


def test_incomplete_derivations_differ_as_they_are_written():
    """Also from a complete one whose beginning they are."""
    whole = encode(["x + 1", "x + 2"])
    cut = whole.copy()
    cut[:, 3:] = NOTHING
    longer = whole.copy()
    longer[:, 2:] = NOTHING
    words = np.asarray(same_values(np.concatenate([whole, cut, longer])))
    assert len(np.unique(words[:3], axis=0)) == 3
    assert not (words[:2, None] == words[None, 2:]).all(-1).any()


@needs_expressions
@pytest.mark.slow
def test_values_that_are_the_same_score_the_same():
    """And different ones nearly always differently."""
    objects = read_expressions(EXPRESSIONS)[:8_000]
    words = np.asarray(jax.jit(same_values)(objects))
    scores = np.asarray(jax.jit(log_mse_scores)(objects, parse_target("1 / 3 + x + sin(x * x)")))
    _, group = np.unique(words, axis=0, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    joined = np.diff(group.ravel()[order]) == 0
    assert joined.sum() > 1000
    apart = np.abs(np.diff(scores[order]))[joined]
    assert (apart < 1e-3).mean() > 0.999
