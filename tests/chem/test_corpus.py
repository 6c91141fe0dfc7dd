"""Encoding a large set of molecules once: same in parallel, kept, found again."""

import random

import numpy as np
import pytest

from tests.builders import ZINC

pytest.importorskip("rdkit")

from wrlso.chem import corpus as module
from wrlso.chem.corpus import encode_corpus, map_chunks
from wrlso.chem.load import find_zinc
from wrlso.chem.molecule import canonical, heavy_atoms
from wrlso.chem.tokens import make_alphabet, split, to_smiles, tokenize


@pytest.fixture(scope="module")
def molecules():
    """2,300 molecules, three chunks, of which only the last has sulphur, bromine, a cation."""
    rng = random.Random(0)
    groups = ["O", "N", "C(F)", "C(=O)N", "c1ccc(cc1)", "C1CCC(CC1)", "C#C", "[C@H](Cl)", "C=C"]
    made = ["C" + "".join(rng.choices(groups, k=rng.randint(1, 6))) + "C" for _ in range(2297)]
    return [*made, "CSC", "BrCBr", "C[N+](C)(C)C"]


def test_parallel_is_the_same_as_one_by_one(molecules, tmp_path):
    alphabet = make_alphabet([split(smiles) for smiles in molecules])
    for workers in (1, 2):
        corpus = encode_corpus(molecules, tmp_path / str(workers), workers=workers, progress=False)
        assert corpus.alphabet == alphabet
        np.testing.assert_array_equal(corpus.tokens, tokenize(molecules, alphabet))
        assert corpus.tokens.dtype == np.uint8
        assert corpus.smiles == [canonical(smiles, stereo=False) for smiles in molecules]
        assert corpus.heavy_atoms.tolist() == [heavy_atoms(smiles) for smiles in molecules]
        assert len(corpus.altered) == 0
        row = len(molecules) - 2
        assert to_smiles(corpus.tokens[row], corpus.alphabet) == "BrCBr"


def test_the_second_time_nothing_is_encoded(molecules, tmp_path, monkeypatch):
    first = encode_corpus(molecules[:50], tmp_path, progress=False)
    monkeypatch.setattr(module, "map_chunks", None)
    second = encode_corpus(molecules[:50], tmp_path, progress=False)
    assert second.smiles == first.smiles
    assert second.alphabet == first.alphabet
    for part in ("tokens", "heavy_atoms", "altered"):
        np.testing.assert_array_equal(getattr(second, part), getattr(first, part))
        assert getattr(second, part).dtype == getattr(first, part).dtype


def test_other_molecules_or_rules_are_not_taken_for_the_kept_ones(molecules, tmp_path, monkeypatch):
    def encode(smiles, **options):
        return encode_corpus(smiles, tmp_path, progress=False, **options)

    flat = encode(["C[C@H](N)O", "CC"])
    stereo = encode(["C[C@H](N)O", "CC"], stereo=True)
    assert flat.smiles[0] == "CC(N)O"
    assert stereo.smiles[0] == "C[C@H](N)O"
    assert stereo.alphabet.stereo
    assert not flat.alphabet.stereo
    encode(["CC", "C[C@H](N)O"])
    assert len(list(tmp_path.glob("corpus-*.arrays"))) == 3
    monkeypatch.setattr(module, "_FORMAT", module._FORMAT + 1)
    encode(["CC", "C[C@H](N)O"])
    assert len(list(tmp_path.glob("corpus-*.arrays"))) == 4


def test_a_damaged_file_is_made_again(tmp_path):
    first = encode_corpus(["CCO", "CCN"], tmp_path, progress=False)
    (kept,) = tmp_path.iterdir()
    content = kept.read_bytes()
    places = range(0, len(content), 11)
    flipped = [content[:i] + bytes([content[i] ^ 255]) + content[i + 1 :] for i in places]
    for damaged in (b"", b"PK", content[: len(content) // 2], b"x" * 100, *flipped):
        kept.write_bytes(damaged)
        again = encode_corpus(["CCO", "CCN"], tmp_path, progress=False)
        np.testing.assert_array_equal(again.tokens, first.tokens)
        assert kept.read_bytes()[:2] == b"PK"


def test_molecules_that_cannot_be_encoded_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"2 of 3 molecules cannot be encoded .*'C\(' is not a"):
        encode_corpus(["CC", "C(", "C*"], tmp_path, progress=False)
    with pytest.raises(ValueError, match="no molecules"):
        encode_corpus([], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_tokens_that_decode_to_another_molecule_are_reported(tmp_path, monkeypatch):
    """None is known: the comparison is made to see nitrogen come back as phosphorus."""
    honest = module.join
    monkeypatch.setattr(module, "join", lambda text, stereo: honest(text, stereo).replace("N", "P"))
    corpus = encode_corpus(["CC", "CN", "CO", "N"], tmp_path, workers=1, progress=False)
    assert corpus.altered.tolist() == [1, 3]


def test_an_error_in_a_worker_reaches_the_caller(molecules):
    with pytest.raises(RuntimeError, match=r"ZeroDivisionError.*in the thousand from"):
        map_chunks(lambda chunk: 1 / 0, molecules, workers=2)


@pytest.mark.slow
@pytest.mark.skipif(not ZINC.exists(), reason=f"no {ZINC}: the data set ZINC250k")
@pytest.mark.parametrize(
    ("stereo", "tokens", "different"), [(False, 53, 247_804), (True, 108, 249_455)]
)
def test_zinc250k(stereo, tokens, different, tmp_path):
    """All of it can be encoded, in at most 72 tokens, and decodes to what it was."""
    import time

    smiles = find_zinc(ZINC)
    corpus = encode_corpus(smiles, tmp_path, stereo=stereo)
    assert corpus.tokens.shape == (249_455, 72)
    assert len(corpus.altered) == 0
    assert len(corpus.alphabet) == tokens
    assert len(set(corpus.smiles)) == different
    assert len(np.unique(corpus.tokens, axis=0)) == different
    assert np.median((corpus.tokens > 0).sum(1)) == 37
    assert (corpus.heavy_atoms.min(), corpus.heavy_atoms.max()) == (6, 38)
    start = time.perf_counter()
    encode_corpus(smiles, tmp_path, stereo=stereo)
    assert time.perf_counter() - start < 2.0
