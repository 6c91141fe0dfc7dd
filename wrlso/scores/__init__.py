"""Scores in the precision of compiled programs: float32, less a number that is near all of them.

Energies near -7.6e7 that differ by 1 are equal in float32. Less one of them they are exact. On the
host scores stay in float64, and no rank, weight or posterior depends on the offset.
"""

import warnings
from collections.abc import Callable
from enum import Enum
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike, DTypeLike

from wrlso.scores.checks import is_concrete, values_of_rows

Objective = Callable[[Array], Array]
"""``objects [B, ...] -> scores [B]``, higher is better. Whole numbers count exactly, those of 32
bits without a sign up to 2^31 where lower is better."""


@jax.tree_util.register_static
class Direction(Enum):
    """Which scores of an objective are better. Static under every transformation."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


_FAR = 1024.0
"""Distance from zero, in units of the scores' spread, from which on the offset is subtracted."""

_PAIRS = 2.0**22
"""Pairs of different random numbers of which fewer than four are equal in float32."""


def at_least_single(dtype: DTypeLike) -> DTypeLike:
    """The type itself where it is a float of more than 32 bits, else float32."""
    kind = jnp.dtype(dtype)
    return kind if jnp.issubdtype(kind, jnp.floating) and kind.itemsize > 4 else jnp.float32


def computing_type(numbers: ArrayLike) -> DTypeLike:
    """The float in which numbers, or a list of them, are computed: their own type where it is
    wider than float32."""
    given = np.asarray(numbers) if is_concrete(numbers) else jnp.asarray(numbers)
    return at_least_single(jax.dtypes.canonicalize_dtype(given.dtype))


def over_largest(values: ArrayLike, name: str = "scores") -> Array:
    """Numbers ``[N]`` from zero upwards over the largest, on which no share of theirs depends.

    Neither their sum nor their squares overflow or vanish. The divisor counts as a constant, and
    zeros stay zeros.
    """
    kind = computing_type(values)
    if is_concrete(values):
        numbers = in_double(values, name)
        largest = numbers.max(initial=0.0)
        return jnp.asarray((numbers / largest if largest > 0 else numbers).astype(kind))
    given = jnp.asarray(values).astype(kind)
    largest = lax.stop_gradient(given).max(initial=0.0)
    # XLA multiplies by the reciprocal, and that of a number near the largest float is zero.
    far = jnp.asarray(2.0**64, kind)
    scale = jnp.where(largest > far, 1 / far, jnp.where(largest < 1 / far, far, 1))
    return (given * scale) / jnp.where(largest > 0, largest * scale, 1)


def in_double(values: ArrayLike, name: str = "scores") -> np.ndarray:
    """Real numbers on the host: ``[...]`` float64, NaN where a masked array has no value.

    Raises:
      ValueError: for complex numbers, text and times.
    """
    given = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    kind = given.dtype
    real = jnp.issubdtype(kind, jnp.floating) or jnp.issubdtype(kind, jnp.integer)
    if not (real or kind in (bool, object)):
        raise ValueError(f"{name} must be real numbers, got {kind}: convert them to floats")
    wide = given.astype(np.float64, copy=False)
    return wide.filled(np.nan) if isinstance(wide, np.ma.MaskedArray) else wide


def score_offset(scores: ArrayLike) -> float:
    """A number to subtract from scores ``[N]`` before they are cast to float32.

    It is zero, unless float32 would lose what scores differ by: where their median is more than
    1,024 times as far from zero as the 5% and 95% quantiles are apart, or where more distinct
    scores become equal without the offset than with it, and more than chance explains. It is a
    float32 itself.
    """
    values = in_double(scores)
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95], method="nearest")
    with np.errstate(over="ignore"):
        middle = float(np.float32(middle))
    if not np.isfinite(middle):
        return 0.0
    if abs(middle) > _FAR * (high - low):
        return middle
    lost = merged(values, 0.0)
    return middle if lost > _by_chance(len(values)) and merged(values, middle) < lost else 0.0


def relative(scores: ArrayLike, offset: float) -> np.ndarray:
    """Scores on the host less the offset: ``[...]`` float32, rounded once."""
    with np.errstate(over="ignore"):
        return (in_double(scores) - offset).astype(np.float32)


def check_range(name: str, scores: ArrayLike, used: np.ndarray, minimize: bool = False) -> None:
    """Refuse finite scores that are infinite in float32, as which they would not count.

    Raises:
      ValueError: naming the first. With ``minimize`` the scores are the user's negated ones.
    """
    values = in_double(scores)
    lost = np.flatnonzero(np.isfinite(values) & ~np.isfinite(used))
    if len(lost):
        raise ValueError(
            f"{name} must be within float32's range, but row {lost[0]} is "
            f"{-values[lost[0]] if minimize else values[lost[0]]:g}: "
            "rescale all of them"
        )


def _distinct(values: np.ndarray) -> int:
    """The number of distinct scores; a difference of 1e-12 of the largest is one of rounding."""
    largest = np.abs(values).max(initial=0.0)
    return (
        len(np.unique(np.round(values / largest * 2.0**40))) if largest > 0 else min(len(values), 1)
    )


def merged(scores: np.ndarray, offset: float) -> int:
    """The number of distinct scores that equal another one in float32, less the offset."""
    return _distinct(scores) - len(np.unique(relative(scores, offset)))


def warn_of_merged(scores: ArrayLike, offset: float, what: str) -> bool:
    """Warn if distinct scores become equal in float32; whether so.

    As many as chance explains, or one in a hundred, are no reason: a run looks at its queries again
    after every round, and would find a pair that is equal by chance in many runs.
    """
    values = in_double(scores)
    values = values[np.isfinite(values)]
    lost = merged(values, offset)
    if lost <= max(_by_chance(len(values)), len(values) / 100):
        return False
    warnings.warn(
        f"{lost} of {_distinct(values)} distinct scores of {what} equal others in float32, less "
        f"the offset {offset:g}: they share ranks, and the surrogate cannot tell them apart. Use "
        "scores of a smaller range, such as logarithms, or differences from a reference",
        stacklevel=3,
    )
    return True


def _by_chance(n: int) -> float:
    return n * n / _PAIRS


def less(scores: Array, offset: ArrayLike) -> Array:
    """Scores ``[B]`` of an objective in JAX less the offset, in float32.

    Subtracted in the scores' own type where that is wider, and exactly for whole numbers.
    """
    offset = jnp.asarray(offset, jnp.float32)
    if _is_small_integer(scores):
        scores = scores.astype(jnp.int32)
    if jnp.issubdtype(scores.dtype, jnp.integer):
        whole, far = jnp.round(offset), scores.astype(jnp.float32) - offset
        rest = _whole_difference(scores, whole).astype(jnp.float32) - (offset - whole)
        return jnp.where(jnp.abs(far) < 2.0**30, rest, far)  # the integers may wrap around
    wide = scores.astype(at_least_single(scores.dtype))
    return (wide - offset.astype(wide.dtype)).astype(jnp.float32)


def _whole_difference(scores: Array, whole: Array) -> Array:
    """Integers ``[B]`` of 32 or 64 bits less a whole number, as integers with a sign.

    Modulo 2^32 or 2^64: exact where the difference has room in half of that.
    """
    bits = 8 * scores.dtype.itemsize
    unsigned, signed = jnp.dtype(f"uint{bits}"), jnp.dtype(f"int{bits}")
    size = jnp.abs(whole).astype(unsigned)
    difference = scores.astype(unsigned) - jnp.where(whole < 0, jnp.zeros_like(size) - size, size)
    return lax.bitcast_convert_type(difference, signed)


def evaluate(objective: Objective, objects: Array, offset: ArrayLike = 0.0) -> Array:
    """``[B] float32`` scores of ``[B, ...]`` objects, less an offset (:mod:`wrlso.scores`).

    Raises:
      ValueError: if the objective does not return one score per object.
    """
    return less(raw_scores(objective, objects), offset)


def raw_scores(objective: Objective, objects: Array) -> Array:
    """``[B]`` scores of ``[B, ...]`` objects in the objective's own type.

    Raises:
      ValueError: if the objective does not return one score, a real number, per object.
    """
    return values_of_rows(
        "objective",
        lambda: objective(objects),
        objects.shape[0],
        f"map objects {list(objects.shape)} to scores {list(objects.shape[:1])}",
        "give a Python function of one object as host_objective",
        values="scores",
    )


def constant_less(value: float, offset: ArrayLike) -> Array:
    """A number less the offset, in float32, also where float32 does not hold the number."""
    first = np.float32(value)
    return (first - jnp.asarray(offset, jnp.float32)) + np.float32(value - float(first))


def negative(scores: Array) -> Array:
    """Scores ``[B]`` of an objective in JAX, negated.

    Whole numbers stay whole and do not wrap around: one whose negative has no room in 32 bits, or
    64 if the scores have as many, becomes the nearest that has.
    """
    scores = jnp.asarray(scores)
    if _is_small_integer(scores):
        scores = scores.astype(jnp.int32)
    if not jnp.issubdtype(scores.dtype, jnp.integer):
        return -scores
    signed = jnp.dtype(f"int{8 * scores.dtype.itemsize}")
    most = jnp.iinfo(signed).max
    if scores.dtype == signed:
        return -jnp.maximum(scores, -most)
    return -jnp.minimum(scores, most).astype(signed) - (scores > most).astype(signed)


def negative_on_host(scores: Any) -> Any:
    """Scores ``[N]`` of base data, negated; whole numbers of less than 64 bits do not wrap around.

    Those of a wider type are floats.
    """
    if isinstance(scores, Array):
        return negative(scores)
    given = scores if isinstance(scores, np.ma.MaskedArray) else np.asarray(scores)
    if given.dtype.kind in "biu":
        wide = given.dtype.itemsize == 8
        return -given.astype(np.float64 if wide else np.int64)
    return -given


def _is_small_integer(scores: Array) -> bool:
    kind = scores.dtype
    return kind == jnp.bool_ or (jnp.issubdtype(kind, jnp.integer) and kind.itemsize < 4)
