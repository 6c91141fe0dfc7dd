"""What a run leaves in its folder, and who may write there."""

import dataclasses
import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save

import wrlso
from tests.builders import (
    count_bits,
    count_bits_on_host,
    host_task,
    make_tiny_task,
    tiny_run,
    tiny_sweep,
)
from wrlso import Result, RunSettings, methods, resume
from wrlso.proposers.base import Proposer
from wrlso.runs.config import FORMAT, RunConfig, make_config
from wrlso.runs.folder import RunFolder
from wrlso.runs.log import QueryLog
from wrlso.runs.outputs import check_output


def test_a_run_leaves_everything_in_its_folder(tmp_path):
    result = tiny_run(tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["task"], summary["method"], summary["budget"]) == (
        "bits", "weighted_retraining", 12,
    )  # fmt: skip
    for i, scores in enumerate(result.scores()):
        ordered = sorted(scores, reverse=True)
        row = summary["seeds"][i]
        assert row["best"] == ordered[0] == result.best[i]
        assert row["top10"] == pytest.approx(np.mean(ordered[:10]))
        assert row["top50"] == pytest.approx(np.mean(ordered))
        assert row["charged"] == 12
    assert summary["best"]["mean"] == pytest.approx(result.best.mean())
    assert summary["best"]["sd"] == pytest.approx(result.best.std())
    assert summary["charged_evaluations"] == 36
    assert summary["uncharged_evaluations"] == 3 * 3 * 2500
    assert 0 < summary["compile_seconds"] < summary["wall_seconds"]
    assert "weighted_retraining" in result.table()
    own = {name: summary.pop(name) for name in ("run", "digest")}
    assert own["run"] == result.folder.config.run
    assert Result(tmp_path / "run").summary == summary


def test_the_log_is_plain_sqlite(tmp_path):
    tiny_run(tmp_path / "run")
    db = sqlite3.connect(tmp_path / "run" / "queries.sqlite")
    rows = db.execute('SELECT seed, round, "index", latent, object, score, status FROM queries')
    for seed, round, index, latent, thing, score, status in rows:
        assert status == "OK"
        assert 0 <= seed < 3
        assert 0 <= round < 3
        assert 0 <= index < 4
        assert np.frombuffer(latent, "<f4").shape == (2,)
        assert count_bits(np.frombuffer(thing, np.uint8)[None])[0] == score
    assert db.execute("SELECT SUM(uncharged) FROM rounds").fetchone() == (3 * 3 * 2500,)


def test_an_existing_folder_is_never_overwritten(tmp_path):
    tiny_run(tmp_path / "run")
    before = (tmp_path / "run" / "queries.sqlite").read_bytes()
    with pytest.raises(ValueError, match="exists already and is never overwritten"):
        tiny_run(tmp_path / "run")
    assert (tmp_path / "run" / "queries.sqlite").read_bytes() == before
    (tmp_path / "empty").mkdir()
    tiny_run(tmp_path / "empty")


def test_one_of_several_processes_makes_a_folder(tmp_path, monkeypatch):
    """Also where none sees another's files before it writes its own."""
    config = RunFolder(tiny_run(tmp_path / "run").folder.path).config
    first = RunFolder.create(tmp_path / "new", config)
    monkeypatch.setattr(RunFolder, "check_new", lambda path: None)
    with pytest.raises(ValueError, match="another process"):
        RunFolder.create(tmp_path / "new", dataclasses.replace(config, budget=77))
    assert RunFolder(first.path).config == config
    assert config.budget == 12
    assert [p.name for p in first.path.iterdir()] == ["config.json"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX paths")
def test_a_folder_that_cannot_be_written_is_refused():
    with pytest.raises(ValueError, match="cannot be written"):
        tiny_run("/dev/null/run")


def test_a_folder_that_cannot_be_made_is_refused_before_starting_data_are_scored(tmp_path):
    def paid():
        raise AssertionError("the starting data were scored")

    task = dataclasses.replace(make_tiny_task(), load_data=paid)
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "run"
    why = (
        rf"out = {below} cannot be written \({tmp_path / 'file'} is a file, not a folder\): choose"
    )
    with pytest.raises(ValueError, match=why):
        tiny_run(below, task)
    with pytest.raises(ValueError, match="is a file, not a folder"):
        tiny_sweep(below, task=task)
    with pytest.raises(ValueError, match="is a file, not a folder"):
        wrlso.open(below, task)
    with pytest.raises(ValueError, match=r"file is a file, and a run has a folder: choose another"):
        tiny_run(tmp_path / "file", task)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").touch()
    with pytest.raises(ValueError, match="holds files that are no run's"):
        tiny_run(tmp_path / "notes", task)
    with pytest.raises(ValueError, match=r"page.html cannot be written \(.* is a file"):
        check_output(below / "page.html")


def test_two_processes_cannot_drive_one_run(tmp_path):
    tiny_run(tmp_path / "run")
    (tmp_path / "run" / "summary.json").unlink()
    held = "from pathlib import Path; from wrlso.runs.folder import RunFolder; import sys\n"
    held += "with RunFolder(Path(sys.argv[1])).locked():\n  print('held', flush=True)\n"
    held += "  sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", held, str(tmp_path / "run")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="being run by another process"):
            resume(tmp_path / "run", task=make_tiny_task(), progress=False)
        other.kill()
    resume(tmp_path / "run", task=make_tiny_task(), progress=False)


def test_a_finished_run_can_be_read_where_nothing_can_be_written(tmp_path):
    tiny_run(tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    found = Result(tmp_path / "run").queries()
    assert {path.name for path in (tmp_path / "run").iterdir()} == names
    assert len(found) == 36
    assert not {"queries.sqlite-wal", "queries.sqlite-shm"} & names


def test_a_run_ends_while_another_process_reads_its_log(tmp_path):
    log = QueryLog(tmp_path / "queries.sqlite")
    reader = sqlite3.connect(tmp_path / "queries.sqlite")
    reader.execute("SELECT count(*) FROM queries").fetchone()
    log.tidy()
    assert log.queries() == []
    reader.close()
    log.close()


def test_the_base_data_set_is_shared_by_all_seeds(tmp_path):
    """Per seed there are parameters, latents, objects, scores, status: no copy of the data."""
    tiny_run(tmp_path / "run", seeds=2)
    folder = RunFolder(tmp_path / "run")
    size = (folder.path / "checkpoints" / "round00003.safetensors").stat().st_size
    task = make_tiny_task()
    params = sum(leaf.nbytes for leaf in jax.tree.leaves(task.params))
    fingerprints, aliases = 2 * 4, 4 * (2 * 4 + 4 + 1)
    history = 12 * (2 + 2 * 4 + 4 + 4 + 2 * fingerprints + 4 + aliases) + 2 * 4
    assert size < 2 * (params + history) + 2000
    assert folder.checkpoints() == [1, 3]


def test_the_models_of_a_run_can_be_read(tmp_path):
    task = make_tiny_task()
    result = tiny_run(tmp_path / "run")
    assert result.checkpoints == [1, 3]
    first, last = result.state(1, task), result.state(task=task)
    assert first.history.used.tolist() == [4] * 3
    assert last.history.used.tolist() == [12] * 3
    scores = np.array(result.scores(), np.float32)
    np.testing.assert_array_equal(last.history.scores, scores)
    assert last.params["encoder"].shape == (3, *task.params["encoder"].shape)
    assert not np.array_equal(first.params["encoder"], last.params["encoder"])
    with pytest.raises(ValueError, match=r"no state is kept after 2 rounds; there are: \[1, 3\]"):
        result.state(2, task)


def test_a_config_is_read_as_it_was_written():
    """Any JSON parser reads it: infinity is a string."""
    task = make_tiny_task(options={"a": 1})
    method = methods.retrain_only(5)
    settings = RunSettings(budget=10, seeds=2, proposer="grid", progress=False)
    config = make_config(task, method, settings, wrlso.algorithm(task, method, budget=10))
    text = config.to_json()
    assert config.hyper == {"k": math.inf}
    assert json.loads(text)["hyper"] == {"k": "inf"}
    assert "Infinity" not in text
    assert "NaN" not in text
    assert RunConfig.from_json(text).to_json() == text
    assert RunConfig.from_json(text).seed_numbers == [0, 1]


@pytest.mark.parametrize("found", [1, 2, None])
def test_a_folder_of_another_format_is_refused_in_a_sentence(tmp_path, found):
    path = tiny_run(tmp_path / "run", budget=4, seeds=1).folder.path
    content = json.loads((path / "config.json").read_text())
    assert content.pop("format") == FORMAT
    if found is not None:
        content["format"] = found
    (path / "config.json").write_text(json.dumps(content))
    for read in (Result, resume):
        with pytest.raises(
            ValueError, match=rf"format {found or 1}, and this version .* format {FORMAT}"
        ):
            read(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hyper": {"k": math.nan}}, "NaN is no number"),
        ({"hyper": {"k": 0}}, r"hyper\.k = 0: give a positive number"),
        ({"hyper": {"k": "small"}}, r"hyper\.k = 'small': give a number"),
        ({"epochs": -1}, "epochs = -1: give a number of at least 0"),
        ({"retrain_every": 0}, "retrain_every = 0: give a number of at least 1"),
        ({"budget": True}, "budget = True: give a whole number"),
        ({"budget": "12"}, "budget = '12': give a whole number"),
        ({"seeds": 1.5}, "seeds = 1.5: give a whole number"),
        ({"seed_mode": "mapp"}, r"did you mean map"),
        ({"bugdet": 12}, r"no key bugdet .* did you mean budget"),
        ({"task_options": None}, "task_options = None: give keys and values"),
        ({"minimize": None}, "minimize = None: give true or false"),
        ({"budget": 13}, "its digest is that of another content"),
    ],
)
def test_a_config_that_was_changed_is_refused_by_key_value_and_remedy(begun, change, message):
    content = json.loads((begun / "config.json").read_text()) | change
    (begun / "config.json").write_text(json.dumps(content))
    for read in (Result, resume):
        with pytest.raises(ValueError, match=rf"config\.json cannot be read: .*{message}.*Restore"):
            read(begun)


@pytest.mark.parametrize("name", ["budget", "hyper", "run", "digest", "stated"])
def test_a_config_that_lacks_a_key_is_refused_by_its_name(begun, name):
    content = json.loads((begun / "config.json").read_text())
    del content[name]
    (begun / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"it lacks the key {name}"):
        resume(begun)


@pytest.fixture(scope="module")
def one_run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("one") / "run", budget=4, seeds=1).folder.path


@pytest.fixture
def begun(one_run, tmp_path):
    return shutil.copytree(one_run, tmp_path / "run")


def test_a_folder_of_format_3_is_read_without_digests(begun):
    """As an earlier version left it: no run, no digests."""
    content = json.loads((begun / "config.json").read_text()) | {"format": 3}
    del content["run"], content["digest"]
    (begun / "config.json").write_text(json.dumps(content))
    with closing(sqlite3.connect(begun / "queries.sqlite")) as db:
        db.execute("DROP TABLE about")
        for table in ("queries", "components", "rounds", "timings", "results"):
            db.execute(f"ALTER TABLE {table} DROP COLUMN digest")
        db.commit()
    for file in (begun / "checkpoints").iterdir():
        file.write_bytes(save(load_file(file)))
    expected = Result(begun).queries()
    assert len(expected) == 4
    (begun / "summary.json").unlink()
    assert resume(begun, task=make_tiny_task(), progress=False).queries() == expected
    assert RunConfig.from_json((begun / "config.json").read_text()).format == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": 10**13}, r"budget = 10000000000000 for 1 seeds needs .* of memory"),
        ({"seeds": 2 * 10**9, "budget": 8}, r"budget = 8 for 2000000000 seeds needs .* of memory"),
    ],
)
def test_a_run_that_no_machine_can_hold_is_refused_before_it_begins(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        tiny_run(tmp_path / "run", **({"seeds": 1} | settings))
    assert not (tmp_path / "run").exists()


def test_too_many_epochs_are_refused_before_the_run_begins(tmp_path):
    with pytest.raises(ValueError, match=r"epochs = 1e\+09 on 200 objects takes .* training steps"):
        tiny_run(tmp_path / "run", method=methods.weighted_retraining(1e-2).with_options(
            epochs=1e9, retrain_every=4))  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_a_run_that_fails_before_its_first_query_leaves_no_folder_in_the_way(tmp_path):
    def fails(objects):
        return jax.pure_callback(broken, jax.ShapeDtypeStruct((len(objects),), np.float32), objects)

    def broken(objects):
        raise RuntimeError("no score")

    with pytest.raises(Exception, match="no score"):
        tiny_run(tmp_path / "run", make_tiny_task(objective=fails), proposer="prior", seeds=1)
    assert not (tmp_path / "run").exists()
    tiny_run(tmp_path / "run", budget=4, seeds=1)


@pytest.mark.parametrize(("name", "initial"), [("molecules", 0), ("molecules", 3), ("bits", 0)])
def test_starting_data_that_may_have_cost_evaluations_are_kept_where_a_run_fails(
    tmp_path, name, initial
):
    """Those of a built-in task that are free of charge are not in the way of another try."""

    def broken(*_):
        raise RuntimeError("no pool")

    proposer = Proposer("broken", broken, batch=4)
    task = host_task(count_bits_on_host, name=name, initial=initial, initial_spent=lambda: initial)
    with pytest.raises(RuntimeError, match="no pool"):
        tiny_run(tmp_path / "run", task, proposer=proposer, seeds=1)
    kept = (tmp_path / "run" / "base.safetensors").exists()
    assert kept == (tmp_path / "run").exists() == (name == "bits" or initial > 0)
