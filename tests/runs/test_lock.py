"""One process at a time changes a run: what another one is refused is left as it was."""

import dataclasses
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest

import wrlso
from tests.builders import (
    METHOD,
    ROOT,
    count_bits_on_host,
    host_task,
    make_tiny_task,
    tiny_run,
    tiny_sweep,
)
from wrlso import Result, methods, resume
from wrlso.cli.main import main
from wrlso.runs.checkpoints import opened
from wrlso.runs.folder import RunFolder
from wrlso.runs.growing import grow

LOCKED = """
import sys
from pathlib import Path
from wrlso.runs.lock import lock_of

with lock_of(Path(sys.argv[1]), "locked"):
    print("locked", flush=True)
    sys.stdin.read()
"""

MAKES = """
import sys
from pathlib import Path
from wrlso.runs.folder import RunFolder
from wrlso.runs.making import created

config = RunFolder(Path(sys.argv[2])).config
with created(Path(sys.argv[1]), config, []):
    print("made", flush=True)
    sys.stdin.read()
    raise ValueError("nothing came of it")
"""


@contextmanager
def another_process(program, *arguments):
    """A process that has said that it is there; it goes on at the end of the block."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdout.readline()
        yield process
        process.stdin.close()
        process.wait(60)


def files_of(path):
    return {
        str(one.relative_to(path)): one.read_bytes()
        for one in path.rglob("*")
        if one.is_file() and not one.name.startswith(("queries.sqlite-", ".lock"))
    }


@pytest.mark.parametrize("kind", ["in JAX", "on the host", "by people"])
@pytest.mark.parametrize("finished", [True, False])
def test_a_budget_that_is_refused_changes_nothing(tmp_path, kind, finished):
    path, task = tmp_path / "run", make_tiny_task()
    if kind == "by people":
        task = host_task(None)
        with wrlso.open(path, task, METHOD, budget=4, proposer="prior", progress=False) as study:
            study.tell({c.id: count_bits_on_host(c.object) for c in study.ask()})
    else:
        task = task if kind == "in JAX" else host_task(count_bits_on_host)
        tiny_run(path, task, budget=6, seeds=2, proposer="prior")
    if not finished:
        (path / "summary.json").unlink()
    before = files_of(path)
    with another_process(LOCKED, path):
        with pytest.raises(ValueError, match="is being run by another process: wait for it"):
            resume(path, task=task, budget=8, progress=False)
        assert files_of(path) == before
    with pytest.raises(ValueError, match=r"budget = 2 is below"):
        resume(path, task=task, budget=2, progress=False)
    assert files_of(path) == before
    resume(path, task=task, budget=8, progress=False)
    assert RunFolder(path).config.budget == 8


def test_the_summary_of_another_budget_is_no_end(tmp_path, capsys):
    """As a run left it that ended with its old budget after another process had raised it."""
    path, task = tmp_path / "run", host_task(count_bits_on_host)
    tiny_run(path, task, budget=6, seeds=1, proposer="prior")
    summary = (path / "summary.json").read_bytes()
    folder = RunFolder(path)
    grow(folder, task, None, None, 10)
    (path / "summary.json").write_bytes(summary)
    found = Result(path)
    assert not found.finished
    assert found.summary["state"] == "stopped"
    assert main(["report", str(path)]) == 0
    assert "stopped, 6 of 10 queries" in capsys.readouterr().out
    whole = resume(path, task=task, progress=False)
    assert whole.finished
    assert len(whole.queries()) == 10
    at_once = tiny_run(tmp_path / "whole", task, budget=10, seeds=1, proposer="prior")
    assert whole.queries() == at_once.queries()


def test_a_summary_that_lacks_queries_is_called_out_of_date_and_the_log_is_not_blamed(tmp_path):
    path, task = tmp_path / "run", host_task(count_bits_on_host)
    result = tiny_run(path, task, budget=6, seeds=1, proposer="prior")
    with closing(RunFolder(path).open_log()) as log:
        last = log.queries()[-1]
        log.add([dataclasses.replace(last, index=last.index + 1)])
    with pytest.raises(ValueError, match=r"summary\.json is out of date: it states 6 queries of s"):
        Result(path).queries()
    assert result.finished


def test_a_run_that_another_process_has_let_grow_is_not_driven_with_its_old_budget(tmp_path):
    """Such as one of a sweep that has read it, and waits for the others."""
    task = make_tiny_task()
    tiny_sweep(tmp_path, {"a": methods.lso()}, task, budget=6)
    read = RunFolder(tmp_path / "a")
    resume(tmp_path / "a", task=task, budget=8, progress=False)
    with (
        pytest.raises(ValueError, match=r"a has got budget = 8 from another process, in place of"),
        opened([read], task),
    ):
        pass


def test_a_new_folder_is_locked_from_its_making_on(tmp_path):
    """Nobody can fill a folder that its maker deletes."""
    old = tiny_run(tmp_path / "old", budget=4, seeds=1).folder.path
    with another_process(MAKES, tmp_path / "run", old):
        assert RunFolder(tmp_path / "run").is_locked()
        with pytest.raises(ValueError, match="is being run by another process"):
            resume(tmp_path / "run", task=make_tiny_task(), progress=False)
        with pytest.raises(ValueError, match="exists already and is never overwritten"):
            tiny_run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_another_process_has_locked_is_left_as_it_is(tmp_path):
    """Also where it is no run's yet, or has become one's meanwhile."""
    path = tmp_path / "run"
    path.mkdir()
    with another_process(LOCKED, path):
        with pytest.raises(ValueError, match="another process has just begun a run in out = "):
            tiny_run(path)
        assert path.exists()
    tiny_run(path, budget=4, seeds=1)  # a lock that is free is in nobody's way


def test_a_new_folder_that_holds_more_than_a_run_is_kept(tmp_path):
    old = tiny_run(tmp_path / "old", budget=4, seeds=1).folder.path
    with another_process(MAKES, tmp_path / "run", old):
        (tmp_path / "run" / "notes.txt").write_text("mine")
    assert RunFolder(tmp_path / "run").config.budget == 4
