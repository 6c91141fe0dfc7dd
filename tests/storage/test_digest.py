"""Digests of values and code: a change is noticed, and what only counts is not."""

import dataclasses
import functools
import importlib.util
import os
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from wrlso.storage.digest import array_digest, code_digest, describe, is_library

OBJECTIVE = """
import functools, math
import jax

OFFSET = 1.0

def helper(x):
    return deeper(x) + OFFSET

def deeper(x):
    return 2 * x

def make(closed):
    def objective(x, default=3):
        return helper(x) * 5 + closed + default
    return objective

objective = make(7)
"""

CHANGES = {
    "constant": ("helper(x) * 5", "helper(x) * 6"),
    "closure value": ("make(7)", "make(8)"),
    "default": ("default=3", "default=4"),
    "helper": ("deeper(x) + OFFSET", "deeper(x) - OFFSET"),
    "helper of a helper": ("return 2 * x", "return 3 * x"),
    "constant of the module": ("OFFSET = 1.0", "OFFSET = 1.5"),
}


def module(folder, source, name="users_module"):
    """A user's module from its source, as a fresh process would import it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(source))
    spec = importlib.util.spec_from_file_location(name, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def digest_of(tmp_path):
    """The digest of ``objective`` in a module of this source."""
    made = iter(range(1000))
    return lambda source: code_digest(module(tmp_path / str(next(made)), source).objective)


def test_the_same_function_made_again_has_the_same_digest(digest_of):
    assert digest_of(OBJECTIVE) == digest_of(OBJECTIVE)


def test_a_function_may_move_within_its_file(digest_of):
    moved = OBJECTIVE.replace("OFFSET = 1.0", "UNUSED = 4\n\n\nOFFSET = 1.0")
    assert digest_of(moved) == digest_of(OBJECTIVE)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_function_has_another_digest(digest_of, change):
    before, after = CHANGES[change]
    assert OBJECTIVE.count(before) == 1
    assert digest_of(OBJECTIVE.replace(before, after)) != digest_of(OBJECTIVE)


@pytest.mark.parametrize(
    "wrapped",
    ["jax.jit(make(7))", "functools.partial(make(7), default=9)", "functools.cache(make(7))",
     "jax.vmap(make(7))", "lambda x: make(7)(x)"],
)  # fmt: skip
@pytest.mark.parametrize("change", ["constant", "helper of a helper"])
def test_a_change_is_noticed_within_a_wrapped_function(digest_of, wrapped, change):
    source = OBJECTIVE.replace("objective = make(7)", f"objective = {wrapped}")
    assert digest_of(source) == digest_of(source)
    assert digest_of(source.replace(*CHANGES[change])) != digest_of(source)


def test_the_arguments_of_a_partial_count():
    def score(x, factor):
        return factor * x

    two, three = (functools.partial(score, factor=f) for f in (2, 3))
    assert code_digest(two) == code_digest(functools.partial(score, factor=2))
    assert code_digest(two) != code_digest(three)
    assert code_digest(functools.partial(score, 1)) != code_digest(functools.partial(score, 2))


def test_arrays_in_a_closure_count_by_their_contents():
    def make(array):
        return lambda x: x @ array

    ones = make(np.ones(3))
    assert code_digest(ones) == code_digest(make(np.ones(3)))
    assert code_digest(ones) != code_digest(make(np.ones(3, np.float32)))
    assert code_digest(ones) != code_digest(make(np.array([1, 1, 1.1])))
    assert code_digest(make(jnp.ones(3))) == code_digest(make(jnp.ones(3)))


def test_a_flax_module_in_a_closure_counts_by_its_fields():
    class Net(nn.Module):
        width: int

        @nn.compact
        def __call__(self, x):
            return nn.Dense(self.width)(x)

    def make(net):
        return lambda params, x: net.apply(params, x)

    used = Net(8)
    used.init(jax.random.key(0), jnp.ones((1, 3)))  # which must not change it
    assert code_digest(make(used)) == code_digest(make(Net(8)))
    assert code_digest(make(used)) != code_digest(make(Net(9)))
    layers = nn.Sequential([nn.Dense(3), nn.relu]), nn.Dense(3), nn.Dense(4)
    assert code_digest(layers[1]) != code_digest(layers[2])


CLASS = """
class Objective:
    def __init__(self, factor):
        self.factor = factor
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return self.factor * x

objective = Objective(2)
"""


def test_an_instance_counts_by_its_class_and_attributes_but_not_by_its_counters(tmp_path):
    objective = module(tmp_path / "a", CLASS).objective
    before = code_digest(objective)
    objective(3)
    assert objective.calls == 1
    assert code_digest(objective) == before
    assert code_digest(objective.__call__) == code_digest(objective.__call__)
    other = module(tmp_path / "b", CLASS.replace("Objective(2)", "Objective(3)")).objective
    assert code_digest(other) != before
    edited = module(tmp_path / "c", CLASS.replace("self.factor * x", "self.factor + x")).objective
    assert code_digest(edited) != before


COUNTERS = {
    "list": ("calls = []", "calls.append(x)"),
    "dictionary": ("calls = {}", "calls[x] = x"),
    "set": ("calls = set()", "calls.add(x)"),
    "global": ("calls = 0", "global calls; calls += 1"),
    "own attribute": ("calls = 0", "objective.calls = getattr(objective, 'calls', 0) + 1"),
    "attribute of another object": (
        "from types import SimpleNamespace; calls = SimpleNamespace(n=0)", "calls.n += 1",
    ),
    "attribute of an instance": (
        "class Calls:\n    def __init__(self): self.n = 0\ncalls = Calls()", "calls.n += 1",
    ),
    "iterator": ("import itertools; calls = itertools.count()", "next(calls)"),
    "deque": ("from collections import deque; calls = deque()", "calls.append(x)"),
    "random numbers": ("import random; calls = random.Random(0)", "calls.random()"),
    "lock": ("import threading; calls = threading.Lock()", "calls.acquire(blocking=False)"),
    "logger": ("import logging; calls = logging.getLogger('x')", "calls.debug('x')"),
}  # fmt: skip


@pytest.mark.parametrize("counter", COUNTERS)
def test_counting_calls_is_no_change(tmp_path, counter):
    begin, count = COUNTERS[counter]
    source = f"{begin}\n\ndef objective(x):\n    {count}\n    return 2.0 * x\n"
    objective = module(tmp_path, source).objective
    before = code_digest(objective)
    for x in range(3):
        objective(x)
    assert code_digest(objective) == before


def test_counting_in_an_enclosing_function_is_no_change():
    def make():
        calls = 0

        def objective(x):
            nonlocal calls
            calls += 1
            return 2 * x

        return objective

    objective = make()
    before = code_digest(objective)
    objective(1)
    assert code_digest(objective) == before == code_digest(make())


def test_functions_that_call_each_other_have_a_digest(digest_of):
    source = """
    def objective(x):
        return other(x - 1) if x else 0

    def other(x):
        return objective(x - 1) if x else 1
    """
    source = textwrap.dedent(source)
    assert digest_of(source) == digest_of(source)
    assert digest_of(source.replace("else 1", "else 2")) != digest_of(source)


@pytest.mark.parametrize("in_file", [True, False], ids=["file", "without source"])
def test_another_process_finds_the_same_digest(tmp_path, in_file):
    """Whatever order its sets have; also where the source is not at hand."""
    source = """
    import functools
    import flax.linen as nn, jax, optax

    NAMES = frozenset({"a", "b", "c", "d"})

    def helper(x):
        return x in {"left", "right", "up"} or x in NAMES

    def make(net):
        def objective(params, x, way="up"):
            return net.apply(params, x) * helper(way)
        return objective

    class Scaled:
        def __init__(self, factor):
            self.factor, self.base = factor, functools.partial(make(nn.Dense(3)), way="left")

        def __call__(self, x):
            return self.factor * self.base({}, x)

    objective = (jax.jit(make(nn.Dense(4))), Scaled(2.0), optax.adam, helper)
    """
    (tmp_path / "mine.py").write_text(textwrap.dedent(source))
    load = "import mine" if in_file else "import types; mine = types.ModuleType('mine'); " + (
        "exec(open('mine.py').read(), mine.__dict__)"
    )  # fmt: skip
    program = f"{load}; from wrlso.storage.digest import code_digest as d; print(d(mine.objective))"
    found = [
        subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, check=True, text=True,
            capture_output=True, env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in "12"
    ]  # fmt: skip
    assert len(found[0].strip()) == 16
    assert found[0] == found[1]


def test_code_of_installed_packages_and_of_wrlso_is_known_by_its_name():
    from wrlso import proposers

    assert is_library(np.mean)
    assert is_library(optax.adam)
    assert is_library(proposers.prior)
    assert not is_library(test_code_of_installed_packages_and_of_wrlso_is_known_by_its_name)
    assert code_digest(np.mean) != code_digest(np.median)
    assert code_digest(optax.adam) != code_digest(optax.sgd)
    assert code_digest(optax.sgd(0.1)) != code_digest(optax.sgd(0.2))


@dataclasses.dataclass(frozen=True)
class Settings:
    rate: float
    names: tuple[str, ...] = ("a",)
    optimizer: object = optax.adam


def test_a_description_is_plain_data_that_differs_where_values_differ():
    found = describe(Settings(float("inf")))
    assert found["rate"] == "inf"
    assert found["names"] == ["a"]
    assert found["optimizer"].startswith("adam ")
    assert describe(Settings(0.5)) != describe(Settings(0.25))
    assert describe(Settings(0.5)) != describe(Settings(0.5, optimizer=optax.sgd))
    assert describe(Settings(0.5, optimizer=optax.sgd(0.1))) != describe(
        Settings(0.5, optimizer=optax.sgd(0.2))
    )
    assert describe({"a": np.float32(0.5), "b": SimpleNamespace}) == {
        "a": 0.5,
        "b": describe(SimpleNamespace),
    }
    assert describe(jnp.ones(3)) == describe(np.ones(3, np.float32)) != describe(np.zeros(3))


def test_the_digest_of_arrays_counts_shapes_types_and_contents():
    arrays = [np.zeros((2, 3)), np.zeros((3, 2)), np.zeros(6, np.float32), np.ones((2, 3))]
    assert len({array_digest(a) for a in arrays}) == 4
    assert array_digest(*arrays) != array_digest(*arrays[::-1])
    assert array_digest(np.zeros((3, 2)).T) == array_digest(arrays[0])
