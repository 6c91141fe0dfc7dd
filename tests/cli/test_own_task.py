"""Tasks of one's own on the command line, as FILE.py:NAME."""

import csv
import importlib
import io
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import wrlso
from wrlso.cli.main import main
from wrlso.runs.folder import RunFolder

LABORATORY = Path(__file__).parents[2] / "docs" / "laboratory.md"
OPTIONS = ["--k", "0.01", "--retrain-every", "8", "--budget", "16", "--no-progress",
           "--proposer", "prior"]  # fmt: skip

FUNCTION = '''

def make_task(width: int = 12, objective: str = "none") -> wrlso.Task:
    """Panels of some width.

    Args:
      width: number of switches.
      objective: none or count.
    """
    import dataclasses

    def count(bits):
        return float(bits[:width].sum())

    return dataclasses.replace(task, host_objective=count if objective == "count" else None)


def untyped(width=12):
    return task


def nothing() -> wrlso.Task:
    return 3
'''


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "panel", raising=False)
    code = re.search(r"```python\n(.*?)```", LABORATORY.read_text(), re.DOTALL)[1]
    path = tmp_path / "panel.py"
    path.write_text(code.partition("method =")[0] + FUNCTION)
    return path


def asked(capsys, *words):
    assert main(["ask", *map(str, words)]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


@pytest.mark.parametrize("name", ["task", pytest.param("make_task", marks=pytest.mark.slow)])
def test_a_study_of_a_task_in_a_file_goes_on_from_the_command_line(
    file, name, tmp_path, capsys, monkeypatch
):
    """From the command line, and from Python, which imports the same file."""
    run, own = tmp_path / "run", f"{file}:{name}"
    assert main(["open", own, *OPTIONS, "--out", str(run)]) == 0
    assert f"--task {own}" in capsys.readouterr().out
    batch = asked(capsys, run, "--n", 3, "--task", own, "--no-progress")
    assert [len(one["object"]) for one in batch] == [12] * 3
    assert {(one["predicted"], one["predicted_sd"]) for one in batch} == {("", "")}  # no surrogate
    results = tmp_path / "results.csv"
    results.write_text(f"id,object,score\n{batch[0]['id']},,5\n,111111111110,11\n,foo,1\n,111,1\n")
    assert main(["tell", str(run), str(results), "--task", own]) == 0
    told = capsys.readouterr().out
    assert "1 new, 1 measured elsewhere; 2 still open" in told
    assert "'foo' was left out" in told
    assert "'111' was left out: an object must be uint8[12], got uint8[3]" in told
    left = asked(capsys, run, "--pending", "--task", own)
    assert [one["id"] for one in left] == [one["id"] for one in batch[1:]]
    monkeypatch.delitem(sys.modules, "panel")
    task = importlib.import_module("panel").task
    with wrlso.open(run, task, progress=False) as study:
        assert [one.id for one in study.pending] == [one["id"] for one in left]


@pytest.mark.slow
def test_a_run_of_a_task_in_a_file_has_its_options_and_is_resumed(file, tmp_path, capsys):
    run, own = tmp_path / "run", f"{file}:make_task"
    words = ["--objective", "count", "--width", "6", "--seeds", "1", "--no-figures"]
    assert main(["run", own, *OPTIONS, *words, "--out", str(run)]) == 0
    assert main(["resume", str(run), "--task", own, "--budget", "20", "--no-figures"]) == 0
    result = wrlso.results.result.Result(run)
    assert result.folder.config.task_options == {"width": 6, "objective": "count"}
    for query in result.queries():
        if query.score is not None:
            assert query.score == np.frombuffer(query.object, np.uint8)[:6].sum()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("panel.py", "name the task in the file, as in"),
        ("panel.py:other", "has no task or function 'other'; its tasks are task"),
        ("panel.py:LENGTH", "has no task or function"),
        ("panel.py:untyped", "parameter 'width' becomes an option, so it needs a type"),
        ("panel.py:nothing", "returned int: return a wrlso.Task"),
        ("none.py:task", "there is no file"),
        ("panel:task", "one of your own is FILE.py:NAME"),
    ],
)
def test_a_task_that_is_not_there_is_named_with_the_remedy(file, name, reason, capsys):
    words = ["open", str(file.parent / name), "--out", str(file.parent / "run")]
    assert main(words) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def f(:\n", "cannot be loaded (line 1): SyntaxError"),
        ("x = 1\nx.y\n", "cannot be loaded (line 2): AttributeError"),
        ("import sys\nsys.exit(3)\n", "cannot be loaded (line 2): SystemExit: 3"),
        ("def f():\n    f()\nf()\n", "cannot be loaded (line 2): RecursionError"),
        ("int('many')\n", "cannot be loaded (line 1): invalid literal for int()"),
        ("\0", "cannot be loaded"),
        ("import no_such_module\n", "cannot be loaded (line 1): No module named"),
        ("def task():\n    return {}['x']\n", "made no task (line 2): KeyError: 'x'"),
        ("def task():\n    raise SystemExit(0)\n", "made no task (line 2): SystemExit: 0"),
        ("def task(n: int = 'x' * 3): pass\n", "returned NoneType: return a wrlso.Task"),
    ],
)
def test_a_file_that_fails_is_named_with_its_line(code, reason, tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "faulty.py"
    file.write_text(code)
    for verb in ("open", "run"):
        words = [verb, f"{file}:task", "--out", str(tmp_path / "run")]
        assert main(words) == 2
        said = capsys.readouterr().err
        assert said.count("wrlso: error: ") == 1
        assert str(file) in said
        assert reason in said
    assert not (tmp_path / "run").exists()


def test_every_hint_about_a_run_of_an_own_task_names_its_file(file, tmp_path, capsys):
    run, own = tmp_path / "run", f"{file}:task"
    assert main(["open", own, *OPTIONS, "--out", str(run)]) == 0
    # The record of a run begun by Python, or by pytest, names no file.
    assert main(["report", str(run)]) == 0
    named = "--task FILE.py:NAME"
    hint = f"wrlso ask {run} {named}, then wrlso tell {run} FILE {named}"
    assert f"Continue it with: {hint}" in capsys.readouterr().out
    folder = RunFolder(run)
    command = f"wrlso open {own} --out {run}"
    folder.config = replace(folder.config, provenance={"command": command})
    folder.save_config()
    assert main(["report", str(run)]) == 0
    hint = f"wrlso ask {run} --task {own}, then wrlso tell {run} FILE --task {own}"
    assert f"Continue it with: {hint}" in capsys.readouterr().out
    assert main(["resume", str(run), "--task", own]) == 2
    assert f"'wrlso ask {run} --task {own}'" in capsys.readouterr().err
    asked(capsys, run, "--n", "16", "--task", own)
    assert main(["ask", str(run), "--task", own]) == 0
    raises = f"'wrlso resume {run} --budget N --task {own}' raises it"
    assert raises in capsys.readouterr().err


def test_a_study_in_its_first_round_grows(file, tmp_path, capsys):
    """It has no model yet that figures could show."""
    run, own = tmp_path / "run", f"{file}:task"
    assert main(["open", own, *OPTIONS, "--out", str(run)]) == 0
    asked(capsys, run, "--n", "2", "--task", own)
    assert main(["resume", str(run), "--budget", "24", "--task", own]) == 0
    printed = capsys.readouterr().out
    assert "2 open, 2 of 24 queries" in printed
    assert f"next: wrlso ask {run} --task" in printed
    assert RunFolder(run).config.budget == 24


def test_a_run_of_an_own_task_says_how_to_name_it(file, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["open", f"{file}:task", *OPTIONS, "--out", str(run)]) == 0
    for words in (["ask", str(run)], ["resume", str(run)]):
        assert main(words) == 2
        assert "name it by --task FILE.py:NAME" in capsys.readouterr().err
