"""Strings to derivations and back, and derivations step by step."""

import gzip
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import EXPRESSIONS, needs_expressions
from wrlso.models.grammar import steps_needed
from wrlso.tasks.expression.data import read_expressions, sample_expressions
from wrlso.tasks.expression.grammar import (
    MAX_STEPS,
    NOTHING,
    PRODUCTIONS,
    GrammarError,
    decode,
    encode,
    parse,
)
from wrlso.tasks.expression.rules import (
    RULES,
    allowed,
    begin,
    completions,
    is_complete,
    push,
    stacks,
)


def test_a_derivation_by_hand():
    # S -> S+T; S -> T; T -> x; T -> sin(S); S -> S*T; S -> T; T -> x; T -> 2
    assert parse("x + sin(x * 2)") == [0, 3, 7, 5, 1, 3, 7, 9]
    assert decode([0, 3, 7, 5, 1, 3, 7, 9]) == "x + sin( x * 2 )"
    assert parse(" x+sin (x *2 ) ") == parse("x + sin( x * 2 )")


@needs_expressions
@pytest.mark.slow
def test_round_trip_of_all_expressions_of_the_paper():
    with gzip.open(EXPRESSIONS, "rt") as file:
        lines = file.read().splitlines()
    assert len(lines) == 100_000
    derivations = read_expressions(EXPRESSIONS)
    assert [decode(row) for row in derivations] == lines
    assert bool(is_complete(jnp.asarray(derivations)).all())


def test_round_trip_of_sampled_derivations():
    derivations = sample_expressions(2000)
    np.testing.assert_array_equal(encode([decode(row) for row in derivations]), derivations)


@pytest.mark.parametrize(
    ("text", "column", "found"),
    [
        ("x + y", 5, "'y'"),
        ("x +", 4, "the expression ends"),
        ("", 1, "the expression ends"),
        ("(x", 3, "the expression ends"),
        ("x)", 2, "')'"),
        ("x - 1", 3, "'-'"),
        ("sin x", 1, "'s'"),
        ("x x", 3, "'x'"),
        ("4", 1, "'4'"),
        ("exp(x))", 7, "')'"),
        ("__import__('os')", 1, "'_'"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_place(text, column, found):
    with pytest.raises(GrammarError) as error:
        encode(["x", text])
    assert (error.value.line, error.value.column) == (2, column)
    assert f"line 2, column {column}" in str(error.value)
    assert found in str(error.value)


def test_too_long_and_too_deep():
    with pytest.raises(GrammarError, match="takes 16 productions, more than 15"):
        encode(["+".join("x" * 8)])
    assert encode(["+".join("x" * 7)]).shape == (1, MAX_STEPS)
    with pytest.raises(GrammarError, match="nested too deeply"):
        parse("(" * 100_000 + "x" + ")" * 100_000)


@pytest.mark.parametrize(
    "derivation", [[3], [7], [3, 7, 7], [3, 11, 7], [0, 3, 7], [3, 7, 11, 7], []]
)
def test_incomplete_derivations_are_not_decoded(derivation):
    padded = derivation + [NOTHING] * (MAX_STEPS - len(derivation))
    with pytest.raises(ValueError, match=r"not a complete derivation|has productions after"):
        decode(padded)
    assert not is_complete(jnp.array([padded]))[0]


def every_derivation(steps):
    """All complete derivations, by brute force on the productions themselves."""
    found = []
    for length in range(1, steps + 1):
        for productions in itertools.product(range(NOTHING), repeat=length):
            padded = list(productions) + [NOTHING] * (steps - length)
            try:
                decode(padded)
            except ValueError:
                continue
            found.append(tuple(padded))
    return set(found)


def test_counts_and_masks_agree_with_brute_force():
    everything = every_derivation(4)
    assert len(everything) == completions(4)[4, 1, 0] == 64
    frontier, left = {(): begin()}, 4
    while left:  # walk along the masks
        step = {}
        for chosen, stack in frontier.items():
            for p in np.flatnonzero(allowed(stack, left)):
                step[*chosen, int(p)] = push(stack, jnp.int32(p))
        frontier, left = step, left - 1
    assert set(frontier) == everything
    assert not any(stack.any() for stack in frontier.values())


def test_completions_count_what_a_recursion_counts():
    def count(stack, left):
        if not stack:
            return 1
        if left == 0:
            return 0
        rest = stack[1:]
        nonterminals = [tuple(s for s in p.right if s in "ST") for p in PRODUCTIONS]
        return sum(
            count(right + rest, left - 1)
            for p, right in zip(PRODUCTIONS, nonterminals, strict=True)
            if p.left == stack[0]
        )

    ways = completions(8)
    for symbols in ("S", "T", "ST", "TTS", "SS"):
        at = (symbols.count("S"), symbols.count("T"))
        assert [ways[n][at] for n in range(9)] == [count(tuple(symbols), n) for n in range(9)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_any_walk_along_the_masks_is_a_derivation(seed):
    rng = np.random.default_rng(seed)
    stack, chosen = begin(), []
    for left in range(MAX_STEPS, 0, -1):
        assert int(steps_needed(RULES, stack)) <= left
        chosen.append(int(rng.choice(np.flatnonzero(allowed(stack, left)))))
        stack = push(stack, jnp.int32(chosen[-1]))
    assert not stack.any()
    assert encode([decode(chosen)])[0].tolist() == chosen


def test_stacks_before_each_step():
    derivation = jnp.asarray(encode(["x + 1"]))
    expected = [[1], [1, 2], [2, 2], [2], []]  # S, S T, T T, T, nothing
    found = [stack[stack > 0].tolist() for stack in np.asarray(jax.jit(stacks)(derivation)[0])]
    assert found == expected + [[]] * 11


def test_sampled_expressions_are_different_and_the_same_again():
    first, again = sample_expressions(500, seed=3), sample_expressions(500, seed=3)
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first, axis=0)) == 500
    assert (sample_expressions(500, seed=4) != first).any()
    with pytest.raises(ValueError, match="got 0"):
        sample_expressions(0)


@pytest.mark.slow
def test_samples_are_uniform_over_derivations():
    """Of 2 * 10^8 derivations, those of full length are 95.4%; a third of the constants is 1."""
    rows = sample_expressions(20_000)
    ways = completions()
    longest = 1 - ways[13, 1, 0] / ways[15, 1, 0]
    share = ((rows != NOTHING).sum(1) == 14).mean()
    assert abs(share - longest) < 4 * np.sqrt(longest * (1 - longest) / len(rows))
    ones, twos = (rows == 8).sum(), (rows == 9).sum()
    assert abs(ones - twos) < 4 * np.sqrt(ones + twos)


def test_files(tmp_path):
    good = tmp_path / "some.txt"
    good.write_text("x + 1\nsin(x)\n\n")
    assert [decode(row) for row in read_expressions(good)] == ["x + 1", "sin( x )"]
    packed = tmp_path / "some.txt.gz"
    packed.write_bytes(gzip.compress(good.read_bytes()))
    np.testing.assert_array_equal(read_expressions(packed), read_expressions(good))
    (tmp_path / "wide.txt").write_bytes("x + 1\r\nsin(x)\r\n".encode("utf-16"))
    np.testing.assert_array_equal(read_expressions(tmp_path / "wide.txt"), read_expressions(good))
    (tmp_path / "other").write_bytes(b"\x80\x04\x95x")
    with pytest.raises(ValueError, match="other is a pickle"):
        read_expressions(tmp_path / "other")
    for text, message in (
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("x\nx *\n", "line 2, column 4"),
    ):
        bad = tmp_path / "bad.txt"
        bad.write_text(text)
        with pytest.raises(ValueError, match=message) as error:
            read_expressions(bad)
        assert str(bad) in str(error.value)
    with pytest.raises(FileNotFoundError):
        read_expressions(tmp_path / "none.txt")
