import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.builders import make_tiny_task
from wrlso import methods, run
from wrlso.parallel import (
    broadcast,
    compiler_options,
    cond_over_lanes,
    largest_of_lanes,
    over_seeds,
    over_seeds_in_place,
    plan_seeds,
    replicate,
    spread,
)

pytestmark = pytest.mark.usefixtures("strict_modes")


def lifted(seeds, devices, mode):
    plan = plan_seeds(seeds, devices, mode)
    function = jax.jit(over_seeds(lambda x, y: {"sum": x["a"] + y, "max": x["a"].max()}, plan))
    lanes = spread(
        plan, {"a": jnp.arange(plan.lanes * 3.0, dtype=jnp.float32).reshape(plan.lanes, 3)}
    )
    return jax.tree.map(np.asarray, function(lanes, replicate(plan, jnp.float32(10))))


@pytest.mark.parametrize("mode", ["map", "vmap"])
@pytest.mark.parametrize(("seeds", "devices"), [(1, 1), (5, 1), (5, 2), (5, 5), (8, 8), (5, 4)])
def test_every_spread_gives_the_same(seeds, devices, mode):
    out = lifted(seeds, devices, mode)
    expected = np.arange(seeds * 3.0).reshape(seeds, 3) + 10
    np.testing.assert_array_equal(out["sum"][:seeds], expected)
    np.testing.assert_array_equal(out["max"][:seeds], expected.max(1) - 10)


def test_lanes_beyond_the_seeds_do_no_work():
    """An idle lane would loop for ever if it ran."""
    plan = plan_seeds(3, 2, "map")
    assert plan.lanes == 4

    def endless_if_negative(x, _):
        return jax.lax.while_loop(lambda v: v < 0, lambda v: v, x)

    out = jax.jit(over_seeds(endless_if_negative, plan))(
        spread(plan, jnp.array([1.0, 2.0, 3.0, -1.0])), jnp.float32(0)
    )
    np.testing.assert_array_equal(out, [1, 2, 3, 0])


@pytest.mark.parametrize(
    ("seeds", "devices", "mode"), [(5, 2, "map"), (4, 1, "map"), (5, 2, "vmap")]
)
def test_lanes_in_place_give_what_lanes_give(seeds, devices, mode):
    plan = plan_seeds(seeds, devices, mode)

    def step(lane, shared):
        (state, rest), scale = lane, shared
        return {"x": state["x"] * scale + rest, "n": state["n"] + 1}, (state["x"].sum(), rest)

    lanes = {"x": jnp.arange(3.0 * plan.lanes).reshape(-1, 3), "n": jnp.arange(plan.lanes)}
    rest = jnp.arange(plan.lanes, dtype=jnp.float32)[:, None]
    both, shared = spread(plan, (lanes, rest)), jnp.float32(0.5)
    expected = jax.jit(over_seeds(step, plan))(both, shared)
    found = jax.jit(over_seeds_in_place(step, plan))(both, shared)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_seeds_are_sharded_and_shared_data_is_replicated():
    plan = plan_seeds(8, 4, "map")
    lanes = broadcast(plan, jnp.ones(5))
    assert lanes.shape == (8, 5)
    assert {s.data.shape for s in lanes.addressable_shards} == {(2, 5)}
    shared = replicate(plan, jnp.ones(7))
    assert {s.data.shape for s in shared.addressable_shards} == {(7,)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "seeds must be at least 1"),
        ((2.5,), "seeds must be a whole number"),
        ((2, 1.5), "devices must be a whole number"),
        ((2, 99), "devices must be between 1 and 8"),
        ((2, 0), "got 0"),
        ((2, 1, "both"), "auto, map or vmap"),
    ],
)
def test_impossible_plans_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        plan_seeds(*arguments)


@pytest.mark.parametrize("lift", [over_seeds, over_seeds_in_place])
@pytest.mark.parametrize("rows", [3, 8, ()])
def test_lanes_of_another_number_than_the_plans_are_refused_by_name(lift, rows):
    plan = plan_seeds(3, devices=2)
    lanes = jnp.zeros(rows)
    with pytest.raises(ValueError, match=r"leading axis of plan.lanes = 4 \(plan.seeds = 3\)"):
        jax.eval_shape(lift(lambda lane, shared: (lane[0], lane[1]), plan), (lanes, lanes), 1)


def queries(path, seeds, first_seed=0, **how):
    method = methods.weighted_retraining(k=1e-2, retrain_every=5)
    result = run(
        make_tiny_task(), method, out=path, budget=15, seeds=seeds, first_seed=first_seed,
        proposer="prior", progress=False, **how,
    )  # fmt: skip
    return {
        (q.seed, q.round, q.index): (q.object, q.latent, q.score, q.status)
        for q in result.queries()
    }


def test_a_seed_gives_the_same_queries_however_it_is_run(tmp_path):
    """Alone, in a batch, on 1, 2 or 8 virtual devices: equal to the last bit."""
    batch = queries(tmp_path / "batch", 5, devices=1, seed_mode="map")
    for devices in (2, 5):
        assert queries(tmp_path / f"on{devices}", 5, devices=devices, seed_mode="map") == batch
    more = queries(tmp_path / "on8", 8, devices=8, seed_mode="map")
    assert {key: more[key] for key in batch} == batch
    alone = queries(tmp_path / "alone", 1, first_seed=3)
    assert alone == {key: value for key, value in batch.items() if key[0] == 3}
    assert len({value[1] for key, value in batch.items() if key[1:] == (0, 0)}) == 5


def choose(n, x):
    """A branch for each length of at most three."""
    lengths = jnp.minimum(largest_of_lanes(n), 3)
    return jax.lax.switch(lengths, [lambda x, i=i: (x[:i] ** 2).sum() for i in range(4)], x)


def test_the_largest_of_lanes_keeps_a_branch_a_branch():
    n = jnp.array([[0, 1, 0], [2, 0, 1]])
    x = jnp.where(np.arange(3) < np.asarray(n)[..., None], jnp.arange(18.0).reshape(2, 3, 3), 0.0)
    want = (x**2).sum(-1)
    both = jax.vmap(jax.vmap(choose))
    np.testing.assert_array_equal(jax.jit(both)(n, x), want)
    np.testing.assert_array_equal(jax.vmap(jax.vmap(jax.grad(choose, 1)))(n, x), 2 * x)
    tangent = jax.jvp(lambda x: both(n, x), (x,), (x,))[1]
    np.testing.assert_array_equal(tangent, 2 * want)
    assert largest_of_lanes(jnp.int32(2)) == 2
    largest = jax.vmap(lambda a, b: (largest_of_lanes(a), largest_of_lanes(b)), (0, None))
    assert [a.tolist() for a in largest(jnp.array([False, True]), jnp.int32(4))] == [
        [True] * 2,
        [4] * 2,
    ]
    text = str(jax.make_jaxpr(both)(n, x))
    assert "cond[" in text
    assert "select_n" not in text


def test_a_condition_over_lanes_computes_what_one_lane_needs():
    computed = []

    def costly(x, table):
        jax.debug.callback(lambda: computed.append(1))
        return {"a": x + table.sum(), "b": x > 0}

    def function(needed, x, table):
        cheap = lambda: {"a": x, "b": x < 0}  # noqa: E731
        return cond_over_lanes(needed, lambda: costly(x, table), cheap)

    x, table = jnp.array([1.0, -2.0, 3.0]), jnp.ones(50)
    lanes = jax.vmap(function, (0, 0, None))
    for needed in ([False] * 3, [False, True, False], [True] * 3):
        computed.clear()
        found = jax.jit(lanes)(jnp.array(needed), x, table)
        jax.effects_barrier()
        assert len(computed) == any(needed)
        np.testing.assert_array_equal(found["a"], np.where(needed, x + 50, x))
        np.testing.assert_array_equal(found["b"], np.where(needed, x > 0, x < 0))
        alone = [function(jnp.bool_(n), one, table) for n, one in zip(needed, x, strict=True)]
        np.testing.assert_array_equal(found["a"], [one["a"] for one in alone])
    # What all lanes read is not copied for each of them.
    assert "[3,50]" not in str(jax.make_jaxpr(lanes)(jnp.array([True] * 3), x, table))


def test_vmap_equals_map(tmp_path):
    """What an accelerator gets. Sums run in another order, the discrete queries stay."""
    mapped = queries(tmp_path / "map", 4, devices=2, seed_mode="map")
    batched = queries(tmp_path / "vmap", 4, devices=2, seed_mode="vmap")
    assert mapped.keys() == batched.keys()
    for key, (thing, latent, score, status) in mapped.items():
        assert batched[key][0] == thing
        assert batched[key][2:] == (score, status)
        np.testing.assert_allclose(
            np.frombuffer(batched[key][1], "<f4"), np.frombuffer(latent, "<f4"), rtol=1e-5
        )


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["coordinate", "paper"])
def test_shapes_seeds_are_independent_of_how_they_are_run(tmp_path, architecture):
    """On the real task: equal queries on 1, 2 and 8 devices, and alone."""
    from wrlso.tasks import shapes

    task = shapes(architecture=architecture, pretrain_epochs=1)
    method = methods.weighted_retraining(k=1e-3, retrain_every=10)

    def found(name, seeds, first_seed=0, **how):
        result = run(task, method, out=tmp_path / name, budget=30, seeds=seeds,
                     first_seed=first_seed, progress=False, **how)  # fmt: skip
        return {(q.seed, q.round, q.index): (q.object, q.latent, q.score) for q in result.queries()}

    one = found("one", 3, devices=1)
    assert found("two", 3, devices=2) == one
    eight = found("eight", 8, devices=8)
    assert {key: eight[key] for key in one} == one
    assert found("alone", 1, first_seed=2) == {k: v for k, v in one.items() if k[0] == 2}


def test_a_round_is_compiled_without_trials_of_kernels_on_a_gpu(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    assert compiler_options() == {}  # of a CPU
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    options = compiler_options()
    x = jnp.ones((2, 2))
    compiled = jax.jit(lambda x: x @ x).lower(x).compile(options)  # XLA knows the names
    np.testing.assert_array_equal(compiled(x), x @ x)
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_autotune_level=4")
    assert compiler_options() == {k: v for k, v in options.items() if "autotune" not in k}
    assert len(options) == 2


def test_importing_does_not_start_jax():
    """Else the devices that a run asks for would not come."""
    program = (
        "import benchmarks.paper, wrlso.cli.main, wrlso.results.figures, jax\n"
        "from wrlso.parallel import request_cpu_devices\n"
        "request_cpu_devices(5, devices=3)\n"
        "assert len(jax.devices()) == 3, jax.devices()"
    )
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root)
