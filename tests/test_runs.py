"""Durable runs: what is written, and what survives."""

import csv
import dataclasses
import importlib
import json
import math
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from threadpoolctl import threadpool_info
from tiny import bits_of, count_bits, make_tiny_task
from wrlso.report import figures

from wrlso import Result, methods, resume, run, sweep
from wrlso.data import Dataset, empty_history
from wrlso.evaluation.objective import HostEvaluator, HostObjective
from wrlso.fingerprint import fingerprint
from wrlso.loop.candidates import Candidates
from wrlso.models.elbo import constant_beta, geometric_beta
from wrlso.proposers.base import Observations
from wrlso.results.export import write_csv
from wrlso.results.summary import best_so_far, charged_scores, top_mean
from wrlso.runs.compiled import CompiledOnce
from wrlso.runs.config import RunConfig
from wrlso.runs.evaluate import Place, Seen, evaluate_on_host
from wrlso.runs.folder import RunFolder
from wrlso.runs.log import Query, QueryLog
from wrlso.runs.pretrained import cache_path, pretrained_params
from wrlso.runs.session import Session
from wrlso.status import Status
from wrlso.storage.files import write_atomically
from wrlso.storage.tensors import load_metadata, load_tree, save_tree
from wrlso.tasks import shapes
from wrlso.tasks.base import PretrainConfig

METHOD = methods.weighted_retraining(k=1e-2, retrain_every=4)


def tiny_run(out, task=None, **changes):
    settings = dict(budget=12, seeds=3, proposer="grid", progress=False)
    return run(task or make_tiny_task(), METHOD, out=out, **(settings | changes))


def all_queries(path):
    log = QueryLog(path / "queries.sqlite")
    found = log.queries()
    log.close()
    return found


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
    assert Result(tmp_path / "run").summary == summary


@pytest.mark.parametrize("changes", [{}, {"seeds": 1}, {"seeds": 5, "devices": 2}, {"budget": 10}])
def test_each_function_compiles_once_a_run(tmp_path, changes):
    """Whatever the seeds, the rounds and the remainder of the budget."""
    summary = tiny_run(tmp_path / "run", **changes).summary
    assert summary["compilations"] == {"retrain": 1, "fit": 1, "ask": 1, "score": 1, "tell": 1}


def test_once_refuses_to_compile_again():
    double = CompiledOnce("double", lambda x: 2 * x, lambda phase, seconds: None, donate=False)
    assert double(jnp.ones(3)).tolist() == [2, 2, 2]
    assert double(jnp.zeros(3)).tolist() == [0, 0, 0]
    assert double.compilations == 1
    with pytest.raises(TypeError):
        double(jnp.ones(4))


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 1e2}, "budget must be a whole number, got 100.0"),
        ({"budget": True}, "budget must be a whole number, got True"),
        ({"seeds": [3, 4]}, r"seeds must be a whole number, got \[3, 4\]"),
        ({"first_seed": "0"}, "first_seed must be a whole number"),
        ({"batch": 2.0, "proposer": "bo"}, "batch must be a whole number"),
    ],
)
def test_numbers_that_are_not_whole_are_refused_before_any_work(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_run(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_numpys_whole_numbers_will_do(tmp_path):
    result = tiny_run(tmp_path / "run", budget=np.int64(4), seeds=np.int32(1))
    assert result.summary["budget"] == 4


def test_a_task_or_method_that_is_none_is_named(tmp_path):
    task, out = make_tiny_task(), tmp_path / "run"
    with pytest.raises(TypeError, match="task must be a Task, such as"):
        run("shapes", METHOD, out=out)
    with pytest.raises(TypeError, match=r"got <function shapes.* \(it has to be called\)"):
        run(shapes, METHOD, out=out)
    with pytest.raises(TypeError, match="method must be a Method, such as"):
        run(task, "lso", out=out)
    with pytest.raises(TypeError, match="it has to be called"):
        sweep(task, {"a": METHOD, "b": methods.lso}, out=out)
    assert not out.exists()


def test_base_data_that_tell_nothing_are_said(tmp_path):
    data = make_tiny_task().load_data()
    task = make_tiny_task(load_data=lambda: Dataset(data.objects, jnp.full(200, -7.0)))
    with pytest.warns(UserWarning, match="all 200 base objects of task 'bits' score -7"):
        tiny_run(tmp_path / "run", task, budget=4, seeds=1)


def test_it_is_said_early_that_nothing_has_a_score(tmp_path):
    def broken(thing):
        raise RuntimeError("no licence")

    task = make_tiny_task(objective=None, host_objective=broken)
    with pytest.warns(UserWarning, match="none of the first .* last reason: RuntimeError: no lic"):
        result = tiny_run(tmp_path / "run", task, proposer="prior")
    assert result.summary["best"]["mean"] is None


def test_an_existing_folder_is_never_overwritten(tmp_path):
    tiny_run(tmp_path / "run")
    before = (tmp_path / "run" / "queries.sqlite").read_bytes()
    with pytest.raises(ValueError, match="exists already and is never overwritten"):
        tiny_run(tmp_path / "run")
    assert (tmp_path / "run" / "queries.sqlite").read_bytes() == before
    (tmp_path / "empty").mkdir()
    tiny_run(tmp_path / "empty")


def test_of_several_that_make_a_folder_one_succeeds(tmp_path, monkeypatch):
    """Also where none sees another's files before it writes its own."""
    config = RunFolder(tiny_run(tmp_path / "run").folder.path).config
    first = RunFolder.create(tmp_path / "new", config)
    monkeypatch.setattr(RunFolder, "check_new", lambda path: None)
    with pytest.raises(ValueError, match="another process"):
        RunFolder.create(tmp_path / "new", dataclasses.replace(config, budget=77))
    assert RunFolder(first.path).config == config
    assert [p.name for p in first.path.iterdir()] == ["config.json"]


class Killed(BaseException):
    """Stands for anything that ends the process in the middle."""


@pytest.mark.parametrize("asks_before", [0, 1, 2])
def test_resume_ends_with_the_queries_of_the_uninterrupted_run(tmp_path, monkeypatch, asks_before):
    whole = tiny_run(tmp_path / "whole")
    original = Session.ask
    calls = []

    def dies(self, ask):
        if len(calls) == asks_before:
            raise Killed
        calls.append(ask)
        original(self, ask)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "ask", dies)
        with pytest.raises(Killed):
            tiny_run(tmp_path / "run")
    with pytest.raises(ValueError, match="is not finished"):
        Result(tmp_path / "run")
    assert len(all_queries(tmp_path / "run")) == asks_before * 12
    resumed = resume(tmp_path / "run", task=make_tiny_task(), progress=False)
    assert resumed.queries() == whole.queries()
    assert resumed.summary["seeds"] == whole.summary["seeds"]
    assert resumed.summary["uncharged_evaluations"] == whole.summary["uncharged_evaluations"]


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    tiny_run(tmp_path / "run")
    before = (tmp_path / "run" / "summary.json").read_text()
    resume(tmp_path / "run", task=make_tiny_task(), progress=False)
    assert (tmp_path / "run" / "summary.json").read_text() == before


def test_resume_on_another_number_of_devices(tmp_path, monkeypatch):
    whole = tiny_run(tmp_path / "whole", devices=3)
    original = RunFolder.save_checkpoint

    def dies_after_one(self, done, *args, **kwargs):
        original(self, done, *args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save_checkpoint", dies_after_one)
        with pytest.raises(Killed):
            tiny_run(tmp_path / "run", devices=2)
    resumed = resume(tmp_path / "run", task=make_tiny_task(), devices=1, progress=False)
    assert resumed.queries() == whole.queries()


def host_task(objective, **changes):
    return make_tiny_task(objective=None, host_objective=objective, proposer="prior", **changes)


def test_a_host_objective_gives_the_run_of_the_jax_objective(tmp_path):
    ours = tiny_run(tmp_path / "jax", proposer="prior")
    task = host_task(lambda thing: float(np.unpackbits(thing).sum()))
    theirs = tiny_run(tmp_path / "host", task, proposer="prior")
    assert theirs.queries() == ours.queries()
    assert theirs.summary["compilations"] == {"retrain": 1, "fit": 1, "ask": 1, "tell": 1}
    assert theirs.summary["uncharged_evaluations"] == 0


def test_blas_has_one_thread_a_device(tmp_path):
    """OpenBLAS's own threads would fight over the cores that the devices already use."""
    seen = []

    def objective(bits):
        threads = [i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"]
        seen.append((len(threads), max(threads)))
        return float(np.unpackbits(bits).sum())

    before = [i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"]
    tiny_run(tmp_path / "two", host_task(objective), proposer=None, devices=2, budget=4)
    assert {most for _, most in seen} == {1}
    assert min(libraries for libraries, _ in seen) >= 1
    after = [i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"]
    assert after[: len(before)] == before


def test_a_host_objective_that_fails_loses_one_query(tmp_path):
    def objective(thing):
        bits = int(np.unpackbits(thing).sum())
        if bits == 8:
            raise RuntimeError("eight is too many")
        return math.nan if bits == 9 else float(bits)

    result = tiny_run(tmp_path / "run", host_task(objective), proposer="prior", budget=40, seeds=2)
    failed = [q for q in result.queries() if q.status == Status.FAILED]
    assert {q.reason for q in failed} == {"RuntimeError: eight is too many", "score is nan"}
    assert all(q.score is None for q in failed)
    assert all(s["charged"] == 40 for s in result.summary["seeds"])
    assert sum(result.summary["failures"].values()) == len(failed)
    assert "x: RuntimeError: eight is too many" in result.table()


def test_what_was_scored_under_another_spelling_is_neither_scored_nor_charged(tmp_path):
    """Here two bytes are the same thing in either order."""
    scored = []

    def score(thing):
        scored.append(tuple(thing))
        return float(np.unpackbits(thing).sum())

    task = host_task(HostObjective(score, canonical=np.sort))
    result = tiny_run(tmp_path / "run", task, proposer="prior", budget=60, seeds=1)
    queries = result.queries()
    assert all(a <= b for a, b in scored)
    assert len(set(scored)) == len(scored) == result.summary["seeds"][0]["charged"]
    base = {tuple(np.sort(x)) for x in np.asarray(task.load_data().objects)}
    charged = [q for q in queries if q.status == Status.OK]
    assert [tuple(q.object) for q in charged] == scored
    kept = {tuple(x) for x in np.asarray(task.load_data().objects)}
    assert not kept & set(scored)
    assert base - kept  # the data have spellings of their own, which are compared as they are
    duplicates = [q for q in queries if q.status == Status.DUPLICATE]
    assert duplicates
    assert all(q.score is None for q in duplicates)
    # The model is retrained after r charged queries, however many were asked for.
    by_round = Counter(q.round for q in charged)
    assert set(by_round.values()) == {result.folder.config.retrain_every}


def test_a_spelling_that_the_evaluation_found_is_learnt(tmp_path):
    """What the host alone knows to be the same is remembered, and the budget is spent."""

    def canonical(thing):  # how many bits are set in each byte
        return (1 << np.bitwise_count(thing).astype(int)) - 1

    task = host_task(HostObjective(lambda thing: float(np.bitwise_count(thing).sum()), canonical))
    result = tiny_run(tmp_path / "run", task, proposer="bo", budget=30, seeds=2)
    again = result.state(task=task).history.aliases
    assert (np.asarray(aliases.used) > 0).all()
    assert [s["charged"] for s in result.summary["seeds"]] == [30, 30]


def test_a_crash_or_a_hang_in_a_worker_loses_one_query(tmp_path):
    def score(thing):
        bits = int(np.unpackbits(thing).sum())
        if bits == 8:
            os._exit(3)
        if bits == 9:
            time.sleep(60)
        return float(bits)

    def canonical(thing):
        if thing[0] % 7 == 3:
            raise ValueError("no spelling")
        return thing

    task = host_task(HostObjective(score, canonical, workers=2, timeout=1.5))
    result = tiny_run(tmp_path / "run", task, proposer="prior", budget=18, seeds=1)
    reasons = {q.status: q.reason for q in result.queries() if q.reason}
    assert result.summary["seeds"][0]["charged"] == 18
    failed = {q.reason for q in result.queries() if q.status == Status.FAILED}
    assert any("exit" in reason for reason in failed)
    assert "ValueError: no spelling" in failed
    assert "1.5 s" in reasons[Status.TIMEOUT]
    for q in result.queries():
        bits = int(np.unpackbits(np.frombuffer(q.object, np.uint8)).sum())
        spelled = q.object[0] % 7 != 3
        expected = {8: Status.FAILED, 9: Status.TIMEOUT}.get(bits, Status.OK)
        assert q.status == (expected if spelled else Status.FAILED)


def test_a_timeout_without_workers_is_refused():
    with pytest.raises(ValueError, match="workers = 0 evaluates in this process, which no timeout"):
        HostObjective(lambda thing: 0.0, timeout=3)


def test_nothing_evaluated_is_evaluated_again(tmp_path):
    """Killed between two objects of a batch: each is scored once over both processes."""
    scored = []

    def objective(thing):
        if len(scored) == 17:
            raise Killed
        scored.append(bytes(thing))
        return float(np.unpackbits(thing).sum())

    with pytest.raises(Killed):
        tiny_run(tmp_path / "run", host_task(objective), proposer="prior", seeds=2)
    assert len(all_queries(tmp_path / "run")) == 17

    def counting(thing):
        scored.append(bytes(thing))
        return float(np.unpackbits(thing).sum())

    resumed = resume(tmp_path / "run", task=host_task(counting), progress=False)
    whole = tiny_run(tmp_path / "whole", proposer="prior", seeds=2)
    assert resumed.queries() == whole.queries()
    assert len(scored) == sum(q.status == Status.OK for q in whole.queries())


def test_the_base_data_set_is_shared_by_all_seeds(tmp_path):
    """Per seed there are parameters, latents, objects, scores, status: no copy of the data."""
    tiny_run(tmp_path / "run", seeds=2)
    folder = RunFolder(tmp_path / "run")
    size = (folder.path / "checkpoints" / "round00003.safetensors").stat().st_size
    task = make_tiny_task()
    params = sum(leaf.nbytes for leaf in jax.tree.leaves(task.params))
    prints, again = 2 * 4, 2 * 4 + 4
    buffer = 12 * (2 + 2 * 4 + 4 + 4 + 2 * prints + 4 + again) + 2 * 4
    assert size < 2 * (params + buffer) + 2000
    assert folder.checkpoints() == [1, 3]


def test_the_models_of_a_run_can_be_read(tmp_path):
    task = make_tiny_task()
    result = tiny_run(tmp_path / "run")
    assert result.kept == [1, 3]
    first, last = result.state(1, task), result.state(task=task)
    assert first.history.used.tolist() == [4] * 3
    assert last.history.used.tolist() == [12] * 3
    scores = np.array(result.scores(), np.float32)
    np.testing.assert_array_equal(last.history.scores, scores)
    assert last.params["encoder"].shape == (3, *task.params["encoder"].shape)
    assert not np.array_equal(first.params["encoder"], last.params["encoder"])
    with pytest.raises(ValueError, match=r"no state is kept after 2 rounds; there are: \[1, 3\]"):
        result.state(2, task)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 0}, "budget must be at least 1 query, got 0"),
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"first_seed": -1}, "first_seed must not be negative"),
        ({"budget": 3}, "retrain_every = 4 is above budget = 3"),
        ({"proposer": "magic"}, "unknown proposer 'magic'; there are: grid, prior"),
        ({"devices": 99}, "devices must be between"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_run(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_bad_k_is_refused(tmp_path):
    for k in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="k must be positive"):
            run(
                make_tiny_task(),
                methods.weighted_retraining(k=k),
                out=tmp_path / "r",
                progress=False,
            )


@pytest.mark.skipif(os.name == "nt", reason="POSIX paths")
def test_unwritable_folder_is_refused():
    with pytest.raises(ValueError, match="cannot be written"):
        tiny_run("/dev/null/run")


def test_nan_in_the_base_data_is_refused(tmp_path):
    task = make_tiny_task()
    data = task.load_data()
    bad = data._replace(scores=data.scores.at[7].set(jnp.nan))
    with pytest.raises(ValueError, match="first in row 7"):
        tiny_run(tmp_path / "run", make_tiny_task(load_data=lambda: bad))
    assert not (tmp_path / "run").exists()


def test_grid_needs_an_objective_in_jax(tmp_path):
    with pytest.raises(ValueError, match="is a Python function: choose 'bo' or 'prior'"):
        tiny_run(tmp_path / "run", host_task(lambda thing: 0.0))


def test_config_round_trip():
    config = RunConfig(
        "t", "m", "rank", {"k": math.inf}, None, 10, 2, "grid", task_options={"a": 1}
    )
    assert RunConfig.from_json(config.to_json()) == config
    assert "Infinity" not in config.to_json()


def test_tensors_round_trip_and_say_what_is_wrong(tmp_path):
    tree = {"a": [np.arange(3.0), np.int32(4)], "b": (np.zeros((2, 0), np.uint8),)}
    save_tree(tmp_path / "t.safetensors", tree, {"by": "test"})
    back = load_tree(tmp_path / "t.safetensors", tree)
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    jax.tree.map(np.testing.assert_array_equal, back, tree)
    assert load_metadata(tmp_path / "t.safetensors") == {"by": "test"}
    with pytest.raises(ValueError, match="'c'"):
        load_tree(tmp_path / "t.safetensors", {"c": np.zeros(1)})
    with pytest.raises(ValueError, match=r"float64\[3\], expected float64\[4\]"):
        load_tree(tmp_path / "t.safetensors", {"a": [np.zeros(4), np.int32(0)], "b": tree["b"]})
    assert [p.name for p in tmp_path.iterdir()] == ["t.safetensors"]


def test_pretraining_is_cached_by_what_it_depends_on(tmp_path, monkeypatch):
    monkeypatch.setenv("WRLSO_CACHE", str(tmp_path))
    pretraining = PretrainConfig(2, 16, 1e-2, constant_beta(1.0))
    task = make_tiny_task(params=None, pretrain=pretraining)
    done = []
    first = pretrained_params(task, task.load_data(), lambda n, total: done.append((n, total)))
    assert done == [(25, 25)]
    again = pretrained_params(task, task.load_data(), lambda n, total: done.append((n, total)))
    assert len(done) == 1
    jax.tree.map(np.testing.assert_array_equal, first, again)
    data = task.load_data()
    by_beta = [
        cache_path(make_tiny_task(params=None, pretrain=PretrainConfig(2, 16, 1e-2, beta)), data)
        for beta in (1.0, 2.0)
    ]
    assert by_beta[0] == cache_path(task, data) != by_beta[1]
    assert cache_path(task, data._replace(scores=data.scores + 1)) != cache_path(task, data)
    assert cache_path(shapes(pretrain_seed=1), data) != cache_path(shapes(), data)
    with pytest.raises(ValueError, match="at least 1 epoch"):
        shapes(pretrain_epochs=0)

    def path_with(beta, epochs=3000):
        pretraining = PretrainConfig(epochs, 16, 1e-2, beta)
        return cache_path(make_tiny_task(params=None, pretrain=pretraining), data)

    late = [geometric_beta(warmup=warmup) for warmup in (21_000, 30_000)]
    small = [constant_beta(beta) for beta in (0.0, 1e-10)]
    assert len({path_with(beta) for beta in (*late, *small)}) == 4


def test_data_in_numpy_can_be_pretrained_on(tmp_path, monkeypatch):
    monkeypatch.setenv("WRLSO_CACHE", str(tmp_path))
    task = make_tiny_task(params=None, pretrain=PretrainConfig(2, 16, 1e-2, constant_beta(1.0)))
    data = task.load_data()
    ours = pretrained_params(task, Dataset(*map(np.asarray, data)))
    jax.tree.map(np.testing.assert_array_equal, ours, pretrained_params(task, data))


def test_running_best_and_top_means():
    scores = np.array([np.nan, 2.0, 1.0, np.nan, 5.0])
    np.testing.assert_array_equal(best_so_far(scores), [np.nan, 2, 2, 2, 5])
    assert top_mean(scores, 2) == 3.5
    assert top_mean(scores[:1], 2) is None
    queries = [
        Query(0, 0, i, b"", b"", s, status)
        for i, (s, status) in enumerate(
            [(1.0, Status.OK), (None, Status.DUPLICATE), (None, Status.FAILED)]
        )
    ]
    np.testing.assert_array_equal(charged_scores(queries), [1.0, np.nan])


def test_export(tmp_path):
    result = tiny_run(tmp_path / "run")
    write_csv([result], tmp_path / "all.csv")
    rows = list(csv.DictReader((tmp_path / "all.csv").open()))
    assert len(rows) == 36
    assert [float(r["score"]) for r in rows if r["seed"] == "1"] == result.scores()[1].tolist()
    assert len(json.loads(rows[0]["latent"])) == 2
    assert {(r["run"], r["method"], r["object"]) for r in rows} == {("run", METHOD.name, "")}


def test_another_form_of_objects_than_the_datas_is_refused(tmp_path):
    data = make_tiny_task().load_data()
    wide = data._replace(objects=data.objects.astype(jnp.int32))
    with pytest.raises(ValueError, match=r"decodes to uint8\[2\], but .* int32\[2\]"):
        tiny_run(tmp_path / "run", make_tiny_task(load_data=lambda: wide))


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


def test_resume_refuses_another_task(tmp_path):
    task = make_tiny_task()
    tiny_run(tmp_path / "run", task)
    (tmp_path / "run" / "summary.json").unlink()
    data = task.load_data()
    for other in (
        make_tiny_task(name="other"),
        make_tiny_task(load_data=lambda: data._replace(scores=-data.scores)),
        make_tiny_task(params=jax.tree.map(lambda a: a + 1, task.params)),
    ):
        with pytest.raises(ValueError, match="begun with another task"):
            resume(tmp_path / "run", task=other, progress=False)


def test_a_kill_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    write_atomically(tmp_path / "file", b"old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
    # Others may read it as they may read any other file.
    (tmp_path / "usual").touch()
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_logged_answer_is_kept_where_the_proposal_differs(tmp_path):
    """Another machine's rounding may propose something else on resuming: what was paid stays."""
    objects = jnp.array([[[1, 0], [3, 0]]], jnp.uint8)
    lessons = Observations(jnp.zeros((1, 1, 2)), jnp.ones((1, 1)), jnp.zeros((1, 1), bool))
    decoded = jax.vmap(fingerprint)(objects)
    asked = Candidates(
        jnp.ones((1, 2, 2)), objects, jnp.zeros((1, 2), jnp.int32), lessons, decoded, decoded
    )
    log = QueryLog(tmp_path / "log.sqlite")
    place = Place([7], [log], 2, 10)
    base = Dataset(jnp.array([[0, 7]], jnp.uint8), jnp.zeros(1))
    history = jax.tree.map(lambda a: a[None], empty_history(4, base.objects[0], 2))
    first, again = (Seen(base, history, 1) for _ in range(2))
    evaluate_on_host(HostEvaluator(lambda thing: float(thing[0])), place, asked, first)
    now = asked._replace(
        objects=objects + 8,
        latents=asked.latents * 2,
        decoded=jax.vmap(fingerprint)(objects + 8),
        prints=jax.vmap(fingerprint)(objects + 8),
    )
    evaluated, scores, status = evaluate_on_host(
        HostEvaluator(lambda thing: 99.0), place, now, again
    )
    assert [again.find(0, np.array(thing, np.uint8)) for thing in ([1, 0], [3, 0], [0, 7])] == [
        1,
        3,
        0,
    ]
    jax.tree.map(np.testing.assert_array_equal, evaluated, asked)
    assert scores.tolist() == [[1.0, 3.0]]
    assert status.tolist() == [[Status.OK] * 2]


def test_figures_leave_the_backend_of_a_notebook_alone(tmp_path):
    result = tiny_run(tmp_path / "run")
    before = matplotlib.get_backend()
    matplotlib.use("svg")
    try:
        importlib.reload(figures)
        assert {path.suffix for path in result.plot(make_tiny_task())} == {".png"}
        assert matplotlib.get_backend() == "svg"
    finally:
        matplotlib.use(before)


def test_a_seed_that_ends_early_is_pointed_out(tmp_path):
    """All 65,536 strings can be asked for, but this model only ever makes one."""
    task = make_tiny_task()
    constant = dataclasses.replace(
        task.vae, decode=lambda params, z: jnp.full((len(z), 2), 255, jnp.uint8)
    )
    result = tiny_run(tmp_path / "run", make_tiny_task(vae=constant, params=task.params), seeds=2)
    assert "Seed 0 ended after 1 of 12 queries" in result.table()
    assert result.summary["seeds"][1]["charged"] == 1
    # Every extra round was tried, and the first round's ask twice, as it brought something.
    assert result.summary["seeds"][1]["status"] == {"OK": 1, "DUPLICATE": 6 * 4 + 3 - 1}


def test_a_seed_that_gets_stuck_asks_as_often_as_alone(tmp_path):
    """A model of few objects: whether others find something new is nothing to a seed."""
    task = make_tiny_task()
    coarse = dataclasses.replace(
        task.vae, decode=lambda params, z: (jnp.round(1.5 * z) + 8).astype(jnp.uint8)
    )
    few = make_tiny_task(vae=coarse, params=task.params)
    together = tiny_run(tmp_path / "all", few, proposer="prior", budget=40, seeds=3)
    for seed in range(3):
        out = tmp_path / f"seed{seed}"
        alone = tiny_run(out, few, proposer="prior", budget=40, seeds=1, first_seed=seed)
        assert alone.queries() == [q for q in together.queries() if q.seed == seed]
    asked = Counter((q.seed, q.round) for q in together.queries())
    assert len(set(asked.values())) > 1  # some got stuck before others


def test_a_finished_run_can_be_read_where_nothing_can_be_written(tmp_path):
    tiny_run(tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    before = Result(tmp_path / "run").queries()
    assert {path.name for path in (tmp_path / "run").iterdir()} == names
    assert len(before) == 36
    assert not {"queries.sqlite-wal", "queries.sqlite-shm"} & names


SETTINGS = {
    "k=0.01": METHOD,
    "k=1": methods.weighted_retraining(k=1.0, retrain_every=4),
    "uniform": methods.retrain_only(4),
    "r=6": methods.weighted_retraining(k=1e-2, retrain_every=6),
}


def tiny_sweep(out, settings=SETTINGS, task=None, **changes):
    arguments = dict(budget=12, seeds=3, proposer="prior", progress=False)
    return sweep(task or make_tiny_task(), settings, out=out, **(arguments | changes))


def test_a_sweep_makes_the_runs_that_its_methods_make_alone(tmp_path, monkeypatch):
    """Three differ in k only: one program; the fourth is another."""
    compiled = []
    original = CompiledOnce.__init__

    def counted(self, name, *args):
        compiled.append(name)
        original(self, name, *args)

    monkeypatch.setattr(CompiledOnce, "__init__", counted)
    results = tiny_sweep(tmp_path / "sweep")
    assert compiled.count("retrain") == 2
    assert [result.summary["side_by_side"] for result in results.values()] == [3, 3, 3, 1]
    assert "of the time of 3 runs side by side" in results["k=1"].table()
    for name, method in SETTINGS.items():
        alone = run(
            make_tiny_task(), method, out=tmp_path / name, budget=12, proposer="prior", seeds=3,
            progress=False,
        )  # fmt: skip
        assert results[name].queries() == alone.queries()
        assert results[name].summary["seeds"] == alone.summary["seeds"]
    # Read, not run again.
    again = tiny_sweep(tmp_path / "sweep")
    assert compiled.count("retrain") == 6
    assert again["k=1"].summary == results["k=1"].summary


@pytest.mark.parametrize("saved_before", [0, 1, 2, 3, 4])
def test_a_killed_sweep_goes_on(tmp_path, monkeypatch, saved_before):
    """Also where some of its runs have a checkpoint that others lack."""
    settings = {name: SETTINGS[name] for name in ("k=0.01", "k=1", "uniform")}
    whole = tiny_sweep(tmp_path / "whole", settings)
    original = RunFolder.save_checkpoint
    saved = []

    def dies(self, done, state):
        if len(saved) == saved_before:
            raise Killed
        saved.append(done)
        original(self, done, state)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save_checkpoint", dies)
        with pytest.raises(Killed):
            tiny_sweep(tmp_path / "sweep", settings)
    resumed = tiny_sweep(tmp_path / "sweep", settings)
    for name in settings:
        assert resumed[name].queries() == whole[name].queries()


def test_runs_of_a_sweep_that_stand_apart_go_on_apart(tmp_path, monkeypatch):
    """One is killed at the end of its second round; then others join. None is begun anew, and
    none keeps a state beyond the queries that its log has."""
    whole = tiny_sweep(tmp_path / "whole", SETTINGS)
    original, saved = RunFolder.save_checkpoint, []

    def dies_after(count):
        def save(self, done, state):
            original(self, done, state)
            saved.append((self.path.name, done))
            if len(saved) == count:
                raise Killed

        return save

    for names, count in ((["k=0.01"], 2), (list(SETTINGS), 2), (["k=1", "k=0.01"], 1)):
        saved.clear()
        with monkeypatch.context() as patch:
            patch.setattr(RunFolder, "save_checkpoint", dies_after(count))
            with pytest.raises(Killed):
                tiny_sweep(tmp_path / "sweep", {name: SETTINGS[name] for name in names})
    assert saved == [("k=1", 2)]
    resumed = tiny_sweep(tmp_path / "sweep", SETTINGS)
    for name in SETTINGS:
        assert resumed[name].queries() == whole[name].queries()


def test_a_sweep_with_an_objective_on_the_host(tmp_path):
    """Every lane is answered into the log of its own run; one run of it can be resumed alone."""
    asked = []

    def objective(thing):
        asked.append(bytes(thing))
        if len(asked) == 31:
            raise Killed
        return float(np.unpackbits(thing).sum())

    settings = {name: SETTINGS[name] for name in ("k=0.01", "k=1")}
    whole = tiny_sweep(tmp_path / "whole", settings)
    with pytest.raises(Killed):
        tiny_sweep(tmp_path / "sweep", settings, host_task(objective))
    alone = resume(tmp_path / "sweep" / "k=1", task=host_task(objective), progress=False)
    assert alone.queries() == whole["k=1"].queries()
    rest = tiny_sweep(tmp_path / "sweep", settings, host_task(objective))
    assert rest["k=0.01"].queries() == whole["k=0.01"].queries()
    # Nothing that was answered was asked again.
    assert len(asked) == 2 * 3 * 12 + 1


def test_sweeps_that_cannot_be_meant_are_refused(tmp_path):
    tiny_sweep(tmp_path / "sweep", {"a": METHOD})
    with pytest.raises(ValueError, match="a holds another run"):
        tiny_sweep(tmp_path / "sweep", {"a": SETTINGS["k=1"]})
    with pytest.raises(ValueError, match="a holds another run"):
        tiny_sweep(tmp_path / "sweep", {"a": METHOD}, budget=13)
    with pytest.raises(ValueError, match=r"'\.\./b' cannot name a folder"):
        tiny_sweep(tmp_path / "sweep", {"../b": METHOD})
    with pytest.raises(ValueError, match=r"'\.\.' cannot name a folder"):
        tiny_sweep(tmp_path / "sweep", {"..": METHOD})
    whole_number = methods.weighted_retraining(k=1, retrain_every=4)
    for _ in range(2):
        assert tiny_sweep(tmp_path / "sweep", {"whole": whole_number})["whole"].best.shape == (3,)
    with pytest.raises(ValueError, match="above budget"):
        tiny_sweep(tmp_path / "new", {"a": METHOD, "b": methods.retrain_only(50)})
    assert not (tmp_path / "new").exists()


def test_a_run_ends_while_another_process_reads_its_log(tmp_path):
    log = QueryLog(tmp_path / "queries.sqlite")
    reader = sqlite3.connect(tmp_path / "queries.sqlite")
    reader.execute("SELECT count(*) FROM queries").fetchone()
    log.tidy()
    assert log.queries() == []
    reader.close()
    log.close()


def test_an_objective_that_gives_no_score_for_each_object_is_named(tmp_path):
    method = methods.weighted_retraining(retrain_every=4)
    for wrong in (lambda objects: count_bits(objects).sum(), bits_of):
        task = make_tiny_task(objective=wrong)
        with pytest.raises(ValueError, match=r"must map objects \[2, 2\] to scores \[2\], got"):
            run(task, method, out=tmp_path / "run", budget=4, seeds=1, progress=False)
    assert not (tmp_path / "run").exists()
