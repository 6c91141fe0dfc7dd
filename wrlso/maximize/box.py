"""The box of a climb: its bounds and middle, points all over it, directions that stay in it."""

import math

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from wrlso.scores import at_least_single
from wrlso.scores.checks import is_concrete


def bounds_of(
    starts: Array, lower: ArrayLike, upper: ArrayLike
) -> tuple[Array, Array, Array | None]:
    """Bounds in one type, ``[S, d]`` or ``[1, d]`` for all rows, and which rows have a box ``[S]``;
    None for all of them."""
    concrete = is_concrete(lower, upper)
    if concrete and not (np.asarray(lower) <= np.asarray(upper)).all():
        raise ValueError(
            "lower must not exceed upper in any dimension and neither may be NaN, got "
            f"{np.asarray(lower)} and {np.asarray(upper)}"
        )
    floats = [a for a in (starts, lower, upper) if _is_float(a)]
    dtype = at_least_single(jnp.result_type(*floats)) if floats else jnp.float32
    low, high = (jnp.atleast_2d(jnp.asarray(b, dtype)) for b in (lower, upper))
    boxed = None if concrete else jnp.broadcast_to(low <= high, starts.shape).all(-1)
    return low, high, boxed


def _is_float(numbers: ArrayLike) -> bool:
    return jnp.issubdtype(jnp.result_type(numbers), jnp.floating)


def middle(lower: Array, upper: Array) -> Array:
    """The middle of a box; along an infinite side, zero, or the bound next to it."""
    sided = jnp.isfinite(lower) & jnp.isfinite(upper)
    low, high = jnp.where(sided, lower, 0), jnp.where(sided, upper, 0)
    return jnp.where(sided, 0.5 * (low + high), jnp.clip(0, lower, upper))


def spread(i: Array, x: Array, lower: Array, upper: Array) -> Array:
    """Points that fill the box evenly over all steps: the Kronecker sequence of square roots. Along
    an infinite side they lie around the start, no farther than it is from zero, or one."""
    lanes, d = x.shape
    roots = jnp.sqrt(jnp.asarray(_first_primes(d), x.dtype))
    number = jnp.asarray(i, jnp.int32) * lanes + jnp.arange(lanes, dtype=jnp.int32)
    place = number.astype(x.dtype)[:, None] * roots[None]
    share = jnp.mod(place, 1.0)
    sided = jnp.isfinite(lower) & jnp.isfinite(upper)
    low, high = jnp.where(sided, lower, 0), jnp.where(sided, upper, 0)
    around = jnp.clip(x + (2 * share - 1) * jnp.maximum(jnp.abs(x), 1), lower, upper)
    return jnp.where(sided, low + (high - low) * share, around)


def _first_primes(n: int) -> list[int]:
    """The sieve of Eratosthenes, up to a bound of the n-th prime (Rosser 1941)."""
    bound = math.ceil(n * (math.log(n) + math.log(math.log(n)))) if n >= 6 else 11
    prime = np.ones(bound + 1, bool)
    prime[:2] = False
    for number in range(2, math.isqrt(bound) + 1):
        if prime[number]:
            prime[number * number :: number] = False
    return np.flatnonzero(prime)[:n].tolist()


def free_part(x: Array, vector: Array, lower: Array, upper: Array) -> Array:
    """A vector without the components that would leave the box from its surface."""
    outward = ((x <= lower) & (vector < 0)) | ((x >= upper) & (vector > 0))
    return jnp.where(outward, 0.0, vector)
