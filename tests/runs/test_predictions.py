"""The scores that a surrogate expects: logged beside the queries, and none depends on them."""

import csv
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import wrlso
from tests.builders import (
    METHOD,
    ROOT,
    count_bits,
    count_bits_on_host,
    host_task,
    make_tiny_task,
    tiny_algorithm,
    tiny_run,
    unfinish,
)
from wrlso import resume
from wrlso.data import Dataset
from wrlso.proposers import prior
from wrlso.proposers.base import Prediction
from wrlso.results.export import write_csv
from wrlso.runs.log import latent_of
from wrlso.status import Status

FAR = -76_000_000
"""So far from zero that programs compute with an offset."""


def knowing(task, batch=4):
    """A proposer whose surrogate knows a formula: the first latent, in units of the loop."""

    def predict(surrogate, latents):
        return Prediction(latents[:, 0], 0.5 + latents[:, 1] ** 2)

    return replace(prior(task.vae, batch), predict=predict)


def far_data():
    data = make_tiny_task().load_data()
    return Dataset(data.objects, FAR - np.asarray(data.scores, np.float64))


def far_host_task():
    return host_task(
        lambda thing: FAR - count_bits_on_host(thing), load_data=far_data, minimize=True
    )


KINDS = {
    "in JAX": (lambda: make_tiny_task(), {}),
    "in JAX, side by side": (lambda: make_tiny_task(), {"seed_mode": "vmap"}),
    "in JAX, minimised": (
        lambda: make_tiny_task(
            objective=lambda objects: -count_bits(objects),
            load_data=lambda: (
                make_tiny_task().load_data()._replace(scores=-make_tiny_task().load_data().scores)
            ),
            soft_objective=None,
            minimize=True,
        ),
        {},
    ),
    "on the host, minimised, far from zero": (far_host_task, {}),
}


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.slow] * ("minimised" not in kind)) for kind in KINDS],
)
def test_each_query_has_the_prediction_of_its_latent_in_the_units_of_its_score(kind, tmp_path):
    make, settings = KINDS[kind]
    task = make()
    result = tiny_run(tmp_path / "run", task, proposer=knowing(task), seeds=2, **settings)
    sign, offset = result.folder.config.sign, result.folder.config.offset
    assert (offset != 0) == ("far" in kind)
    found, queries = result.predictions(), result.queries()
    assert found.keys() == {(q.seed, q.round, q.index) for q in queries}
    for query in queries:
        first, second = latent_of(query).astype(float)
        mean, deviation = found[query.seed, query.round, query.index]
        assert mean == sign * (first + offset)
        assert deviation == pytest.approx(0.5 + second**2)


@pytest.fixture(scope="module")
def on_host(tmp_path_factory):
    """A task with an objective on the host, and a run of the proposer "bo" on it."""
    task = host_task(count_bits_on_host)
    return task, run_with(tmp_path_factory.mktemp("searched") / "on the host", task)


@pytest.fixture(scope="module")
def in_jax(tmp_path_factory):
    """The same with an objective in JAX."""
    task = make_tiny_task()
    return task, run_with(tmp_path_factory.mktemp("searched") / "in JAX", task)


@pytest.mark.slow
def test_no_query_depends_on_what_is_recorded(on_host, tmp_path):
    task, with_it = on_host
    without = run_without(tmp_path / "without", task)
    assert without.queries() == with_it.queries()
    assert without.predictions() == {}
    assert len(with_it.predictions()) == len(with_it.queries())


def run_without(out, task, **settings):
    """A run whose proposer does not predict."""
    proposer = tiny_algorithm(proposer="bo")[1].proposer
    assert proposer.predict is not None
    return tiny_run(out, task, proposer=replace(proposer, predict=None), seeds=2, **settings)


def compare_in_jax(out):
    """Print for each way to run seeds whether its queries are those without predictions."""
    for mode in ("map", "vmap"):
        with_it, without = (
            run(Path(out) / f"{mode}{number}", make_tiny_task(), seed_mode=mode)
            for number, run in enumerate((run_with, run_without))
        )
        assert len(with_it.predictions()) == len(with_it.queries())
        print(with_it.queries() == without.queries())


def run_with(out, task, **settings):
    return tiny_run(out, task, proposer="bo", seeds=2, **settings)


@pytest.mark.slow
def test_no_query_in_jax_depends_on_what_is_recorded(tmp_path):
    """With the compiler's own settings: those of the tests leave out the passes that respect it."""
    code = (
        f"from tests.runs.test_predictions import compare_in_jax; compare_in_jax({str(tmp_path)!r})"
    )
    plain = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=plain | {"PYTHONPATH": str(ROOT)}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "True"]


@pytest.mark.slow
def test_a_surrogate_predicts_alike_in_one_program_and_on_the_host(in_jax, on_host):
    """The first query of each seed: later ones depend on how programs round."""
    for seed in range(2):
        np.testing.assert_allclose(
            in_jax[1].predictions()[seed, 0, 0], on_host[1].predictions()[seed, 0, 0], rtol=0.02
        )


@pytest.mark.slow
def test_a_run_that_goes_on_has_the_predictions_of_one_that_was_never_stopped(in_jax, tmp_path):
    task, whole = in_jax
    path = tmp_path / "stopped"
    tiny_run(path, task, proposer="bo", seeds=2)
    log = wrlso.Result(path).folder.open_log()
    log.forget_from(2)
    assert max(round for _, round, _ in log.predictions()) == 1
    log.close()
    unfinish(path)
    (path / "checkpoints" / "round00003.safetensors").unlink()
    assert resume(path, task=task, progress=False).predictions() == whole.predictions()


def test_a_log_of_an_earlier_version_is_read_and_goes_on(on_host, tmp_path):
    task, whole = on_host
    path = tmp_path / "old"
    tiny_run(path, task, proposer="bo", seeds=2)
    log = wrlso.Result(path).folder.open_log()
    log.forget_from(2)
    log.close()
    with sqlite3.connect(path / "queries.sqlite") as db:
        db.execute("DROP TABLE predictions")
    unfinish(path)
    (path / "checkpoints" / "round00003.safetensors").unlink()
    assert wrlso.Result(path).predictions() == {}
    result = resume(path, task=task, progress=False)
    assert result.queries() == whole.queries()
    late = {key: found for key, found in whole.predictions().items() if key[1] == 2}
    assert result.predictions() == late != {}


def test_people_see_what_was_expected_of_each_object_when_it_was_asked_for(tmp_path):
    """Also of a batch that is asked for while others are open; results change none of it."""
    task = host_task(count_bits_on_host)
    settings = dict(budget=12, progress=False, proposer=knowing(task, 2))
    path = tmp_path / "lab"
    with wrlso.open(path, task, METHOD, **settings) as study:
        first, second = study.ask(2), study.ask(2)
        assert not {c.id for c in first} & {c.id for c in second}
    before = wrlso.Result(path).predictions()
    assert len(before) >= 4
    with wrlso.open(path, task, METHOD, **settings) as study:
        study.tell({c: count_bits_on_host(c.object) for c in (*second, *first)})
    result = wrlso.Result(path)
    assert result.predictions() == before
    for query in result.queries():
        mean = before[query.seed, query.round, query.index].mean
        assert mean == float(latent_of(query)[0])


@pytest.mark.slow
def test_open_objects_have_a_prediction_of_a_surrogate_too(tmp_path):
    """Asked for one after the other without a result: the fantasies of the ask are left out, so the
    uncertainty of an object that is asked for again near an open one stays that of the data."""
    task = host_task(count_bits_on_host)
    path = tmp_path / "lab"
    with wrlso.open(path, task, METHOD, proposer="bo", budget=12, batch=2, progress=False) as study:
        study.ask(2)
        study.ask(2)
    result = wrlso.Result(path)
    pending = [q for q in result.queries() if q.status == Status.PENDING]
    found = result.predictions()
    assert len(pending) == 4
    for query in pending:
        mean, deviation = found[query.seed, query.round, query.index]
        assert np.isfinite(mean)
        assert deviation > 0


def test_tables_have_them_and_are_empty_without_a_surrogate(on_host, tmp_path):
    result = on_host[1]
    task = host_task(count_bits_on_host)
    plain = tiny_run(tmp_path / "plain", task, proposer="prior", seeds=1, budget=4)
    write_csv([result, plain], tmp_path / "all.csv")
    rows = list(csv.DictReader((tmp_path / "all.csv").open()))
    found = [
        (float(r["predicted"]), float(r["predicted_sd"])) for r in rows if r["run"] == "on the host"
    ]
    expected = np.array(list(result.predictions().values()))
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    assert {r["predicted"] for r in rows if r["run"] == "plain"} == {""}
    table = result.to_dataframe()
    np.testing.assert_array_equal(table[["predicted", "predicted_sd"]], expected)
    assert plain.to_dataframe()["predicted"].isna().all()


@pytest.mark.slow
def test_predictions_that_are_not_finite_are_none(tmp_path):
    def predict(surrogate, latents):
        return Prediction(jnp.log(latents[:, 0]), jnp.ones(len(latents)))

    task = make_tiny_task()
    proposer = replace(prior(task.vae, 4), predict=predict)
    result = tiny_run(tmp_path / "run", task, proposer=proposer, seeds=1)
    positive = {(q.seed, q.round, q.index) for q in result.queries() if latent_of(q)[0] > 0}
    assert result.predictions().keys() == positive
    assert 0 < len(positive) < len(result.queries())
