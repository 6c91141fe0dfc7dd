"""Numbers that users give: those of NumPy are kept as Python's, and what is none is refused."""

import dataclasses
import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wrlso
from tests.builders import make_tiny_task, tiny_bo
from wrlso import methods, proposers
from wrlso.evaluation.objective import HostObjective
from wrlso.gp.fit import FitConfig
from wrlso.loop.retraining import RetrainConfig
from wrlso.methods import METHODS
from wrlso.proposers.bo_config import BOConfig
from wrlso.proposers.gradient import GradientConfig
from wrlso.proposers.regressor import RegressorConfig
from wrlso.proposers.surrogate import SurrogateConfig
from wrlso.resolve import record
from wrlso.runs.config import make_config
from wrlso.runs.settings import RunSettings
from wrlso.tasks.base import PretrainConfig
from wrlso.weighting.registry import WEIGHTINGS


def resolved(method=None, task=None, **settings):
    method = method or methods.weighted_retraining(k=1e-2, retrain_every=4)
    settings = {"budget": 12} | settings
    return wrlso.algorithm(task or make_tiny_task(), method, **settings)


def own(**settings):
    return wrlso.Proposer("own", lambda *_: None, **({"batch": 1} | settings))


def pretrain(**settings):
    return PretrainConfig(**({"epochs": 1} | settings))


def method(**settings):
    made = wrlso.Method("own", hyper={"k": 1e-2}, retrain_every=None, **settings)
    resolved(made)  # it is checked there
    return made


def bo(**settings):
    return BOConfig(**({"starts": 1} | settings))


def retraining_every(retrain_every):
    return resolved(methods.weighted_retraining(k=1e-2, retrain_every=retrain_every))


def proposer(name, **settings):
    task = make_tiny_task()
    return getattr(proposers, name)(task.vae, **settings)


WHOLE = (
    ("batch_size first_steps steps min_steps", RetrainConfig),
    ("epochs batch_size seed", pretrain),
    ("batch uncharged decode_first max_duplicates", own),
    ("starts candidates candidates_per_query evaluations max_duplicates", bo),
    ("best random inducing inversion", SurrogateConfig),
    ("evaluations generator_steps generator_batch", GradientConfig),
    ("width steps batch_size", RegressorConfig),
    ("budget seeds first_seed batch devices", RunSettings),
    ("initial", make_tiny_task),
    ("budget", resolved),
    ("batch", lambda batch: resolved(proposer="bo", batch=batch).proposer),
    ("retrain_every", retraining_every),
    ("batch", partial(proposer, "prior")),
    ("batch", partial(proposer, "bo")),
    ("batch", partial(proposer, "grid", objective=jnp.sum)),
    ("batch", lambda batch: proposers.gradient_ascent("generator", make_tiny_task().vae, batch)),
)
"""Names of whole numbers, and what takes them."""

REAL = (
    ("first_epochs epochs learning_rate beta", RetrainConfig),
    ("learning_rate beta", pretrain),
    ("ucb_beta near least_step bound region max_norm", BOConfig),
    ("penalty", SurrogateConfig),
    ("bound temperature", GradientConfig),
    ("learning_rate k", RegressorConfig),
    ("effective_rows", make_tiny_task),
    ("epochs beta", method),
)
"""The same for real numbers."""


def cases(table):
    return [(make, name) for names, make in table for name in names.split()]


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.array, jnp.array])
@pytest.mark.parametrize(("make", "name"), cases(WHOLE))
def test_whole_numbers_of_numpy_are_kept_as_those_of_python(make, name, kind):
    kept = getattr(make(**{name: kind(4)}), name)
    assert (type(kept), kept) == (int, 4)


@pytest.mark.parametrize("wrong", [True, np.True_, 4.0, np.float32(4), "4", [4], np.array([4])])
@pytest.mark.parametrize(("make", "name"), cases(WHOLE))
def test_what_is_no_whole_number_is_refused(make, name, wrong):
    with pytest.raises(ValueError, match=rf"^{name}.* must be a whole number, got "):
        make(**{name: wrong})


@pytest.mark.parametrize("kind", [float, np.float64, np.float32, np.array, jnp.array])
@pytest.mark.parametrize(("make", "name"), cases(REAL))
def test_numbers_of_numpy_and_jax_are_kept_as_those_of_python(make, name, kind):
    kept = getattr(make(**{name: kind(0.25)}), name)
    assert (type(kept), kept) == (float, 0.25)


@pytest.mark.parametrize("wrong", ["0.25", [0.25], np.array([0.25, 0.5]), 0.25j, True])
@pytest.mark.parametrize(("make", "name"), cases(REAL))
def test_what_is_no_number_is_refused(make, name, wrong):
    with pytest.raises(ValueError, match=rf"^{name}.* must be a .*number"):
        make(**{name: wrong})


@pytest.mark.parametrize("name", ["learning_rate", "beta", "epochs", "batch_size", "min_steps"])
def test_a_number_of_retraining_that_must_be_there_is_not_none(name):
    with pytest.raises(ValueError, match=f"^{name} must be a .*number, got None"):
        RetrainConfig(**{name: None})


def test_numbers_that_are_traced_stay_so():
    """The rates are traced; a whole number is static."""
    rate = jax.jit(lambda rate: RetrainConfig(learning_rate=rate).learning_rate)(0.5)
    assert rate == 0.5
    with pytest.raises(ValueError, match="steps must be a whole number, which is known outside"):
        jax.jit(lambda steps: RetrainConfig(steps=steps).learning_rate)(3)


def plain(text):
    return json.loads(json.dumps(text))


def test_the_record_of_a_run_is_that_of_the_same_numbers_in_python():
    """It is written to a file, and ``resume`` compares it."""

    def recorded(whole, real):
        task = make_tiny_task(
            retrain=RetrainConfig(real(1), real(0.5), whole(16), real(0.25), steps=whole(3)),
            bo=tiny_bo(starts=whole(4), bound=real(2.5)),
            options={"rows": whole(5), "sizes": (whole(1), [real(0.5)]), "name": "x"},
            stated={"limit": whole(38)},
        )
        given = methods.weighted_retraining(k=real(0.5), retrain_every=whole(4))
        given = given.with_options(epochs=real(0.5), beta=real(2))
        settings = RunSettings(whole(12), whole(2), proposer="bo", batch=whole(2))
        algorithm = wrlso.algorithm(task, given, **settings.chosen())
        config = make_config(task, given, settings, algorithm)
        return plain(dataclasses.asdict(dataclasses.replace(config, run="")))

    assert recorded(np.int64, np.float32) == recorded(int, float)
    mine = own(batch=np.int64(2), settings={"share": np.float32(0.5), "n": np.int64(2)})
    algorithm = dataclasses.replace(resolved(), proposer=mine)
    assert plain(record(algorithm))["proposer"]["settings"] == {"share": 0.5, "n": 2}


def test_a_penalty_of_any_kind_has_the_sign_of_its_task():
    for penalty in (-4.0, np.float32(-4), jnp.array(-4.0)):
        task = make_tiny_task(minimize=True, bo=tiny_bo(surrogate=SurrogateConfig(penalty=penalty)))
        assert task.maximized().bo.surrogate.penalty == 4.0


def test_a_factory_keeps_whole_numbers_of_numpy_in_its_options():
    options = wrlso.tasks.shapes(pretrain_seed=np.int64(3)).options
    assert type(options["pretrain_seed"]) is int


def with_numbers(hyper, weighting="rank", **changes):
    made = wrlso.Method("own", weighting=weighting, hyper=hyper, retrain_every=4, **changes)
    return resolved(made, proposer="prior")


READ = {
    "rank": "k",
    "rank_effective": "effective_rows",
    "rank_adaptive": "effective_rows",
    "uniform": "",
    "dbas": "quantile noise",
    "cem_pi": "quantile",
    "rwr": "alpha",
    "feedback": "quantile",
    "dbas_reference": "quantile noise",
    "cem_pi_reference": "quantile",
}
"""The numbers of each weighting."""


@pytest.mark.parametrize("kind", [float, np.float32, np.array, jnp.array])
@pytest.mark.parametrize("name", WEIGHTINGS)
def test_a_weighting_has_the_numbers_that_it_reads_and_no_others(name, kind):
    numbers = READ[name].split()
    hyper = {number: kind(0.5) for number in numbers}
    for weighting in (name, WEIGHTINGS[name]()):
        assert with_numbers(hyper, weighting).hyper == dict.fromkeys(numbers, 0.5)
        more = hyper | {"K": kind(0.5)}
        less = {number: hyper[number] for number in numbers[1:]}
        for wrong in (more, less) if numbers else (more,):
            with pytest.raises(ValueError, match=r"hyper of method 'own' must have the .* got"):
                with_numbers(wrong, weighting)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_the_numbers_of_its_weighting(name):
    algorithm = resolved(METHODS[name], budget=200, proposer="prior")
    assert dict(algorithm.hyper) == dict(METHODS[name].hyper)


def test_a_number_under_another_name_is_named_with_those_that_are_read():
    wrong = dataclasses.replace(methods.weighted_retraining(1e-2, 4), hyper={"K": 1e-2})
    with pytest.raises(ValueError, match=r"weighting 'rank' reads \(k\) and no others, got K$"):
        resolved(wrong)
    with pytest.raises(ValueError, match=r"weighting 'rank' reads \(k\) and no others, got none$"):
        resolved(dataclasses.replace(wrong, hyper={}))
    with pytest.raises(ValueError, match=r"weighting 'uniform' reads \(none\) and no .* got k$"):
        with_numbers({"k": 0.5}, "uniform")


@pytest.mark.parametrize(
    ("hyper", "message"),
    [
        ({"k": "1e-3"}, "^k must be a number, got '1e-3'"),
        ({"k": np.array([1e-3, 1e-2])}, r"^k must be a single number, got shape \(2,\)"),
        ({"k": [1e-3]}, r"^k must be a number, got \[0.001\]"),
        ({"k": True}, "^k must be a number, got True"),
        ({"k": None}, "^k must be a number, got None"),
        ({"k": np.nan}, "^k must be positive, got nan"),
        (None, "hyper of method 'own' must map names to numbers.* got None"),
        ([1e-3], "hyper of method 'own' must map names to numbers"),
    ],
)
def test_numbers_of_a_weighting_are_numbers(hyper, message):
    for weighting in ("rank", lambda scores, mask, rounds, hyper: scores):
        with pytest.raises(ValueError, match=message):
            with_numbers(hyper, weighting)


def test_a_weighting_is_a_name_or_a_function():
    for wrong in (3, None, ["rank"]):
        with pytest.raises(ValueError, match=r"weighting of method 'own' must be a name \(rank, "):
            with_numbers({}, wrong)
    with pytest.raises(ValueError, match="unknown weighting 'ranks'; there are: rank"):
        with_numbers({}, "ranks")


def test_a_method_that_refuses_a_number_names_whatever_it_is():
    for change in ({"k": "1"}, {"quantile": [1]}):
        with pytest.raises(ValueError, match=r"method 'lso' .* got \w+ = ('\d'|\[1\])"):
            methods.lso().with_options(**change)
    with pytest.raises(ValueError, match=r"never trains, got epochs = '1'"):
        methods.random_search().with_options(epochs="1")


def test_numbers_of_fits_and_of_objectives_in_python_are_kept_as_pythons():
    fit = FitConfig(restarts=np.int64(2), evaluations=np.int32(5))
    host = HostObjective(float, workers=np.int64(0), retries=np.uint8(1), batch_size=np.int64(2))
    kept = (fit.restarts, fit.evaluations, host.workers, host.retries, host.batch_size)
    assert kept == (2, 5, 0, 1, 2)
    assert {type(number) for number in kept} == {int}
    for name in ("workers", "retries", "batch_size"):
        for wrong in (1.5, True, "1"):
            with pytest.raises(ValueError, match=f"{name} must be a whole number, got "):
                HostObjective(float, **{name: wrong})
