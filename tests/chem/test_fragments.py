"""Fragments: what merging and expanding keep, and in which order pairs are learnt."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import ZINC, needs_zinc
from wrlso.chem.fragments import Fragments, learn_fragments
from wrlso.chem.load import find_zinc
from wrlso.chem.tokens import Alphabet, make_alphabet, pack, split, tokenize

TOKENS = Alphabet(("[nop]", "[C]", "[=C]", "[N]", "[O]", "[Ring1]", "[Branch1]"))


@st.composite
def token_rows(draw):
    rows = draw(st.lists(st.lists(st.integers(1, len(TOKENS) - 1), max_size=30), max_size=12))
    return pack(rows, 30)


def one_by_one(row, fragments):
    """The definition: the pairs in their order, each from left to right."""
    row = [token for token in row if token]
    for number, (a, b) in enumerate(fragments.pairs, len(fragments.alphabet)):
        out, i = [], 0
        while i < len(row):
            if row[i : i + 2] == [a, b]:
                out.append(number)
                i += 2
            else:
                out.append(row[i])
                i += 1
        row = out
    return row


@settings(max_examples=100, deadline=None)
@given(token_rows(), token_rows(), st.integers(7, 30))
def test_merging_is_undone_by_expanding(learnt_from, rows, symbols):
    fragments = learn_fragments(learnt_from, TOKENS, symbols)
    assert len(fragments) <= symbols
    merged = fragments.merge(rows)
    assert merged.shape[0] == rows.shape[0]
    for row, short in zip(rows, merged, strict=True):
        assert [int(s) for s in short if s] == one_by_one(row.tolist(), fragments)
        assert fragments.expand(short).tolist() == [int(t) for t in row if t]
        assert sum(fragments.sizes[short]) == (row > 0).sum()
    assert Fragments.from_json(fragments.to_json()) == fragments


def test_the_most_frequent_pair_comes_first():
    rows = pack([[1, 2, 1, 2, 3], [1, 2, 3], [4, 4, 4, 4]])
    fragments = learn_fragments(rows, TOKENS, len(TOKENS) + 2)
    # Four, four and four again stand beside one another three times, as do one and two: of
    # equals the largest numbers are first. Then it is seven, one and two.
    assert fragments.pairs == ((4, 4), (1, 2))
    assert fragments.merge(rows).tolist() == [[8, 8, 3], [8, 3, 0], [7, 7, 0]]
    assert fragments.tokens[8] == (1, 2)


def test_no_pair_is_learnt_that_stands_once():
    assert learn_fragments(pack([[1, 2, 3]]), TOKENS).pairs == ()
    assert learn_fragments(np.zeros((0, 5), np.uint8), TOKENS).pairs == ()


@pytest.mark.parametrize("pairs", [((7, 1),), ((0, 1),), ((1, 2), (8, 1)), ((1, -1),)])
def test_a_pair_must_be_of_earlier_symbols(pairs):
    with pytest.raises(ValueError, match="pair of earlier symbols"):
        Fragments(TOKENS, pairs)


def test_too_many_symbols_are_refused():
    with pytest.raises(ValueError, match="at most 256"):
        Fragments(TOKENS, ((1, 2),) * 250)


@needs_zinc
def test_molecules_become_a_third_as_long():
    smiles = find_zinc(ZINC)[:2000]
    alphabet = make_alphabet(split(one) for one in smiles)
    rows = tokenize(smiles, alphabet)
    merged = learn_fragments(rows, alphabet).merge(rows)
    assert (merged > 0).sum() < 0.4 * (rows > 0).sum()
