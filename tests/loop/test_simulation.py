"""Algorithm 1 as one compiled program, and as calls one by one from public names."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wrlso
from tests.builders import count_bits, loop_by_hand, make_tiny_task, tiny_algorithm
from wrlso import proposers
from wrlso.data import Dataset, in_use
from wrlso.methods import METHODS
from wrlso.resolve import PROPOSERS

pytestmark = pytest.mark.usefixtures("strict_modes")


def simulated(task, algorithm, seed=0, hyper=None):
    return jax.jit(
        lambda seed, base: wrlso.simulate(
            algorithm, task.objective, seed, task.params, base, hyper
        )[0]
    )(seed, wrlso.base_data(task))  # fmt: skip


@pytest.mark.parametrize(
    ("method", "proposer"),
    [("weighted_retraining", proposer) for proposer in PROPOSERS]
    # The baselines' runs are in test_methods.
    + [(method, "prior") for method in ("lso", "weight_only", "retrain_only")]
    + [("lso", "grid")],
)
def test_every_charged_object_is_new_and_has_its_own_score(method, proposer):
    task, algorithm = tiny_algorithm(method, proposer)
    history = loop_by_hand(task, algorithm).history
    n = int(history.used)
    assert 0 < n <= 12
    used = np.asarray(in_use(history))
    objects = np.asarray(history.objects)[used]
    np.testing.assert_array_equal(np.asarray(history.scores)[used], count_bits(objects))
    assert len({bytes(o) for o in objects}) == n
    base = {bytes(o) for o in np.asarray(task.load_data().objects)}
    assert not base & {bytes(o) for o in objects}
    assert np.isfinite(history.latents).all()


@pytest.mark.parametrize("method", METHODS)
def test_one_compiled_program_equals_the_calls_one_by_one(method):
    task, algorithm = tiny_algorithm(method)
    whole, by_hand = simulated(task, algorithm, 3), loop_by_hand(task, algorithm, 3)
    assert int(whole.history.used) == 12
    np.testing.assert_array_equal(whole.history.objects, by_hand.history.objects)
    np.testing.assert_array_equal(whole.history.scores, by_hand.history.scores)


def test_base_data_in_numpy_give_the_same_queries():
    task, algorithm = tiny_algorithm()
    data = Dataset(*map(np.asarray, task.load_data()))
    in_numpy = dataclasses.replace(task, load_data=lambda: data)
    np.testing.assert_array_equal(
        simulated(task, algorithm).history.objects, simulated(in_numpy, algorithm).history.objects
    )


def test_a_sweep_compiles_once_and_every_number_matters():
    task, algorithm = tiny_algorithm()
    base = wrlso.base_data(task)
    traces = []

    @jax.jit
    def swept(hyper):
        traces.append(1)
        state, rounds = wrlso.simulate(algorithm, task.objective, 0, task.params, base, hyper)
        return state.history.latents, rounds.loss

    usual = {"k": 1e-3, "learning_rate": 1e-2, "beta": 1.0}
    others = ({"k": 1.0}, {"k": np.inf}, {"learning_rate": 1e-3}, {"beta": 0.1})
    found = [swept(usual | changes) for changes in ({}, *others)]
    assert len(traces) == 1
    for latents, loss in found[1:]:
        assert not np.array_equal(loss, found[0][1])
        assert not np.array_equal(latents, found[0][0])
    batched, _ = jax.vmap(swept)(usual | {"k": jnp.array([1e-3, jnp.inf])} | {
        name: jnp.full(2, usual[name]) for name in ("learning_rate", "beta")
    })  # fmt: skip
    assert batched.shape == (2, 12, 2)


def test_base_data_are_arguments_of_the_program():
    """A hundred times as many base data make no longer a program."""
    task, algorithm = tiny_algorithm(proposer="bo")
    data = task.load_data()
    many = Dataset(*(jnp.concatenate([part] * 100) for part in data))

    def program(data):
        base = wrlso.prepare_base(data)
        lowered = jax.jit(partial(wrlso.simulate, algorithm, task.objective)).lower(
            0, task.params, base
        )
        return len(lowered.as_text())

    assert program(many) < 1.01 * program(data)


def test_a_model_of_other_objects_than_the_base_data_is_refused_when_traced():
    task, algorithm = tiny_algorithm(proposer="prior")
    data = task.load_data()
    base = wrlso.prepare_base(data._replace(objects=data.objects.astype(jnp.int32)))
    with pytest.raises(ValueError, match=r"decodes to uint8\[2\], but .* are int32\[2\]"):
        jax.eval_shape(partial(wrlso.simulate, algorithm, task.objective), 0, task.params, base)


def test_an_unknown_traced_number_is_refused():
    task, algorithm = tiny_algorithm()
    with pytest.raises(ValueError, match="hyper has no 'lr'; the names are: beta, k, learning"):
        simulated(task, algorithm, hyper={"lr": 1.0})


def test_the_last_round_is_shorter_where_r_does_not_divide_the_budget():
    task, algorithm = tiny_algorithm(budget=10)
    assert algorithm.rounds == 3
    history = loop_by_hand(task, algorithm).history
    assert int(history.used) == 10
    assert history.round.tolist() == [0] * 4 + [1] * 4 + [2] * 2


def test_a_round_has_several_asks_where_the_batch_is_smaller_than_r():
    task, algorithm = tiny_algorithm(proposer="prior")
    algorithm = dataclasses.replace(algorithm, proposer=proposers.prior(task.vae, batch=2))
    assert algorithm.asks == 2
    by_hand = loop_by_hand(task, algorithm)
    assert int(by_hand.history.used) == 12
    whole = simulated(task, algorithm)
    np.testing.assert_array_equal(whole.history.objects, by_hand.history.objects)


def test_a_model_that_repeats_itself_is_charged_once():
    vae = make_tiny_task().vae
    constant = dataclasses.replace(
        vae, decode=lambda params, z: jnp.full((len(z), 2), 255, jnp.uint8)
    )
    task, algorithm = tiny_algorithm(vae=constant)
    assert int(loop_by_hand(task, algorithm).history.used) == 1


@pytest.mark.parametrize("proposer", [pytest.param("bo", marks=pytest.mark.slow), "prior"])
def test_a_simulation_within_a_shard_map_is_the_same(proposer):
    """As docs/jax.md says: without JAX's check of axes."""
    task, algorithm = tiny_algorithm(proposer=proposer, budget=8)
    base = wrlso.base_data(task)
    alone = simulated(task, algorithm)
    mesh = jax.make_mesh((1,), ("seeds",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("seeds")

    def one(seeds):
        state, _ = wrlso.simulate(algorithm, task.objective, seeds[0], task.params, base)
        return state.history.scores[None]

    lifted = jax.shard_map(one, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
    scores = jax.jit(lifted)(jnp.zeros(1, jnp.int32))[0]
    np.testing.assert_array_equal(scores, alone.history.scores)
