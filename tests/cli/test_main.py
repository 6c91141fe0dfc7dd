"""The command line as a subprocess, on the real shapes task."""

import contextlib
import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.builders import ROOT
from wrlso.chem.objective import OBJECTIVES
from wrlso.cli.main import main

BUDGET, EVERY, SEEDS = 60, 10, 2
TINY = ["--epochs", "0.1", "--budget", str(BUDGET), "--retrain-every", str(EVERY), "--seeds", "2"]
GRID = 2500
"""Evaluations per ask that the grid proposer does not charge."""

# Here time goes into training, too: XLA may optimise, unlike in the other tests.
FLAGS = [f for f in os.environ.get("XLA_FLAGS", "").split() if "optimization_level" not in f]
ENVIRONMENT = os.environ | {"XLA_FLAGS": " ".join(FLAGS)}


def wrlso(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "wrlso", *map(str, arguments)],
        capture_output=True, text=True, env=ENVIRONMENT, timeout=900,
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


def test_a_run_ends_with_a_table_and_figures(whole):
    out, done = whole
    assert "| mean" in done.stdout
    assert "query" in done.stderr  # the progress bar
    figures = [line.split(": ", 1)[1] for line in done.stdout.splitlines() if "figure:" in line]
    names = {Path(figure).stem for figure in figures}
    assert names == {
        "best_so_far", "weights", "prior_samples", "manifold", "best_objects", "progress",
        "latent_map",
    }  # fmt: skip
    for figure in figures:
        assert Path(figure).read_bytes().startswith((b"\x89PNG", b"%PDF"))
    summary = json.loads((out / "summary.json").read_text())
    assert summary["compilations"] == {"retrain": 1, "search": 1}


def test_the_summary_counts_what_the_log_holds(whole):
    """How many asks a seed needs depends on rounding; what each of them costs does not."""
    out, _ = whole
    queries = stored_queries(out)
    summary = json.loads((out / "summary.json").read_text())
    charged = [row for row in queries if row[-1] != "DUPLICATE"]
    assert summary["charged_evaluations"] == len(charged) <= SEEDS * BUDGET
    for seed in summary["seeds"]:
        own = [row for row in charged if row[0] == seed["seed"]]
        assert seed["charged"] == len(own) > 0
        assert seed["best"] == max(row[5] for row in own)
        assert len({row[4] for row in own}) == len(own)  # no object is charged twice
    asks = {(seed, round, index // EVERY) for seed, round, index, *_ in queries}
    assert summary["uncharged_evaluations"] == GRID * len(asks)


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_queries(whole, tmp_path):
    """SIGKILL in the middle, no chance to clean up."""
    out = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "wrlso", "run", "shapes", "--out", str(out), *TINY],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT,
    )  # fmt: skip
    deadline = time.monotonic() + 900
    while len(list(out.glob("checkpoints/round*.safetensors"))) < 1:
        assert time.monotonic() < deadline
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "summary.json").exists()
    before = stored_queries(out)
    assert len(before) < len(stored_queries(whole[0]))
    for seed in range(SEEDS):
        charged = [r for r in before if r[0] == seed and r[-1] != "DUPLICATE"]
        assert len(charged) >= 1  # a round is done
    done = wrlso("resume", out, "--no-figures", "--no-progress")
    assert done.returncode == 0, done.stderr
    after = stored_queries(out)
    assert after == stored_queries(whole[0])
    assert [row for row in after if row in before] == before


def test_ctrl_c_says_how_to_go_on(tmp_path):
    out, training = tmp_path / "interrupted", ["--pretrain-epochs", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "wrlso", "run", "shapes", "--out", str(out), *TINY, *training],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    deadline = time.monotonic() + 900
    while not (out / "queries.sqlite").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 130
    # Within a step the run says at once that it will stop; it may not have begun one yet.
    assert f"nothing is lost; continue with: wrlso resume {out}" in stderr
    assert "Traceback" not in stderr


def test_a_report_compares_runs_and_writes_every_query_as_csv(whole, tmp_path):
    done = wrlso("report", whole[0], whole[0], "--csv", tmp_path / "all.csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("shapes, weighted_retraining") == 2
    rows = list(csv.DictReader((tmp_path / "all.csv").open()))
    stored = stored_queries(whole[0])
    assert len(rows) == 2 * len(stored)
    for row, (seed, _, _, _, _, score, status) in zip(rows, stored * 2, strict=True):
        assert (row["seed"], row["status"]) == (str(seed), status)
        assert float(row["score"] or "nan") == pytest.approx(score or float("nan"), nan_ok=True)


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
def test_arguments_that_cannot_be_used_are_named(arguments, message, tmp_path, capsys):
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
        (["report"], "no run folder given: wrlso report RUN"),
        (["resume", str(Path(__file__).parent)], "not a run folder"),
    ],
)
def test_folders_that_cannot_be_used_are_named(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def printed(capsys, *arguments):
    """What a command prints, run in this process."""
    with contextlib.suppress(SystemExit):  # after --help
        main([*map(str, arguments)])
    return capsys.readouterr().out


def test_help_names_every_command_and_option(capsys):
    top = wrlso("--help")
    assert top.returncode == 0
    for word in ("run", "resume", "report", "tasks", "methods"):
        assert word in top.stdout
    task = printed(capsys, "run", "shapes", "--help")
    for option in ("--budget", "--retrain-every", "--k", "--seeds", "--seed-mode", "--devices"):
        assert option in task
    assert "weighted_retraining" in printed(capsys, "methods")
    assert "shapes" in printed(capsys, "tasks")


def test_help_names_every_objective_of_molecules(capsys):
    help_of_molecules = printed(capsys, "run", "molecules", "--help")
    assert [name for name in OBJECTIVES if name not in help_of_molecules] == []


def said_by(words, **streams):
    """Exit status and errors of the command in a process of its own."""
    command = [sys.executable, "-m", "wrlso", *words]
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, **streams)
    return done.returncode, done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device here")
def test_an_output_that_cannot_be_written_is_said_in_words():
    with open("/dev/full", "w") as full:
        status, said = said_by(["methods"], stdout=full)
    assert (status, said.count("\n")) == (2, 1)
    assert "the output cannot be written (No space left on device)" in said


def test_an_output_that_nobody_reads_ends_the_command_in_silence():
    reader, writer = os.pipe()
    os.close(reader)
    assert said_by(["completion", "bash"], stdout=writer) == (141, "")
    os.close(writer)
