"""Files as people have them: a corpus with exact contents, and fuzzed files that lose no line."""

import random

import numpy as np
import pytest

from tests.chem.files_corpus import CASES
from wrlso.chem.files.fields import delimiter_of, split
from wrlso.chem.files.numbers import decimal_comma, read_numbers
from wrlso.chem.load import load_molecules

FUZZED = 2000


def read(folder, case):
    path = folder / case.file
    path.write_bytes(case.bytes)
    return load_molecules(path, progress=False, workers=1, **case.options)


def counts_add_up(found):
    account = found.findings.account
    assert account.records == len(found.smiles) + len(found.rejected) + len(found.duplicates)
    assert account.lines == sum(account[1:])
    lines = [*found.lines, *(one.line for one in (*found.rejected, *found.duplicates))]
    assert len(set(lines)) == len(lines)
    assert all(1 <= line <= account.lines for line in lines)


def test_the_corpus_is_large_and_has_each_case_once():
    assert len(CASES) >= 100
    assert len({case.id for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_corpus_is_read_exactly(case, tmp_path):
    if case.error is not None:
        with pytest.raises(ValueError, match=case.error) as caught:
            read(tmp_path, case)
        assert case.file in str(caught.value) or "delimiter" in str(caught.value)
        return
    found = read(tmp_path, case)
    assert found.smiles == case.smiles
    assert {one.line: one.kind for one in found.rejected} == case.rejected
    assert tuple(one.line for one in found.duplicates) == case.duplicates
    if case.scores is not None:
        np.testing.assert_array_equal(found.scores, case.scores)
    if case.names is not None:
        assert found.names == case.names
    assert all(one.text or one.kind == "without a molecule" or "SDF" in case.id
               for one in found.rejected)  # fmt: skip
    counts_add_up(found)


def test_strict_reading_counts_what_standardising_would_keep(tmp_path):
    case = next(case for case in CASES if case.id == "strict")
    findings = read(tmp_path, case).findings
    assert findings.saved == 5
    assert findings.changes == {}
    case = next(case for case in CASES if case.id == "standardised")
    assert read(tmp_path, case).findings.changes == {
        "salts": 2,
        "charges": 2,
        "atom maps": 1,
        "isotopes": 1,
    }


def test_replicates_are_counted_and_told_from_stereoisomers(tmp_path):
    case = next(case for case in CASES if case.id == "stereoisomers with scores")
    findings = read(tmp_path, case).findings
    assert (findings.differing, findings.by_stereo, findings.spread) == (1, 1, 4)
    case = next(case for case in CASES if case.id == "median")
    findings = read(tmp_path, case).findings
    assert (findings.differing, findings.by_stereo, findings.spread) == (1, 0, 5)


def fuzzed(seed):
    """A case with some bytes changed, lines swapped, or marks put in, and its options."""
    rng = random.Random(seed)
    case = rng.choice(CASES)
    content = case.bytes
    for _ in range(rng.randint(1, 4)):
        place = rng.randint(0, len(content))
        kind = rng.randrange(6)
        if kind == 0:  # a byte
            content = content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :]
        elif kind == 1:  # something that means something
            mark = rng.choice([b'"', b",", b"\t", b";", b"\n", b"\r", b"#", b" |", b"$$$$\n", b"\0",
                               b'"\n', b"\n\n", b".", b"\xe9", b"[C]", b"\xff\xfe"])  # fmt: skip
            content = content[:place] + mark + content[place:]
        elif kind == 2:  # cut
            content = content[:place]
        elif kind == 3:  # a part twice
            content = content[:place] + content[max(0, place - rng.randint(1, 40)) :]
        elif kind == 4:  # lines in another order
            lines = content.split(b"\n")
            rng.shuffle(lines)
            content = b"\n".join(lines)
        else:  # a part of another case
            other = rng.choice(CASES).bytes[:2000]
            start = rng.randint(0, len(other))
            content = content[:place] + other[start : start + 60] + content[place:]
    return case.file, content, case.options if rng.random() < 0.7 else {}


def read_fuzzed(folder, seeds):
    """Read fuzzed files; every line of each is accounted for, or the file is refused by name."""
    outcomes = []
    for seed in seeds:
        file, content, options = fuzzed(seed)
        (folder / file).write_bytes(content)
        try:
            found = load_molecules(folder / file, progress=False, workers=1, **options)
        except ValueError as error:
            said = str(error)
            outcomes.append("refused" if file in said or "delimiter" in said else f"{seed}: {said}")
        else:
            counts_add_up(found)
            outcomes.append("read")
        (folder / file).unlink()
    return outcomes


def test_fuzzed_files_lose_no_line(tmp_path):
    outcomes = read_fuzzed(tmp_path, range(FUZZED))
    assert set(outcomes) == {"read", "refused"}
    assert outcomes.count("read") > FUZZED / 3


def test_numbers_are_never_guessed():
    values, reasons = read_numbers(["1", "-2.5e-3", "+.5", "5.", "1e400", "0x10", "1 2", "1,5"])
    np.testing.assert_array_equal(values[:4], [1, -0.0025, 0.5, 5])
    assert np.isnan(values[4:]).all()
    assert sorted(reasons) == [4, 5, 6, 7]
    assert decimal_comma(["1,5", "2", "n. a."])
    assert not decimal_comma(["1,500", "2,000"])
    assert "may be a decimal or thousands" in read_numbers(["1,500"])[1][0]
    assert "a bound, not a number" in read_numbers([">10"])[1][0]


def test_delimiters_have_names():
    assert [delimiter_of(name) for name in ("tab", "\\t", ";", "space")] == ["\t", "\t", ";", " "]
    assert split('a  "b c"\td', " ") == ["a", "b c", "d"]
    for wrong in ("", "ab", '"', "x", "\n"):
        with pytest.raises(ValueError, match="separates no columns"):
            delimiter_of(wrong)
