"""Sparse Gaussian process regression: Titsias' collapsed bound (AISTATS 2009).

With M inducing points Z and n data points, ``A = L^-1 K_zx`` where ``L L^T = K_zz``
(plus jitter, which only lowers the bound), and ``B = I + A A^T / noise``. Everything of
size n is three matrix products of 2 n M^2 FLOPs a gradient step: A, A A^T, and
the derivative with respect to K_zx. The rest is O(M^3) and O(n M d).

In float32 the inducing points' own covariance is known to about 1e-6 of the variance,
n times over: keep the noise variance above 1e-2 of it for some thousand points, or
work in double precision. Below, bound and posterior are finite, but rough.
"""

import math
import operator
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, PRNGKeyArray
from tinygp.kernels import Kernel

from wrlso.gp.checks import (
    as_floats,
    check_like,
    check_mask,
    check_noise,
    check_observation,
    check_points,
    check_problem,
    check_type,
    points_like,
)
from wrlso.gp.linalg import AnyArray, check_finite, half_lower, matmul, relative_change, whiten
from wrlso.scores.checks import check_whole, native


class SparseGP(NamedTuple):
    """A posterior. ``inducing [M, d]``, ``noise []`` (variance), ``whitening [M, M]`` (``L^-1``),
    ``root [M, M]`` with ``root^T root = B^-1``, ``projected [M]`` (``A y``), ``alpha [M]``: the
    mean is ``k(x, Z) alpha``."""

    kernel: Kernel
    noise: AnyArray
    inducing: AnyArray
    whitening: AnyArray
    root: AnyArray
    projected: AnyArray
    alpha: AnyArray


def log_marginal_bound(
    kernel: Kernel,
    noise: ArrayLike,
    points: Float[AnyArray, "n d"],
    targets: Float[AnyArray, " n"],
    inducing: Float[AnyArray, "m d"],
    mask: Bool[AnyArray, " n"] | None = None,
) -> Float[AnyArray, ""]:
    """Titsias' lower bound of the log marginal likelihood (Eq. 9).

    Args:
      kernel: any tinygp kernel.
      noise: variance of the observations' noise.
      points: ``[n, d]``.
      targets: ``[n]``, of mean zero.
      inducing: ``[M, d]``.
      mask: ``[n]`` booleans; all rows if None.

    Returns:
      ``[]`` nats, twice differentiable in either mode, in kernel, noise, points, targets and
      inducing points.

    Raises:
      ValueError: for shapes that do not fit, and types other than float32 and float64. For
        concrete arguments, if a row in use, an inducing point, the noise or the kernel's variance
        is NaN or infinite, or if the noise, a lengthscale or the kernel's variance is not positive.
        Under ``jit`` nothing is raised for values: the result, and means predicted from such data,
        are NaN.
    """
    check_noise(noise)
    inducing = jnp.asarray(native(inducing))
    rows, cross, y = _masked(kernel, points, targets, inducing, mask)
    noise = jnp.asarray(noise, y.dtype)
    gram, projected = _project(kernel(inducing, inducing), cross, y)
    root, log_det_inner = whiten(_inner(gram, noise))
    explained = matmul(root, projected) / noise
    n = rows.sum().astype(y.dtype)
    log_det = log_det_inner + n * jnp.log(noise)
    fit = matmul(y, y) / noise - matmul(explained, explained)
    unexplained = jnp.where(rows, kernel(points), 0.0).sum() - jnp.trace(gram)
    unexplained = jnp.maximum(unexplained, 0.0)  # but for rounding, it is
    return -0.5 * (n * math.log(2 * math.pi) + log_det + fit + unexplained / noise)


def condition(
    kernel: Kernel,
    noise: ArrayLike,
    points: Float[AnyArray, "n d"],
    targets: Float[AnyArray, " n"],
    inducing: Float[AnyArray, "m d"],
    mask: Bool[AnyArray, " n"] | None = None,
) -> SparseGP:
    """The variational posterior (Eq. 6); arguments as :func:`log_marginal_bound`."""
    check_noise(noise)
    inducing = jnp.asarray(native(inducing))
    _, cross, y = _masked(kernel, points, targets, inducing, mask)
    noise = jnp.asarray(noise, y.dtype)
    whitening, _ = whiten(kernel(inducing, inducing))
    a = matmul(whitening, cross)
    root, _ = whiten(_inner(matmul(a, a.T), noise))
    gp = SparseGP(
        kernel,
        noise,
        inducing,
        whitening,
        root,
        matmul(a, y),
        jnp.zeros(inducing.shape[:1], y.dtype),
    )
    return _with_alpha(gp)


def predict(
    gp: SparseGP, x: Float[AnyArray, "s d"]
) -> tuple[Float[AnyArray, " s"], Float[AnyArray, " s"]]:
    """Mean and variance ``[s]`` of the function (without noise) at ``x [s, d]``; O(s M^2)."""
    return predict_with_covariance(gp, x)[:2]


def predict_with_covariance(
    gp: SparseGP, x: Float[AnyArray, "s d"]
) -> tuple[
    Float[AnyArray, " s"],
    Float[AnyArray, " s"],
    Callable[[ArrayLike], Float[AnyArray, " s"]],
]:
    """Mean and variance ``[s]`` at ``x [s, d]`` in O(s M^2), and a function of the number of a row
    to the covariance ``[s]`` of all rows with it, in O(s M). It is the part that the inducing
    points carry: an observation at the row teaches about nothing else."""
    x = points_like("x", x, gp.inducing)
    cross = gp.kernel(x, gp.inducing)
    a = matmul(cross, gp.whitening.T)
    explained = (a * a).sum(1)
    root = matmul(a, gp.root.T)

    def covariance(row: ArrayLike) -> Float[AnyArray, " s"]:
        return matmul(root, root[row])

    # The variance that Z leaves unexplained, and that the data leave uncertain about Z.
    variance = jnp.maximum(gp.kernel(x) - explained, 0.0) + (root**2).sum(1)
    return matmul(cross, gp.alpha), variance, covariance


def predict_joint(
    gp: SparseGP, x: Float[AnyArray, "s d"]
) -> tuple[Float[AnyArray, " s"], Float[AnyArray, "s s"]]:
    """Mean ``[s]`` and covariance ``[s, s]`` of the function at ``x [s, d]``."""
    x = points_like("x", x, gp.inducing)
    cross = gp.kernel(x, gp.inducing)
    a = matmul(cross, gp.whitening.T)
    b = matmul(a, gp.root.T)
    covariance = gp.kernel(x, x) - matmul(a, a.T) + matmul(b, b.T)
    return matmul(cross, gp.alpha), covariance


def add(gp: SparseGP, point: Float[AnyArray, " d"], target: ArrayLike) -> SparseGP:
    """The posterior with one more observation, at fixed hyperparameters and inducing points.

    O(M^2): with ``w = root a`` the inner matrix's inverse becomes
    ``root^T (I - w w^T / (noise + w.w)) root``, whose symmetric square root is
    known (Potter's square-root filter, Bierman 1977, Ch. V), so that no variance can
    become negative however many observations are added.

    Raises:
      ValueError: for a target that is no number, complex numbers, and a concrete point or target
        that is NaN or infinite.
    """
    check_observation(point, target, gp.inducing)
    point, target = (jnp.asarray(native(a), gp.projected.dtype) for a in (point, target))
    a = matmul(gp.whitening, gp.kernel(gp.inducing, point[None])[:, 0])
    w = matmul(gp.root, a)
    squared = matmul(w, w)
    shrink = 1.0 / (gp.noise + squared + jnp.sqrt(gp.noise * (gp.noise + squared)))
    root = gp.root - shrink * jnp.outer(w, matmul(w, gp.root))
    return _with_alpha(gp._replace(root=root, projected=gp.projected + target * a))


def _with_alpha(gp: SparseGP) -> SparseGP:
    inner = matmul(gp.root.T, matmul(gp.root, gp.projected)) / gp.noise
    return gp._replace(alpha=matmul(gp.whitening.T, inner))


def _inner(gram: AnyArray, noise: ArrayLike) -> AnyArray:
    return jnp.eye(gram.shape[0], dtype=gram.dtype) + gram / noise


def _masked(
    kernel: Kernel, points: AnyArray, targets: AnyArray, inducing: AnyArray, mask: AnyArray | None
) -> tuple[AnyArray, AnyArray, AnyArray]:
    """The rows in use ``[n]``, their covariance ``[M, n]`` with the inducing points, and targets
    ``[n]``."""
    points, targets = (jnp.asarray(native(a)) for a in (points, targets))
    check_problem(kernel, points, targets, mask)
    check_like("inducing", inducing, points)
    if len(inducing) == 0:
        raise ValueError("inducing must have at least one point")
    check_type("inducing", inducing)
    check_finite("inducing", inducing)
    targets = as_floats(targets, points)
    rows = jnp.ones(targets.shape, bool) if mask is None else jnp.asarray(mask, bool)
    points = jnp.where(rows[:, None], points, 0.0)
    cross = jnp.where(rows[None, :], kernel(inducing, points), 0.0)
    return rows, cross, jnp.where(rows, targets, 0.0)


@jax.custom_jvp
def _project(prior: AnyArray, cross: AnyArray, y: AnyArray) -> tuple[AnyArray, AnyArray]:
    """``A A^T`` and ``A y`` with ``A = L^-1 cross`` and ``L L^T = prior``."""
    return _projection(prior, cross, y)[0]


@_project.defjvp
def _(
    primals: tuple[AnyArray, AnyArray, AnyArray], tangents: tuple[AnyArray, AnyArray, AnyArray]
) -> tuple[tuple[AnyArray, AnyArray], tuple[AnyArray, AnyArray]]:
    """With ``P = Phi(L^-1 dK L^-T)``: ``dG = T + T^T`` of ``T = L^-1 dcross A^T - P G``, so one
    product of size n is enough, and its transpose is one, too."""
    y = primals[2]
    prior_dot, cross_dot, y_dot = tangents
    (gram, projected), inverse, a = _projection(*primals)
    turn = half_lower(relative_change(inverse, prior_dot))
    half = matmul(inverse, matmul(cross_dot, a.T)) - matmul(turn, gram)
    along = matmul(inverse, matmul(cross_dot, y)) + matmul(a, y_dot) - matmul(turn, projected)
    return (gram, projected), (half + half.T, along)


def _projection(
    prior: AnyArray, cross: AnyArray, y: AnyArray
) -> tuple[tuple[AnyArray, AnyArray], AnyArray, AnyArray]:
    """``(A A^T [M, M], A y [M])``, ``L^-1 [M, M]`` and ``A [M, n]``."""
    inverse, _ = whiten(prior)
    a = matmul(inverse, cross)
    return (matmul(a, a.T), matmul(a, y)), inverse, a


def k_means(
    key: PRNGKeyArray,
    points: Float[AnyArray, "n d"],
    clusters: int,
    mask: Bool[AnyArray, " n"] | None = None,
) -> Float[AnyArray, "clusters d"]:
    """Initial inducing points: 10 steps of Lloyd's algorithm from distinct random rows.

    Args:
      key: typed PRNG key.
      points: ``[n, d]``.
      clusters: M.
      mask: ``[n]`` booleans; all rows if None. Where fewer than M rows are
        left, some centres are equal.

    Returns:
      Centres ``[M, d]``, each the mean of its rows; a centre that lost all its
      rows stays where it was. 2 n M d FLOPs per step. Points may be of any scale, and far from
      zero: clusters are told apart down to rounding of the distance from their common mean.

    Raises:
      ValueError: for points or a mask of another shape, fewer than one cluster, types other than
        float32 and float64, and for a concrete row in use that is not finite.
    """
    points = jnp.asarray(native(points))
    check_points(points)
    check_mask(mask, points)
    check_type("points", points)
    check_whole("clusters", clusters, 1)
    check_finite("points", points, mask)
    rows = jnp.ones(points.shape[:1], bool) if mask is None else jnp.asarray(mask, bool)
    return _lloyd(key, points, rows, operator.index(clusters))


_OFF_CENTRE = 8.0
"""From here on, a distance from zero in units of the points' reach costs digits."""


@partial(jax.jit, inline=True, static_argnums=3)  # once, also for calls outside of jit
def _lloyd(key: AnyArray, points: AnyArray, rows: AnyArray, clusters: int) -> AnyArray:
    points = jnp.where(rows[:, None], points, 0.0)
    order = jnp.argsort(jnp.where(rows, jax.random.uniform(key, rows.shape, jnp.float32), 2.0))
    seeds = order[jnp.arange(clusters) % jnp.maximum(rows.sum(), 1)]
    middle, unit = _origin_and_unit(points, rows)
    points = jnp.where(rows[:, None], (points - middle[None]) / unit, 0.0)

    def step(_: AnyArray, centres: AnyArray) -> AnyArray:
        # |x|^2 is the same for all centres.
        distance = (centres * centres).sum(1)[None] - 2.0 * matmul(points, centres.T)
        nearest = jnp.argmin(distance, axis=1)
        place = jnp.where(rows, nearest, clusters)
        count = jnp.zeros(clusters, points.dtype).at[place].add(1.0, mode="drop")
        total = jnp.zeros_like(centres).at[place].add(points, mode="drop")
        mean = total / jnp.maximum(count, 1.0)[:, None]
        return jnp.where(count[:, None] > 0, mean, centres)

    return middle[None] + unit * jax.lax.fori_loop(0, 10, step, points[seeds])


def _origin_and_unit(points: AnyArray, rows: AnyArray) -> tuple[AnyArray, AnyArray]:
    """An origin ``[d]`` and a unit ``[]`` in which the squares of points neither cancel nor vanish:
    zero and one where they lie around zero at a usual scale."""
    points = jax.lax.stop_gradient(points)
    share = 1 / jnp.maximum(rows.sum(), 1).astype(points.dtype)
    mean = (points * share).sum(0)
    reach = jnp.abs(jnp.where(rows[:, None], points - mean[None], 0.0)).max()
    far = jnp.abs(mean).max() > _OFF_CENTRE * reach
    middle = jnp.where(far, mean, 0.0)
    size = jnp.where(far, reach, jnp.abs(points).max())
    usual = (size > 2.0**-20) & (size < 2.0**20)
    return middle, jnp.where(usual | (size == 0), 1.0, size).astype(points.dtype)
