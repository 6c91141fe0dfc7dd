"""Reading users' files: what is kept, what is rejected and why."""

import gzip

import numpy as np
import pytest

from tests.builders import ZINC

pytest.importorskip("rdkit")

from wrlso.chem import checks, load
from wrlso.chem.load import Rejection, find_zinc, load_molecules, report
from wrlso.chem.ringtree.learn import learn_vocabulary


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
        Rejection(4, "OCC", "duplicates", "the molecule of line 1"),
        Rejection(5, "C*", "wildcard atoms", "'*' stands for no element"),
        Rejection(6, "CCBr", "not writable: piece", "no template for Br"),
        Rejection(7, "C" * 9, "too many heavy atoms", "9, more than 8"),
        Rejection(9, "C[C@@H](O)F", "duplicates", "the molecule of line 8"),
        Rejection(10, "CCCCCO", "too many symbols", "6, more than 5"),
    ]
    assert "valence" in found.rejected[1].reason
    text = report([*found.rejected, found.rejected[0]], examples=2)
    assert text.splitlines()[:4] == [
        "9 lines rejected",
        "  3 not a molecule",
        f"    line 2: C(: {found.rejected[0].reason}",
        f"    line 3: CN(C)(C)(C)C: {found.rejected[1].reason[:160]}",
    ]
    assert "line 10: CCCCCO" in text
    assert report([]) == "no line rejected"


def test_without_a_vocabulary_all_that_could_be_written_is_kept(tmp_path):
    found = read(write(tmp_path / "a.smi", "C[Si](C)(C)C\nC*\nCC"))
    assert found.smiles == ["C[Si](C)(C)C", "CC"]
    assert found.rows is None
    assert [one.line for one in found.rejected] == [2]


def test_configurations_are_dropped(tmp_path):
    path = write(tmp_path / "a.smi", "C[C@H](O)F\nC[C@@H](O)F\nCC(O)F\n")
    found = read(path)
    assert found.smiles == ["CC(O)F"]
    assert [one.kind for one in found.rejected] == ["duplicates", "duplicates"]


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


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.smi", b"", "a.smi is empty: give a file with a SMILES on each line"),
        ("a.csv", b"\n \n", "a.csv is empty"),
        ("a.csv", b"smiles\n", "a.csv is empty"),
        ("a.csv", b"name,score\nx,1\n", "no column 'smiles': give one of name, score"),
        ("a.smi", b"foo\nbar\n", "no molecule in .*a.smi can be used:\n2 lines rejected"),
        ("a.smi", b"\xff\xfeC\x00", "a.smi is neither text in UTF-8 nor gzipped"),
        (
            "a.smi.gz",
            gzip.compress(b"CCO" * 99, mtime=0)[:-9],
            "a.smi.gz is neither text in UTF-8 nor",
        ),
        (
            "a.smi.gz",
            b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 20,
            "neither text in UTF-8 nor gzipped",
        ),
        ("a.csv", b"CCO,1\nCCN,2\n", "the first line must name the columns"),
        (
            "a.csv",
            b"smiles,x\nCCO,1\n" + b"C" * 200_000 + b",2\n",
            "line 3, is not a row of a table",
        ),
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


def test_scores_need_a_table(tmp_path):
    with pytest.raises(ValueError, match="is read as SMILES, one per line"):
        read(write(tmp_path / "a.smi", "CCO 3\n"), score_column="score")


def test_zinc_is_told_from_all_else(tmp_path):
    for missing in (tmp_path, tmp_path / "zinc.smi"):
        with pytest.raises(FileNotFoundError, match=r"250k_rndm_zinc_drugs_clean_3\.csv"):
            find_zinc(missing)
    for name, text in (("a.smi", "CCO\nCCN\n"), ("zinc250k.smi", ""), ("a.csv", "smiles\nCCO\n")):
        with pytest.raises(ValueError, match="is not ZINC250k: the SHA-256 of its"):
            find_zinc(write(tmp_path / name, text))


@pytest.mark.skipif(not ZINC.exists(), reason=f"no {ZINC}: the data set ZINC250k")
def test_zinc_in_every_form(tmp_path):
    text = gzip.decompress(ZINC.read_bytes()).decode()
    smiles = text.split()
    assert len(smiles) == 249_455
    table = "smiles,logP,qed,SAS\n" + "".join(f'"{one}\n",5.05,0.7,2.08\n' for one in smiles)
    (tmp_path / "folder").mkdir()
    for path in (
        ZINC,
        write(tmp_path / "plain.smi", text.replace("\n", "\r\n")),
        write(tmp_path / "folder" / "250k_rndm_zinc_drugs_clean_3.csv", table).parent,
    ):
        assert find_zinc(path) == smiles
    changed = text.replace("\n", "\n", 1)[1:]
    with pytest.raises(ValueError, match="not ZINC250k"):
        find_zinc(write(tmp_path / "changed.smi", changed))
    assert load.ZINC_SHA256.startswith("df0aa677")
