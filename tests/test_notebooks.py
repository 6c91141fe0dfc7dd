"""Notebooks: what is committed ran through, and still runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def code_of(path):
    cells = json.loads(path.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.fixture(params=NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def notebook(request):
    return request.param


def test_it_was_run_from_top_to_bottom_without_errors(notebook):
    cells = code_of(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert "error" not in kinds
    assert "display_data" in kinds
    assert "/home/" not in notebook.read_text()
    assert "/tmp/" not in notebook.read_text()


@pytest.mark.slow
def test_it_still_runs(notebook, tmp_path):
    lines = ["".join(cell["source"]) for cell in code_of(notebook)]
    script = tmp_path / "notebook.py"
    script.write_text("\n\n".join(lines))
    ran = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=os.environ | {"MPLBACKEND": "Agg"}, check=False
    )
    assert ran.returncode == 0
