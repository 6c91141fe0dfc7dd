"""Scores near -7.6e7 with steps of 1: every kind of run finds, logs and shows what it does near
zero, maximised and minimised."""

import jax.numpy as jnp
import numpy as np
import pytest

import wrlso
from tests.builders import Killed, count_bits, host_task, make_tiny_task, tiny_run
from wrlso import Result, resume
from wrlso.data import Dataset
from wrlso.results.export import write_csv

FAR = -76_000_000
SETTINGS = dict(proposer="prior", seeds=1, budget=12)

minimized = pytest.mark.parametrize(
    "minimize", [pytest.param(False, marks=pytest.mark.slow), True], ids=["max", "min"]
)


def score_of(minimize, far=FAR):
    sign = -1 if minimize else 1
    return lambda thing: float(far + sign * int(np.unpackbits(thing).sum()))


def settings_of(minimize, far=FAR):
    def load_data():
        data, sign = make_tiny_task().load_data(), -1 if minimize else 1
        return Dataset(data.objects, far + sign * np.asarray(data.scores, np.float64))

    return dict(load_data=load_data, minimize=minimize)


def far_task(minimize, score=None, far=FAR):
    return host_task(score or score_of(minimize, far), **settings_of(minimize, far))


def seen(result):
    return [(q.object, q.status) for q in result.queries()]


def equal(far, near, minimize):
    """The same queries, and each logged score is exactly the user's."""
    assert seen(far) == seen(near)
    score = score_of(minimize)
    for query in far.queries():
        assert query.score == score(np.frombuffer(query.object, np.uint8))


@pytest.fixture(scope="module")
def near(tmp_path_factory):
    """The run near zero, maximised."""
    task = far_task(False, far=0)
    return tiny_run(tmp_path_factory.mktemp("near") / "run", task, **SETTINGS)


@minimized
def test_a_run_that_is_killed_and_resumed(near, tmp_path, minimize):
    made = []

    def dies(thing):
        made.append(thing)
        if len(made) == 7:
            raise Killed
        return score_of(minimize)(thing)

    with pytest.raises(Killed):
        tiny_run(tmp_path / "run", far_task(minimize, dies), **SETTINGS)
    result = resume(tmp_path / "run", task=far_task(minimize, dies), progress=False)
    equal(result, near, minimize)
    best = score_of(minimize)(np.frombuffer(max(near.queries(), key=lambda q: q.score).object,
                                            np.uint8))  # fmt: skip
    assert result.summary["seeds"][0]["best"] == best
    assert f"{best:.0f}" in result.table()
    history = result.state(task=far_task(minimize, dies)).history
    sign = -1 if minimize else 1
    kept = sign * (np.asarray(history.scores[0], np.float64) + result.folder.config.offset)
    assert kept.tolist() == [q.score for q in result.queries()]
    write_csv([result], tmp_path / "queries.csv")
    assert f",{best}," in (tmp_path / "queries.csv").read_text()


@minimized
def test_a_run_in_jax(near, tmp_path, minimize):
    sign = -1 if minimize else 1

    def objective(objects):
        return FAR + sign * count_bits(objects).astype(jnp.int32)

    task = make_tiny_task(objective=objective, **settings_of(minimize))
    equal(tiny_run(tmp_path / "run", task, **SETTINGS), near, minimize)


@minimized
def test_a_run_that_grows(near, tmp_path, minimize):
    task = far_task(minimize)
    tiny_run(tmp_path / "run", task, **(SETTINGS | {"budget": 6}))
    equal(resume(tmp_path / "run", task=task, budget=12, progress=False), near, minimize)


@minimized
def test_people_who_measure(near, tmp_path, minimize):
    """Late results among them, which are corrected."""
    score, task = score_of(minimize), host_task(None, **settings_of(minimize))
    with wrlso.open(tmp_path / "lab", task, wrlso.methods.METHODS["weighted_retraining"]
                    .with_options(k=1e-2, retrain_every=4), **SETTINGS) as study:  # fmt: skip
        while batch := study.ask():
            study.tell({c.id: score(c.object) + 5 for c in batch})
            study.tell({c.id: score(c.object) for c in batch}, replace=True)
    equal(Result(tmp_path / "lab"), near, minimize)


@minimized
def test_a_run_that_starts_from_another(near, tmp_path, minimize):
    first = tiny_run(tmp_path / "first", far_task(minimize), **SETTINGS)
    later = SETTINGS | {"first_seed": 1, "budget": 8}
    expected = tiny_run(
        tmp_path / "near", far_task(False, far=0), start_from=near.folder.path, **later
    )
    task = far_task(minimize)
    equal(tiny_run(tmp_path / "far", task, start_from=first.folder.path, **later),
          expected, minimize)  # fmt: skip


@pytest.mark.slow
@minimized
def test_bayesian_optimisation(tmp_path, minimize):
    result = tiny_run(tmp_path / "run", far_task(minimize), **(SETTINGS | {"proposer": "bo"}))
    score = score_of(minimize)
    for query in result.queries():
        if query.score is not None:
            assert query.score == score(np.frombuffer(query.object, np.uint8))
    best = result.summary["seeds"][0]["best"]
    assert (-best if minimize else best) > (-1 if minimize else 1) * FAR + 8
