"""Derivatives of maxima: of values by the envelope theorem, of points by the implicit function
theorem.

At a maximum x of f(x, c) the slope g is zero on the free coordinates, so ``dV/dc = df/dc`` with x
held fixed, and ``dx/dc = -H^-1 dg/dc`` with H the Hessian there (Griewank and Walther 2008,
Ch. 15). Both rules serve forward and reverse mode, cost nothing unless a derivative is asked for,
and are differentiable themselves.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def valued(
    function: Callable[[Any, Array], Array], constants: Any, points: Array, values: Array
) -> Array:
    """``values``, with the derivative of ``function(constants, points)`` where they are finite."""
    return values


@partial(valued.defjvp, symbolic_zeros=True)
def _(function: Any, primals: Any, tangents: Any) -> tuple[Array, Array]:
    constants, points, values = primals
    finite = jnp.isfinite(values)
    # A row without a value stands in for the best one: its own slope may be NaN.
    at = lambda points: jnp.where(finite[:, None], points, points[:1])  # noqa: E731
    slope = _along(lambda c, p: function(c, at(p)), (constants, points), tangents[:2])
    slope = jnp.where(finite, slope, 0.0).astype(values.dtype)
    return valued(function, constants, points, values), slope


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def placed(
    both: Callable[[Any, Array], Any],
    free_move: bool,
    constants: Any,
    bounds: tuple[Array, Array],
    finite: Array,
    points: Array,
) -> Array:
    """``points``, which move with bounds that they are on and, if ``free_move``, with the maximum
    of the function in their other coordinates, where its value is ``finite``."""
    return points


@partial(placed.defjvp, symbolic_zeros=True)
def _(both: Any, free_move: bool, primals: Any, tangents: Any) -> tuple[Array, Array]:
    constants, (lower, upper), finite, points = primals
    points = placed(both, free_move, *primals)
    low_dot, high_dot = (_dense(t, points) for t in tangents[1])
    free = (points > lower) & (points < upper)
    held_dot = jnp.where(points <= lower, low_dot, jnp.where(points >= upper, high_dot, 0.0))
    if not free_move:
        return points, held_dot
    at = jnp.where(finite[:, None], points, points[:1])
    slope = lambda c, p: both(c, p)[1]  # noqa: E731
    change = _along(slope, (constants, at), (tangents[0], held_dot))
    unit = jnp.eye(points.shape[1], dtype=points.dtype)
    along = lambda e: jax.jvp(  # noqa: E731
        partial(slope, constants), (at,), (jnp.broadcast_to(e, at.shape),)
    )[1]
    hessian = jax.vmap(along)(unit).transpose(1, 2, 0)
    return points, held_dot + lax.map(_newton_step, (hessian, change, free & finite[:, None]))


def _newton_step(row: tuple[Array, Array, Array]) -> Array:
    """``-H^-1 g [d]`` on the free coordinates of one row, given H, g and which are free; zero
    unless -H is positive definite there."""
    hessian, change, free = row
    unit = jnp.eye(len(free), dtype=hessian.dtype)
    curvature = jnp.where(free[:, None] & free[None, :], -0.5 * (hessian + hessian.T), unit)
    strict = jnp.isfinite(jnp.linalg.cholesky(lax.stop_gradient(curvature))).all()
    factor = jnp.linalg.cholesky(jnp.where(strict, curvature, unit))
    change = jnp.where(free & strict, change, 0.0)
    return jax.scipy.linalg.cho_solve((factor, True), change)


def _along(function: Callable[..., Array], primals: Any, tangents: Any) -> Array:
    """The derivative of ``function(*primals)`` along ``tangents``, some of which are symbolic
    zeros: nothing is computed for these."""
    leaves, tree = jax.tree.flatten(primals)
    dots = jax.tree.leaves(tangents, is_leaf=lambda t: isinstance(t, SymbolicZero))
    live = [i for i, dot in enumerate(dots) if not isinstance(dot, SymbolicZero)]

    def of_live(*moving: Array) -> Array:
        all_leaves = list(leaves)
        for i, leaf in zip(live, moving, strict=True):
            all_leaves[i] = leaf
        return function(*jax.tree.unflatten(tree, all_leaves))

    if not live:
        like = jax.eval_shape(of_live)
        return jnp.zeros(like.shape, like.dtype)
    return jax.jvp(of_live, tuple(leaves[i] for i in live), tuple(dots[i] for i in live))[1]


def _dense(tangent: Any, like: Array) -> Array:
    return jnp.zeros_like(like) if isinstance(tangent, SymbolicZero) else tangent
