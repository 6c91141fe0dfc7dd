"""Values of a user's function: as scores, as canonical objects, as reasons."""

import math
from decimal import Decimal
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

from wrlso.evaluation.components import ComponentScore, ComponentValue
from wrlso.evaluation.values import as_object, as_score, describe_error, shorten


@pytest.mark.parametrize(
    ("value", "score"),
    [(-1, -1), (2.5, 2.5), (True, 1), (np.False_, 0), (np.float16(0.5), 0.5), (np.ones(()), 1),
     (np.full((1, 1), 3), 3), (jnp.float32(4), 4), (jnp.ones(1), 1), (Fraction(1, 2), 0.5),
     (Decimal("0.25"), 0.25), (3.4e38, 3.4e38), (1e-320, 1e-320)],
)  # fmt: skip
def test_real_numbers_are_scores(value, score):
    assert as_score(value) == (score, None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "it is None"), ("3.5", "it is the text '3.5'"), (b"3", "text b'3'"),
     ("\ud800", "'\\ud800'"), (1j, "complex number 1j"), (np.complex64(1), "complex number"),
     (np.array(["3"]), "the text '3'"), (np.array([None]), "it is None"), ([1.0], "TypeError"),
     (np.ones(2), "ValueError"), (10**400, "OverflowError"), (np.timedelta64(3, "s"), "a time"),
     (math.nan, "score is nan"), (3.5e38, "score is 3.5e+38"), (-math.inf, "score is -inf")],
)  # fmt: skip
def test_anything_else_is_a_failure_with_its_reason(value, reason):
    score, found = as_score(value)
    assert math.isnan(score)
    assert reason in found
    found.encode()


def test_the_parts_of_a_score_are_numbers_or_nan():
    parts = [("a", np.float32(1.5), None), ("b\ud800", "much", 10**400), (3, 1j, True)]
    score, reason = as_score(ComponentScore(2.0, parts))
    assert (score, reason) == (2.0, None)
    nan = math.nan
    expected = [("a", 1.5, None), ("b\\ud800", nan, nan), ("3", nan, 1.0)]
    assert repr(score.components) == repr(tuple(ComponentValue(*part) for part in expected))
    assert as_score(ComponentScore(nan))[1] == "score is nan"


@pytest.mark.parametrize(
    "value", [[3, 7], (3.0, 7.0), np.array([3, 7], np.int64), jnp.array([3, 7], jnp.uint8)]
)
def test_a_canonical_object_has_the_form_of_its_object(value):
    found = as_object(value, np.zeros(2, np.uint8))
    assert found.dtype == np.uint8
    assert found.tolist() == [3, 7]


@pytest.mark.parametrize(
    ("value", "reason"),
    [([1], r"shape \(1,\), the object has \(2,\)"), ([[1, 2]], "shape"), (None, "shape"),
     (-1, "shape"), ([1, -1], "-1, which uint8 lacks"), ([1, 256], "256"), ([1, 0.5], "0.5"),
     ([1, math.nan], "nan"), (["1", "2"], "the object is uint8"), ([1, None], "object"),
     ([1, 2j], "complex128"), ([1, [2, 3]], "no array")],
)  # fmt: skip
def test_another_form_is_refused(value, reason):
    with pytest.raises(ValueError, match=reason):
        as_object(value, np.zeros(2, np.uint8))


def test_negative_numbers_do_not_wrap():
    like = np.zeros(1, np.uint64)
    with pytest.raises(ValueError, match="-1, which uint64 lacks"):
        as_object([-1], like)
    with pytest.raises(ValueError, match="lacks"):
        as_object([2.0**64], like)


def test_reasons_are_short_and_fit_into_any_file():
    text = describe_error(ValueError("\ud800 a\0b " + "x" * 20_000_000 + " the end"))
    assert text.startswith("ValueError: \\ud800 a\\0b xxx")
    assert text.endswith(" the end")
    assert len(text.encode()) < 600
    assert "20000014 characters" in text
    assert shorten("ä" * 500) == "ä" * 500
