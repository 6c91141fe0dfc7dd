"""Stationary kernels with one lengthscale per dimension, as tinygp kernels with fast matrices.

They are tinygp kernels and combine with any other (``+``, ``*``). They add their own ``__call__``:
a covariance matrix comes from one matrix product instead of one subtraction per pair and dimension,
and all derivatives are finite at distance zero.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from tinygp.kernels import Kernel

from wrlso.scores.checks import check_whole

_DIRECT_DIMENSIONS = 4
"""Up to here, differences are cheap, and do not cancel."""


@jax.custom_jvp
def matern52(squared_distance: Array) -> Array:
    """``(1 + a + a^2 / 3) exp(-a)`` with ``a = sqrt(5 s)``, as a function of ``s = r^2 >= 0``.

    Twice differentiable everywhere, in either mode; with respect to r^2 nothing is singular at 0.
    The third derivative is infinite there.
    """
    a = _scaled_distance(squared_distance)
    return (1.0 + a + a * a / 3.0) * jnp.exp(-a)


def _scaled_distance(squared_distance: Array) -> Array:
    """``sqrt(5 s)``, up to where the exponential is zero: infinity times zero is NaN."""
    return jnp.minimum(jnp.sqrt(5.0 * squared_distance), 1000.0)


@jax.custom_jvp
def _matern52_slope(squared_distance: Array) -> Array:
    a = _scaled_distance(squared_distance)
    return -5.0 / 6.0 * (1.0 + a) * jnp.exp(-a)


@matern52.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return matern52(*primals), _matern52_slope(*primals) * tangents[0]


@_matern52_slope.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    curvature = 25.0 / 12.0 * jnp.exp(-jnp.sqrt(5.0 * primals[0]))
    return _matern52_slope(*primals), curvature * tangents[0]


def squared_exponential(squared_distance: Array) -> Array:
    """``exp(-s / 2)`` as a function of ``s = r^2``."""
    return jnp.exp(-0.5 * squared_distance)


class Stationary(Kernel):
    """``variance * profile(r^2)`` with ``r`` the Euclidean distance in lengthscales.

    Attributes:
      lengthscales: ``[d]``, positive.
      variance: ``[]``, positive: the value at distance zero.
    """

    lengthscales: Any
    variance: Any

    @staticmethod
    def profile(squared_distance: Array) -> Array:
        """The correlation at squared distances in units of the lengthscales."""
        raise NotImplementedError

    def evaluate(self, X1: Array, X2: Array) -> Array:
        """One pair of points ``[d]``."""
        return self.variance * self.profile(jnp.sum(((X1 - X2) / self.lengthscales) ** 2))

    def evaluate_diag(self, X: Array) -> Array:
        """The variance."""
        return jnp.asarray(self.variance)

    def __call__(self, X1: Array, X2: Array | None = None) -> Array:
        """``[n, d], [m, d] -> [n, m]``; without ``X2`` the diagonal ``[n]``."""
        if X2 is None:
            return jnp.broadcast_to(self.variance, X1.shape[:1])
        scales = jnp.asarray(self.lengthscales).reshape(1, -1)
        if X1.shape[1:] != X2.shape[1:] or scales.shape[1] not in (1, *X1.shape[1:]):
            raise ValueError(
                f"points of shapes {X1.shape} and {X2.shape} and {scales.shape[1]} lengthscales "
                "must have the same number of dimensions"
            )
        s = squared_distances(X1 / scales, X2 / scales)
        return self.variance * self.profile(s)


class Matern52(Stationary):
    """Matérn kernel with smoothness 5/2 (Rasmussen and Williams 2006, Eq. 4.17)."""

    @staticmethod
    def profile(squared_distance: Array) -> Array:
        """The correlation at squared distances in units of the lengthscales."""
        return matern52(squared_distance)


class SquaredExponential(Stationary):
    """Squared exponential kernel (Rasmussen and Williams 2006, Eq. 4.9)."""

    @staticmethod
    def profile(squared_distance: Array) -> Array:
        """The correlation at squared distances in units of the lengthscales."""
        return squared_exponential(squared_distance)


KERNELS: dict[str, Callable[..., Stationary]] = {
    "matern52": Matern52,
    "squared_exponential": SquaredExponential,
}
"""Kernels by name."""


def squared_distances(x: Array, z: Array) -> Array:
    """Squared Euclidean distances ``[n, d], [m, d] -> [n, m]``, never negative.

    In more than a few dimensions ``|x|^2 + |z|^2 - 2 x.z``, about the centre of z
    to keep cancellation small: 2 n m d FLOPs as one matrix product. Rounding remains of the squares
    of both rows' distances from that centre, which one row far from the others moves: in float32,
    with one of ten rows at 1e3, squared distances of 0.1 among the others err by 3e-3. Leave out
    such a row. The distance is infinite if the square of one point overflows, and may be NaN if the
    squares of both do.
    """
    if x.shape[1] <= _DIRECT_DIMENSIONS:
        return sum((x[:, None, j] - z[None, :, j]) ** 2 for j in range(x.shape[1])) + jnp.zeros(
            (x.shape[0], z.shape[0]), x.dtype
        )
    centre = jax.lax.stop_gradient(z.mean(0, keepdims=True))
    x, z = x - centre, z - centre
    cross = jnp.matmul(x, z.T, precision="highest")
    s = (x * x).sum(1)[:, None] + (z * z).sum(1)[None, :] - 2.0 * cross
    # Rounding below zero goes, but not through `maximum`, which would halve derivatives at 0.
    above = jnp.where(jnp.isinf(s), 0.0, jnp.maximum(s, 0.0) - s)  # infinity less itself is NaN
    return s + jax.lax.stop_gradient(above)


def default_lengthscale(dimensions: int) -> float:
    """Median of the prior for lengthscales, growing as sqrt(d) (Hvarfner et al. 2024).

    Theirs is for inputs in a unit cube; in units of the data's deviation, as here, it is the
    smoother choice.

    Raises:
      ValueError: unless the number of dimensions is whole and at least one.
    """
    check_whole("dimensions", dimensions, 1)
    return math.exp(math.sqrt(2.0) + 0.5 * math.log(dimensions))
