"""Intervals against SciPy."""

import numpy as np
import pytest
from scipy import stats

from wrlso.results.statistics import curve_interval, difference_interval, held, mean_interval


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
