"""Acquisition functions of a Gaussian posterior, to be maximised.

All take the posterior's ``mean`` and ``variance`` at S points, ``[S]`` each, and are evaluated
elementwise. Their third argument is one number, or one for each point. Arrays of other shapes and
complex numbers are refused with a ValueError, also under ``jit``; lists are arrays. In standard
units (means and variances up to some thousands) they have finite values and gradients for any
variance from zero upwards; NaN stays NaN. Types of 16 bits and integers are computed, and returned,
in float32: h(u) spans more than half precision holds.
"""

import operator
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.scipy.special import ndtr
from jax.typing import ArrayLike
from jaxtyping import Float, Int, Num, PRNGKeyArray

from wrlso.scores.checks import check_real, check_whole, is_concrete, native

if TYPE_CHECKING:
    AnyArray: TypeAlias = Array
else:
    AnyArray = Array | np.ndarray
    """Arrays of JAX or NumPy; to a type checker both are JAX's, as in ``jax.numpy``."""

_TAIL = -2.5
"""Below this, h(u) is a difference of nearly equal numbers: a continued fraction instead."""
_FRACTION_TERMS = 60


def deviation(variance: Num[AnyArray, "*s"]) -> Float[Array, "*s"]:
    """Square root, bounded away from zero so that its gradient is finite."""
    (variance,) = _floating(variance=variance)
    least = jnp.finfo(variance.dtype).eps ** 2
    return jnp.sqrt(jnp.where(variance <= least, least, variance))


@jax.custom_jvp
def log_improvement(u: Array) -> Array:
    """``log h(u)`` with ``h(u) = phi(u) + u Phi(u)``, a standard normal's mean excess over -u.

    Exact to rounding for all u, where Ament et al. (2023, Eq. 9) piece three
    formulas together: below -2.5, with x = -u, ``h(u) = phi(u) c / (x + c)``, where
    ``c = 1 / (x + 2 / (x + 3 / (x + ...)))`` continues Laplace's fraction of Mills' ratio.
    """
    (u,) = _floating(u=u)
    tail, body = _split(u)
    log_phi = -0.5 * u * u - 0.5 * jnp.log(2 * jnp.pi)
    c = _fraction(tail)
    return jnp.where(u < _TAIL, log_phi + jnp.log(c / (tail + c)), jnp.log(_excess(body)))


@log_improvement.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """``h' = Phi``, and in the tail ``Phi / h = 1 / c``."""
    (u,), (du,) = _floating(u=primals[0]), tangents
    tail, body = _split(u)
    slope = jnp.where(u < _TAIL, 1.0 / _fraction(tail), ndtr(body) / _excess(body))
    return log_improvement(u), slope * du.astype(slope.dtype)


def _split(u: Array) -> tuple[Array, Array]:
    """``(x, u)``, each where its formula is used; elsewhere the constant where both meet."""
    return jnp.where(u < _TAIL, -u, -_TAIL), jnp.where(u < _TAIL, _TAIL, u)


def _floating(**arrays: ArrayLike) -> list[Array]:
    """The same real numbers in float32, or in their own type where that is a wider float."""
    wide = lambda a: jnp.issubdtype(a.dtype, jnp.floating) and a.dtype.itemsize > 4  # noqa: E731
    given = [jnp.asarray(native(a)) for a in arrays.values()]
    for name, array in zip(arrays, given, strict=True):
        check_real(name, array)
    return [a if wide(a) else a.astype(jnp.float32) for a in given]


def _excess(u: Array) -> Array:
    phi = jnp.exp(-0.5 * u * u) / jnp.sqrt(2 * jnp.pi)
    return phi + u * ndtr(u)


@partial(jax.jit, inline=True)
def _fraction(x: Array) -> Array:
    """``1 / (x + 2 / (x + 3 / ...))``, from the inside out. Compiled once, also for calls outside
    of ``jit``, where a loop is compiled anew for each new function of its steps."""
    return lax.fori_loop(
        0,
        _FRACTION_TERMS,
        lambda i, c: jnp.asarray(_FRACTION_TERMS - i, x.dtype) / (x + c),
        jnp.zeros_like(x),
    )


def expected_improvement(
    mean: Num[AnyArray, "*s"], variance: Num[AnyArray, "*s"], best: ArrayLike
) -> Float[Array, "*s"]:
    """``E[max(f - best, 0)]`` (Jones et al. 1998, Eq. 15): ``s h((mean - best) / s)``."""
    u, s = _in_deviations(mean, variance, best)
    return jnp.exp(log_improvement(u)) * s


def log_expected_improvement(
    mean: Num[AnyArray, "*s"], variance: Num[AnyArray, "*s"], best: ArrayLike
) -> Float[Array, "*s"]:
    """Log of :func:`expected_improvement`, also where that is zero in floating point
    (Ament et al. 2023)."""
    u, s = _in_deviations(mean, variance, best)
    return log_improvement(u) + jnp.log(s)


def _in_deviations(mean: AnyArray, variance: AnyArray, best: ArrayLike) -> tuple[Array, Array]:
    """``(mean - best) / s`` and the deviation s."""
    _check_third("best", best, mean)
    s = _deviation_of(mean, variance)
    mean, best = _floating(mean=mean, best=best)
    return (mean - best) / s, s


def _deviation_of(mean: AnyArray, variance: AnyArray) -> Array:
    if np.shape(mean) != np.shape(variance):
        raise ValueError(
            "mean and variance must have the same shape, a number of each for every point, got "
            f"{np.shape(mean)} and {np.shape(variance)}"
        )
    return deviation(variance)


def _check_third(name: str, value: ArrayLike, mean: AnyArray) -> None:
    if np.shape(value) not in ((), np.shape(mean)):
        raise ValueError(
            f"{name} must be one number, or one for every mean, {np.shape(mean)}, got shape "
            f"{np.shape(value)}; use vmap for more"
        )


def upper_confidence_bound(
    mean: Num[AnyArray, "*s"], variance: Num[AnyArray, "*s"], beta: ArrayLike
) -> Float[Array, "*s"]:
    """``mean + sqrt(beta) s`` (Srinivas et al. 2010, Eq. 6).

    Raises:
      ValueError: for a concrete beta below zero or NaN.
    """
    _check_third("beta", beta, mean)
    given = beta
    mean, beta = _floating(mean=mean, beta=beta)
    if is_concrete(given) and not (np.asarray(given, np.float64) >= 0).all():
        raise ValueError(f"beta must be at least 0, got {given}")
    return mean + jnp.sqrt(beta) * _deviation_of(mean, variance)


def sample_joint(
    key: PRNGKeyArray, mean: Num[AnyArray, " s"], covariance: Num[AnyArray, "s s"], samples: int
) -> Float[Array, "samples s"]:
    """Joint posterior samples ``[samples, S]``; also from a singular covariance.

    Differentiable where the eigenvalues of the covariance differ from each other.
    ``mean [S]``, ``covariance [S, S]``.

    Raises:
      ValueError: if the number of samples is negative or no whole number, also under ``jit``.
    """
    _check_joint(mean, covariance)
    check_whole("samples", samples, 0)
    mean, covariance = _floating(mean=mean, covariance=covariance)
    values, vectors = jnp.linalg.eigh(covariance)
    root = vectors * jnp.where(values > 0, jnp.sqrt(jnp.where(values > 0, values, 1.0)), 0.0)[None]
    noise = jax.random.normal(key, (operator.index(samples), mean.shape[0]), mean.dtype)
    return mean[None] + jnp.matmul(noise, root.T, precision="highest")


def _check_joint(mean: AnyArray, covariance: AnyArray) -> None:
    if np.ndim(mean) != 1:
        raise ValueError(f"mean must be [S], one for every point, got shape {np.shape(mean)}")
    if np.shape(covariance) != 2 * np.shape(mean):
        raise ValueError(
            f"covariance must be [S, S] of the means' points, {2 * np.shape(mean)}, got shape "
            f"{np.shape(covariance)}"
        )


def thompson(
    key: PRNGKeyArray, mean: Num[AnyArray, " s"], covariance: Num[AnyArray, "s s"], batch: int
) -> Int[Array, " batch"]:
    """Thompson sampling among S points: rows ``[batch]`` of a batch of distinct points.

    Each is the best point of its own joint sample, among those not yet taken.
    ``mean [S]``, ``covariance [S, S]``.

    Raises:
      ValueError: if the batch is negative, no whole number or exceeds the number of points, also
        under ``jit``. For concrete arguments, if one is NaN or infinite, which is a sample of
        nothing; under ``jit`` such rows are the first or the last to be taken.
    """
    _check_joint(mean, covariance)
    check_whole("batch", batch, 0)
    given = {"mean": mean, "covariance": covariance}
    mean, covariance = _floating(mean=mean, covariance=covariance)
    for name, values in given.items():
        if is_concrete(values) and not np.isfinite(np.asarray(values, np.float64)).all():
            raise ValueError(f"{name} must be finite, but holds NaN or infinity")
    if batch > mean.shape[0]:
        raise ValueError(
            f"batch must be at most the number of points, {mean.shape[0]}, got {batch}: pass more "
            "points, or ask for fewer"
        )
    samples = sample_joint(key, mean, covariance, batch)
    return lax.scan(_take_the_best, jnp.zeros(mean.shape, bool), samples)[1]


def _take_the_best(taken: Array, sample: Array) -> tuple[Array, Array]:
    """The row of the best of a sample ``[S]`` among the points not ``taken [S]``."""
    least = jnp.finfo(sample.dtype).min  # minus infinity is for those taken
    row = jnp.argmax(jnp.where(taken, -jnp.inf, jnp.maximum(sample, least)))
    return taken.at[row].set(True), row
