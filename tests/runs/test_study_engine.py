"""Studies that change after their end: by corrected results, and by a larger budget."""

import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

import wrlso
from tests.builders import METHOD, ROOT, all_queries, count_bits_on_host, host_task, tiny_run
from wrlso import Result, resume
from wrlso.cli.main import main
from wrlso.results.export import write_csv
from wrlso.runs import telling
from wrlso.runs.folder import RunFolder
from wrlso.runs.telling import Entry

GROWS = """
import sys
from tests.builders import host_task
from wrlso import resume

resume(sys.argv[1], task=host_task(None), budget=int(sys.argv[2]), progress=False)
"""


def opened(path, **settings):
    return wrlso.open(path, host_task(None), METHOD, proposer="prior", progress=False, **settings)


def told_all(study):
    while batch := study.ask(2):
        study.tell([(c, count_bits_on_host(c.object)) for c in batch])


def grow_in_a_process(path, budget):
    command = [sys.executable, "-c", GROWS, str(path), str(budget)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def finished(tmp_path):
    with opened(tmp_path / "lab", budget=4) as study:
        told_all(study)
    assert Result(tmp_path / "lab").finished
    return tmp_path / "lab"


def by_python(path, file, name, score):
    with wrlso.open(path, host_task(None), progress=False) as study:
        study.tell({name: score}, replace=True)


def by_command(path, file, name, score):
    file.write_text(f"id,score\n{name},{'failed' if score is None else score}\n")
    assert main(["tell", str(path), str(file), "--replace"]) == 0


@pytest.mark.parametrize("tell", [by_python, by_command])
@pytest.mark.parametrize("score", [99.5, None])
def test_a_result_that_is_corrected_after_the_end_is_in_every_table(
    finished, tmp_path, tell, score, capsys
):
    before = Result(finished).summary
    best = max(all_queries(finished), key=lambda query: query.score)
    tell(finished, tmp_path / "results.csv", best.id, score)
    after = Result(finished)
    scores = [query.score for query in all_queries(finished) if query.score is not None]
    assert after.finished
    assert after.summary["best"]["mean"] == max(scores)
    assert after.summary["best"] != before["best"] or score is None
    assert after.summary["seeds"][0]["status"].get("FAILED", 0) == (score is None)
    assert np.nanmax(after.scores()[0]) == max(scores)
    assert main(["report", str(finished)]) == 0
    assert ("99.5" in capsys.readouterr().out) == (score is not None)


def test_what_is_told_as_it_is_known_leaves_the_summary_alone(finished, tmp_path):
    before = (finished / "summary.json").read_bytes()
    query = all_queries(finished)[0]
    for tell in (by_python, by_command):
        tell(finished, tmp_path / "results.csv", query.id, query.score)
        assert (finished / "summary.json").read_bytes() == before


def test_a_measurement_made_elsewhere_after_the_end_is_counted(finished):
    with wrlso.open(finished, host_task(None), progress=False) as study:
        study.tell([(np.array([255, 255], np.uint8), 16.0)])
    assert Result(finished).finished
    assert "1 measurements made elsewhere joined" in Result(finished).table()


def test_a_process_that_ends_once_it_has_recorded_leaves_no_old_summary(finished):
    """The summary goes first, and the next ask makes it again."""
    query, folder = all_queries(finished)[0], RunFolder(finished)
    entry = Entry("line 2", query.id, 99.0)
    with closing(folder.open_log()) as log:
        telling.record(log, query.seed, [entry], None, True, forget=folder.forget_summary)
    assert Result(finished).best == [99.0]
    assert not Result(finished).finished
    with wrlso.open(finished, host_task(None), progress=False) as study:
        assert study.ask() == []
    assert Result(finished).finished
    assert Result(finished).best == [99.0]


def test_a_run_whose_result_is_corrected_has_it_in_its_summary_and_its_state(tmp_path):
    task = host_task(count_bits_on_host)
    run = tiny_run(tmp_path / "run", task, METHOD, budget=4, seeds=1, proposer="prior")
    with wrlso.open(tmp_path / "run", task, progress=False) as study:
        study.tell({run.queries()[1].id: 50.0}, replace=True)
    again = Result(tmp_path / "run")
    assert again.best == [50.0]
    assert np.asarray(again.state(task=task).history.scores)[0].max() == 50.0


@pytest.mark.parametrize("at", ["asked", "told", "finished"])
def test_an_open_study_goes_on_to_the_budget_that_another_process_has_given_it(tmp_path, at):
    path = tmp_path / "lab"
    with opened(path, budget=4) as study:
        batch = study.ask(2)
        if at != "asked":
            study.tell([(c, count_bits_on_host(c.object)) for c in batch])
        if at == "finished":
            told_all(study)
        grow_in_a_process(path, 8)
        if at == "asked":
            study.tell([(c, count_bits_on_host(c.object)) for c in batch])
        told_all(study)
        assert study.charged == study.folder.config.queries == 8
        assert "8 of 8 asked for" in repr(study)
    result = Result(path)
    assert result.finished
    assert result.summary["budget"] == 8
    assert len(result.queries()) == 8
    write_csv([result], tmp_path / "all.csv")


def test_the_last_result_ends_no_study_that_has_grown_meanwhile(tmp_path):
    path = tmp_path / "lab"
    with opened(path, budget=4) as study:
        batch = study.ask(4)
        grow_in_a_process(path, 6)
        study.tell([(c, count_bits_on_host(c.object)) for c in batch])
        assert not (path / "summary.json").exists()
        told_all(study)
    assert Result(path).finished
    assert len(Result(path).queries()) == 6
    resume(path, task=host_task(None), progress=False)  # nothing is left to do
