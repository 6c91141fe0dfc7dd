"""Scores of many molecules: kept at once, and no molecule loses another's."""

import dataclasses
import importlib
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, closing

import numpy as np
import pytest

pytest.importorskip("rdkit")

from wrlso.chem.keys import own_modules
from wrlso.chem.objective import OBJECTIVES, make_objective
from wrlso.chem.score_cache import ScoreCache, score_file
from wrlso.chem.scores import penalized_logp
from wrlso.chem.scoring import check_scores, describe_failures, score_molecules
from wrlso.evaluation.pools import evaluating
from wrlso.evaluation.values import EvaluationError
from wrlso.storage.sealed import digest_of

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
@pytest.mark.slow
def test_trouble_with_a_molecule_loses_that_molecule_and_is_forgotten(batch_size, tmp_path):
    healed = tmp_path / "healed"

    def sometimes(smiles):
        return float(len(smiles)) if healed.exists() else troubled(smiles)

    objective = dataclasses.replace(make_objective(sometimes), batch_size=batch_size)
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

    healed.touch()  # as a licence server does
    again = score_molecules(CHAINS, objective, tmp_path, 2, timeout=1.5, progress=False)
    assert again.scores.tolist() == list(range(1, 31))
    assert again.failures == {}


@pytest.fixture
def counted(tmp_path):
    """An objective that depends on a file, its calls since the last look, and the file."""
    notes, factor = tmp_path / "notes", tmp_path / "factor"
    factor.write_text("1")

    def objective(smiles):
        with notes.open("a") as file:
            file.write(f"{smiles}\n")
        return float(factor.read_text()) * len(smiles)

    def calls():
        made = notes.read_text().split() if notes.exists() else []
        notes.unlink(missing_ok=True)
        return made

    return make_objective(objective), calls, factor


def test_what_is_known_is_checked_by_three_and_not_scored_again(counted, tmp_path):
    objective, calls, _ = counted
    score_molecules(CHAINS[:20], objective, tmp_path, 1, progress=False)
    assert sorted(calls(), key=len) == CHAINS[:20]
    more = score_molecules([*CHAINS, "CC"], objective, tmp_path, 1, progress=False)
    assert more.scores.tolist() == [*range(1, 31), 2]
    made = calls()
    assert sorted(made[3:], key=len) == CHAINS[20:]
    assert set(made[:3]) <= set(CHAINS[:20])
    assert score_molecules([], objective, tmp_path, 1, progress=False).scores.shape == (0,)
    assert calls() == []


def test_all_are_scored_again_if_a_known_score_differs(counted, tmp_path, caplog):
    """An edited helper module, data file or weight of a model has the key as it was."""
    objective, calls, factor = counted
    score_molecules(CHAINS[:20], objective, tmp_path, 1, progress=False)
    factor.write_text("-100")
    found = score_molecules(CHAINS, objective, tmp_path, 1, progress=False)
    assert found.scores.tolist() == [-100 * n for n in range(1, 31)]
    assert "all 20 kept scores are forgotten" in caplog.text
    calls()
    assert score_molecules(CHAINS, objective, tmp_path, 1, progress=False).scores[0] == -100
    assert len(calls()) == 3


def test_a_failure_of_the_check_tells_nothing(tmp_path):
    broken = tmp_path / "broken"

    def objective(smiles):
        if broken.exists():
            raise OSError("no licence")
        return float(len(smiles))

    made = make_objective(objective)
    score_molecules(CHAINS, made, tmp_path, 1, progress=False)
    broken.touch()
    found = score_molecules(CHAINS, made, tmp_path, 1, progress=False)
    assert found.scores.tolist() == list(range(1, 31))


def test_rescoring_asks_again_for_everything(counted, tmp_path):
    objective, calls, _ = counted
    for _ in range(2):
        with evaluating(rescore=True):
            score_molecules(CHAINS, objective, tmp_path, 1, progress=False)
        assert sorted(calls(), key=len) == CHAINS


def test_scores_of_built_in_objectives_are_trusted_as_their_key_is_complete(tmp_path, caplog):
    made = make_objective("qed")
    score_molecules(["CCO"], made, tmp_path, 1, progress=False)
    file = score_file(tmp_path, made)
    with closing(ScoreCache(file)) as cache:
        cache.keep({"CCO": 7.0})
    assert score_molecules(["CCO"], made, tmp_path, 1, progress=False).scores == [7]
    keys = {make_objective(name).key for name in OBJECTIVES}
    assert len(keys) == len(OBJECTIVES)
    for module in ("wrlso.chem.scores", "wrlso.chem.molecule"):
        assert module in own_modules(penalized_logp.__module__)
    assert "wrlso.chem.measures" in own_modules(make_objective("osmb").score.func.__module__)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (lambda n: n, None),
        (lambda n: -n, "opposite sign"),
        (lambda n: n / 4.184, "another unit than the objective, which is 4.184 times as large"),
        (lambda n: n + 0.3, "warned"),
    ],
)
def test_a_column_of_scores_is_checked_by_three(column, message, counted, caplog):
    objective, calls, _ = counted
    scores = np.array([column(n) for n in range(1, 31)], float)

    def check():
        check_scores(CHAINS, scores, "affinity", objective, 1)

    if message in (None, "warned"):
        check()
        assert ("differs from the objective" in caplog.text) == (message == "warned")
    else:
        with pytest.raises(ValueError, match=message):
            check()
    assert len(calls()) == 3


def test_a_program_that_never_answers_ends_early(tmp_path):
    """Before thousands of time limits: five molecules, not all thirty."""
    silent = f'{sys.executable} -c "import sys; sys.stdin.read()"'
    start = time.monotonic()
    made = make_objective(command=silent, feed="lines")
    with pytest.raises(EvaluationError, match=r"none of the first 5 objects.*flush its output"):
        score_molecules(CHAINS, made, tmp_path, 2, timeout=0.5, progress=False)
    assert time.monotonic() - start < 10
    made = make_objective(command="true")
    with pytest.raises(EvaluationError, match=r"printed nothing.*must print the score"):
        score_molecules(CHAINS, made, tmp_path, 2, timeout=5, progress=False)


def test_a_function_and_a_program_can_score_a_batch_at_once(tmp_path):
    def lengths(smiles):
        if "CCC" in smiles and len(smiles) > 1:
            raise ValueError("the whole batch fails")
        return [ValueError("four") if len(text) == 4 else len(text) for text in smiles]

    made = make_objective(lengths, batch_size=8)
    found = score_molecules(CHAINS, made, tmp_path, 1, progress=False)
    np.testing.assert_array_equal(found.scores, [n if n != 4 else np.nan for n in range(1, 31)])
    assert found.failures == {"CCCC": "ValueError: four"}
    starts = tmp_path / "starts"
    (tmp_path / "batch.py").write_text(
        f"import sys\nopen({str(starts)!r}, 'a').write('x')\n"
        "for line in sys.stdin: print(len(line) - 1)\n"
    )
    made = make_objective(command=f"{sys.executable} {tmp_path}/batch.py", feed="batch")
    found = score_molecules(CHAINS, made, tmp_path, 1, progress=False)
    assert found.scores.tolist() == list(range(1, 31))
    assert starts.read_text() == "x"


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
        "from wrlso.chem.score_cache import ScoreCache\n"
        "for name in sys.stdin:\n"
        "    ScoreCache(Path(sys.argv[1], name.strip())).close()\n"
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
        ({"batch_size": 3}, "applies to a function or to a command"),
        ({"objective": len, "batch_size": 0}, "batch_size = 0 must be at least 1"),
        ({"command": "cat", "batch_size": 3}, "goes with feed = 'batch' only, not 'argument'"),
        ({"command": "python a.py | tail"}, "no shell reads the command"),
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


def nothing(smiles):
    return 0.0


def test_an_objective_that_is_zero_everywhere_differs_from_a_column(caplog):
    objective = make_objective(nothing)
    check_scores(["CCO", "CCN", "CCC"], np.array([5.1, 6.2, 7.3]), "pIC50", objective, 1, 60)
    assert "score_column = 'pIC50' differs from the objective" in caplog.text


def test_a_negative_zero_is_kept(tmp_path):
    for _ in range(2):
        with closing(ScoreCache(tmp_path / "scores.sqlite")) as cache:
            cache.keep({"C": -0.0})
            assert cache.read(["C"]) == {"C": 0.0}


def test_a_negative_zero_of_an_earlier_version_is_read(tmp_path):
    with closing(ScoreCache(tmp_path / "scores.sqlite")) as cache:
        digest = digest_of(["scores.sqlite", "C", -0.0], 8)
        cache._db.execute("INSERT INTO scores VALUES ('C', -0.0, ?)", (digest,))
        assert cache.read(["C"]) == {"C": 0.0}
