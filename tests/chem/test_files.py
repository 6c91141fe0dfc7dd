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


@pytest.mark.parametrize(
    "text",
    [
        "smiles,pIC50\nCCO,6,5\nCCCN,7,25\nCCCC,5,1\n",
        "smiles,pIC50\nCCO,1,200\nCCCN,12,500\nCCCC,3,100\n",
        "smiles,pIC50,name\nCCO,6,5,foo\nCCCN,-7,25,bar\nCCCC,5,1,baz\n",
    ],
)
def test_scores_that_commas_divide_are_refused(text, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"the score '\d+' is followed by '\d+': write \d"):
        load_molecules(path, score_column="pIC50", workers=1)
    assert load_molecules(path, workers=1).smiles == ["CCO", "CCCN", "CCCC"]


def test_a_trailing_comma_divides_no_score(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("smiles,pIC50\nCCO,6,\nCCCN,7,\nCCCC,5,\n")
    np.testing.assert_array_equal(
        load_molecules(path, score_column="pIC50", workers=1).scores, [6, 7, 5]
    )


def sdf_with(properties):
    from rdkit import Chem

    block = Chem.MolToMolBlock(Chem.MolFromSmiles("CCO"))
    return block + "".join(f"> <{name}>\n{value}\n\n" for name, value in properties) + "$$$$\n"


def test_a_property_is_the_one_of_its_own_case(tmp_path):
    path = tmp_path / "one.sdf"
    path.write_text(sdf_with([("pIC50", 5.5), ("PIC50", 7.5)]))
    for name, score in (("pIC50", 5.5), ("PIC50", 7.5)):
        assert load_molecules(path, score_column=name, workers=1).scores == [score]
    with pytest.raises(ValueError, match="has the properties pIC50 and PIC50: give one of them"):
        load_molecules(path, score_column="pic50", workers=1)
    path.write_text(sdf_with([("PIC50", 7.5)]))
    assert load_molecules(path, score_column="pIC50", workers=1).scores == [7.5]


def test_two_columns_of_a_parquet_table_are_refused(tmp_path):
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "table.parquet"
    pandas.DataFrame({"Smiles": ["CCO"], "SMILES": ["CCN"]}).to_parquet(path)
    with pytest.raises(ValueError, match="has 2 columns 'smiles', which are numbers 1 and 2"):
        load_molecules(path, workers=1)
    assert load_molecules(path, column="SMILES", workers=1).smiles == ["CCN"]


def test_columns_are_numbers_too_and_a_folder_is_no_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("CCO,6\nCCCN,7\n")
    found = load_molecules(path, column=1, score_column=2, workers=1)
    np.testing.assert_array_equal(found.scores, [6, 7])
    with pytest.raises(ValueError, match="is a folder: give a file"):
        load_molecules(tmp_path)


@pytest.mark.parametrize(
    "smiles", ["CS(C)=O", "C[S+](C)[O-]", "CS(=O)c1ccccc1", "O=S1CCNCC1", "C[S+]([O-])c1ccccc1"]
)
def test_sulfoxides_have_one_standard_form_which_the_model_writes(smiles, tmp_path):
    from rdkit import Chem

    from wrlso.tasks.molecule.model import load_model
    from wrlso.tasks.molecule.task import SHIPPED

    path = tmp_path / "one.smi"
    path.write_text(f"{smiles}\n")
    found = load_molecules(
        path, standardize=True, vocabulary=load_model(SHIPPED).vocabulary, workers=1
    )
    assert Chem.MolFromSmiles(found.smiles[0]).HasSubstructMatch(Chem.MolFromSmarts("S=O"))
    assert "+" not in found.smiles[0]
