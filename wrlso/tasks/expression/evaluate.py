"""Evaluation of derivations inside jit, and their score against a target expression.

Values are computed in double precision, which is enabled for these functions only: at x = 10,
``exp(x * x)`` is beyond float32 and ``sin(exp(x))`` is rounding error in float32. Scores are
float32.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from wrlso.tasks.expression.grammar import NOTHING, PRODUCTIONS, parse
from wrlso.tasks.expression.rules import is_complete

WORST = -7.0
"""The lowest score; an undefined expression has it, too."""

POINTS = np.linspace(-10.0, 10.0, 1000)
"""The points at which an expression is compared with the target."""

_KEY_POINTS = np.random.default_rng(0).uniform(-3.0, 3.0, 16)
"""The points at which two expressions are compared; rounding errors are small there."""

_OPERANDS = np.array([sum(s in "ST" for s in p.right) for p in PRODUCTIONS], np.int32)


def evaluate(derivations: ArrayLike, points: ArrayLike = POINTS) -> Array:
    """Values ``[B, n] float32`` of derivations ``[B, L]`` at ``points [n]``.

    They are computed in float64 and rounded at the end. Undefined values are NaN or infinite. The
    values of an incomplete derivation are meaningless.
    """
    with jax.enable_x64(True):
        at = jnp.asarray(points, jnp.float64)
        return _one_by_one(lambda d: _values(d, at).astype(jnp.float32), jnp.asarray(derivations))


def log_mse_scores(derivations: ArrayLike, target: ArrayLike) -> Array:
    """Scores ``[B] float32`` of derivations ``[B, L]``: ``-log(1 + MSE)`` against a target.

    The mean squared error is over 1,000 points of [-10, 10]. Scores are in [-7, 0]; a derivation
    with a value that is NaN or infinite has -7.

    Args:
      derivations: indices of productions, padded with ``NOTHING``.
      target: ``[L']``, the derivation of the target expression.
    """
    with jax.enable_x64(True):
        points = jnp.asarray(POINTS, jnp.float64)
        target_values = _values(jnp.asarray(target), points)

        def score(derivation: Array) -> Array:
            error = _values(derivation, points) - target_values
            score = 0.0 - jnp.log1p(jnp.mean(error * error))
            return jnp.where(score > WORST, score, WORST).astype(jnp.float32)

        return _one_by_one(score, jnp.asarray(derivations))


@jax.jit
def same_values(derivations: Array) -> Array:
    """``[B, 17] uint32``, equal if two derivations are the same function of x.

    The key holds the values at 16 points to about four digits, so ``x + 1 / 3`` and
    ``1 / 3 + (x)`` have equal keys. The key of an incomplete derivation holds its productions. It
    is independent of the target. The function is one compiled program, so that ``jax_debug_nans``
    sees its result alone: an undefined value is NaN on the way.
    """
    with jax.enable_x64(True):
        points = jnp.asarray(_KEY_POINTS, jnp.float64)
        values = jax.vmap(lambda d: _values(d, points).astype(jnp.float32))(derivations)
    bits = lax.bitcast_convert_type(values, jnp.uint32)
    # Round the last digits to a multiple of 2^10; -0 becomes 0, and all NaN become equal.
    rounded = (bits + jnp.uint32(1 << 9)) >> 10
    rounded = jnp.where(bits << 1 == 0, 0, rounded)
    rounded = jnp.where((bits & 0x7FFFFFFF) > 0x7F800000, jnp.uint32(1 << 22), rounded)
    length = min(derivations.shape[1], len(_KEY_POINTS))
    productions = jnp.pad(derivations[:, :length], [(0, 0), (0, len(_KEY_POINTS) - length)])
    complete = is_complete(derivations)[:, None]
    words = jnp.where(complete, rounded, productions.astype(jnp.uint32))
    return jnp.concatenate([complete.astype(jnp.uint32), words], axis=1)


def parse_target(text: str) -> np.ndarray:
    """The derivation ``[L]`` of a target expression, of any length.

    Raises:
      ValueError: if it is not an expression of the grammar, does not contain x, or has no value at
        one of :data:`POINTS`, so that it would have the lowest score itself.
    """
    try:
        derivation = parse(text)
    except ValueError as error:
        raise ValueError(f"target {text!r} is not an expression of x: {error}") from None
    if all(PRODUCTIONS[step].right != ("x",) for step in derivation):
        raise ValueError(f"target {text!r} does not contain x: give an expression of x")
    values = _values_in_numpy(derivation)
    undefined = np.flatnonzero(~np.isfinite(values))
    if len(undefined):
        raise ValueError(
            f"target {text!r} has no finite value at x = {POINTS[undefined[0]]:.4g} and "
            f"{len(undefined) - 1} other points of [-10, 10], where expressions are compared with "
            "it: nothing would be close to it"
        )
    return np.array(derivation, np.uint8)


def _values_in_numpy(derivation: list[int]) -> np.ndarray:
    """The values of a derivation at :data:`POINTS`, as of :func:`_values`, without starting JAX."""
    constants = {"x": POINTS, **{digit: np.full_like(POINTS, int(digit)) for digit in "123"}}
    functions: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "(": np.positive, "sin(": np.sin, "exp(": np.exp,
    }  # fmt: skip
    stack: list[tuple[np.ndarray, np.ndarray]] = []  # sums and products that may go on
    with np.errstate(all="ignore"):
        for step in reversed(derivation):
            right = PRODUCTIONS[step].right
            if right[0] in constants:
                stack.append((np.zeros_like(POINTS), constants[right[0]]))
            elif right[0] in functions:
                total, product = stack.pop()
                stack.append((np.zeros_like(POINTS), functions[right[0]](total + product)))
            elif right != ("T",):
                total, product = stack.pop()
                factor = stack.pop()[1]
                if right[1] == "+":
                    stack.append((total + product, factor))
                else:
                    joined = product * factor if right[1] == "*" else product / factor
                    stack.append((total, joined))
        total, product = stack.pop()
        return total + product


def _one_by_one(function: Callable[[Array], Array], derivations: Array) -> Array:
    """Apply a function to every derivation.

    On a CPU they run one after the other, so each computes only its own productions.
    """
    return lax.platform_dependent(
        derivations,
        cpu=lambda d: lax.map(function, d),
        default=jax.vmap(function),
    )


def _values(derivation: Array, points: Array) -> Array:
    """The values ``[n]`` float64 of one derivation, on a stack machine.

    A derivation, read from its end, is a program for this machine. An entry of the stack is a sum
    and a product ``[2, n]`` that may continue to the right: ``S + T`` adds the product to the sum,
    and ``S * T`` and ``S / T`` continue the product. Operators thus have their usual precedence,
    which the parse tree ignores.
    """
    zero = jnp.zeros_like(points)
    close = lambda s: s[0] + s[1]  # noqa: E731
    term = lambda values: jnp.stack([zero, values])  # noqa: E731
    constant = lambda c: lambda a, b: term(jnp.full_like(points, c))  # noqa: E731
    actions = {
        ("S", "+", "T"): lambda a, b: jnp.stack([close(a), b[1]]),
        ("S", "*", "T"): lambda a, b: jnp.stack([a[0], a[1] * b[1]]),
        ("S", "/", "T"): lambda a, b: jnp.stack([a[0], a[1] / b[1]]),
        ("T",): lambda a, b: a,
        ("(", "S", ")"): lambda a, b: term(close(a)),
        ("sin(", "S", ")"): lambda a, b: term(jnp.sin(close(a))),
        ("exp(", "S", ")"): lambda a, b: term(jnp.exp(close(a))),
        ("x",): lambda a, b: term(points),
        ("1",): constant(1.0),
        ("2",): constant(2.0),
        ("3",): constant(3.0),
        (): lambda a, b: a,
    }
    branches = [actions[p.right] for p in PRODUCTIONS]
    length = derivation.shape[0]
    operands = jnp.asarray(_OPERANDS)

    def step(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        i, stack, depth = state
        production = derivation[i].astype(jnp.int32)
        first, second = (stack[jnp.maximum(depth - j, 0)] for j in (1, 2))
        result = lax.switch(production, branches, first, second)
        depth = depth + 1 - operands[production]
        return i - 1, stack.at[depth - 1].set(result), depth

    last = (derivation != NOTHING).sum(dtype=jnp.int32) - 1
    stack = jnp.zeros((length // 2 + 2, 2, *points.shape), points.dtype)
    start = (last, stack, jnp.zeros((), jnp.int32))
    _, stack, _ = lax.while_loop(lambda state: state[0] >= 0, step, start)
    return close(stack[0])
