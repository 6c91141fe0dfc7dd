"""Maximise a function within bounds from many starts at once.

A projected L-BFGS evaluates one trial point of every start per step, in one batch. A start whose
trial is good enough moves there. One whose trial is not tries again closer by. One that has arrived
sets out again elsewhere. No evaluation is wasted, nothing waits for the slowest start, and seeds
can be batched on top. The number of evaluations is fixed, unless the caller is content once most
have arrived.

The climb itself is not differentiated. Values have the function's own derivative at the points
found (envelope theorem), and points, on request, that of one Newton step (implicit function
theorem).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from wrlso.maximize.box import bounds_of, free_part, middle, spread
from wrlso.maximize.checks import check_bounds, check_starts, check_values
from wrlso.maximize.implicit import placed, valued
from wrlso.scores.checks import native

ValueAndGrad = Callable[[Array], tuple[Array, Array]]
"""``points [S, d] -> (values [S], gradients [S, d])``."""

_MEMORY = 8
_SUFFICIENT = 1e-4
"""c1 of the Armijo condition (Nocedal and Wright 2006, Eq. 3.4)."""

_ROUNDING = 8
"""Roundings of a value that a climb must gain by, or it has arrived."""


class Maxima(NamedTuple):
    """The end of each climb, the best first.

    Attributes:
      points: ``[S, d]``.
      values: ``[S]``.
      origin: ``[S]``, the number of the start.
    """

    points: Array
    values: Array
    origin: Array


class _Climb(NamedTuple):
    """All starts' positions ``x``, ``value`` and ``slope`` there; their next ``trial``, the
    ``step`` that leads there, and whether a climb sets out ``anew`` there instead; the last
    ``_MEMORY`` moves and changes of slope; the best point of each so far; and whether a climb has
    ``arrived`` there."""

    x: Array
    value: Array
    slope: Array
    trial: Array
    step: Array
    anew: Array
    direction: Array
    moves: Array
    changes: Array
    best: Array
    best_value: Array
    arrived: Array


def rowwise(function: Callable[[Array], Array]) -> ValueAndGrad:
    """Value and gradient of ``[S, d] -> [S]``, each value depending on its own row only."""

    def value_and_grad(points: Array) -> tuple[Array, Array]:
        values, pullback = jax.vjp(function, points)
        return values, pullback(jnp.ones_like(values))[0]

    return value_and_grad


def maximize(
    function: Callable[[Array], Array] | None,
    starts: Array,
    lower: ArrayLike,
    upper: ArrayLike,
    evaluations: int = 60,
    value_and_grad: ValueAndGrad | None = None,
    until_arrived: bool = False,
    differentiable_points: bool = False,
) -> Maxima:
    """Maximise within a box from every start.

    A call outside of ``jit`` compiles the climb anew: where there are several, as with other data,
    put it into a jitted function.

    Args:
      function: ``[S, d] -> [S]``, each value depending on its own row only.
      starts: ``[S, d]``; put within the bounds first. A NaN starts mid-way, or at zero along an
        infinite side. All is computed in their type, the bounds', or float32 if that is wider.
      lower, upper: bounds, ``[d]``, or ``[S, d]`` where each start has its own; may be infinite.
      evaluations: maximum number of evaluations of the function, each of all S points (static).
      value_and_grad: instead of ``function``.
      until_arrived: end as soon as three quarters of the starts have arrived at a maximum,
        among them the one that stands highest (static).
      differentiable_points: whether points have derivatives (static). They are computed only
        where asked for, from the Hessian of each row: d further gradients.

    Returns:
      The end of every climb, the best first. Values never fall below those of the starts, and
      points never leave the bounds. NaN counts as minus infinity.

      Values are differentiable, in either mode, in all that ``function`` closes over and in
      bounds that are reached, the points held fixed: ``dV = df(x)``. Points then are constants;
      with ``differentiable_points`` their free coordinates move by ``dx = -H^-1 dg``, with g the
      slope and H its derivative, and second derivatives of values are complete. A row whose -H is
      not positive definite, so that it stands on no strict maximum, does not move. Nothing
      depends on ``starts``.

    Raises:
      ValueError: for shapes that do not fit, complex numbers, a number of evaluations that is not
        whole, and a function that returns anything but its values. For concrete bounds, if one is
        NaN or a lower bound exceeds the upper one; under ``jit`` a row with such bounds has NaN
        points and value -inf.
    """
    if function is None and value_and_grad is None:
        raise ValueError("maximize needs a function, or its value_and_grad")
    starts = jnp.asarray(native(starts))
    check_starts(starts, evaluations)
    lower, upper = (
        jnp.asarray(b) if isinstance(b, (list, tuple)) else native(b) for b in (lower, upper)
    )
    check_bounds(starts, lower, upper)
    lower, upper, boxed = bounds_of(starts, lower, upper)
    starts = starts.astype(lower.dtype)
    x = jnp.clip(jnp.where(jnp.isnan(starts), middle(lower, upper), starts), lower, upper)
    value, both, constants = _pure(function, value_and_grad, x)
    climb = _run(
        partial(both, lax.stop_gradient(constants)),
        *lax.stop_gradient((x, lower, upper)),
        evaluations,
        until_arrived,
    )
    points, values = climb.best, climb.best_value
    if boxed is not None:
        points = jnp.where(boxed[:, None], points, jnp.nan)
        values = jnp.where(boxed, values, -jnp.inf)
    order = jnp.argsort(-values, stable=True).astype(jnp.int32)
    points, values = points[order], values[order]
    bounds = tuple(jnp.broadcast_to(bound, x.shape)[order] for bound in (lower, upper))
    moving = placed(both, differentiable_points, constants, bounds, jnp.isfinite(values), points)
    values = valued(value, constants, moving, values)
    return Maxima(moving if differentiable_points else points, values, order)


def _pure(
    function: Callable[[Array], Array] | None, value_and_grad: ValueAndGrad | None, x: Array
) -> tuple[Callable[[Any, Array], Array], Callable[[Any, Array], Any], list[Array]]:
    """Value, and value with slope, as functions of ``(constants, points)``; and the constants.

    The constants are all arrays that the function closes over. As arguments they can be
    held fixed, and differentiated by a rule that is asked for after the present trace has ended.
    """
    given: Any = function if value_and_grad is None else value_and_grad
    traced = jax.make_jaxpr(given)(x)
    check_values(x, traced.out_avals, value_and_grad is not None)
    jaxpr, found = traced.jaxpr, list(traced.consts)

    def call(constants: Any, points: Array) -> Any:  # it holds no array of the present trace
        return jax.core.eval_jaxpr(jaxpr, constants, points)

    def value(constants: Any, points: Array) -> Array:
        return call(constants, points)[0]

    def both(constants: Any, points: Array) -> Any:
        return rowwise(partial(value, constants))(points)

    return value, both if value_and_grad is None else call, found


def _run(
    value_and_grad: ValueAndGrad,
    x: Array,
    lower: Array,
    upper: Array,
    evaluations: int,
    until_arrived: bool,
) -> _Climb:
    """The climb from ``x [S, d]`` after its last evaluation."""

    def evaluate(points: Array) -> tuple[Array, Array]:
        values, slopes = value_and_grad(points)
        usable = jnp.isfinite(values) & jnp.isfinite(slopes).all(-1)
        values = jnp.where(usable, values, -jnp.inf).astype(x.dtype)
        return values, jnp.where(usable[:, None], slopes, 0.0).astype(x.dtype)

    lanes, memory = jnp.zeros(x.shape[:1], x.dtype), jnp.zeros((_MEMORY, *x.shape), x.dtype)
    nowhere = jnp.zeros_like(x)
    climb = _Climb(
        x,
        lanes,
        nowhere,
        x,
        lanes,
        jnp.ones(x.shape[:1], bool),
        nowhere,
        memory,
        memory,
        x,
        lanes - jnp.inf,
        jnp.zeros(x.shape[:1], bool),
    )

    def step(i: Array, climb: _Climb) -> _Climb:
        moved, accepted, closer = _move(climb, *evaluate(climb.trial))
        elsewhere = spread(i, x, lower, upper)
        return _next_trial(climb, moved, accepted, closer, elsewhere, lower, upper)

    if not until_arrived or x.shape[0] == 0:
        return lax.fori_loop(0, evaluations, step, climb)
    return lax.while_loop(
        lambda carry: (carry[0] < evaluations) & ~_settled(carry[1]),
        lambda carry: (carry[0] + 1, step(*carry)),
        (jnp.zeros((), jnp.int32), climb),
    )[1]


def _settled(climb: _Climb) -> Array:
    """Three quarters have arrived, and the one that stands highest is among them."""
    return (climb.arrived.mean() >= 0.75) & climb.arrived[jnp.argmax(climb.best_value)]


def _move(climb: _Climb, value: Array, slope: Array) -> tuple[_Climb, Array, Array]:
    """Go to the trial point where it is ``accepted``; else how much ``closer`` to try again."""
    anew = climb.anew
    move = climb.trial - climb.x
    expected = (climb.slope * move).sum(-1)
    enough = jnp.maximum(climb.value + _SUFFICIENT * expected, climb.value)
    accepted = anew | ((value >= enough) & (move != 0).any(-1))
    change = climb.slope - slope
    curved = accepted & ~anew & ((move * change).sum(-1) > 1e-8 * (change * change).sum(-1))
    better = value > climb.best_value
    moved = climb._replace(
        x=jnp.where(accepted[:, None], climb.trial, climb.x),
        value=jnp.where(accepted, value, climb.value),
        slope=jnp.where(accepted[:, None], slope, climb.slope),
        moves=_remember(climb.moves, move, curved, anew),
        changes=_remember(climb.changes, change, curved, anew),
        best=jnp.where(better[:, None], climb.trial, climb.best),
        best_value=jnp.where(better, value, climb.best_value),
        arrived=climb.arrived & ~better,
    )
    lost = climb.value + expected - value
    # The top of the parabola through both values and the slope.
    closer = jnp.where(jnp.isfinite(lost) & (lost > 0), expected / (2 * lost), 0.1)
    return moved, accepted, jnp.clip(closer, 0.1, 0.5)


def _next_trial(
    before: _Climb,
    climb: _Climb,
    accepted: Array,
    closer: Array,
    elsewhere: Array,
    lower: Array,
    upper: Array,
) -> _Climb:
    ahead, stride = _aim(climb, lower, upper)
    step = jnp.where(accepted, stride, climb.step * closer)
    direction = jnp.where(accepted[:, None], ahead, climb.direction)
    trial = jnp.clip(climb.x + step[:, None] * direction, lower, upper)
    gain = (climb.slope * (trial - climb.x)).sum(-1)
    rounding = _ROUNDING * jnp.finfo(gain.dtype).eps * jnp.abs(climb.value)
    done = ~(gain > rounding)
    done |= accepted & (climb.value - before.value < rounding) & ~before.anew
    return climb._replace(
        direction=direction,
        step=step,
        anew=done,
        trial=jnp.where(done[:, None], elsewhere, trial),
        arrived=(climb.arrived | done) & jnp.isfinite(climb.best_value),
    )


def _remember(memory: Array, new: Array, worth: Array, erase: Array) -> Array:
    shifted = jnp.concatenate([memory[1:], new[None]])
    return jnp.where(erase[None, :, None], 0.0, jnp.where(worth[None, :, None], shifted, memory))


def _aim(climb: _Climb, lower: Array, upper: Array) -> tuple[Array, Array]:
    """Direction and step of L-BFGS (Nocedal and Wright 2006, Alg. 7.4) on the free coordinates."""
    slope = free_part(climb.x, climb.slope, lower, upper)
    free = (slope != 0).astype(slope.dtype)
    moves, changes = climb.moves * free[None], climb.changes * free[None]
    curvature = (moves * changes).sum(-1)
    usable = curvature > 0
    rho = jnp.where(usable, 1.0 / jnp.where(usable, curvature, 1.0), 0.0)
    squared = (changes * changes).sum(-1)

    # Loops, not unrolled: unrolled they take four times longer to compile.
    def down(q: Array, pair: tuple[Array, ...]) -> tuple[Array, Array]:
        move, change, rho = pair
        alpha = rho * (move * q).sum(-1)
        return q - alpha[:, None] * change, alpha

    def up(q: Array, pair: tuple[Array, ...]) -> tuple[Array, None]:
        move, change, rho, alpha = pair
        beta = rho * (change * q).sum(-1)
        return q + (alpha - beta)[:, None] * move, None

    q, alphas = lax.scan(down, slope, (moves, changes, rho), reverse=True)
    newest = _MEMORY - 1 - jnp.argmax(usable[::-1], axis=0)
    pick = lambda table: jnp.take_along_axis(table, newest[None], axis=0)[0]  # noqa: E731
    scale = jnp.where(usable.any(0), pick(curvature) / pick(jnp.where(usable, squared, 1.0)), 1.0)
    q, _ = lax.scan(up, scale[:, None] * q, (moves, changes, rho, alphas))
    q = q * free
    uphill = usable.any(0) & ((q * slope).sum(-1) > 0) & jnp.isfinite(q).all(-1)
    # Without curvature: a tenth of the box along the steepest slope.
    width = upper - lower
    share = (jnp.abs(slope) / jnp.where(width > 0, width, jnp.inf)).max(-1)
    first = 0.1 / jnp.where(share > 0, share, 1.0)
    return jnp.where(uphill[:, None], q, slope), jnp.where(uphill, 1.0, first)
