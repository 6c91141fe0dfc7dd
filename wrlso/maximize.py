"""Maximise a function within bounds from many starts at once.

A projected L-BFGS in which every step evaluates one trial point of every start, in
one batch: a start whose trial is good enough moves there, one whose trial is not
tries again closer by, and one that has arrived sets out again elsewhere. So no
evaluation is wasted, nothing waits for the slowest start, and seeds can be batched on
top. The number of evaluations is fixed, unless the caller is content once most have arrived.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

ValueAndGrad = Callable[[Array], tuple[Array, Array]]
"""``points [S, d] -> (values [S], gradients [S, d])``."""

_MEMORY = 8
_SUFFICIENT = 1e-4
"""c1 of the Armijo condition (Nocedal and Wright 2006, Eq. 3.4)."""

_ROUNDING = 8
"""Roundings of a value that a climb must gain by, or it has arrived."""


class Maxima(NamedTuple):
    """Where each start ended, the best first: ``points [S, d]``, ``values [S]``, and the
    number of the start, ``origin [S]``."""

    points: Array
    values: Array
    origin: Array


class _Climb(NamedTuple):
    """All starts' positions ``x``, ``value`` and ``slope`` there; their next ``trial`` and
    the ``step`` that leads there, or NaN where a climb sets out anew; the last
    ``_MEMORY`` moves and changes of slope; the best point of each so far; and whether a climb has
    ``arrived`` there."""

    x: Array
    value: Array
    slope: Array
    trial: Array
    step: Array
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
    lower: Array,
    upper: Array,
    evaluations: int = 60,
    value_and_grad: ValueAndGrad | None = None,
    until_arrived: bool = False,
) -> Maxima:
    """Maximise within a box from every start.

    Args:
      function: ``[S, d] -> [S]``, each value depending on its own row only.
      starts: ``[S, d]``; put within the bounds first. What is NaN starts mid-way.
      lower, upper: bounds, ``[d]``, or ``[S, d]`` where each start has its own.
      evaluations: of the function, each of all S points (static).
      value_and_grad: instead of ``function``.
      until_arrived: end as soon as three quarters of the starts have arrived at a maximum,
        among them the one that stands highest (static). Not differentiable in reverse then.

    Returns:
      Where every start ended, the best first. Values never fall below those of
      the starts, and points never leave the bounds. NaN counts as minus infinity.
    """
    if value_and_grad is None:
        assert function is not None
        value_and_grad = rowwise(function)
    x = jnp.clip(jnp.where(jnp.isnan(starts), 0.5 * (lower + upper), starts), lower, upper)

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
        lanes + jnp.nan,
        nowhere,
        memory,
        memory,
        x,
        lanes - jnp.inf,
        jnp.zeros(x.shape[:1], bool),
    )

    def step(i: Array, climb: _Climb) -> _Climb:
        moved, rejected = _move(climb, *evaluate(climb.trial))
        elsewhere = _spread(i, x, lower, upper)
        return _next_trial(climb, moved, rejected, elsewhere, lower, upper)

    if until_arrived:
        _, climb = lax.while_loop(
            lambda carry: (carry[0] < evaluations) & ~_settled(carry[1]),
            lambda carry: (carry[0] + 1, step(*carry)),
            (jnp.zeros((), jnp.int32), climb),
        )
    else:
        climb = lax.fori_loop(0, evaluations, step, climb)
    order = jnp.argsort(-climb.best_value, stable=True)
    return Maxima(climb.best[order], climb.best_value[order], order)


def _settled(climb: _Climb) -> Array:
    """Three quarters have arrived, and the one that stands highest is among them."""
    return (climb.arrived.mean() >= 0.75) & climb.arrived[jnp.argmax(climb.best_value)]


def _move(climb: _Climb, value: Array, slope: Array) -> tuple[_Climb, Array]:
    """Go to the trial point where it is good enough (NaN); else how much closer to try again."""
    anew = jnp.isnan(climb.step)
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
    return moved, jnp.where(accepted, jnp.nan, jnp.clip(closer, 0.1, 0.5))


def _next_trial(
    before: _Climb, climb: _Climb, closer: Array, elsewhere: Array, lower: Array, upper: Array
) -> _Climb:
    accepted = jnp.isnan(closer)
    ahead, stride = _aim(climb, lower, upper)
    step = jnp.where(accepted, stride, climb.step * closer)
    direction = jnp.where(accepted[:, None], ahead, climb.direction)
    trial = jnp.clip(climb.x + step[:, None] * direction, lower, upper)
    gain = (climb.slope * (trial - climb.x)).sum(-1)
    rounding = _ROUNDING * jnp.finfo(gain.dtype).eps * jnp.abs(climb.value)
    done = ~(gain > rounding)
    done |= accepted & (climb.value - before.value < rounding) & ~jnp.isnan(before.step)
    return climb._replace(
        direction=direction,
        step=jnp.where(done, jnp.nan, step),
        trial=jnp.where(done[:, None], elsewhere, trial),
        arrived=(climb.arrived | done) & jnp.isfinite(climb.best_value),
    )


def _remember(memory: Array, new: Array, worth: Array, erase: Array) -> Array:
    shifted = jnp.concatenate([memory[1:], new[None]])
    return jnp.where(erase[None, :, None], 0.0, jnp.where(worth[None, :, None], shifted, memory))


def _spread(i: Array, x: Array, lower: Array, upper: Array) -> Array:
    """Points that fill the box evenly over all steps: the Kronecker sequence of square roots."""
    lanes, d = x.shape
    roots = jnp.sqrt(jnp.asarray(_first_primes(d), x.dtype))
    number = (i * lanes + jnp.arange(lanes)).astype(x.dtype)
    return lower + (upper - lower) * jnp.mod(number[:, None] * roots, 1.0)


def _first_primes(n: int) -> list[int]:
    primes: list[int] = []
    candidate = 2
    while len(primes) < n:
        if all(candidate % p for p in primes):
            primes.append(candidate)
        candidate += 1
    return primes


def _free(x: Array, vector: Array, lower: Array, upper: Array) -> Array:
    """A vector without the components that would leave the box from its surface."""
    outward = ((x <= lower) & (vector < 0)) | ((x >= upper) & (vector > 0))
    return jnp.where(outward, 0.0, vector)


def _aim(climb: _Climb, lower: Array, upper: Array) -> tuple[Array, Array]:
    """Direction and step of L-BFGS (Nocedal and Wright 2006, Alg. 7.4) on the free coordinates."""
    slope = _free(climb.x, climb.slope, lower, upper)
    free = (slope != 0).astype(slope.dtype)
    moves, changes = climb.moves * free, climb.changes * free
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
    share = (jnp.abs(slope) / (upper - lower)).max(-1)
    first = 0.1 / jnp.where(share > 0, share, 1.0)
    return jnp.where(uphill[:, None], q, slope), jnp.where(uphill, 1.0, first)
