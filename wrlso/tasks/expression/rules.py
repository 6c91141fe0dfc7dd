"""The expressions' productions as a grammar of ``wrlso.models.grammar``, for jit.

Categories are the nonterminals: S is 1, T is 2. ``NOTHING`` is the symbol behind a complete
derivation.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from wrlso.models import grammar
from wrlso.tasks.expression.grammar import MAX_STEPS, PRODUCTIONS

S, T = 1, 2
DEPTH = MAX_STEPS + 1
"""Places of a stack: a production adds one nonterminal at most."""

_RIGHT = [[s for s in p.right if s in "ST"] for p in PRODUCTIONS]


def _make() -> grammar.Grammar:
    number = {"S": S, "T": T, "": 0}
    allowed = np.zeros((3, len(PRODUCTIONS)), bool)
    pushed = np.zeros((1, len(PRODUCTIONS), 2), np.int32)
    for i, (production, right) in enumerate(zip(PRODUCTIONS, _RIGHT, strict=True)):
        allowed[number[production.left], i] = True
        pushed[0, i, : len(right)] = [number[s] for s in right]
    return grammar.make_grammar(allowed, pushed, [0, 0, 0], S)


RULES = _make()
"""The productions as tables of NumPy."""


def begin(*shape: int) -> Array:
    """``[*shape, DEPTH]``: stacks that hold an S."""
    return grammar.begin(RULES, shape, DEPTH)


def push(stack: Array, production: Array) -> Array:
    """The stack ``[..., DEPTH]`` after a production ``[...]``."""
    return grammar.expand(RULES, stack, production)


def allowed(stack: Array, left: ArrayLike | None = None) -> Array:
    """``[..., 12]`` booleans: the productions that may come next.

    Args:
      stack: ``[..., DEPTH]``.
      left: number of remaining steps, including this one: productions after which the derivation
        cannot be completed in these steps are excluded. None: whatever the grammar allows.
    """
    return grammar.allowed(RULES, stack, left)


def stacks(derivations: Array) -> Array:
    """``[..., L + 1, DEPTH]``: stacks before each step of ``[..., L]``, and after the last."""
    return grammar.stacks(RULES, derivations, DEPTH)


def is_complete(derivations: Array) -> Array:
    """``[...]`` booleans: whether productions ``[..., L]`` are complete left-most derivations."""
    before = stacks(derivations)
    possible = allowed(before[..., :-1, :])
    chosen = jnp.take_along_axis(possible, derivations.astype(jnp.int32)[..., None], -1)[..., 0]
    return chosen.all(-1) & (before[..., -1, 0] == 0)


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
