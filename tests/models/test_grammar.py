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
    make_grammar,
    stacks,
    steps_needed,
)
from wrlso.tasks.expression import stack as expressions
from wrlso.tasks.expression.grammar import MAX_STEPS, NOTHING, PRODUCTIONS

S, T = 1, 2


def expression_grammar():
    """The expressions' productions as tables; the production that does nothing is the end."""
    rules = np.zeros((3, len(PRODUCTIONS)), bool)
    pushed = np.zeros((1, len(PRODUCTIONS), 2), int)
    rules[0, NOTHING] = True
    for number, production in enumerate(PRODUCTIONS):
        if number != NOTHING:
            rules[S if production.left == "S" else T, number] = True
            right = [S if s == "S" else T for s in production.right if s in "ST"]
            pushed[0, number, : len(right)] = right
    return make_grammar(rules, pushed, [0, 0, 0], S)


def random_derivations(grammar, count, finish):
    rng = np.random.default_rng(0)
    rows = np.zeros((count, MAX_STEPS), np.uint8)
    stack = begin(grammar, (count,), MAX_STEPS + 1)
    for step in range(MAX_STEPS):
        possible = np.asarray(allowed(grammar, stack, MAX_STEPS - step if finish else None))
        draws = np.where(possible, rng.random(possible.shape), -1)
        rows[:, step] = draws.argmax(1)
        stack = expand(grammar, stack, jnp.asarray(rows[:, step]))
    return jnp.asarray(rows)


@pytest.mark.parametrize("finish", [True, False])
def test_masks_of_expressions_are_their_own(finish):
    grammar = expression_grammar()
    rows = random_derivations(grammar, 500, finish)
    ours = stacks(grammar, rows, MAX_STEPS + 1)
    theirs = expressions.stacks(rows)
    left = MAX_STEPS - jnp.arange(MAX_STEPS)
    mask = allowed(grammar, ours[:, :-1], left if finish else None)
    reference = expressions.allowed(theirs[:, :-1], left, finish=finish)
    np.testing.assert_array_equal(mask, reference)
    np.testing.assert_array_equal(steps_needed(grammar, ours), expressions.steps_needed(theirs))
    complete = np.asarray(expressions.is_complete(rows))
    np.testing.assert_array_equal((ours[:, -1] == 0).all(-1), complete)
    assert complete.all() == finish


def test_steps_needed_are_the_fewest():
    np.testing.assert_array_equal(expression_grammar().needed, [0, 2, 1])


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
    grammar = expression_grammar()
    traced = []

    @jax.jit
    def mask(stack, left):
        traced.append(1)
        return allowed(grammar, stack, left)

    stack = begin(grammar, (4,), 8)
    for left in range(15, 10, -1):
        mask(stack, left)
    assert len(traced) == 1
