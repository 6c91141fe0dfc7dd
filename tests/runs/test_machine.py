"""Full disks, names and texts that no file holds: the file is named, and nothing is lost."""

import shutil
import sqlite3
from contextlib import closing

import pytest

import wrlso
from tests.builders import (
    METHOD,
    Killed,
    all_queries,
    count_bits_on_host,
    host_task,
    make_tiny_task,
    tiny_run,
    unfinish,
)
from tests.damage import full_disk
from wrlso import Result, resume
from wrlso.cli.main import main
from wrlso.runs import session
from wrlso.runs.folder import RunFolder
from wrlso.runs.log import Query, QueryLog
from wrlso.runs.rows import COLUMNS, check_rows
from wrlso.runs.session import Session
from wrlso.status import Status

ODD_TEXTS = ["\udcff is lone", "a\0b", "x" * 3_000_000, "\n", 7]


def rows_of(path):
    """All rows, but for the times that they took."""
    with closing(sqlite3.connect(path / "queries.sqlite")) as db:
        for table in COLUMNS:
            check_rows(db, table)
        return [db.execute(f"SELECT * FROM {t}").fetchall() for t in COLUMNS if t != "timings"]


def test_a_run_on_a_full_disk_names_a_file_and_goes_on_later(tmp_path):
    task, limit = host_task(count_bits_on_host), full_disk(1000)
    settings = dict(task=task, seeds=1, proposer="prior")
    truth = rows_of(tiny_run(tmp_path / "whole", **settings).folder.path)
    path = tmp_path / "run"
    try:
        with pytest.raises((OSError, sqlite3.OperationalError), match=f"{path}/queries.sqlite"):
            tiny_run(path, callback=lambda event: limit.__enter__(), **settings)
    finally:
        limit.__exit__(None, None, None)
    assert len(all_queries(path)) == 4
    resume(path, task=task, progress=False)
    assert rows_of(path) == truth


def test_a_log_on_a_full_disk_keeps_what_it_has(tmp_path):
    path = tmp_path / "queries.sqlite"
    new = [Query(0, 0, i, b"\0" * 8, b"\0" * 9000, 1.0, Status.OK) for i in range(20)]
    with closing(QueryLog(path)) as log:
        log.add(new[:2])
        with full_disk(80_000), pytest.raises(sqlite3.OperationalError, match=r"queries\.sqlite: "):
            log.add(new)
        assert log.queries() == new[:2]
        log.add(new)
        assert log.queries() == new


@pytest.mark.parametrize("text", ODD_TEXTS, ids=range(len(ODD_TEXTS)))
def test_whatever_a_user_calls_an_object_is_kept_in_some_form(text, tmp_path):
    task = make_tiny_task(to_text=lambda thing: text)
    found = tiny_run(tmp_path / "run", task, seeds=1).queries()
    assert len(found) == 12
    assert all(0 < len(query.text) <= 10_000 for query in found)
    rows_of(tmp_path / "run")


def test_whatever_people_say_of_a_failure_is_kept_in_some_form(tmp_path):
    settings = dict(budget=12, proposer="prior", progress=False)
    path = tmp_path / "run"
    with wrlso.open(path, host_task(wrlso.tasks.measured), METHOD, **settings) as study:
        asked = study.ask(4)
        reasons = {c.id: str(t) for c, t in zip(asked, ODD_TEXTS, strict=False)}
        study.tell([(c, None) for c in asked], reasons=reasons, source="\udcff.csv")
    rows_of(path)
    found = all_queries(path)
    assert all(q.status == Status.FAILED for q in found)
    assert max(len(q.reason or "") for q in found) == 500
    assert found[0].reason == "\\udcff is lone"
    with wrlso.open(path, host_task(wrlso.tasks.measured), METHOD, **settings) as study:
        assert len(study.ask(4)) == 4


@pytest.mark.parametrize("name", ["queries.sqlite", "queries.sqlite-wal"])
def test_a_log_that_cannot_be_read_is_no_empty_run(name, tmp_path, capsys):
    """Folders stand for whatever keeps a file from being opened, such as a medium's faults."""
    path = tiny_run(tmp_path / "run", seeds=1).folder.path
    unfinish(path)
    (path / name).unlink(missing_ok=True)
    (path / name).mkdir()
    assert main(["report", str(path)]) == 2
    assert f"{path}/queries.sqlite" in capsys.readouterr().err
    with pytest.raises(sqlite3.OperationalError, match=str(path / "queries.sqlite")):
        Result(path)
    with pytest.raises(sqlite3.OperationalError, match=str(path / "queries.sqlite")):
        resume(path, task=make_tiny_task(), progress=False)


def test_a_run_that_was_stopped_while_its_log_was_made_is_an_empty_run(tmp_path):
    path = tiny_run(tmp_path / "run", seeds=1, proposer="prior").folder.path
    for file in [*path.glob("queries*"), *path.glob("checkpoints/*"), path / "summary.json"]:
        file.unlink()
    (path / "queries.sqlite").touch()
    assert Result(path).summary["state"] == "stopped"
    assert not Result(path).queries()
    assert len(resume(path, task=make_tiny_task(), progress=False).queries()) == 12


def test_links_in_a_circle_are_an_error_of_the_machine_or_replaced(tmp_path):
    path = tiny_run(tmp_path / "run", seeds=1, proposer="prior").folder.path
    shutil.rmtree(path / "checkpoints")
    (path / "checkpoints").mkdir()
    links = [path / "summary.json", path / "checkpoints" / "round00001.safetensors"]
    for link in links:
        link.unlink(missing_ok=True)
        link.symlink_to(link.name)
    with pytest.raises(OSError, match=links[1].name):
        resume(path, task=make_tiny_task(), progress=False)
    links[1].unlink()
    assert resume(path, task=make_tiny_task(), progress=False).finished
    assert links[0].is_file()


def test_a_power_failure_costs_the_rounds_that_were_not_forced_to_the_disk(tmp_path, monkeypatch):
    """The last checkpoint is empty, and the log has the rows of the first round only."""
    settings = dict(seeds=1, budget=40, proposer="prior")
    whole = tiny_run(tmp_path / "whole", **settings)
    path, original = tmp_path / "run", Session._run_round

    def dies(self, check_interrupt):
        if self.round == 4:
            raise Killed
        original(self, check_interrupt)

    monkeypatch.setattr(session, "_FORCE", 1e9)  # the first round is forced
    with monkeypatch.context() as patch:
        patch.setattr(Session, "_run_round", dies)
        with pytest.raises(Killed):
            tiny_run(path, **settings)
    folder = RunFolder(path)
    assert folder.checkpoints() == [1, 4]
    folder.checkpoint_file(4).write_bytes(b"")
    with closing(folder.open_log()) as log:
        log.forget_from(1)
    with pytest.raises(ValueError, match=r"round00004\.safetensors is damaged: .*delete it, and"):
        resume(path, task=make_tiny_task(), progress=False)
    folder.checkpoint_file(4).unlink()
    assert resume(path, task=make_tiny_task(), progress=False).queries() == whole.queries()
    assert folder.checkpoints() == RunFolder(tmp_path / "whole").checkpoints() == [1, 5, 10]
