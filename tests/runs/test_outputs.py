"""Files that users name for output replace neither inputs nor files of runs."""

import csv
import os
import signal

import pytest

from tests.builders import tiny_run
from wrlso.cli.main import main
from wrlso.runs import molecule_training
from wrlso.runs.outputs import check_output

MOLECULES = "CCO\nCCN\nnot a molecule\nCCO\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("outputs") / "run", seeds=1).folder.path


def files(folder):
    return {f: f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.mark.parametrize("option", ["--csv", "--html"])
@pytest.mark.parametrize(
    "name",
    ["config.json", "queries.sqlite", "summary.json", "checkpoints/round00003.safetensors",
     "checkpoints/new.csv", ".", "../link"],
)  # fmt: skip
def test_a_report_replaces_no_file_of_a_run(run, option, name, capsys):
    link = run.parent / "link"
    link.unlink(missing_ok=True)
    link.symlink_to(run / "queries.sqlite")
    before = files(run)
    assert main(["report", str(run), option, str(run / name)]) == 2
    said = capsys.readouterr().err
    assert "never overwritten: name another file" in said or "is a folder: name a file" in said
    assert files(run) == before


def test_a_report_may_stand_beside_the_files_of_its_run(run, tmp_path):
    for file in (run / "all.csv", tmp_path / "new" / "all.csv"):
        assert main(["report", str(run), "--csv", str(file)]) == 0
        with file.open(newline="") as opened:
            assert len(list(csv.DictReader(opened))) == 12


@pytest.mark.parametrize("option", ["--rejected", "--used"])
def test_lists_of_molecules_do_not_replace_the_file_that_is_read(tmp_path, option, capsys):
    data = tmp_path / "mine.smi"
    data.write_text(MOLECULES)
    (tmp_path / "also.smi").hardlink_to(data)
    for output in ("mine.smi", "also.smi", "x/../mine.smi"):
        (tmp_path / "x").mkdir(exist_ok=True)
        words = ["data", str(data), option, str(tmp_path / output), "--no-progress"]
        assert main(words) == 2
        assert "it is an input: name another file" in capsys.readouterr().err
        assert data.read_text() == MOLECULES
    assert main(["data", str(data), option, str(tmp_path / "list.csv"), "--no-progress"]) == 0
    assert (tmp_path / "list.csv").read_text().count("CCO") == 1


def test_a_model_replaces_neither_its_molecules_nor_another_model(tmp_path, capsys):
    data, model = tmp_path / "mine.smi", tmp_path / "model.safetensors"
    data.write_text(MOLECULES)
    model.write_bytes(b"a model")
    for out, why in ((data, "it is an input"), (model, "exists already"), (tmp_path, "a folder")):
        assert main(["train", "molecules", "--data", str(data), "--out", str(out)]) == 2
        assert why in capsys.readouterr().err
    assert data.read_text() == MOLECULES
    assert model.read_bytes() == b"a model"
    assert not list(tmp_path.glob("*.training"))


def test_a_training_that_is_interrupted_says_how_it_goes_on(tmp_path, capsys, monkeypatch):
    """Ctrl-C while the molecules are read."""
    (tmp_path / "mine.smi").write_text(MOLECULES)

    def interrupted(*arguments, **keywords):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(molecule_training, "prepare", interrupted)
    words = ["--data", str(tmp_path / "mine.smi"), "--out", str(tmp_path / "model.safetensors")]
    assert main(["train", "molecules", *words]) == 130
    assert "nothing is lost; the same command goes on" in capsys.readouterr().err


def test_a_name_that_is_no_text_is_written_and_shown(tmp_path):
    """Of a run's folder, and of the table."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    tiny_run(folder, seeds=1)
    page, table = folder.parent / os.fsdecode(b"\xff.html"), folder.parent / "\N{SNOWMAN}.csv"
    assert main(["report", str(folder), "--html", str(page), "--csv", str(table)]) == 0
    assert "caf" in page.read_text(encoding="utf-8")
    assert "caf\\udce9" in table.read_text(encoding="utf-8")


def test_an_output_may_be_what_it_likes_elsewhere(tmp_path):
    (tmp_path / "config.json").mkdir()  # no run
    check_output(tmp_path / "queries.sqlite")
    check_output(tmp_path / "missing" / "page.html", [tmp_path / "no file"])
