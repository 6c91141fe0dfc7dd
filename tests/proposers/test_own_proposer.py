"""Functions of a user's own proposer that return something else than they should."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wrlso
from tests.builders import count_bits, host_task, make_tiny_task, tiny_algorithm, tiny_run
from wrlso import loop, proposers
from wrlso.loop.steps import measures
from wrlso.proposers.base import Pool, Prediction, Proposer
from wrlso.proposers.checks import is_own


class Best(NamedTuple):
    """A surrogate of a user's own."""

    latents: jax.Array
    score: jax.Array


BEST = Best(jnp.zeros(2), jnp.zeros(()))


KEY = jax.random.key(0)


def propose(key, view, surrogate):
    return Pool(jax.random.normal(key, (8, 2), jnp.float32))


def fit(key, view, memory):
    return memory + 1, Best(memory, view.base.scores.max())


def observe(surrogate, observations):
    best = jnp.argmax(observations.scores)
    return Best(observations.latents[best], observations.scores[best])


def proposer(**changes):
    """A proposer of two points that does everything right, but for the changes."""
    right = dict(fit=fit, observe=observe, memory=jnp.zeros(2), max_duplicates=1)
    right |= dict(fantasize=lambda surrogate, latents, pending: surrogate)
    right |= dict(measures=lambda surrogate: {"fit_r2": surrogate.score})
    right |= dict(predict=lambda surrogate, z: Prediction(z[:, 0], jnp.ones(len(z))))
    return Proposer("mine", propose, 2, **(right | changes))


def simulated(own):
    """The whole of Algorithm 1, traced."""
    task, algorithm = tiny_algorithm(proposer="prior", budget=4)
    algorithm = dataclasses.replace(algorithm, proposer=own)
    base = wrlso.base_data(task)
    run = lambda seed: wrlso.simulate(algorithm, task.objective, seed, task.params, base)  # noqa: E731
    return jax.eval_shape(run, 0)


def expected(own, n=2):
    """What the proposer expects at n points, traced."""
    algorithm = dataclasses.replace(tiny_algorithm(proposer="prior")[1], proposer=own)
    return jax.eval_shape(lambda z: loop.predict(algorithm, BEST, z), jnp.zeros((n, 2)))


def always(value):
    return lambda *_: value


FIT = "fit of proposer 'mine' must return a "
MEMORY = FIT + r"memory of the form of the one that it gets, float32\[2\], got "
OBSERVE = (
    r"observe of proposer 'mine' must return a surrogate of the form of the one that it gets, "
    "which fit returned, "
)
WHOLE = r"Best\(latents=float32\[2\], score=float32\[\]\), got "

WRONG = {
    "fit: one value": ("fit", always(BEST.score), FIT + r"pair, .*, got \[\]"),
    "fit: nothing": ("fit", always(None), FIT + "pair, the memory and the surrogate, got a NoneT"),
    "fit: three": ("fit", always((0, 1, 2)), FIT + "pair, .* got a tuple of 3"),
    "fit: no memory": ("fit", always((None, BEST)), MEMORY + "None"),
    "fit: more memory": ("fit", always(((BEST.latents, 1), BEST)), MEMORY + r"\(float32\[2\], int"),
    "fit: other type": ("fit", always((jnp.zeros(2, int), BEST)), MEMORY + r"int32\[2\]"),
    "fit: other shape": ("fit", always((jnp.zeros(3), BEST)), MEMORY + r"float32\[3\]"),
    "fit: text": (
        "fit",
        always((BEST.latents, {"name": "x"})),
        r"the surrogate that fit of .* must consist of arrays, got a str at \['name'\]",
    ),
    "observe: nothing": ("observe", always(None), OBSERVE + WHOLE + "None"),
    "observe: scores": ("observe", lambda s, told: told.scores, OBSERVE + WHOLE + r"float32\[3\]"),
    "observe: a tuple": ("observe", lambda s, told: tuple(s), OBSERVE + WHOLE + r"\(float32\[2\]"),
    "observe: other type": (
        "observe",
        lambda s, told: s._replace(score=1),
        OBSERVE + r"float32\[\] at \.score, got int32\[\]",
    ),
    "observe: other shape": (
        "observe",
        lambda s, told: s._replace(latents=told.latents),
        OBSERVE + r"float32\[2\] at \.latents, got float32\[3, 2\]",
    ),
    "observe: text": ("observe", lambda s, told: s._replace(score="x"), "arrays, got a str"),
    "fantasize: nothing": ("fantasize", always(None), "fantasize of proposer 'mine' must return"),
    "measures: a number": (
        "measures",
        always(1.0),
        "measures of proposer 'mine' must return a dictionary of .* fit_spearman, got a float",
    ),
    "measures: a name": (
        "measures",
        always({"loss": 1.0}),
        "measures of proposer 'mine' .* names fit_r2 and fit_spearman, got 'loss'",
    ),
    "measures: a vector": (
        "measures",
        lambda s: {"fit_spearman": s.latents},
        r"fit_spearman in measures of proposer 'mine' must be a single number, got \[2\]",
    ),
    "measures: text": (
        "measures",
        always({"fit_r2": "x"}),
        "fit_r2 in measures .* arrays, got a s",
    ),
    "measures: complex": ("measures", always({"fit_r2": 1j}), "fit_r2 in measures .* real numbers"),
    "propose: nothing": ("propose", always(None), "'mine' must give a Pool"),
}

PREDICT = r"predict of proposer 'mine' must return a Prediction of .* \[2\] each, got "

PREDICTED = {
    "means": (lambda s, z: z[:, 0], PREDICT + r"\[2\]"),
    "an array of both": (lambda s, z: jnp.zeros((2, len(z))), PREDICT + r"\[2, 2\]"),
    "nothing": (always(None), PREDICT + "a NoneType"),
    "three": (lambda s, z: (z[:, 0],) * 3, PREDICT + "a tuple of 3"),
    "numbers": (always((1.0, 2.0)), PREDICT + r"\[\] and \[\]"),
    "one deviation": (lambda s, z: Prediction(z[:, 0], jnp.ones(1)), PREDICT + r"\[2\] and \[1\]"),
    "columns": (lambda s, z: Prediction(z[:, :1], z[:, :1]), PREDICT + r"\[2, 1\] and \[2, 1\]"),
    "complex": (lambda s, z: (z[:, 0], 1j * z[:, 0]), "deviation in predict .* got complex64"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_function_that_returns_something_else_is_named_when_traced(case):
    name, function, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        simulated(proposer(**{name: function}) if name != "propose" else
                  dataclasses.replace(proposer(), propose=function))  # fmt: skip


@pytest.mark.parametrize("case", PREDICTED)
def test_a_prediction_of_another_form_is_refused_when_traced(case):
    function, message = PREDICTED[case]
    with pytest.raises(ValueError, match=message):
        expected(proposer(predict=function))


def test_a_proposer_that_does_everything_right_is_taken():
    _, rounds = simulated(proposer())
    assert rounds.measures["fit_r2"].shape == (1,)
    assert expected(proposer()).deviation.shape == (2,)
    simulated(proposer(memory=(), fit=lambda key, view, memory: [memory, BEST]))
    simulated(proposer(measures=lambda s: {"fit_spearman": 0, "fit_r2": np.float32(1)}))
    stacked = proposer(predict=lambda s, z: [z[:, 0], jnp.arange(len(z))])
    assert expected(stacked, 3).mean.dtype == jnp.float32


def test_a_memory_and_a_surrogate_may_be_any_numbers_outside_of_a_program():
    """They have the types of a program there: NumPy's floats are wider, Python's have none."""
    _, algorithm = tiny_algorithm(proposer="prior")
    task = make_tiny_task()
    base = wrlso.base_data(task)

    def fit(key, view, memory):
        small = jax.tree.map(lambda leaf: jnp.asarray(leaf) if leaf is not KEY else leaf, memory)
        return small, {"best": 1.5, "all": np.zeros(3), "none": None, "key": KEY}

    def observe(surrogate, observations):
        return surrogate | {"best": observations.scores.max(), "all": jnp.zeros(3)}

    memory = {"mean": np.zeros(2), "n": 0, "key": KEY}
    own = proposer(fit=fit, observe=observe, memory=memory, measures=lambda s: {"fit_r2": 1})
    algorithm = dataclasses.replace(algorithm, proposer=own)
    state = loop.init(algorithm, task.params, base.dataset)
    for _ in range(2):
        state, surrogate = loop.fit(algorithm, KEY, state, base)
    assert surrogate["best"] == 1.5
    simulated(own)


def test_measures_are_numbers_of_one_seed_and_lift_to_many():
    algorithm = dataclasses.replace(tiny_algorithm(proposer="prior")[1], proposer=proposer())
    lanes = jax.tree.map(lambda a: jnp.stack([a, a + 1]), BEST)
    found = jax.vmap(functools.partial(measures, algorithm))(lanes)
    np.testing.assert_array_equal(found["fit_r2"], [0.0, 1.0])


@pytest.mark.parametrize("name", ["fit", "propose", "observe", "fantasize", "measures", "predict"])
def test_a_function_that_reads_values_is_named_in_a_note(name):
    def reads(*args):
        leaf = max(jax.tree.leaves(args[1:] or args), key=lambda leaf: np.size(leaf))
        return float(jnp.sum(jnp.asarray(leaf)))

    own = dataclasses.replace(proposer(), **{name: reads})
    with pytest.raises(jax.errors.JAXTypeError) as error:
        expected(own) if name == "predict" else simulated(own)
    (note,) = [note for note in error.value.__notes__ if "compiled program" in note]
    assert f"{name} of proposer 'mine'" in note


@pytest.mark.parametrize("name", ["fit", "observe", "measures", "predict"])
def test_nothing_is_spent_on_a_proposer_that_cannot_work(tmp_path, name):
    calls = []

    def objective(thing):
        calls.append(1)
        return float(count_bits(thing[None])[0])

    task = host_task(objective)
    own = dataclasses.replace(proposer(), **{name: always(None)})
    with pytest.raises(ValueError, match=f"{name} of proposer 'mine' must return"):
        tiny_run(tmp_path / "run", task, proposer=own, seeds=1, budget=4)
    assert not calls


def test_functions_of_the_package_are_not_traced_twice():
    task = make_tiny_task()
    for made in (proposers.bo(task.vae), proposers.gradient_ascent("generator", task.vae, 2)):
        functions = (made.fit, made.observe, made.fantasize, made.measures)
        assert not any(map(is_own, functions))
    assert is_own(observe)
    assert is_own(functools.partial(observe))
    assert is_own(functools.wraps(made.fit)(lambda *_: None))


@pytest.mark.parametrize("name", ["propose", "fit", "observe", "fantasize", "measures", "predict"])
def test_a_function_of_a_proposer_is_a_function(name):
    with pytest.raises(TypeError, match=f"{name} of a proposer must be a function, got 3"):
        dataclasses.replace(proposer(), **{name: 3})
