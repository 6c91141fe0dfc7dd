"""Weightings as the loop calls them, and their names on the command line.

A weighting of your own is any function of this form; give it to ``wrlso.Method``.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial, wraps
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from wrlso.scores import over_largest
from wrlso.scores.checks import values_of_rows
from wrlso.weighting.baselines import (
    cem_pi_reference_weights,
    cem_pi_weights,
    dbas_reference_weights,
    dbas_weights,
    feedback_weights,
    rwr_weights,
)
from wrlso.weighting.checks import as_float, check_number, float_type
from wrlso.weighting.ranks import k_of_effective_rows, rank_weights, uniform_weights

_LARGEST_SHARE, _LEAST_ROWS = 0.2, 50
"""See :func:`rank_adaptive`."""


@runtime_checkable
class Weighting(Protocol):
    """A pure function from scores to training weights.

    Args:
      scores: ``[N]``, higher is better.
      mask: ``[N]``, true where a row counts.
      rounds: ``[N]`` int32, -1 for base rows, else the round of the query.
      hyper: the weighting's traced numbers by name, such as ``k``. A sweep over them compiles once.

    Returns:
      ``[N]`` weights that sum to one, zero where a row does not count. Others are made so:
      see :func:`weights_of`.
    """

    def __call__(
        self, scores: Array, mask: Array, rounds: Array, hyper: Mapping[str, ArrayLike]
    ) -> Array: ...


def weights_of(
    weighting: Weighting,
    scores: Array,
    mask: Array,
    rounds: Array,
    hyper: Mapping[str, ArrayLike],
) -> Array:
    """Training weights ``[N]`` of a weighting of this package or of one's own.

    A weighting of one's own has its weights set to zero if they are masked, negative or NaN, or
    finite beside an infinite one. The others are scaled to a sum of one.

    Args:
      weighting: the function, called with the other arguments.
      scores, mask, rounds, hyper: see :class:`Weighting`.

    Raises:
      ValueError: if the function returns anything but a real number for each row.
    """
    call = lambda: weighting(scores, mask, rounds, hyper)  # noqa: E731
    if is_ours(weighting):
        return call()
    task = f"map scores, mask and rounds to a weight for each of {len(scores)} rows"
    given = values_of_rows("weighting", call, len(scores), task).astype(scores.dtype)
    given = jnp.where(mask & (given > 0), given, 0.0)
    infinite = jnp.isinf(given)
    given = jnp.where(infinite.any(), infinite.astype(given.dtype), given)
    weights = over_largest(given, "weights")
    total = weights.sum()
    return weights / jnp.where(total > 0, total, 1.0)


def is_ours(weighting: Weighting) -> bool:
    """Whether a weighting is one of :data:`WEIGHTINGS`, itself and not within another."""
    return getattr(weighting, "_ours", None) is weighting


def _ours(make: Callable[[], Weighting]) -> Callable[[], Weighting]:
    """Mark what the function makes as one of :data:`WEIGHTINGS`."""

    @wraps(make)
    def marked() -> Weighting:
        weighting = make()
        weighting._ours = weighting  # type: ignore[attr-defined]
        return weighting

    return marked


def check_form(weighting: Weighting, hyper: Mapping[str, ArrayLike]) -> None:
    """Trace a weighting of one's own with the scores of three rows, as retraining calls it.

    Raises:
      ValueError: as :func:`weights_of`, and the function's own errors.
    """
    if is_ours(weighting):
        return
    rows = (jax.ShapeDtypeStruct((3,), kind) for kind in (jnp.float32, bool, jnp.int32))
    jax.eval_shape(partial(weights_of, weighting), *rows, dict(hyper))


def check_values(weighting: Weighting, scores: Array, hyper: Mapping[str, ArrayLike]) -> None:
    """Refuse a weighting of one's own that gives base data of these scores no usable weights.

    Raises:
      ValueError: if a weight is negative, NaN or infinite, or if all are zero.
    """
    if is_ours(weighting):
        return
    rows = (jnp.ones(scores.shape, bool), jnp.full(scores.shape, -1, jnp.int32))
    found = np.asarray(jax.jit(weighting)(scores, *rows, dict(hyper)), np.float64)
    bad = found[~((found >= 0) & np.isfinite(found))]
    if len(bad) or not found.any():
        given = f"{len(bad)} of {len(found)} such as {bad[0]:g}" if len(bad) else "zeros only"
        raise ValueError(
            "the weighting must give the starting data weights that are finite, not negative and "
            f"not all zero, got {given}"
        )


@_ours
def rank() -> Weighting:
    """Rank weights, Eq. 1 of the paper; reads ``k``."""
    return lambda s, mask, rounds, hyper: rank_weights(s, hyper["k"], mask)


def _wanted_rows(hyper: Mapping[str, ArrayLike]) -> tuple[Array, DTypeLike]:
    """``effective_rows`` in a float that holds any number of rows, and that float.

    Raises:
      ValueError: if it is no single real number, or a concrete NaN.
    """
    rows = hyper["effective_rows"]
    check_number("effective_rows", rows, "a number of rows", lambda e: ~np.isnan(e))
    dtype = float_type(rows)
    return as_float("effective_rows", rows, dtype), dtype


@_ours
def rank_effective() -> Weighting:
    """Rank weights with the k that gives an effective sample size; reads ``effective_rows``.

    The sample size stays the same while queries gather, whatever the size of the data.
    """

    def weighting(
        scores: Array, mask: Array, rounds: Array, hyper: Mapping[str, ArrayLike]
    ) -> Array:
        n = (mask & jnp.isfinite(scores)).sum()
        wanted, _ = _wanted_rows(hyper)
        return rank_weights(scores, k_of_effective_rows(n, wanted), mask)

    return weighting


@_ours
def rank_adaptive() -> Weighting:
    """As :func:`rank_effective`, but at most a fifth of the data, and no less than 50 rows or all
    of them: a model that is trained on a handful of rows keeps nothing of the others."""
    effective = rank_effective()

    def weighting(
        scores: Array, mask: Array, rounds: Array, hyper: Mapping[str, ArrayLike]
    ) -> Array:
        wanted, dtype = _wanted_rows(hyper)
        n = (mask & jnp.isfinite(scores)).sum().astype(dtype)
        most = jnp.maximum(_LARGEST_SHARE * n, jnp.minimum(n, _LEAST_ROWS))
        return effective(scores, mask, rounds, {"effective_rows": jnp.minimum(wanted, most)})

    return weighting


@_ours
def uniform() -> Weighting:
    """Equal weights for all usable rows."""
    return lambda s, mask, rounds, hyper: uniform_weights(s, mask)


@_ours
def dbas() -> Weighting:
    """Design by adaptive sampling on all data; reads ``quantile`` and ``noise``."""
    return lambda s, mask, rounds, hyper: dbas_weights(s, hyper["quantile"], hyper["noise"], mask)


@_ours
def cem_pi() -> Weighting:
    """The cross-entropy method on all data; reads ``quantile``."""
    return lambda s, mask, rounds, hyper: cem_pi_weights(s, hyper["quantile"], mask)


@_ours
def rwr() -> Weighting:
    """Reward-weighted regression; reads ``alpha``."""
    return lambda s, mask, rounds, hyper: rwr_weights(s, hyper["alpha"], mask)


@_ours
def feedback() -> Weighting:
    """The buffer of FB-VAE; reads ``quantile``."""
    return lambda s, mask, rounds, hyper: feedback_weights(s, rounds, hyper["quantile"], mask)


@_ours
def dbas_reference() -> Weighting:
    """Design by adaptive sampling on the last round; reads ``quantile`` and ``noise``."""
    return lambda s, mask, rounds, hyper: dbas_reference_weights(
        s, rounds, hyper["quantile"], hyper["noise"], mask
    )


@_ours
def cem_pi_reference() -> Weighting:
    """The cross-entropy method on the last round; reads ``quantile``."""
    return lambda s, mask, rounds, hyper: cem_pi_reference_weights(
        s, rounds, hyper["quantile"], mask
    )


WEIGHTINGS: dict[str, Callable[[], Weighting]] = {
    "rank": rank,
    "rank_effective": rank_effective,
    "rank_adaptive": rank_adaptive,
    "uniform": uniform,
    "dbas": dbas,
    "cem_pi": cem_pi,
    "rwr": rwr,
    "feedback": feedback,
    "dbas_reference": dbas_reference,
    "cem_pi_reference": cem_pi_reference,
}
"""Weightings by name, as methods refer to them."""

CURRENT_ONLY = ("dbas_reference", "cem_pi_reference")
"""Weightings that count the queries of the last round only: a pass is one over these."""


@cache
def weighting_named(name: str) -> Weighting:
    """The weighting of that name.

    Raises:
      ValueError: if there is none, listing the names.
    """
    if name not in WEIGHTINGS:
        raise ValueError(f"unknown weighting {name!r}; there are: {', '.join(WEIGHTINGS)}")
    return WEIGHTINGS[name]()
