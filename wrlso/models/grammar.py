"""A grammar inside jit: a stack of categories, and the symbols that may come next.

A string is a left-most derivation. The stack holds the *categories* that are still to be expanded,
the next one first; each *symbol* expands a category into others. Categories are numbers from 1 on,
0 is an empty place. Symbol :data:`END` stands behind a complete string and changes nothing.

All functions work on arrays of any leading shape, inside jit. Derivations and their masks are those
of Kusner et al., Grammar Variational Autoencoder, ICML 2017; a symbol is masked as well where the
string could not be completed in time.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

NEVER = 10_000
"""Steps that a category needs where no symbols complete it."""


class Grammar(NamedTuple):
    """The rules of C categories (0 included) and S symbols, as tables of NumPy.

    Attributes:
      allowed: ``[C, S]`` booleans: does the symbol expand the category? Row 0: only the end.
      pushed: ``[V, S, K]`` categories that a symbol leaves, in the order in which they are
        expanded, 0 behind them. The variant depends on the category that is expanded.
      variant: ``[C]`` the variant for each category.
      needed: ``[C]`` the fewest symbols that complete each category.
      timed: ``[C, T, S]`` as ``allowed``, where at most 0 to T - 1 steps may follow the symbol
        until what it leaves is complete; the last row is for any number of steps.
      start: the category of a whole string.
    """

    allowed: np.ndarray
    pushed: np.ndarray
    variant: np.ndarray
    needed: np.ndarray
    timed: np.ndarray
    start: int


def make_grammar(
    allowed: np.ndarray, pushed: np.ndarray, variant: Sequence[int] | np.ndarray, start: int
) -> Grammar:
    """A grammar; the steps that categories need are derived.

    Raises:
      ValueError: if no string can be completed.
    """
    variant = np.asarray(variant)
    needed = np.full(len(allowed), NEVER)
    needed[0] = 0
    while True:
        steps = np.minimum(1 + needed[pushed].sum(-1), NEVER)[variant]  # [C, S]
        found = np.where(allowed, steps, NEVER).min(1)
        found[0] = 0
        if (found == needed).all():
            break
        needed = found
    if needed[start] >= NEVER:
        raise ValueError("no string of this grammar can be completed")
    after = needed[pushed].sum(-1)[variant]  # [C, S]
    most = after[allowed & (after < NEVER)].max(initial=0)
    timed = allowed[:, None] & (after[:, None] <= np.arange(most + 1)[:, None])
    timed[0] = allowed[0]
    return Grammar(allowed, pushed, variant, needed, timed, start)


def begin(grammar: Grammar, shape: tuple[int, ...], depth: int) -> Array:
    """``[*shape, depth]``: stacks that hold the start."""
    return jnp.zeros((*shape, depth), jnp.int32).at[..., 0].set(grammar.start)


def push(stack: Array, new: Array) -> Array:
    """The stack ``[..., D]`` with its first item replaced by those of ``new [..., K]`` that are
    not 0, which stand before all others that are."""
    room = stack.shape[-1]
    count = (new != 0).sum(-1, keepdims=True, dtype=jnp.int32)
    place = _places(stack)
    below = jnp.take_along_axis(
        jnp.pad(stack, [(0, 0)] * (stack.ndim - 1) + [(0, 1)]),
        jnp.clip(place - count + 1, 0, room),
        -1,
    )
    above = jnp.pad(new, [(0, 0)] * (new.ndim - 1) + [(0, max(room - new.shape[-1], 0))])
    return jnp.where(place < count, above[..., :room], below)


def _places(stack: Array) -> Array:
    """``[..., D]``: the number of each place of a stack."""
    return jnp.broadcast_to(jnp.arange(stack.shape[-1], dtype=jnp.int32), stack.shape)


def push_aligned(stack: Array, new: Array, value: Array) -> Array:
    """As :func:`push` onto a stack beside one of categories: ``value [...]`` in the places of all
    that ``new [..., K]`` holds."""
    room = stack.shape[-1]
    count = (new != 0).sum(-1, keepdims=True, dtype=jnp.int32)
    place = _places(stack)
    padded = jnp.pad(stack, [(0, 0)] * (stack.ndim - 1) + [(0, 1)])
    below = jnp.take_along_axis(padded, jnp.clip(place - count + 1, 0, room), -1)
    return jnp.where(place < count, value[..., None], below)


def leaves(grammar: Grammar, stack: Array, symbol: Array) -> Array:
    """``[..., K]``: what a symbol leaves of the category that comes next on the stack."""
    variant = jnp.asarray(grammar.variant)[stack[..., 0]]
    return jnp.asarray(grammar.pushed, jnp.int32)[variant, symbol.astype(jnp.int32)]


def expand(grammar: Grammar, stack: Array, symbol: Array) -> Array:
    """The stack ``[..., D]`` after a symbol ``[...]``."""
    return push(stack, leaves(grammar, stack, symbol))


def steps_needed(grammar: Grammar, stack: Array) -> Array:
    """``[...]``: the fewest symbols that complete a string."""
    return jnp.asarray(grammar.needed, jnp.int32)[stack].sum(-1, dtype=jnp.int32)


def allowed(grammar: Grammar, stack: Array, left: ArrayLike | None = None) -> Array:
    """``[..., S]`` booleans: the symbols that may come next.

    Args:
      grammar: the rules.
      stack: ``[..., D]``; with a limit of time, D is at least the steps that are left, so that
        the stack holds whatever can be completed.
      left: steps that are left, this one included; only symbols are allowed after which the
        string can be completed. None: whatever the grammar allows.
    """
    top = stack[..., 0]
    if left is None:
        return jnp.asarray(grammar.allowed)[top]
    needed = steps_needed(grammar, stack[..., 1:])
    spare = jnp.broadcast_to(jnp.asarray(left, jnp.int32), needed.shape) - 1 - needed
    spare = jnp.clip(spare, 0, grammar.timed.shape[1] - 1)
    return jnp.asarray(grammar.timed)[top, spare]


def likeliest(logits: Array, possible: Array) -> Array:
    """``[...]``: the symbol of highest logit among those that are ``possible [..., S]``.

    The first of several with equal logits; NaN counts as -inf. Two plain reductions, as XLA's
    argmax takes a CPU six times as long for thousands of symbols.
    """
    logits = jnp.where(possible & ~jnp.isnan(logits), logits, -jnp.inf)
    highest = logits.max(-1, keepdims=True)
    found = possible & (logits == highest)
    count = possible.shape[-1]
    number = jnp.where(found, jnp.arange(count, dtype=jnp.int32), count)
    return jnp.minimum(number.min(-1), count - 1)


def stacks(grammar: Grammar, strings: Array, depth: int) -> Array:
    """``[..., L + 1, D]`` stacks before each symbol of ``[..., L]`` strings, and after the last."""

    def step(stack: Array, symbol: Array) -> tuple[Array, Array]:
        return expand(grammar, stack, symbol), stack

    start = begin(grammar, strings.shape[:-1], depth)
    last, before = lax.scan(step, start, jnp.moveaxis(strings, -1, 0))
    return jnp.moveaxis(jnp.concatenate([before, last[None]]), 0, -2)
