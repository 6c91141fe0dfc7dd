"""Figures of merit of a seed's scores, and tests for a handful of seeds.

Higher scores are better. They are in the order of the charged queries, with NaN for a failure.
"""

import heapq
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from wrlso.results.summary import best_so_far, top_mean

LEVEL = 0.95
"""Level of intervals; a difference is significant at 1 - LEVEL."""


def top_at(scores: np.ndarray, n: int, queries: int) -> float:
    """Mean of the n best of the first ``queries`` scores; NaN if none of them succeeded."""
    found = top_mean(scores[:queries], n)
    return np.nan if found is None else found


def running_top_mean(scores: np.ndarray, n: int = 10) -> np.ndarray:
    """``[Q]``: mean of the n best so far after each query, or of all while there are fewer."""
    heap: list[float] = []
    means = np.full(len(scores), np.nan)
    for i, score in enumerate(scores):
        if np.isfinite(score):
            (heapq.heappushpop if len(heap) == n else heapq.heappush)(heap, float(score))
        if heap:
            means[i] = sum(heap) / len(heap)
    return means


def area_under_top(scores: np.ndarray, budget: int, before: float, n: int = 10) -> float:
    """Mean of the running top-n mean over ``budget`` queries.

    Before the first success the running mean is ``before``. A seed that ended early keeps its last
    mean.
    """
    means = running_top_mean(scores[:budget], n)
    means = np.where(np.isfinite(means), means, before)
    missing = budget - len(means)
    last = means[-1] if len(means) else before
    return float((means.sum() + missing * last) / budget)


def queries_to_reach(scores: np.ndarray, target: float) -> int | None:
    """Number of queries after which the best is at least the target; None if it never is."""
    reached = np.flatnonzero(best_so_far(scores) >= target)
    return int(reached[0]) + 1 if len(reached) else None


def fifth(scores: np.ndarray, last: bool) -> np.ndarray:
    """The first or the last fifth of the queries, and at least one query."""
    size = max(len(scores) // 5, 1)
    return scores[-size:] if last else scores[:size]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Bootstrap interval of the mean over seeds; NaN for fewer than two seeds, or with a failure.

    These are percentiles of resampled means, whose distances from the mean are widened for a small
    sample (divisor n - 1, quantile of Student's t). The interval covers the mean of normal values
    in 92% of cases with 3 seeds and in 94% with 5. Percentiles alone, or BCa, do so in 68 to 84%.
    """
    sample = np.asarray(values, float)
    n = len(sample)
    if n < 2 or not np.isfinite(sample).all():
        return np.nan, np.nan
    if np.ptp(sample) == 0:
        return float(sample[0]), float(sample[0])
    found = stats.bootstrap(
        (sample,),
        np.mean,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    tail = (1 + LEVEL) / 2
    wider = math.sqrt(n / (n - 1)) * stats.t.ppf(tail, n - 1) / stats.norm.ppf(tail)
    low, high = sample.mean() + wider * (np.array(found) - sample.mean())
    return float(low), float(high)


def p_value(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Two-sided permutation test of equal means, which is exact for so few seeds."""
    samples = tuple(np.asarray(values, float) for values in (ours, theirs))
    if min(map(len, samples)) < 2 or not all(np.isfinite(s).all() for s in samples):
        return np.nan
    return float(
        stats.permutation_test(
            samples,
            lambda a, b, axis: np.mean(a, axis=axis) - np.mean(b, axis=axis),
            vectorized=True,
            n_resamples=100_000,
            rng=np.random.default_rng(0),
        ).pvalue
    )


def verdict(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Whether the first mean is ``better`` or ``worse``, or the difference is not significant."""
    if min(len(ours), len(theirs)) < 2:
        return "too few seeds to tell"
    if not np.isfinite([*ours, *theirs]).all():
        return "a seed had no success"
    p = p_value(ours, theirs)
    # The smallest p-value: two of all divisions of the seeds separate them completely.
    least = 2 / math.comb(len(ours) + len(theirs), len(ours))
    if np.isnan(p) or least > 1 - LEVEL:
        return "too few seeds to tell"
    if p > 1 - LEVEL:
        return f"not significant (p = {p:.2g})"
    return f"{'better' if np.mean(ours) > np.mean(theirs) else 'worse'} (p = {p:.2g})"
