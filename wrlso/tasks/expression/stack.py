"""Left-most derivations step by step, with the stack of nonterminals in one integer.

The bits, from the lowest, are the nonterminals that are not expanded yet, the next one first (1 is
T, 0 is S), then a 1 that marks the end. The start is 0b10 and an empty stack is 0b1. All functions
work on integer arrays of any shape, inside jit.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from wrlso.tasks.expression.grammar import MAX_STEPS, NOTHING, PRODUCTIONS

START, EMPTY = 0b10, 0b1

_RIGHT = [[s for s in p.right if s in "ST"] for p in PRODUCTIONS]
_COUNT = np.array([len(right) for right in _RIGHT], np.int32)
_PUSHED = np.array(
    [sum((s == "T") << i for i, s in enumerate(right)) for right in _RIGHT], np.int32
)
_EXPANDS_T = np.array([p.left == "T" for p in PRODUCTIONS])
_IS_NOTHING = np.arange(len(PRODUCTIONS)) == NOTHING


def push(stack: Array, production: Array) -> Array:
    """The stack after the expansion of its first nonterminal; ``NOTHING`` leaves it unchanged."""
    production = production.astype(jnp.int32)
    after = ((stack >> 1) << jnp.asarray(_COUNT)[production]) | jnp.asarray(_PUSHED)[production]
    return jnp.where(production == NOTHING, stack, after)


def steps_needed(stack: Array) -> Array:
    """Minimum number of productions that complete a derivation: one per T, two per S."""
    depth = 31 - lax.clz(stack)
    return 2 * depth - (lax.population_count(stack) - 1)


def allowed(stack: Array, left: Array | int, finish: bool = True) -> Array:
    """``[..., 12]`` booleans: the productions that may come next.

    Args:
      stack: int32 of any shape.
      left: number of remaining steps, including this one.
      finish: exclude productions after which the derivation cannot be completed in these steps.
    """
    top_is_t = (stack & 1) == 1
    one = [1] * jnp.ndim(stack)  # Axes are added explicitly: strict codebases forbid the rest.
    expands_t, nothing = (jnp.asarray(a).reshape(*one, -1) for a in (_EXPANDS_T, _IS_NOTHING))
    fits = expands_t == top_is_t[..., None]
    if finish:
        productions = jnp.arange(len(PRODUCTIONS), dtype=jnp.int32).reshape(*one, -1)
        after = push(stack[..., None], productions)
        left = jnp.asarray(left, jnp.int32)
        left = left.reshape(*[1] * (jnp.ndim(stack) - left.ndim), *left.shape)
        fits &= steps_needed(after) <= left[..., None] - 1
    return jnp.where((stack == EMPTY)[..., None], nothing, fits & ~nothing)


def stacks(derivations: Array) -> Array:
    """``[..., L + 1]``: stacks before each step of derivations ``[..., L]``, and after the last."""

    def step(stack: Array, production: Array) -> tuple[Array, Array]:
        return push(stack, production), stack

    start = jnp.full(derivations.shape[:-1], START, jnp.int32)
    last, before = lax.scan(step, start, jnp.moveaxis(derivations, -1, 0))
    return jnp.moveaxis(jnp.concatenate([before, last[None]]), 0, -1)


def is_complete(derivations: Array) -> Array:
    """``[...]`` booleans: whether productions ``[..., L]`` are complete left-most derivations."""
    before = stacks(derivations)
    left = derivations.shape[-1] - jnp.arange(derivations.shape[-1], dtype=jnp.int32)
    possible = allowed(before[..., :-1], left, finish=False)
    chosen = jnp.take_along_axis(possible, derivations.astype(jnp.int32)[..., None], -1)[..., 0]
    return chosen.all(-1) & (before[..., -1] == EMPTY)


def completions(steps: int = MAX_STEPS) -> np.ndarray:
    """Counts of derivations, ``[steps + 1, s, t]`` float64.

    An entry is the number of ways to complete ``s`` nonterminals S and ``t`` nonterminals T in at
    most that number of steps. The order of the stack does not change it.
    """
    size = steps + 2
    ways = np.zeros((steps + 1, size + 2, size + 2))
    ways[:, 0, 0] = 1
    for left in range(1, steps + 1):
        before = ways[left - 1]
        for s in range(size):
            for t in range(size):
                if s + t == 0:
                    continue
                # Expand a T first; any order gives the same number.
                symbol = "T" if t else "S"
                for production, right in zip(PRODUCTIONS, _RIGHT, strict=True):
                    if production.left == symbol:
                        at_s = s - (symbol == "S") + right.count("S")
                        at_t = t - (symbol == "T") + right.count("T")
                        ways[left, s, t] += before[at_s, at_t]
    return ways[:, :size, :size]
