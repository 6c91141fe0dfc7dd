"""Means over seeds and their confidence intervals."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit  # scipy.stats takes a second or more to import

LEVEL = 0.95
"""Level of all confidence intervals."""


class Interval(NamedTuple):
    """A mean and its confidence interval; the ends are NaN for fewer than two values."""

    mean: float
    low: float
    high: float


def mean_interval(values: np.ndarray) -> Interval:
    """Mean of values ``[n]`` and the interval of Student's t; NaN values are left out.

    ``t_{n-1} s / sqrt(n)`` on either side of the mean, for independent values of a normal
    distribution.
    """
    mean, half = curve_interval(np.asarray(values, float).reshape(-1, 1))
    return Interval(float(mean[0]), float(mean[0] - half[0]), float(mean[0] + half[0]))


def curve_interval(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean ``[Q]`` over the rows of ``curves [S, Q]`` and half the width of its interval, ``[Q]``.

    NaN values are left out. A column of fewer than two values has an interval of NaN, one without
    values a mean of NaN.
    """
    count = np.isfinite(curves).sum(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # columns of too few values
        mean, sd = np.nanmean(curves, 0), np.nanstd(curves, 0, ddof=1)
    factor = stdtrit(np.maximum(count - 1, 1), 0.5 + LEVEL / 2)
    half = np.where(count > 1, factor * sd / np.sqrt(np.maximum(count, 1)), np.nan)
    return mean, half


def difference_interval(first: np.ndarray, second: np.ndarray) -> Interval:
    """Difference of two means, first minus second, with Welch's interval; NaN values are left out.

    Args:
      first, second: values ``[n]`` and ``[m]``, independent of each other.
    """
    kept = [np.asarray(v, float)[np.isfinite(v)] for v in (first, second)]
    if min(map(len, kept)) == 0:
        return Interval(np.nan, np.nan, np.nan)
    mean = float(kept[0].mean() - kept[1].mean())
    if min(map(len, kept)) < 2:
        return Interval(mean, np.nan, np.nan)
    variances = [float(v.var(ddof=1)) / len(v) for v in kept]
    if sum(variances) == 0:
        return Interval(mean, mean, mean)
    freedom = sum(variances) ** 2 / sum(
        v**2 / (len(values) - 1) for v, values in zip(variances, kept, strict=True)
    )
    half = float(stdtrit(freedom, 0.5 + LEVEL / 2)) * sum(variances) ** 0.5
    return Interval(mean, mean - half, mean + half)


class Calibration(NamedTuple):
    """How n predictions of scores agree with the scores that came.

    Attributes:
      number: n.
      within_one, within_two: shares of the scores within one and two predicted standard deviations;
        0.68 and 0.95 for a normal distribution.
      rank_correlation: Spearman's, of predicted means and scores; NaN if either is constant.
    """

    number: int
    within_one: float
    within_two: float
    rank_correlation: float


def calibration(mean: np.ndarray, deviation: np.ndarray, came: np.ndarray) -> Calibration:
    """The agreement of predictions ``mean [n]``, ``deviation [n]`` with scores ``came [n]``."""
    away = np.abs(came - mean)
    constant = len(came) < 2 or np.ptp(mean) == 0 or np.ptp(came) == 0
    correlation = np.nan if constant else float(np.corrcoef(_ranks(mean), _ranks(came))[0, 1])
    one, two = (float((away <= k * deviation).mean()) for k in (1, 2))
    return Calibration(len(came), one, two, correlation)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks ``[n]``; equal values share their mean rank."""
    _, group, size = np.unique(values, return_inverse=True, return_counts=True)
    return (size.cumsum() - (size - 1) / 2)[group]


def held(curves: Sequence[np.ndarray]) -> np.ndarray:
    """Extend curves to the length of the longest, ``[S, Q]``, with their last values."""
    length = max(map(len, curves))
    return np.stack([np.pad(curve, (0, length - len(curve)), mode="edge") for curve in curves])
