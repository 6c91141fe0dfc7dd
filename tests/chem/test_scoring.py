"""Scores of many molecules: kept at once, and no molecule loses another's."""

import dataclasses
import importlib
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import numpy as np
import pytest

pytest.importorskip("rdkit")

from wrlso.chem.objective import OBJECTIVES, make_objective
from wrlso.chem.scoring import describe_failures, score_molecules

CHAINS = ["C" * n for n in range(1, 31)]


def troubled(smiles):
    """Trouble of every kind, by length."""
    n = len(smiles)
    if n == 3:
        raise KeyError("three")
    if n == 4:
        return float("nan")
    if n == 5:
        os._exit(3)
    if n == 6:
        time.sleep(60)
    if n == 7:
        return "seven"
    return float(n)


@pytest.mark.parametrize("batch_size", [1, 10])
def test_trouble_with_a_molecule_loses_that_molecule_and_is_not_asked_for_again(
    batch_size, tmp_path
):
    objective = dataclasses.replace(make_objective(troubled), batch_size=batch_size)
    found = score_molecules(CHAINS, objective, tmp_path, 2, timeout=1.5, progress=False)
    bad = [3, 4, 5, 6, 7]
    expected = [np.nan if n in bad else n for n in range(1, 31)]
    np.testing.assert_array_equal(found.scores, expected)
    reasons = [found.failures["C" * n] for n in bad]
    words = ("KeyError", "score is nan", "exited with code 3", "within 1.5 s", "not a number")
    assert all(word in reason for word, reason in zip(words, reasons, strict=True))
    text = describe_failures(found)
    assert text.startswith("5 of 30 molecules have no score")
    assert "and 2 other reasons" in text

    start = time.monotonic()
    again = score_molecules(CHAINS, objective, tmp_path, 2, timeout=1.5, progress=False)
    assert time.monotonic() - start < 1.5  # the hanging one would take as long
    np.testing.assert_array_equal(again.scores, found.scores)
    assert again.failures == found.failures
    # A longer limit is another question.
    longer = score_molecules(CHAINS[:6], objective, tmp_path, 2, timeout=2.5, progress=False)
    assert "within 2.5 s" in longer.failures["C" * 6]


def test_only_what_is_new_is_scored(tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()

    def objective(smiles):
        (calls / smiles).touch()
        return float(len(smiles))

    made = make_objective(objective)
    score_molecules(["C", "CC"], made, tmp_path, 1, progress=False)
    (calls / "C").unlink()
    more = score_molecules(["CC", "CCC", "C", "CC"], made, tmp_path, 1, progress=False)
    assert more.scores.tolist() == [2, 3, 1, 2]
    assert sorted(path.name for path in calls.iterdir()) == ["CC", "CCC"]
    assert score_molecules([], made, tmp_path, 1, progress=False).scores.shape == (0,)


def test_another_function_of_the_same_name_has_other_scores(tmp_path):
    for value in (1.0, 2.0):
        made = make_objective(lambda smiles, value=value: value)
        assert score_molecules(["C"], made, tmp_path, 1, progress=False).scores == [value]
    program = tmp_path / "score.py"
    for value in (3.0, 4.0):
        program.write_text(f"print({value})")
        made = make_objective(command=f"{sys.executable} {program}")
        assert score_molecules(["C"], made, tmp_path, 1, progress=False).scores == [value]


_MODULE = """
import functools
def plain(smiles): return {value}
cached = functools.cache(plain)
part = functools.partial(lambda smiles, by: {value} * by, by=1)
class Model:
    def __call__(self, smiles): return {value}
model = Model()
"""


@pytest.mark.parametrize("name", ["plain", "cached", "part", "model"])
def test_a_function_whose_file_has_changed_has_other_scores(name, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    keys = set()
    for value in (1.0, 2.0, 2.0):
        (tmp_path / "mine.py").write_text(_MODULE.format(value=value))
        sys.modules.pop("mine", None)
        importlib.invalidate_caches()
        keys.add(make_objective(getattr(importlib.import_module("mine"), name)).key)
    sys.modules.pop("mine")
    assert len(keys) == 2


def test_processes_may_begin_together(tmp_path):
    """As several runs do that are started at once, on data that were never scored."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from wrlso.chem.scoring import open_scores\n"
        "for name in sys.stdin:\n"
        "    open_scores(Path(sys.argv[1], name.strip())).close()\n"
        "    print(name, flush=True)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with ExitStack() as stack:
        others = [stack.enter_context(subprocess.Popen(command, **pipes)) for _ in range(3)]
        for number in range(60):
            for other in others:
                other.stdin.write(f"{number}\n")
            assert [other.stdout.readline().strip() for other in others] == [str(number)] * 3
            assert {other.stdout.readline() for other in others} == {"\n"}
        for other in others:
            other.stdin.close()


def test_what_was_scored_before_a_kill_is_kept(tmp_path):
    """A process that is killed loses the last second's scores at most."""
    script = tmp_path / "slow.py"
    script.write_text(
        "import sys, time\n"
        "from wrlso.chem.objective import Objective\n"
        "from wrlso.chem.scoring import score_molecules\n"
        "def slow(smiles):\n"
        "    time.sleep(0.1)\n"
        "    return float(len(smiles))\n"
        "objective = Objective('slow', slow, 'slow 1', 0.0)\n"
        "score_molecules(['C' * n for n in range(1, 400)], objective, sys.argv[1], 2)\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("scores-*.sqlite*")) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(4)
        process.send_signal(signal.SIGKILL)
    asked = []

    def counting(smiles):
        asked.append(smiles)
        return float(len(smiles))

    # In this process: the pool is not needed to count.
    objective = dataclasses.replace(make_objective(counting), key="slow 1")
    smiles = ["C" * n for n in range(1, 400)]
    found = score_molecules(smiles, objective, tmp_path, 2, progress=False)
    assert found.scores.tolist() == list(range(1, 400))
    import sqlite3

    (kept,) = tmp_path.glob("scores-*.sqlite")
    with sqlite3.connect(kept) as db:
        assert db.execute("SELECT COUNT(*) FROM scores").fetchone() == (399,)


def test_objectives_have_names_that_cannot_be_mistaken():
    def qed(smiles):
        return -1.0

    mine = make_objective(qed)
    assert mine.name == "function qed"
    assert mine.penalty == "lowest"
    assert make_objective("qed").score("C") != -1
    with pytest.raises(ValueError, match="pass the task that it began with"):
        make_objective("function qed")
    assert {make_objective(name).name for name in OBJECTIVES} == set(OBJECTIVES)
    assert make_objective("penalized_logp").penalty == -4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objective": "qed", "command": "echo 1"}, "give one of the two"),
        ({"feed": "lines"}, "give a command, too"),
        ({"command": "echo 'one"}, "cannot be read: No closing quotation"),
        ({"objective": "magic"}, "unknown objective 'magic'; there are: penalized_logp, qed"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_objective(**arguments)


def test_a_program_is_found_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "score.py").write_text("print(7)")
    monkeypatch.chdir(tmp_path)
    made = make_objective(command=f"{sys.executable} score.py")
    monkeypatch.chdir("/")
    assert made.score("C") == 7
