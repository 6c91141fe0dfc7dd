"""The shared mechanism of grammars, by the expressions' own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wrlso.models.grammar import (
    NEVER,
    allowed,
    begin,
    expand,
    likeliest,
    make_grammar,
    stacks,
)
from wrlso.tasks.expression import rules
from wrlso.tasks.expression.grammar import MAX_STEPS, PRODUCTIONS
from wrlso.tasks.expression.rules import RULES


def random_derivations(count, finish):
    rng = np.random.default_rng(0)
    rows = np.zeros((count, MAX_STEPS), np.uint8)
    stack = begin(RULES, (count,), MAX_STEPS + 1)
    for step in range(MAX_STEPS):
        possible = np.asarray(allowed(RULES, stack, MAX_STEPS - step if finish else None))
        draws = np.where(possible, rng.random(possible.shape), -1)
        rows[:, step] = draws.argmax(1)
        stack = expand(RULES, stack, jnp.asarray(rows[:, step]))
    return rows


def possible_by_hand(row, finish):
    """Masks ``[15, 12]`` of a derivation, with a stack of letters; and whether it is complete."""
    fewest, stack, masks = {"S": 2, "T": 1}, ["S"], []
    for step, chosen in enumerate(row):
        left = MAX_STEPS - step
        mask = []
        for production in PRODUCTIONS:
            if not stack:
                mask.append(production.left == "")
                continue
            right = [s for s in production.right if s in "ST"]
            after = 1 + sum(fewest[s] for s in right + stack[1:])
            mask.append(production.left == stack[0] and (after <= left or not finish))
        masks.append(mask)
        if stack:
            stack = [s for s in PRODUCTIONS[chosen].right if s in "ST"] + stack[1:]
    return masks, not stack


@pytest.mark.parametrize("finish", [True, False])
def test_masks_are_those_of_a_stack_of_letters(finish):
    rows = random_derivations(300, finish)
    found = stacks(RULES, jnp.asarray(rows), MAX_STEPS + 1)
    left = MAX_STEPS - jnp.arange(MAX_STEPS)
    masks = allowed(RULES, found[:, :-1], left if finish else None)
    expected = [possible_by_hand(row, finish) for row in rows]
    np.testing.assert_array_equal(masks, [mask for mask, _ in expected])
    complete = np.array([done for _, done in expected])
    np.testing.assert_array_equal((np.asarray(found[:, -1]) == 0).all(-1), complete)
    np.testing.assert_array_equal(rules.is_complete(jnp.asarray(rows)), complete)
    assert complete.all() == finish


def test_steps_needed_are_the_fewest():
    np.testing.assert_array_equal(RULES.needed, [0, 2, 1])


def test_a_symbol_may_leave_other_categories_in_another_variant():
    # 1 -> a 2 | b; what b leaves depends on the category: 3 under 1, nothing under 2.
    rules = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]], bool)
    pushed = np.zeros((2, 4, 1), int)
    pushed[:, 1], pushed[0, 2] = 2, 3
    grammar = make_grammar(rules, pushed, [0, 0, 1, 0], 1)
    np.testing.assert_array_equal(grammar.needed, [0, 2, 1, 1])
    found = stacks(grammar, jnp.array([[1, 2, 0], [2, 3, 0]]), 4)
    np.testing.assert_array_equal(found[..., 0], [[1, 2, 0, 0], [1, 3, 0, 0]])


def test_a_symbol_must_leave_time_for_all_that_waits():
    # 1 -> a 1 1 | b
    rules = np.array([[1, 0, 0], [0, 1, 1]], bool)
    pushed = np.zeros((1, 3, 2), int)
    pushed[0, 1] = 1
    grammar = make_grammar(rules, pushed, [0, 0], 1)
    stack = begin(grammar, (), 3)
    np.testing.assert_array_equal(allowed(grammar, stack, 3), [False, True, True])
    np.testing.assert_array_equal(allowed(grammar, stack, 2), [False, False, True])
    two = expand(grammar, stack, jnp.array(1))
    np.testing.assert_array_equal(two, [1, 1, 0])
    np.testing.assert_array_equal(allowed(grammar, two, 4), [False, True, True])
    np.testing.assert_array_equal(allowed(grammar, two, 3), [False, False, True])


def test_a_grammar_without_strings_is_refused():
    with pytest.raises(ValueError, match="no string of this grammar can be completed"):
        make_grammar(np.array([[1, 0], [0, 1]], bool), np.array([[[0], [1]]]), [0, 0], 1)
    assert NEVER > 1000


def test_one_program_serves_all_steps():
    traced = []

    @jax.jit
    def mask(stack, left):
        traced.append(1)
        return allowed(RULES, stack, left)

    stack = begin(RULES, (4,), 8)
    for left in range(15, 10, -1):
        mask(stack, left)
    assert len(traced) == 1


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_likeliest_symbol_is_the_first_of_the_highest_that_is_possible(dtype):
    key, mask_key = jax.random.split(jax.random.key(0))
    logits = jnp.round(3 * jax.random.normal(key, (200, 40)), 0).astype(dtype)  # with ties
    possible = jax.random.bernoulli(mask_key, 0.3, logits.shape).at[:, 7].set(True)
    expected = np.argmax(np.where(possible, np.asarray(logits, np.float32), -np.inf), -1)
    np.testing.assert_array_equal(jax.jit(likeliest)(logits, possible), expected)
    lost = likeliest(logits.at[:, 3].set(jnp.nan), possible)
    without = likeliest(logits, possible.at[:, 3].set(False))
    np.testing.assert_array_equal(lost, without)
    for nothing in (-jnp.inf, jnp.nan):
        none = likeliest(jnp.full_like(logits, nothing), possible)
        np.testing.assert_array_equal(none, np.argmax(possible, -1))
