"""The command line as a subprocess, on the real shapes task."""

import contextlib
import inspect
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wrlso.cli.main import main

TINY = [
    *("--pretrain-epochs", "1", "--epochs", "0.1"),
    *("--budget", "60", "--retrain-every", "10", "--seeds", "2"),
]

# Here time goes into training, too: XLA may optimise, unlike in the other tests.
FLAGS = [f for f in os.environ.get("XLA_FLAGS", "").split() if "optimization_level" not in f]
ENVIRONMENT = os.environ | {"XLA_FLAGS": " ".join(FLAGS)}


def wrlso(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "wrlso", *map(str, arguments)],
        capture_output=True, text=True, env=ENVIRONMENT, timeout=300,
    )  # fmt: skip


def stored_queries(run):
    db = sqlite3.connect(run / "queries.sqlite")
    rows = db.execute(
        'SELECT seed, round, "index", latent, object, score, status FROM queries '
        'ORDER BY seed, round, "index"'
    ).fetchall()
    db.close()
    return rows


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("cli") / "whole"
    done = wrlso("run", "shapes", "--out", out, *TINY)
    assert done.returncode == 0, done.stderr
    return out, done


def test_run_ends_with_a_table_and_figures(whole):
    out, done = whole
    assert "| mean" in done.stdout
    assert "query" in done.stderr  # the progress bar
    figures = [line.split(": ", 1)[1] for line in done.stdout.splitlines() if "figure:" in line]
    names = {Path(figure).stem for figure in figures}
    assert names == {"best_so_far", "weights", "prior_samples", "manifold", "best_objects"}
    for figure in figures:
        assert Path(figure).read_bytes().startswith(b"\x89PNG")
    summary = json.loads((out / "summary.json").read_text())
    assert summary["compilations"] == {"retrain": 1, "fit": 1, "ask": 1, "score": 1, "tell": 1}
    assert summary["charged_evaluations"] == 120
    assert summary["uncharged_evaluations"] == 2 * 6 * 2500
    assert len(stored_queries(out)) == 120


def test_a_killed_run_resumes_to_the_same_queries(whole, tmp_path):
    """SIGKILL in the middle, no chance to clean up."""
    out = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "wrlso.cli.main", "run", "shapes", "--out", str(out), *TINY],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT,
    )  # fmt: skip
    deadline = time.monotonic() + 200
    while len(list(out.glob("checkpoints/round*.safetensors"))) < 1:
        assert time.monotonic() < deadline
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "summary.json").exists()
    before = stored_queries(out)
    assert 20 <= len(before) < 120
    done = wrlso("resume", out, "--no-figures", "--no-progress")
    assert done.returncode == 0, done.stderr
    after = stored_queries(out)
    assert after == stored_queries(whole[0])
    assert [row for row in after if row in before] == before


def test_ctrl_c_says_how_to_go_on(tmp_path):
    out = tmp_path / "interrupted"
    process = subprocess.Popen(
        [sys.executable, "-m", "wrlso.cli.main", "run", "shapes", "--out", str(out), *TINY],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    deadline = time.monotonic() + 200
    while not (out / "queries.sqlite").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"wrlso resume {out}" in stderr
    assert "stopping after the present step" in stderr
    assert "Traceback" not in stderr


def test_report_compares_runs_and_writes_csv(whole, tmp_path):
    done = wrlso("report", whole[0], whole[0], "--csv", tmp_path / "all.csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("shapes, weighted_retraining") == 2
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 241


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "shapes", "--k", "0"], "k must be positive, got 0"),
        (["run", "shapes", "--k", "nan"], "k must be positive, got nan"),
        (["run", "expressions", "--target", "y"], "target 'y' is not an expression of x"),
        (["run", "expressions", "--data", "/nowhere.txt"], "No such file"),
        (["run", "shapes", "--budget", "0"], "budget must be at least 1 query, got 0"),
        (["run", "shapes", "--budget", "10", "--retrain-every", "20"], "above budget = 10"),
        (["run", "shapes", "--method", "magic"], "unknown method 'magic'; there are: lso"),
        (["run", "shapes", "--method", "lso", "--k", "0.1"], "fixes k = inf"),
        (["run", "shapes", "--proposer", "magic"], "unknown proposer 'magic'"),
        (["run", "shapes", "--devices", "0"], "devices must be between 1"),
        (["run", "circles"], "unknown task 'circles'; there are: shapes"),
        (["train", "circles", "--data", "circles.smi"], "no model of 'circles' can be trained"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path, capsys):
    out = tmp_path / "run"
    assert main([*arguments, "--out", str(out)]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed
    assert not out.exists()


def test_a_folder_is_never_overwritten(whole):
    again = wrlso("run", "shapes", "--out", whole[0], *TINY)
    assert again.returncode == 2
    assert "never overwritten" in again.stderr
    assert "wrlso resume" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "shapes", "--out", "/dev/null/run", *TINY], "cannot be written"),
        (["report"], "no run folder given: wrlso report FOLDER"),
        (["resume", str(Path(__file__).parent)], "not a run folder"),
    ],
)
def test_folders_that_cannot_serve(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_help_names_every_objective_of_molecules():
    from wrlso.chem.objective import OBJECTIVES
    from wrlso.cli.options import RUN_OPTIONS

    source = inspect.getsource(RUN_OPTIONS["molecules"])
    assert all(name in source for name in OBJECTIVES)


def printed(capsys, *arguments):
    """What a command prints, run in this process."""
    with contextlib.suppress(SystemExit):  # after --help
        main([*map(str, arguments)])
    return capsys.readouterr().out


def test_help_and_lists(capsys):
    top = wrlso("--help")
    assert top.returncode == 0
    for word in ("run", "resume", "report", "tasks", "methods"):
        assert word in top.stdout
    task = printed(capsys, "run", "shapes", "--help")
    for option in ("--budget", "--retrain-every", "--k", "--seeds", "--seed-mode", "--devices"):
        assert option in task
    assert "weighted_retraining" in printed(capsys, "methods")
    assert "shapes" in printed(capsys, "tasks")
