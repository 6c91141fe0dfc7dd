"""Reports of runs that are not finished, and of folders that cannot be read."""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest

from tests.builders import ROOT, make_tiny_task, tiny_run, unfinish
from wrlso.cli.main import main

PROGRAM = """
    import sys, time
    from tests.builders import count_bits_on_host, host_task, tiny_run
    asked = []
    def objective(thing):
        asked.append(1)
        if len(asked) > 9:
            print("waiting", flush=True)
            time.sleep(600)
        return count_bits_on_host(thing)
    tiny_run(sys.argv[1], host_task(objective), proposer="prior", seeds=1)
"""


def a_run_that_waits(path) -> subprocess.Popen:
    """A process that has scored 9 of 12 queries."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(path)], cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    return process


def row_of(name: str, printed: str) -> str:
    (row,) = re.findall(rf"^\| {name} .*$", printed, re.MULTILINE)
    return row


@pytest.mark.slow
def test_a_report_of_a_running_a_killed_a_finished_and_a_broken_run(tmp_path, capsys):
    killed = a_run_that_waits(tmp_path / "killed")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    tiny_run(tmp_path / "finished", seeds=1)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    running = a_run_that_waits(tmp_path / "running")
    try:
        names = ("running", "killed", "finished", "broken", "nowhere")
        code = main(["report", *(str(tmp_path / name) for name in names)])
    finally:
        running.kill()
        running.wait()
    printed = capsys.readouterr()
    assert code == 0
    assert "running, 9 of 12 queries" in row_of("running", printed.out)
    assert "stopped, 9 of 12 queries" in row_of("killed", printed.out)
    assert "finished" in row_of("finished", printed.out)
    assert "broken/config.json cannot be read" in printed.err
    assert "nowhere is not a run folder" in printed.err


def test_a_single_unfinished_run_says_how_to_go_on(tmp_path, capsys):
    unfinish(tiny_run(tmp_path / "run", seeds=1).folder.path)
    assert main(["report", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr().out
    assert "This run is not finished (stopped, 12 of 12 queries)." in printed
    assert "| starting data |" in printed
    assert main(["report", str(tmp_path / "none")]) == 2


@pytest.mark.parametrize("best", [0.0, 99.0])
def test_a_run_that_is_no_better_than_its_start_says_so(tmp_path, best):
    result = tiny_run(tmp_path / "run", seeds=2, budget=4)
    result.summary["starting"]["best"] = best
    said = "No seed has improved on the best of the starting data, 99." in result.table()
    assert said == (best == 99.0)


def test_a_run_and_its_copy_are_no_two_runs(tmp_path, capsys):
    path = tiny_run(tmp_path / "first", budget=4).folder.path
    tiny_run(tmp_path / "other", budget=4)
    shutil.copytree(path, tmp_path / "copy")
    paths = [str(tmp_path / name) for name in ("first", "other", "copy")]
    said = "first and copy are one run, or copies of it: they are no independent repetitions"
    assert main(["report", *paths, "--html", str(tmp_path / "page.html")]) == 0
    assert said in capsys.readouterr().out
    page = (tmp_path / "page.html").read_text()
    assert said in page
    assert "other − first" in page
    assert "copy − first" not in page
    assert main(["report", *paths[:2]]) == 0
    assert "one run" not in capsys.readouterr().out
    assert main(["report", paths[0], paths[0]]) == 0
    assert "are one run" in capsys.readouterr().out


def test_runs_of_different_tasks_have_tables_of_their_own(tmp_path, capsys):
    """Also those of one task that are minimised and maximised."""
    tasks = {"up": {}, "down": {"minimize": True}, "again": {}}
    for name, changes in tasks.items():
        task = make_tiny_task(soft_objective=None, **changes)
        tiny_run(tmp_path / name, task, budget=4, seeds=1, proposer="prior")
    paths = [str(tmp_path / name) for name in tasks]
    assert main(["report", *paths, "--html", str(tmp_path / "page.html")]) == 0
    printed = capsys.readouterr().out
    assert "The runs are of 2 tasks, whose scores cannot be compared" in printed
    first, second = printed.split("| run ")[1:]
    assert "| up " in first
    assert "| again " in first
    assert "| down " in second
    page = (tmp_path / "page.html").read_text()
    assert "again − up" in page
    assert "down − up" not in page
