"""Reading users' files: what is kept, what is rejected and why."""

import gzip
import sys

import numpy as np
import pytest

from wrlso.chem import checks
from wrlso.chem.files.records import Account, Rejection
from wrlso.chem.load import load_molecules
from wrlso.chem.loaded import Duplicate, write_rejected, write_used
from wrlso.chem.report import first_molecules, report
from wrlso.chem.ringtree.learn import learn_vocabulary
from wrlso.chem.zinc import ZINC_NAME, ZINC_SHA256, find_zinc, zinc_file


def write(path, text, packed=False):
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


def read(path, **options):
    return load_molecules(path, progress=False, **options)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["set.smi", "set.txt", "set"])
def test_names_after_smiles_are_kept(tmp_path, name, packed):
    text = "OCC ethanol\n\nC1=CC=CC=C1\tbenzene  ring\r\n  CC(=O)O   acetic acid \nN"
    found = read(write(tmp_path / name, text, packed))
    assert found.smiles == ["CCO", "c1ccccc1", "CC(=O)O", "N"]
    assert found.names == ["ethanol", "benzene  ring", "acetic acid", ""]
    assert found.lines.tolist() == [1, 3, 4, 5]
    assert found.scores is None
    assert found.rejected == []


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("name", "mark"), [("t.csv", ","), ("t.CSV", ";"), ("t.tsv", "\t")])
def test_tables_are_read_by_their_columns(tmp_path, name, mark, packed):
    rows = ["id,SMILES ,Score", "1,OCC,0.5", '2,"CCN\n",-1e3', "", "3,CCS,nan", "4,CCF", "5,C,x",
            "6,CC,7", ",,"]  # fmt: skip
    text = "\ufeff" + "\r\n".join(rows).replace(",", mark)
    path = write(tmp_path / (name + ".gz" * packed), text, packed)
    found = read(path, score_column="score")
    assert found.smiles == ["CCO", "CCN", "CC"]
    np.testing.assert_array_equal(found.scores, [0.5, -1000, 7])
    assert found.lines.tolist() == [2, 3, 9]
    assert [(r.line, r.text, r.kind) for r in found.rejected] == [
        (6, "CCS", "without a score"),
        (7, "CCF", "without a score"),
        (8, "C", "without a score"),
    ]
    assert read(path).smiles == ["CCO", "CCN", "CCS", "CCF", "C", "CC"]
    assert read(path, column="smiles").scores is None
    named = r"'docking': give one of id, SMILES, Score as score_column"
    with pytest.raises(ValueError, match=f"has no column {named}"):
        read(path, score_column="docking")


def vocabulary(*smiles):
    return learn_vocabulary(smiles * 2)


def test_every_reason_for_rejection(tmp_path):
    lines = ["CCO", "C(", "CN(C)(C)(C)C", "OCC", "C*", "CCBr", "C" * 9, "C[C@H](O)F",
             "C[C@@H](O)F", "CCCCCO"]  # fmt: skip
    known = vocabulary("CCO", "CC(O)F", "CCCCCO")
    options = {"vocabulary": known, "max_symbols": 5, "max_heavy_atoms": 8}
    found = read(write(tmp_path / "a.smi", "\n".join(lines)), **options)
    assert found.smiles == ["CCO", "CC(O)F"]
    assert [known.write(smiles) for smiles in found.smiles] == [
        [int(number) for number in row if number] for row in found.rows
    ]
    assert found.rows.dtype == np.uint16
    assert found.rejected == [
        Rejection(2, "C(", "not a molecule", "'C(' is not a molecule: it cannot be read as SMILES"),
        Rejection(3, "CN(C)(C)(C)C", "not a molecule", found.rejected[1].reason),
        Rejection(5, "C*", "wildcard atoms", "'*' stands for no element"),
        Rejection(6, "CCBr", "not writable: piece", "no template for Br"),
        Rejection(7, "C" * 9, "too many heavy atoms", "9, more than 8"),
        Rejection(10, "CCCCCO", "too many symbols", "6, more than 5"),
    ]
    assert "valence" in found.rejected[1].reason
    assert found.duplicates == [
        Duplicate(4, "OCC", 1, False),
        Duplicate(9, "C[C@@H](O)F", 8, True),
    ]
    assert found.findings.account == Account(10, 0, 0, 0, 10)
    text = report(found).splitlines()
    assert text[:4] == [
        "2 different molecules in 10 records on 10 lines",
        "  1 of them (50%) have stereochemistry, which the model does not know: it is dropped",
        "2 lines repeat a molecule, 1 of them but for stereochemistry",
        "6 lines rejected",
    ]
    assert text[4:6] == ["  2 not a molecule", f"    line 2: C(: {found.rejected[0].reason}"]
    assert "    line 10: CCCCCO: 6, more than 5" in text
    write_rejected(tmp_path / "rejected.csv", found)
    assert (tmp_path / "rejected.csv").read_text().splitlines()[3:5] == [
        "4,OCC,duplicates,the molecule of line 1",
        "5,C*,wildcard atoms,'*' stands for no element",
    ]


def test_without_a_vocabulary_all_that_could_be_written_is_kept(tmp_path):
    found = read(write(tmp_path / "a.smi", "C[Si](C)(C)C\nC*\nCC"))
    assert found.smiles == ["C[Si](C)(C)C", "CC"]
    assert found.rows is None
    assert [one.line for one in found.rejected] == [2]


def test_configurations_are_dropped(tmp_path):
    path = write(tmp_path / "a.smi", "C[C@H](O)F\nC[C@@H](O)F\nCC(O)F\n")
    found = read(path)
    assert found.smiles == ["CC(O)F"]
    assert found.duplicates == [
        Duplicate(2, "C[C@@H](O)F", 1, True),
        Duplicate(3, "CC(O)F", 1, True),
    ]


@pytest.mark.slow
def test_large_files_go_through_workers_and_keep_their_order(tmp_path):
    smiles = ["C" * (1 + i % 90) + "O" * (1 + i // 90) for i in range(2500)]
    path = write(tmp_path / "a.smi", "\n".join(smiles))
    assert read(path, workers=2)[0] == read(path, workers=1)[0]
    many = read(path, workers=2)
    assert many.lines.tolist() == sorted(many.lines.tolist())
    assert many.smiles[0] == "CO"


def test_salts_are_told_from_unknown_pieces(tmp_path):
    known = vocabulary("CCO", "ClCCCl")
    found = read(write(tmp_path / "a.smi", "CCO\nClCCCl.O\nC[SiH3]"), vocabulary=known)
    assert [one.reason for one in found.rejected] == [
        "several molecules, joined by '.': keep one of them",
        "no template for [SiH4]",
    ]
    assert found.findings.saved == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.smi", b"", "a.smi is empty: give a file with a SMILES on each line"),
        ("a.csv", b"\n \n", "a.csv is empty"),
        ("a.csv", b"smiles\n", "a.csv holds no molecule, but a header or comments"),
        ("a.smi", b"# mine\n\n", "a.smi holds no molecule, but a header or comments"),
        ("a.csv", b"name,score\nx,1\n", "no column 'smiles': give one of name, score"),
        ("a.smi", b"foo\nbar\n", "no molecule in .*a.smi can be used:\n2 lines rejected"),
        ("a.smi.gz", gzip.compress(b"CCO" * 99, mtime=0)[:-9], "a.smi.gz is damaged: it begins as"),
        ("a.smi.gz", b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 20, "a.smi.gz is damaged"),
        ("a.csv", b"CCO,1\nCCN,2\n", "the first line must name the columns"),
    ],
)
def test_files_that_hold_nothing_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.smi")


def test_the_second_time_nothing_is_examined(tmp_path, monkeypatch):
    path = write(tmp_path / "a.csv", "smiles,y\nOCC,1\nC(,2\nCCBr,3\n")
    kept = tmp_path / "kept"
    options = {"score_column": "y", "directory": kept}
    limits = {"max_symbols": 3, "vocabulary": vocabulary("CCBr")}
    first, limited = read(path, **options), read(path, **options, **limits)
    assert first.smiles == ["CCO", "CCBr"]
    assert [one.kind for one in limited.rejected] == ["not writable: piece", "not a molecule"]
    assert (limited.rejected[0].line, limited.rejected[1].line) == (2, 3)
    monkeypatch.setattr(checks, "map_chunks", None)
    for before, now in (
        (first, read(path, **options)),
        (limited, read(path, **options, **limits)),
    ):
        alike = [one._replace(scores=None, lines=None, rows=None) for one in (now, before)]
        assert alike[0] == alike[1]
        np.testing.assert_array_equal(now.rows, before.rows)
        np.testing.assert_array_equal(now.scores, before.scores)
        np.testing.assert_array_equal(now.lines, before.lines)
    with pytest.raises(TypeError):
        read(path, **options, max_heavy_atoms=9)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_one(tmp_path, end):
    for name, head in (("a.smi", ""), ("a.csv", f"smiles{end}")):
        (tmp_path / name).write_bytes((head + end.join(["CCO", "CCN", "foo", ""])).encode())
        found = read(tmp_path / name)
        assert found.smiles == ["CCO", "CCN"]
        assert [r.line for r in found.rejected] == [3 + bool(head)]


def test_a_column_of_lines_is_given_by_its_number(tmp_path):
    path = write(tmp_path / "a.smi", "CCO 3\nCCN 4 amine\n")
    with pytest.raises(ValueError, match="has no column 'score': give one of CCO, 3"):
        read(path, score_column="score")
    assert read(path, score_column="2").scores.tolist() == [3, 4]


def test_a_huge_line_is_refused_before_it_is_read(tmp_path, monkeypatch):
    """RDKit takes minutes for it."""
    seen = []
    real = checks.parse_extended
    monkeypatch.setattr(checks, "parse_extended", lambda text: seen.append(text) or real(text))
    huge = "c1ccccc1" * 12_500
    found = read(write(tmp_path / "a.smi", f"{huge}\nCCO\n"))
    assert found.smiles == ["CCO"] == seen
    assert found.rejected[0].reason == "75000, more than 1000"
    assert len(found.rejected[0].text) == 1000


def test_what_is_written_is_what_a_run_uses(tmp_path):
    table = "id,smiles,score\nA,OCC,1\nB,CCN,2\nC,CCO,4\n"
    found = read(write(tmp_path / "a.csv", table), score_column="score")
    write_used(tmp_path / "used.csv", found)
    assert (tmp_path / "used.csv").read_text().splitlines() == [
        "line,name,smiles,score",
        "2,A,CCO,2.5",
        "3,B,CCN,2.0",
    ]
    shown = first_molecules(found).splitlines()[1:]
    assert shown == ["  line 2: CCO  2.5  A", "  line 3: CCN  2  B"]
    again = read(tmp_path / "used.csv", score_column="score")
    assert (again.smiles, again.scores.tolist()) == (found.smiles, found.scores.tolist())


def test_parquet_needs_pandas(tmp_path, monkeypatch):
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "a.parquet"
    pandas.DataFrame({"SMILES": ["CCO", None, "CCN"], "y": [1.5, 2, None]}).to_parquet(path)
    found = read(path, score_column="y")
    assert (found.smiles, found.scores.tolist()) == (["CCO"], [1.5])
    assert [(one.line, one.kind) for one in found.rejected] == [
        (2, "without a molecule"),
        (3, "without a score"),
    ]
    with pytest.raises(ValueError, match="no column 'z': give one of SMILES, y as score_column"):
        read(path, score_column="z")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ValueError, match="is a Parquet table: install pandas and pyarrow"):
        read(path)


def test_zinc_is_told_from_all_else(tmp_path, monkeypatch):
    for missing in (tmp_path, tmp_path / "zinc.smi"):
        with pytest.raises(FileNotFoundError, match=r"250k_rndm_zinc_drugs_clean_3\.csv"):
            find_zinc(missing)
    for name, text in (("a.smi", "CCO\nCCN\n"), ("a.csv", "smiles\nCCO\n")):
        with pytest.raises(ValueError, match="is not ZINC250k: the SHA-256 of its"):
            find_zinc(write(tmp_path / name, text))
    monkeypatch.setattr("wrlso.chem.zinc.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"install it by  pip install 'wrlso\[zinc\]'"):
        read(ZINC_NAME)


@pytest.mark.slow
def test_zinc_in_every_form(tmp_path):
    text = zinc_file().read_text()
    smiles = find_zinc(ZINC_NAME)
    assert len(smiles) == 249_455
    assert text.split()[:1000] == smiles[:1000]
    table = "smiles,logP,qed,SAS\n" + "".join(f'"{one}\n",5.05,0.7,2.08\n' for one in smiles)
    (tmp_path / "folder").mkdir()
    plain = "\r\n".join([*smiles, ""])
    for path in (
        zinc_file(),
        write(tmp_path / "plain.smi", plain),
        write(tmp_path / "folder" / "250k_rndm_zinc_drugs_clean_3.csv", table).parent,
    ):
        assert find_zinc(path) == smiles
    with pytest.raises(ValueError, match="not ZINC250k"):
        find_zinc(write(tmp_path / "changed.smi", plain[1:]))
    assert ZINC_SHA256.startswith("df0aa677")


def test_lines_that_repeat_a_text_are_examined_once_and_counted_each(tmp_path):
    """Also where symbols differ in number, and between other lines."""
    texts = ["CCO", "CCC", "CCO", "bad", "c1ccccc1CCN", "CCC", "bad", "CC[C@H](C)N", "CC[C@H](C)N"]
    vocabulary = learn_vocabulary(["CCO", "CCC", "c1ccccc1CCN", "CCC(C)N"])
    conditions = checks.Checks(vocabulary, 50, 38)
    found = checks.check_all(texts, conditions, None, 1, None)
    alone = [checks.check_all([text], conditions, None, 1, None) for text in texts]
    assert found.kinds == [one.kinds[0] for one in alone]
    assert found.texts == [one.texts[0] for one in alone]
    for field in ("rows", "lengths", "stereo", "changes", "saved"):
        parts = [getattr(one, field) for one in alone]
        np.testing.assert_array_equal(getattr(found, field), np.concatenate(parts))
