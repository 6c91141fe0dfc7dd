"""Ask and tell: candidates that people measure."""

import contextlib
import csv
import dataclasses
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import wrlso
from tests.builders import ROOT, all_queries, logged_rounds, tiny_run
from tests.torture.laboratory import METHOD, SETTINGS, lab, objective, task
from wrlso import tasks
from wrlso.cli.main import main
from wrlso.cli.study import write_batch
from wrlso.runs.rows import PredictedScore
from wrlso.runs.telling import Candidate


def measured(candidate):
    try:
        return objective(candidate.object)
    except ValueError:
        return None


def results_of(candidates):
    return {c.id: measured(c) for c in candidates}


def outcome(path):
    return [(q.id, q.latent, q.object, q.score, q.status) for q in all_queries(path)]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "run"
    return tiny_run(path, task(), METHOD, seeds=1, **SETTINGS)


ASK = "import sys; from tests.torture.laboratory import ask_once; ask_once(sys.argv[1])"


def ask_in_a_process(path, kill_after=None):
    """Ask in another process; the seconds that it took once it had loaded everything, or None if it
    was killed: after ``kill_after`` seconds."""
    with subprocess.Popen(
        [sys.executable, "-c", ASK, str(path)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "go\n"
        start = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(kill_after)
            assert process.stdout.readline() == "asked\n"
            return time.monotonic() - start
        process.send_signal(signal.SIGKILL)
    return None


def test_five_weeks_in_a_laboratory_are_the_run_that_was_told_the_same(plain, tmp_path):
    """Partial results in any order, failures, repeats; processes that are killed, and others."""
    path = tmp_path / "lab"
    rng = np.random.default_rng(0)
    seconds = ask_in_a_process(path)
    killed = False
    for week in range(5):
        if week and not killed:  # at a random instant of an ask, which is asked again
            killed = ask_in_a_process(path, kill_after=rng.uniform(0, seconds)) is None
        study = lab(path)
        batch = study.pending or study.ask(8)
        assert len({c.id for c in batch}) == len(batch) == 8
        known = study.result().predictions()
        expected = {f"r{round}q{index}": tuple(p) for (_, round, index), p in known.items()}
        assert [c.prediction for c in batch] == [expected[c.id] for c in batch]
        order = [batch[i] for i in rng.permutation(8)]
        first, late = order[:5], order[5:]
        study.tell(results_of(first))
        study.tell(results_of(first[:2]))  # once more
        del study  # nothing is closed
        again = lab(path)
        assert {c.id for c in again.pending} == {c.id for c in late}
        again.tell(results_of(late))
        again.close()
    assert killed
    assert outcome(path) == outcome(plain.folder.path)
    result = wrlso.Result(path)
    ours, theirs = (r.state(task=task()) for r in (result, plain))
    for mine, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(mine, other)
    assert logged_rounds(path) == logged_rounds(plain.folder.path)
    assert result.summary["seeds"][0]["best"] == plain.summary["seeds"][0]["best"]


@pytest.mark.slow
def test_results_that_come_after_the_next_ask_depend_on_nothing_but_what_was_known(tmp_path):
    """The same weeks in one process and in one per step; and pending objects are not proposed."""

    def weeks(path, again):
        study, late = lab(path), []
        for _ in range(4):
            batch = study.ask(8)
            study = again(study)
            study.tell(results_of(late))  # of the week before
            study.tell(results_of(batch[3:]))
            study, late = again(study), batch[:3]
        assert {c.id for c in study.pending} == {c.id for c in late}
        study.tell(results_of(late))
        return study

    def reopened(study):
        study.close()
        return lab(study.folder.path)

    one = weeks(tmp_path / "one", lambda study: study)
    other = weeks(tmp_path / "other", reopened)
    assert outcome(one.folder.path) == outcome(other.folder.path)
    objects = [q.object for q in one.queries() if q.status.charged]
    assert len(set(objects)) == len(objects) == 32
    assert one.ask(8)
    assert one.charged == 40


@pytest.mark.slow
def test_the_batches_of_the_run_itself_are_asked_for_without_a_number(tmp_path):
    """Here most proposals are other spellings of known objects."""

    def canonical(thing):
        return ((1 << np.bitwise_count(thing).astype(int)) - 1).astype(np.uint8)

    spelled = wrlso.HostObjective(objective, canonical)
    settings = SETTINGS | {"budget": 24}
    plain = tiny_run(tmp_path / "plain", task(spelled), METHOD, seeds=1, **settings)
    with wrlso.open(tmp_path / "lab", task(spelled), METHOD, **settings) as study:
        while batch := study.ask():
            study.tell([(c, measured(c)) for c in reversed(batch)])
    assert outcome(tmp_path / "lab") == outcome(plain.folder.path)
    assert plain.summary["seeds"][0]["status"]["DUPLICATE"] > 0


PRIOR = SETTINGS | dict(batch=None, proposer="prior")


def told(path, text, name="results.csv"):
    (path / name).write_text(text)
    return path / name


def bits(base: int = 2) -> wrlso.Task:
    """Set as many of 16 bits as possible.

    Args:
      base: of the numbers that a string is written as.
    """

    def to_text(thing):
        return f"{thing[0]:0{8}b}{thing[1]:0{8}b}"

    def from_text(text):
        return np.array([int(text[:8], base), int(text[8:16], base)], np.uint8)

    return dataclasses.replace(task(None), name="bits", to_text=to_text, from_text=from_text)


@pytest.fixture
def registered(monkeypatch):
    """The command line knows a tiny task."""
    names = type(tasks.TASKS)._names
    monkeypatch.setattr(type(tasks.TASKS), "_names", (*names, "bits"))
    monkeypatch.setattr(tasks, "bits", bits, raising=False)


def test_a_batch_is_printed_with_the_scores_that_the_model_expects(capsys):
    thing, latent = np.zeros(2, np.uint8), np.array([0.25, -1.0], np.float32)
    expected = PredictedScore(-76e6 + 0.5, 0.125)
    with_it = Candidate("r0q0", "CCO", thing, latent, expected)
    write_batch([with_it, dataclasses.replace(with_it, id="r0q1", prediction=None)])
    first, second = csv.DictReader(capsys.readouterr().out.splitlines())
    assert (float(first["predicted"]), float(first["predicted_sd"])) == expected
    assert (second["predicted"], second["predicted_sd"]) == ("", "")
    assert (first["object"], first["score"], first["latent"]) == ("CCO", "", "[0.25, -1.0]")


def test_the_command_line_asks_and_tells(registered, tmp_path, capsys):
    path = tmp_path / "lab"
    options = ["--budget", "6", "--retrain-every", "3", "--proposer", "prior", "--no-progress"]
    assert main(["open", "bits", "--out", str(path), *options]) == 0
    assert f"wrlso ask {path}" in capsys.readouterr().out
    assert main(["ask", str(path), "--no-progress"]) == 0
    printed = capsys.readouterr()
    rows = list(csv.DictReader(printed.out.splitlines()))
    assert [row["id"] for row in rows] == ["r0q0", "r0q1", "r0q2"]
    assert "3 of 6 asked for, 3 open" in printed.err
    file = told(tmp_path, "\ufeffid;score;reason\nr0q1;0.25;\nr0q0;;\nr0q2;failed;dry\n")
    assert main(["tell", str(path), str(file)]) == 0
    assert "1 new, 1 failed; 1 still open" in capsys.readouterr().out
    assert main(["tell", str(path), str(file)]) == 0
    assert "2 told before; 1 still open" in capsys.readouterr().out
    assert main(["ask", str(path), "--pending"]) == 0
    assert [r["id"] for r in csv.DictReader(capsys.readouterr().out.splitlines())] == ["r0q0"]
    # The open one by its text, another object, one that is none, and one told otherwise.
    lines = f"{rows[0]['object']},0.5\n{'1' * 16},0.75\n2,1\n{rows[1]['object']},9\n"
    assert main(["tell", str(path), str(told(tmp_path, f"object,score\n{lines}"))]) == 0
    printed = capsys.readouterr().out
    assert "1 new, 1 measured elsewhere; 0 still open" in printed
    assert "line 4: '2' was left out" in printed
    assert "line 5: r0q1 was told as 0.25 before, which stays" in printed
    with wrlso.open(path, progress=False) as study:
        known = study.queries()
        assert [(q.score, q.reason) for q in known] == [(0.5, None), (0.25, None), (None, "dry")]
        again = study.ask(3)
        assert {c.text for c in again}.isdisjoint({"1" * 16, *(q.text for q in known)})
        study.tell({c.id: 1.0 for c in again})
        assert study.ask() == []
    assert main(["report", str(path)]) == 0
    assert "1 measurements made elsewhere joined the data" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,score\nr0q0,1\nr9q9,1\n", "there is no candidate 'r9q9'"),
        ("id,score\nM0,1\n", "rename a column 'id' that names compounds"),
        ("id,score\nr0q0,1.5\nr0q1,\"7,1\"\n", "the score '7,1' has a decimal comma, which others"),
        ("id,score\nr0q0,1\nr0q1,7,1\n", "line 3: 3 fields, the header has 2: quote text"),
        ("id,score\nr0q0,1_000\n", "the score '1_000' is not a finite number: write it without"),
        ("id,score\nr0q0,1e39\n", "the score '1e39' is beyond 3.4e+38"),
        ("id,score\nr0q0,infinity\n", "'infinity' is not a finite number; a failure is written"),
        ("id,score\nr0q0,inf\n", "'inf' is not a finite number"),
        ("id,value\nr0q0,1\n", "has no column 'score'; it has: id, value. Name one by --score-co"),
        ("name,score\nr0q0,1\n", "neither a column 'id' nor 'object'"),
        ("id,score,score\nr0q0,1,2\n", "has 2 columns 'score': rename or drop all but one"),
        ("id,score,id\nr0q0,1,r0q1\n", "has 2 columns 'id'"),
        ("smiles,score,smiles\nC,1,N\n", "has 2 columns 'smiles'"),
        ("id,score,reason,reason\nr0q0,1,a,b\n", "has 2 columns 'reason'"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_records_nothing(tmp_path, text, message, capsys):
    folder = lab(tmp_path / "run", proposer="prior", batch=None).folder
    before = all_queries(folder.path)
    assert main(["tell", str(folder.path), str(told(tmp_path, text))]) == 2
    assert message in capsys.readouterr().err
    assert all_queries(folder.path) == before


def test_columns_and_files_that_a_user_names_must_be_there(tmp_path, capsys):
    folder = str(lab(tmp_path / "run", proposer="prior", batch=None).folder.path)
    file = str(told(tmp_path, "object,score\n11,1\n"))
    for words, message in (
        ([file, "--column", "strcture"], "has no column 'strcture'; it has: object, score. Name"),
        ([file, "--column", "smiles"], "has no column 'smiles'"),
        ([file, "--score-column", "pIC50"], "Name one by --score-column"),
        ([str(tmp_path / "none.csv")], f"there is no file {tmp_path / 'none.csv'}: name the CSV"),
        ([str(tmp_path)], f"{tmp_path} is a folder: name a CSV file in it"),
    ):
        assert main(["tell", folder, *words]) == 2
        assert message in capsys.readouterr().err


def test_results_as_spreadsheets_write_them(registered, tmp_path, capsys):
    """A line that names the separator, decimal commas, line breaks in quotes, and a lone quotation
    mark, which swallows no other line."""
    with wrlso.open(tmp_path / "lab", bits(), METHOD, **PRIOR) as study:
        study.ask(4)
    text = 'sep=;\nid;score;reason\nr0q0;0,25;\nr0q1;;"bad\nsolubility"\nr0q2;;"dry\nr0q3;-1,5;\n'
    assert main(["tell", str(tmp_path / "lab"), str(told(tmp_path, text))]) == 0
    assert "2 new, 2 failed; 0 still open" in capsys.readouterr().out
    with wrlso.open(tmp_path / "lab") as study:
        found = [(q.score, q.reason) for q in study.queries()]
    assert found == [(0.25, None), (None, "bad solubility"), (None, '"dry'), (-1.5, None)]


def test_ids_and_objects_that_were_sorted_apart_are_refused(registered, tmp_path, capsys):
    with wrlso.open(tmp_path / "lab", bits(), METHOD, **PRIOR) as study:
        one, other = study.ask(2)
    rows = f"id,object,score\n{{}},{one.text},1\n{{}},{{}},2\n"
    wrong = rows.format(other.id, one.id, other.text), rows.format(one.id, other.id, "no object")
    for text, fault in zip(
        wrong,
        (
            f"line 2: candidate {other.id} is {other.text}, and the row has {one.text}",
            f"line 3: candidate {other.id} is {other.text}, and the row has no object",
        ),
        strict=True,
    ):
        assert main(["tell", str(tmp_path / "lab"), str(told(tmp_path, text))]) == 2
        printed = capsys.readouterr().err
        assert fault in printed
        assert "put ids beside their objects again, or drop the column" in printed
    # Another spelling of the candidate is the candidate.
    text = rows.format(one.id, other.id, f"{other.text}0")
    assert main(["tell", str(tmp_path / "lab"), str(told(tmp_path, text))]) == 0
    assert "2 new; 0 still open" in capsys.readouterr().out


def test_a_study_is_opened_again_with_its_settings(registered, tmp_path, capsys):
    words = ["open", "bits", "--out", str(tmp_path / "lab"), "--retrain-every", "3"]
    words += ["--proposer", "prior", "--no-progress", "--budget"]
    for _ in range(2):
        assert main([*words, "6"]) == 0
        assert f"next: wrlso ask {tmp_path / 'lab'}" in capsys.readouterr().out
    assert main([*words, "7"]) == 2
    assert "holds another run (budget: 6 -> 7)" in capsys.readouterr().err
    neither = dict(rescore=False, executor=None, start_from=None, progress=False)
    wrlso.open(tmp_path / "lab", bits(), **neither).close()
    with wrlso.open(tmp_path / "other", bits(), METHOD, **PRIOR) as other:
        other.tell({c.id: 1.0 for c in other.ask(2)})
    with pytest.raises(ValueError, match=r"start_from = .*began without its queries: leave start_"):
        wrlso.open(tmp_path / "lab", bits(), start_from=tmp_path / "other")
    again = dict(start_from=tmp_path / "other", **PRIOR)
    wrlso.open(tmp_path / "third", bits(), METHOD, **again).close()
    wrlso.open(tmp_path / "third", bits(), **again).close()
    for name, value in {"rescore": True, "executor": "dask://127.0.0.1:1"}.items():
        with pytest.raises(ValueError, match=rf"{name} = .*evaluates objectives, and people meas"):
            wrlso.open(tmp_path / "fourth", bits(), METHOD, **{name: value})
    scored = task()
    wrlso.open(tmp_path / "scored", scored, METHOD, **PRIOR).close()
    with pytest.raises(ValueError, match=r"rescore = True scores the starting data of a new run"):
        wrlso.open(tmp_path / "scored", scored, rescore=True)
    assert main(["ask", str(tmp_path / "lab"), "--pending", "--n", "3"]) == 2
    assert "--pending asks for no new candidates, and --n 3 does" in capsys.readouterr().err


def test_an_unfinished_study_goes_on_by_ask_and_tell(registered, tmp_path, capsys):
    path = tmp_path / "lab"
    wrlso.open(path, bits(), METHOD, **PRIOR).close()
    assert main(["report", str(path)]) == 0
    assert f"Continue it with: wrlso ask {path}, then wrlso tell {path} FILE" in (
        capsys.readouterr().out
    )
    assert main(["resume", str(path)]) == 2
    assert f"go on with 'wrlso ask {path}' and 'wrlso tell {path} FILE'" in capsys.readouterr().err


def with_score(name, score):
    """The task of bits whose starting data have another score of an object."""

    def load_data():
        found = bits().load_data()
        same = (np.asarray(found.objects) == name).all(1)
        return wrlso.Dataset(found.objects, np.where(same, score, found.scores))

    return dataclasses.replace(bits(), load_data=load_data)


def test_what_the_starting_data_have_is_not_counted_twice(registered, tmp_path, capsys):
    base = bits().load_data()
    thing, score = np.asarray(base.objects)[0], float(base.scores[0])
    text = bits().to_text(thing)
    path, folder, file = tmp_path / "lab", str(tmp_path / "lab"), str(tmp_path / "results.csv")
    with wrlso.open(path, bits(), METHOD, **PRIOR) as study:
        assert study.tell([(thing, score)]).repeated == 1
        kept = str(study.tell([(thing, 9.0)]))
        assert f"was told as {score:g} before, which stays" in kept
        assert "replace=True" in kept
    told(tmp_path, f"object,score\n{text},9\n")
    assert main(["tell", folder, file]) == 0
    assert f"line 2: {text} was told as {score:g} before, which stays; --replace (in Python " in (
        capsys.readouterr().out
    )
    assert main(["tell", folder, file, "--replace"]) == 0
    assert "1 replaced; 0 still open" in capsys.readouterr().out
    assert main(["tell", folder, file]) == 0
    assert "1 told before; 0 still open" in capsys.readouterr().out
    with wrlso.open(path) as study, wrlso.open(
        tmp_path / "other", with_score(thing, 9.0), METHOD, **PRIOR
    ) as other:  # fmt: skip
        for one in (study, other):
            one.tell(results_of(one.ask(8)))
            one.ask(8)  # after a retraining
    assert outcome(path) == outcome(tmp_path / "other")


def test_a_measurement_made_elsewhere_can_be_corrected(registered, tmp_path, capsys):
    path, best, text = tmp_path / "lab", np.array([255, 255], np.uint8), "1" * 16
    with wrlso.open(path, bits(), METHOD, **PRIOR) as study:
        study.tell([(best, 4.0)])
    file = str(told(tmp_path, f"object,score\n{text},7\n"))
    assert main(["tell", str(path), file]) == 0
    assert f"line 2: {text} was told as 4 before, which stays" in capsys.readouterr().out
    assert main(["tell", str(path), file, "--replace"]) == 0
    assert "1 replaced" in capsys.readouterr().out
    failed = str(told(tmp_path, f"object,score\n{text},failed\n"))
    assert main(["tell", str(path), failed, "--replace"]) == 0
    assert "it has no score; its score 7 stays" in capsys.readouterr().out
    with (
        wrlso.open(path) as study,
        wrlso.open(tmp_path / "other", bits(), METHOD, **PRIOR) as other,
    ):
        other.tell([(best, 7.0)])
        assert study.result().summary["elsewhere"] == 1
        for one in (study, other):
            one.tell(results_of(one.ask(8)))
            one.ask(8)
        assert study.add([text], [8.0], replace=True).replaced == 1
        study.ask(1)  # fitted anew
    assert outcome(path)[:16] == outcome(tmp_path / "other")


def test_what_was_measured_elsewhere_joins_the_data(tmp_path):
    """It is neither asked for nor charged, and it trains the model."""
    with lab(tmp_path / "lab", budget=16, batch=None, proposer="prior") as study:
        first = study.ask(8)
        study.tell(results_of(first))
        best = np.array([255, 255], np.uint8)
        report = study.tell([(best, 16.0)], source="another laboratory")
        assert (report.elsewhere, study.charged) == (1, 8)
        assert study.tell([(best, 16.0)]).repeated == 1
        second = study.ask(8)
        assert bytes([255, 255]) not in {c.object.tobytes() for c in second}
        study.tell(results_of(second))
    with lab(tmp_path / "other", budget=16, batch=None, proposer="prior") as other:
        other.tell(results_of(other.ask(8)))
        assert [c.id for c in other.ask(8)] == [c.id for c in second]
        assert outcome(tmp_path / "other")[8:] != outcome(tmp_path / "lab")[8:]


def test_a_run_cannot_score_what_people_measure(tmp_path):
    people = task(None)
    with pytest.raises(ValueError, match=r"people measure .* wrlso.open"):
        tiny_run(tmp_path / "run", people, METHOD, seeds=1, **SETTINGS)
    with pytest.raises(ValueError, match="seeds must be 1 in a study, got 3"):
        wrlso.open(tmp_path / "lab", people, METHOD, seeds=3, **SETTINGS)
    with pytest.raises(ValueError, match="holds no run: give a task"):
        wrlso.open(tmp_path / "lab")
    with wrlso.open(tmp_path / "lab", people, METHOD, **SETTINGS) as study:
        for n in (0, -1, 2.5, True):
            with pytest.raises(ValueError, match="n must be a whole number of at least 1"):
                study.ask(n)
    with pytest.raises(ValueError, match=r"holds another run \(budget: 40 -> 41\)"):
        wrlso.open(tmp_path / "lab", people, METHOD, **(SETTINGS | {"budget": 41}))


@pytest.mark.parametrize("error", [KeyError, TypeError, ZeroDivisionError])
def test_what_from_text_raises_is_about_the_text(tmp_path, error):
    def from_text(text):
        raise error("the reader is broken")

    own = dataclasses.replace(task(None), to_text=lambda thing: "x", from_text=from_text)
    with (
        wrlso.open(tmp_path / "run", own, METHOD, budget=8, progress=False) as study,
        pytest.raises(ValueError, match=rf"from_text cannot read 'CCO': {error.__name__}: "),
    ):
        study.add(["CCO"], [1.0])
