"""Arguments of a wrong kind are named where they are given, with where to get the right one."""

import dataclasses
import functools
import inspect

import jax
import numpy as np
import optax
import pytest

import wrlso
from tests.builders import METHOD, make_tiny_task, tiny_algorithm, tiny_run
from wrlso import loop, methods, proposers
from wrlso.data import Dataset
from wrlso.loop.retraining import RetrainConfig
from wrlso.runs.settings import RunSettings

TASK = make_tiny_task()
_, ALGORITHM = tiny_algorithm(proposer="prior")
BASE = wrlso.base_data(TASK)
STATE = loop.init(ALGORITHM, TASK.params, BASE.dataset)
KEY = jax.random.key(0)


def resolve(task=TASK, method=METHOD, **settings):
    return wrlso.algorithm(task, method, **({"budget": 12} | settings))


def simulate(algorithm=ALGORITHM, objective=TASK.objective, base=BASE):
    return wrlso.simulate(algorithm, objective, 0, TASK.params, base)


def step(name, *args):
    """A step of the loop without the check of types that the tests put around it."""
    return inspect.unwrap(getattr(loop, name))(*args)


CALLED = r"\(it has to be called\)$"
TASKS = "^task must be a Task, such as wrlso.tasks.shapes.., got "
METHODS = "^method must be a Method, such as wrlso.methods.weighted_retraining.., got "
PROPOSERS = r"^proposer must be a name \(grid, .* or a Proposer, such as wrlso.proposers.pr.*, got "
ALGORITHMS = r"^algorithm must be an Algorithm, such as wrlso.algorithm\(task, method\), got "
PREPARED = r"^base must be a BaseData, such as wrlso.base_data\(task\) or wrlso.prepare_base"

WRONG = {
    "a factory of tasks": (lambda: resolve(wrlso.tasks.shapes), TASKS + ".*" + CALLED),
    "the name of a task": (lambda: resolve("shapes"), TASKS + "'shapes'"),
    "a factory of methods": (lambda: resolve(method=methods.lso), METHODS + ".*" + CALLED),
    "the name of a method": (lambda: resolve(method="lso"), METHODS + "'lso'"),
    "a factory of proposers": (
        lambda: resolve(proposer=proposers.prior),
        PROPOSERS + ".*" + CALLED,
    ),
    "a class": (lambda: resolve(proposer=wrlso.Proposer), PROPOSERS + ".*" + CALLED),
    "a number": (lambda: resolve(proposer=3), PROPOSERS + "3"),
    "of a method": (
        lambda: resolve(method=dataclasses.replace(METHOD, proposer=proposers.bo)),
        PROPOSERS,
    ),
    "of a task": (lambda: resolve(make_tiny_task(proposer=proposers.bo)), PROPOSERS),
    "in settings": (lambda: RunSettings(proposer=proposers.prior), PROPOSERS + ".*" + CALLED),
    "a task to simulate": (lambda: simulate(TASK), ALGORITHMS + "a Task"),
    "a method to simulate": (lambda: simulate(METHOD), ALGORITHMS + "a Method|Method"),
    "data to simulate": (lambda: simulate(base=TASK.load_data()), PREPARED + ".*Dataset"),
    "no objective": (lambda: simulate(objective=None), "^objective must be a function, got None"),
    "traced numbers": (lambda: ALGORITHM.numbers(3), "^hyper must be a Mapping, .* got 3"),
    "init": (lambda: loop.init(TASK, TASK.params, BASE.dataset), ALGORITHMS),
    "init with all": (
        lambda: loop.init(ALGORITHM, TASK.params, BASE),
        "base must be a Dataset, such as the dataset of wrlso.base_data",
    ),
    "retrain": (lambda: step("retrain", ALGORITHM, KEY, STATE, BASE.dataset, 1), PREPARED),
    "fit": (lambda: step("fit", ALGORITHM, KEY, STATE, BASE.dataset), PREPARED),
    "ask": (lambda: step("ask", ALGORITHM, KEY, STATE, (), BASE.dataset), PREPARED),
    "ask a task": (lambda: step("ask", TASK, KEY, STATE, (), BASE), ALGORITHMS),
    "predict": (lambda: step("predict", TASK, (), STATE.history.latents), ALGORITHMS),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_argument_of_another_kind_is_named(case):
    call, message = WRONG[case]
    with pytest.raises(TypeError, match=message):
        call()


def test_base_data_are_recognised_within_a_program():
    jax.eval_shape(lambda base: simulate(base=base), BASE)
    with pytest.raises(TypeError, match=PREPARED):
        jax.eval_shape(lambda base: simulate(base=base), Dataset(*TASK.load_data()))


def test_a_proposer_that_is_not_called_is_named_before_anything_is_made(tmp_path):
    with pytest.raises(TypeError, match=PROPOSERS):
        tiny_run(tmp_path / "run", proposer=proposers.prior)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["vae", "retrain", "bo", "pretrain", "load_data", "initial_spent"])
def test_a_part_of_a_task_is_of_its_kind(name):
    with pytest.raises(TypeError, match=rf"^{name} of a task must be a \w+, .*got 'x'"):
        make_tiny_task(**{name: "x"})


@pytest.mark.parametrize("name", ["objective", "accept", "dedup_key", "to_text", "from_text"])
def test_a_function_of_a_task_is_a_function(name):
    with pytest.raises(TypeError, match=f"{name} of a task must be a function, got 3"):
        make_tiny_task(**{name: 3})


def test_a_wrapper_of_optax_is_refused_with_the_remedy():
    """Before a run has scored its starting data."""
    wrapped = optax.MultiSteps(optax.adam(1e-3), 2)
    with pytest.raises(ValueError, match=r"optimizer must be .* \.gradient_transformation\(\)$"):
        RetrainConfig(optimizer=wrapped)
    retrain = RetrainConfig(optimizer=lambda rate: optax.MultiSteps(optax.adam(rate), 2))
    with pytest.raises(ValueError, match=r"returns a MultiSteps: give its \.gradient_transf"):
        resolve(make_tiny_task(retrain=retrain))
    with pytest.raises(ValueError, match=r"returns a NoneType$"):
        resolve(make_tiny_task(retrain=RetrainConfig(optimizer=lambda rate: None)))
    for right in (wrapped.gradient_transformation(), optax.adam, functools.partial(optax.sgd)):
        resolve(make_tiny_task(retrain=RetrainConfig(optimizer=right)))


def test_methods_without_names_are_refused(tmp_path):
    for methods_given in ([METHOD], METHOD):
        with pytest.raises(TypeError, match=r"methods must be a Mapping, such as \{'k=0.1': "):
            wrlso.sweep(TASK, methods_given, out=tmp_path / "sweep", budget=4, progress=False)
    with pytest.raises(ValueError, match="3 cannot name a folder"):
        wrlso.sweep(TASK, {3: METHOD}, out=tmp_path / "sweep", budget=4, progress=False)


@pytest.mark.parametrize("name", ["budget", "devices"])
def test_a_run_is_resumed_with_whole_numbers(tmp_path, name):
    for number in (2.5, True, "8"):
        with pytest.raises(ValueError, match=f"{name} must be a whole number, got "):
            wrlso.resume(tmp_path, **{name: number})


def test_a_budget_of_numpy_resumes_a_run(tmp_path):
    tiny_run(tmp_path / "run", proposer="prior", seeds=1, budget=4)
    more = wrlso.resume(
        tmp_path / "run", task=TASK, budget=np.int64(8), devices=np.int32(1), progress=False
    )
    assert more.folder.config.budget == 8
    assert len(more.scores()[0]) == 8
