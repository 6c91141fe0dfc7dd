"""Intervals against SciPy."""

import numpy as np
import pytest
from scipy import stats

from wrlso.results.statistics import (
    calibration,
    curve_interval,
    difference_interval,
    held,
    mean_interval,
)


def test_the_interval_of_a_mean_is_students():
    values = np.array([3.0, 4.5, 1.2, np.nan, 2.2])
    kept = values[np.isfinite(values)]
    expected = stats.t.interval(0.95, len(kept) - 1, kept.mean(), stats.sem(kept))
    found = mean_interval(values)
    assert found.mean == pytest.approx(kept.mean())
    assert (found.low, found.high) == pytest.approx(expected)


def test_the_interval_of_a_difference_is_welchs():
    first, second = np.array([3.0, 4.5, 1.2, 2.2]), np.array([1.0, 0.5, 0.7])
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    found = difference_interval(first, second)
    assert found.mean == pytest.approx(first.mean() - second.mean())
    assert (found.low, found.high) == pytest.approx(tuple(expected))


def test_too_few_values_have_no_interval():
    assert np.isnan(mean_interval(np.array([2.0])).low)
    assert mean_interval(np.array([2.0, np.nan])).mean == 2
    assert np.isnan(mean_interval(np.array([])).mean)
    assert np.isnan(difference_interval(np.array([1.0]), np.array([2.0, 3.0])).low)
    assert np.isnan(difference_interval(np.array([]), np.array([2.0, 3.0])).mean)
    assert difference_interval(np.array([2.0, 2.0]), np.array([1.0, 1.0])) == (1, 1, 1)


def test_curves_of_different_lengths_are_held_at_their_last_value():
    curves = held([np.array([np.nan, 2.0]), np.array([1.0, 3.0, 5.0])])
    np.testing.assert_array_equal(curves, [[np.nan, 2, 2], [1, 3, 5]])
    mean, half = curve_interval(curves)
    np.testing.assert_array_equal(mean, [1, 2.5, 3.5])
    assert np.isnan(half[0])
    assert half[2] == pytest.approx(stats.t.ppf(0.975, 1) * 1.5)


def test_a_true_prediction_holds_the_shares_of_a_normal_distribution():
    rng = np.random.default_rng(0)
    mean, deviation = rng.normal(size=20_000), rng.uniform(0.5, 2.0, 20_000)
    came = mean + deviation * rng.normal(size=20_000)
    found = calibration(mean, deviation, came)
    assert found.number == 20_000
    assert found.within_one == pytest.approx(stats.norm.cdf(1) - stats.norm.cdf(-1), abs=0.01)
    assert found.within_two == pytest.approx(stats.norm.cdf(2) - stats.norm.cdf(-2), abs=0.01)
    assert found.rank_correlation == pytest.approx(stats.spearmanr(mean, came)[0])
    assert calibration(mean, deviation / 10, came).within_two < 0.3


def test_equal_values_share_a_rank():
    mean = np.array([1.0, 1.0, 2.0, 3.0, 3.0, 3.0, 0.5])
    came = np.array([2.0, 5.0, 5.0, 1.0, 7.0, 7.0, 7.0])
    found = calibration(mean, np.ones(7), came).rank_correlation
    assert found == pytest.approx(stats.spearmanr(mean, came)[0])


def test_constant_predictions_have_no_rank_correlation():
    found = calibration(np.ones(3), np.ones(3), np.array([1.0, 2.5, 9.0]))
    assert np.isnan(found.rank_correlation)
    assert (found.within_one, found.within_two) == (1 / 3, 2 / 3)
    assert np.isnan(calibration(np.ones(1), np.ones(1), np.ones(1)).rank_correlation)
