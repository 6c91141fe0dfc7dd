"""Notebooks: what is committed ran through, is small, uses public names, and still runs."""

import importlib
import re
import shutil

import nbformat
import pytest
from nbclient import NotebookClient

import wrlso
from tests.builders import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def code_of(path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


@pytest.fixture(params=NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def notebook(request):
    return request.param


def test_there_is_one_on_each_subject():
    assert [path.stem[0] for path in NOTEBOOKS] == list("123456")
    listed = (ROOT / "notebooks" / "README.md").read_text()
    assert all(f"({path.name})" in listed for path in NOTEBOOKS)


def test_it_was_run_from_top_to_bottom_without_errors(notebook):
    cells = code_of(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert "error" not in kinds
    assert kinds & {"display_data", "execute_result"}
    assert notebook.stat().st_size < 600_000


def test_it_uses_public_names_only(notebook):
    """Those of ``wrlso.__all__``, and those of modules that the reference or the pages show."""
    code = "\n".join(cell["source"] for cell in code_of(notebook))
    assert "frombuffer" not in code
    assert not re.search(r"\b(?:wrlso|result|task|state)\._", code)
    for name in re.findall(r"\bwrlso\.(\w+)", code):
        assert name in wrlso.__all__ or name in ("acquisition", "gp", "maximize")
    pages = "\n".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    for module, names in re.findall(r"^from (wrlso\S*) import (.+)$", code, re.MULTILINE):
        loaded = importlib.import_module(module)
        for name in names.split(", "):
            assert hasattr(loaded, name) or importlib.import_module(f"{module}.{name}")
            assert re.search(rf"\b{name}\b", pages), name


def execute(path, folder):
    """Run a notebook in a folder of its own; every output is new."""
    shutil.copy(path, folder)
    made = nbformat.read(folder / path.name, 4)
    NotebookClient(made, timeout=900, resources={"metadata": {"path": str(folder)}}).execute()
    return made


@pytest.mark.slow
def test_it_still_runs(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = execute(notebook, tmp_path)
    assert all(cell.execution_count for cell in made.cells if cell.cell_type == "code")
