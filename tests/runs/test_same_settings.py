"""A run goes on only with the settings, the code and the data that it began with."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import wrlso
from tests.builders import (
    METHOD,
    Killed,
    bits_of,
    count_bits,
    host_task,
    make_tiny_task,
    tiny_bo,
    tiny_data,
    tiny_params,
    tiny_run,
    tiny_sweep,
    tiny_vae,
)
from wrlso import HostObjective, Method, api, proposers, resume
from wrlso.loop.retraining import RetrainConfig
from wrlso.weighting import rank_weights

RETRAIN = RetrainConfig(1.0, 0.5, 16, 1e-2, 1.0)


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Begin a run that is killed before its first round."""

    def killed(*_):
        raise Killed

    def begin(task, method=METHOD, **settings):
        with monkeypatch.context() as patch:
            patch.setattr(api, "run_to_end", killed)
            with pytest.raises(Killed):
                tiny_run(tmp_path / "run", task, method, **({"proposer": "bo"} | settings))
        return tmp_path / "run"

    return begin


@pytest.fixture
def goes_on(monkeypatch):
    """Whether a run would be continued; without running it."""
    reached = []

    def goes_on(path, **arguments):
        reached.clear()
        with monkeypatch.context() as patch:
            patch.setattr(api, "run_to_end", lambda *_: reached.append(1))
            patch.setattr(api, "Result", lambda path: path)
            resume(path, progress=False, **arguments)
        return reached == [1]

    return goes_on


def plus(bits):
    """Objectives of one name that differ in a closed-over number."""

    def objective(objects):
        return bits_of(objects).sum(-1) + bits

    return objective


def one_way():
    def objective(objects):
        return bits_of(objects).sum(-1)

    return objective


def another_way():
    def objective(objects):
        return bits_of(objects).sum(-1) * 2

    return objective


def sharp(k):
    """Weightings of one name that differ in a closed-over number."""

    def weighting(scores, mask, rounds, hyper):
        return rank_weights(scores, k, mask)

    return weighting


def improvement(margin):
    def acquisition(mean, variance, best):
        return mean - best - margin + jnp.sqrt(variance)

    return acquisition


def own_surrogate(**changes):
    return tiny_bo(surrogate=dataclasses.replace(tiny_bo().surrogate, **changes))


TASKS = {
    "acquisition": ({"bo": tiny_bo()}, {"bo": tiny_bo(acquisition="ucb")}),
    "ucb_beta": (
        {"bo": tiny_bo(acquisition="ucb")},
        {"bo": tiny_bo(acquisition="ucb", ucb_beta=9.0)},
    ),
    "acquisition of one's own": (
        {"bo": tiny_bo(acquisition=improvement(0.1))},
        {"bo": tiny_bo(acquisition=improvement(0.2))},
    ),
    "surrogate": ({"bo": own_surrogate()}, {"bo": own_surrogate(kind="sparse")}),
    "penalty": ({"bo": own_surrogate()}, {"bo": own_surrogate(penalty=-1.0)}),
    "epochs": ({"retrain": RETRAIN}, {"retrain": dataclasses.replace(RETRAIN, epochs=0.6)}),
    "learning_rate": (
        {"retrain": RETRAIN},
        {"retrain": dataclasses.replace(RETRAIN, learning_rate=2e-2)},
    ),
    "beta": ({"retrain": RETRAIN}, {"retrain": dataclasses.replace(RETRAIN, beta=2.0)}),
    "form": ({"retrain": RETRAIN}, {"retrain": dataclasses.replace(RETRAIN, form="loss")}),
    "optimizer": (
        {"retrain": dataclasses.replace(RETRAIN, optimizer=optax.sgd(1e-2))},
        {"retrain": dataclasses.replace(RETRAIN, optimizer=optax.sgd(2e-2))},
    ),
    "objective": ({"objective": one_way()}, {"objective": another_way()}),
    "objective's closure": ({"objective": plus(1)}, {"objective": plus(2)}),
    "dedup_key": ({}, {"dedup_key": lambda objects: objects // 2}),
    "base_data": (
        {},
        {"load_data": lambda: tiny_data()._replace(scores=tiny_data().scores + 1)},
    ),
    "params": ({}, {"params": jax.tree.map(lambda a: a + 1, tiny_params())}),
    "model": (
        {},
        {"vae": dataclasses.replace(tiny_vae(), valid=lambda objects: objects[:, 0] > 0)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", TASKS)
def test_another_setting_of_the_task_is_refused_by_name(begin, goes_on, change):
    first, other = TASKS[change]
    path = begin(make_tiny_task(**first))
    name = change.split("'")[0].split(" of ")[0]
    with pytest.raises(ValueError, match=rf"with other settings or another task.*{name}[^;]*: "):
        goes_on(path, task=make_tiny_task(**other))
    assert goes_on(path, task=make_tiny_task(**first))


def test_another_task_is_refused(begin, goes_on):
    path = begin(make_tiny_task())
    with pytest.raises(ValueError, match="than 'other' as it is now"):
        goes_on(path, task=make_tiny_task(name="other"))


def test_a_host_objective_of_other_code_is_refused(begin, goes_on):
    def score(thing):
        return float(thing[0])

    path = begin(host_task(HostObjective(score, canonical=np.sort)))
    assert goes_on(path, task=host_task(HostObjective(score, canonical=np.sort, workers=3)))
    for other in (
        HostObjective(lambda thing: float(thing[1]), canonical=np.sort),
        HostObjective(score, canonical=np.flip),
        HostObjective(score),
    ):
        with pytest.raises(ValueError, match=r"task 'bits'\.objective"):
            goes_on(path, task=host_task(other))


def test_a_weighting_of_ones_own_is_needed_and_its_code_is_compared(begin, goes_on):
    def method(k):
        return Method("mine", weighting=sharp(k), retrain_every=4)

    path = begin(make_tiny_task(), method(0.1))
    task = make_tiny_task()
    with pytest.raises(ValueError, match=r"a weighting of your own, .*weighting.*method=\.\.\."):
        goes_on(path, task=task)
    with pytest.raises(ValueError, match=r"weighting: .*weighting"):
        goes_on(path, task=task, method=method(0.2))
    with pytest.raises(ValueError, match="-> rank"):
        goes_on(path, task=task, method=METHOD)
    assert goes_on(path, task=task, method=method(0.1))


def test_a_proposer_of_ones_own_is_needed_and_its_code_is_compared(begin, goes_on):
    task = make_tiny_task()

    def proposer(step):
        ours = proposers.prior(task.vae, 4)

        def propose(key, view, surrogate):
            pool = ours.propose(key, view, surrogate)
            return pool._replace(latents=pool.latents * step, objects=None)

        return dataclasses.replace(ours, name="mine", propose=propose)

    path = begin(task, proposer=proposer(0.5))
    with pytest.raises(ValueError, match=r"a proposer of your own, 'mine'.*proposer=\.\.\."):
        goes_on(path, task=task)
    with pytest.raises(ValueError, match=r"proposer\.code"):
        goes_on(path, task=task, proposer=proposer(0.6))
    assert goes_on(path, task=task, proposer=proposer(0.5))


def test_a_sweep_refuses_what_a_resume_refuses(tmp_path):
    swept = {"a": METHOD}
    tiny_sweep(tmp_path, swept, seeds=1, budget=4)
    (tmp_path / "a" / "summary.json").unlink()
    task = make_tiny_task(retrain=dataclasses.replace(RETRAIN, batch_size=8))
    with pytest.raises(ValueError, match=r"algorithm\.retraining\.batch_size: 16 -> 8"):
        tiny_sweep(tmp_path, swept, task, seeds=1, budget=4)
    with pytest.raises(ValueError, match="objective"):
        tiny_sweep(tmp_path, swept, make_tiny_task(objective=another_way()), seeds=1, budget=4)
    tiny_sweep(tmp_path, swept, seeds=1, budget=4)


def test_the_folder_records_every_resolved_number(begin):
    task = make_tiny_task(
        bo=tiny_bo(acquisition="ucb", ucb_beta=2.5),
        retrain=dataclasses.replace(RETRAIN, min_steps=7, optimizer=optax.sgd),
    )
    method = METHOD.with_options(epochs=2.0, beta=3.0)
    stored = wrlso.runs.folder.RunFolder(begin(task, method)).config.algorithm
    assert stored["hyper"] == {"learning_rate": 1e-2, "beta": 3.0, "k": 1e-2}
    retraining = stored["retraining"]
    assert (retraining["first_epochs"], retraining["epochs"]) == (2.0, 2.0)
    assert (retraining["batch_size"], retraining["min_steps"]) == (16, 7)
    assert retraining["optimizer"].startswith("sgd ")
    settings = stored["proposer"]["settings"]
    assert (settings["acquisition"], settings["ucb_beta"]) == ("ucb", 2.5)
    assert settings["surrogate"]["fit"]["evaluations"] == 4
    assert (stored["budget"], stored["retrain_every"]) == (12, 4)


LOG, CALLS = [], 0


def counts_in_a_list(thing):
    LOG.append(bytes(thing))
    return float(np.unpackbits(thing).sum())


def counts_in_a_global(thing):
    global CALLS
    CALLS += 1
    return float(np.unpackbits(thing).sum())


def counts_in_its_own_attribute(thing):
    counts_in_its_own_attribute.calls = getattr(counts_in_its_own_attribute, "calls", 0) + 1
    return float(np.unpackbits(thing).sum())


class Counting:
    def __init__(self):
        self.calls, self.best = 0, None

    def __call__(self, thing):
        self.calls += 1
        self.best = max(self.best or 0.0, float(np.unpackbits(thing).sum()))
        return float(np.unpackbits(thing).sum())


def counts_in_a_closure():
    calls = 0

    def objective(thing):
        nonlocal calls
        calls += 1
        return float(np.unpackbits(thing).sum())

    return objective


@pytest.mark.parametrize(
    "objective",
    [counts_in_a_list, counts_in_a_global, counts_in_its_own_attribute, Counting(),
     counts_in_a_closure()],
    ids=["list", "global", "attribute", "instance", "closure"],
)  # fmt: skip
def test_an_objective_that_counts_its_calls_is_no_other_objective(tmp_path, objective):
    """In the process that it has counted in; in a new one it begins from nothing anyway."""
    left = [7]

    def killed_once(thing):
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return objective(thing)

    with pytest.raises(Killed):
        tiny_run(tmp_path / "run", host_task(killed_once), proposer="prior", seeds=1)
    resumed = resume(tmp_path / "run", task=host_task(killed_once), progress=False)
    whole = tiny_run(tmp_path / "whole", host_task(objective), proposer="prior", seeds=1)
    assert resumed.queries() == whole.queries()


def test_a_jax_objective_that_counts_its_traces_is_no_other_objective(begin, goes_on):
    traces = []

    def objective(objects):
        traces.append(1)
        return count_bits(objects)

    path = begin(make_tiny_task(objective=objective))
    assert traces
    assert goes_on(path, task=make_tiny_task(objective=objective))
