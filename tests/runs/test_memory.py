"""Lanes are written in place. Long texts of objects, such as drawn images, are held one at a time
where queries are logged, and of one seed at a time where they are summed up."""

import tracemalloc
from contextlib import closing

import jax
import jax.numpy as jnp
import numpy as np

import wrlso
from tests.builders import METHOD, make_tiny_task
from wrlso.parallel import over_seeds_in_place, plan_seeds, spread
from wrlso.results.summary import summarize
from wrlso.runs.config import make_config
from wrlso.runs.log import Query, QueryLog
from wrlso.runs.settings import RunSettings
from wrlso.status import Status

SEEDS, QUERIES, LONG = 20, 50, 10_000
ALL = SEEDS * QUERIES * LONG


def peak_bytes(call):
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_texts_of_all_seeds(tmp_path):
    latent = np.zeros(2, "<f4").tobytes()
    queries = [
        Query(seed, 0, i, latent, bytes([seed, i]), float(i), Status.OK)
        for seed in range(SEEDS)
        for i in range(QUERIES)
    ]
    task, settings = make_tiny_task(), RunSettings(budget=QUERIES, seeds=SEEDS)
    algorithm = wrlso.algorithm(task, METHOD, budget=QUERIES)
    config = make_config(task, METHOD, settings, algorithm)
    log = QueryLog(tmp_path / "queries.sqlite", describe=lambda thing: "x" * LONG)
    with closing(log):
        assert peak_bytes(lambda: log.add(queries)) < ALL / 5
        assert len(log.queries(3)[0].text) == LONG
        found = {}
        assert peak_bytes(lambda: found.update(summarize(config, log, {}))) < ALL / 5
    assert [seed["best"] for seed in found["seeds"]] == [QUERIES - 1.0] * SEEDS


def test_lanes_in_place_need_no_room_for_a_second_copy():
    plan = plan_seeds(64, 1, "map")

    def step(lane, shared):
        state, rest = lane
        trained = jax.lax.fori_loop(0, shared, lambda _, own: own * rest, state)
        return trained, trained.sum()

    def call(changing, rest, shared):
        return over_seeds_in_place(step, plan)((changing, rest), shared)

    arguments = spread(plan, (jnp.ones((64, 10_000)), jnp.ones(64))), jnp.int32(3)
    program = jax.jit(call, donate_argnums=0).lower(*arguments[0], arguments[1]).compile()
    memory = program.memory_analysis()
    whole = 4 * 64 * 10_000
    assert memory.alias_size_in_bytes >= whole
    assert memory.temp_size_in_bytes < whole / 10
