"""Protocol tests that every registered method (and task) passes through."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import count_bits, make_tiny_task

from wrlso import loop
from wrlso import proposers as propose
from wrlso.data import Dataset, append, check_dataset, empty_history, in_use
from wrlso.fingerprint import Fingerprints, fingerprint
from wrlso.loop.algorithm import Algorithm
from wrlso.loop.candidates import prepare_base
from wrlso.methods import METHODS, get_method
from wrlso.resolve import PROPOSERS, make_algorithm
from wrlso.runs.config import RunConfig
from wrlso.status import Status
from wrlso.storage.digest import describe
from wrlso.tasks import TASKS

HYPER = {"learning_rate": 1e-2, "beta": 1.0}


def tiny_algorithm(method="weighted_retraining", proposer="grid", budget=12, r=4, **changes):
    method = METHODS[method]
    if method.retrain_every is not None:
        method = method.with_options(retrain_every=r)
    task = make_tiny_task(**changes)
    config = RunConfig(task="bits", budget=budget, seeds=1, proposer=proposer, **describe(method))
    return task, make_algorithm(task, config), {**HYPER, **method.hyper}


def run_by_hand(task, algorithm, hyper, seed=0):
    """init, retrain, ask, tell as a host would call them."""
    shared = prepare_base(task.load_data())
    state = loop.init(algorithm, task.params, shared.dataset)
    for round in range(algorithm.rounds):
        steps = algorithm.steps(round, len(shared.dataset.scores) + int(state.history.used))
        key = loop.query_key(seed, round, -1)
        state, info = loop.retrain(algorithm, key, state, shared, steps, hyper)
        assert bool(info.finite) or info.effective_rows == 0
        state, surrogate = loop.fit(algorithm, loop.query_key(seed, round, loop.FIT), state, shared)
        for i in range(algorithm.asks):
            key = loop.query_key(seed, round, i)
            state, surrogate, _ = query(task, algorithm, state, surrogate, shared, key, round)
    return state


def query(task, algorithm, state, surrogate, shared, key, round=0):
    candidates = jitted_ask(algorithm, key, state, surrogate, shared)
    scores = task.objective(candidates.objects)
    status = candidates.status
    told = jitted_tell(algorithm, state, surrogate, candidates, scores, status, round)
    return *told, candidates


jitted_ask = jax.jit(loop.ask, static_argnums=0)
jitted_tell = jax.jit(loop.tell, static_argnums=0)


HEADLINE = "weighted_retraining"


@pytest.mark.parametrize(
    ("method", "proposer"),
    [(HEADLINE, proposer) for proposer in PROPOSERS]
    # The baselines' runs are in test_baselines.
    + [(method, "prior") for method in ("lso", "weight_only", "retrain_only")]
    + [("lso", "grid")],
)
def test_every_method_and_proposer(method, proposer):
    task, algorithm, hyper = tiny_algorithm(method, proposer)
    state = run_by_hand(task, algorithm, hyper)
    history = state.history
    n = int(history.used)
    assert 0 < n <= 12
    used = np.asarray(in_use(history))
    objects = np.asarray(history.objects)[used]
    # Every score is that of the object beside it, and no object was charged twice.
    np.testing.assert_array_equal(np.asarray(history.scores)[used], count_bits(objects))
    assert len({bytes(o) for o in objects}) == n
    base = {bytes(o) for o in np.asarray(task.load_data().objects)}
    assert not base & {bytes(o) for o in objects}
    assert np.isfinite(history.latents).all()


@pytest.mark.parametrize("method", METHODS)
def test_one_compiled_program_equals_the_calls_one_by_one(method):
    task, algorithm, hyper = tiny_algorithm(method)
    shared = prepare_base(task.load_data())
    whole = jax.jit(
        lambda seed, hyper: loop.simulate(
            algorithm, task.objective, seed, task.params, shared, hyper
        )
    )(3, hyper)
    by_hand = run_by_hand(task, algorithm, hyper, seed=3)
    np.testing.assert_array_equal(whole.history.objects, by_hand.history.objects)
    np.testing.assert_array_equal(whole.history.scores, by_hand.history.scores)


def test_base_data_may_be_numpys():
    task, algorithm, hyper = tiny_algorithm()
    base = task.load_data()
    runs = [
        jax.jit(loop.simulate, static_argnums=(0, 1))(
            algorithm, task.objective, 0, task.params, prepare_base(data), hyper
        )
        for data in (base, Dataset(*map(np.asarray, base)))
    ]
    np.testing.assert_array_equal(runs[0].history.objects, runs[1].history.objects)


def test_a_sweep_over_k_compiles_once():
    task, algorithm, hyper = tiny_algorithm()
    shared = prepare_base(task.load_data())
    traces = []

    @jax.jit
    def run(k):
        traces.append(1)
        return loop.simulate(
            algorithm, task.objective, 0, task.params, shared, {**hyper, "k": k}
        ).history.scores

    for k in (1e-3, 0.1, 1.0, np.inf):
        run(k)
    assert len(traces) == 1
    assert jax.vmap(run)(jnp.array([1e-3, jnp.inf])).shape == (2, 12)


def test_retraining_happens_when_the_method_says():
    _, weighted, _ = tiny_algorithm("weighted_retraining")
    _, once, _ = tiny_algorithm("weight_only")
    assert (weighted.rounds, once.rounds) == (3, 1)
    assert weighted.steps(0, 160) == 10
    assert weighted.steps(2, 168) == 6
    assert once.steps(1, 168) == 0
    least = dataclasses.replace(weighted, config=dataclasses.replace(weighted.config, min_steps=8))
    assert [least.steps(0, 160), least.steps(2, 168)] == [10, 8]
    none = dataclasses.replace(least, config=dataclasses.replace(least.config, epochs=0.0))
    assert none.steps(2, 168) == 0


def test_budget_that_retraining_does_not_divide():
    task, algorithm, hyper = tiny_algorithm(budget=10)
    assert algorithm.rounds == 3
    assert int(run_by_hand(task, algorithm, hyper).history.used) == 10


def test_seed_round_and_ask_all_change_the_key():
    keys = [
        loop.query_key(s, r, a)
        for s in range(3)
        for r in range(3)
        for a in [*range(-1, 3), loop.FIT]
    ]
    assert len({tuple(np.asarray(jax.random.key_data(k)).tolist()) for k in keys}) == len(keys)


def test_failures_are_charged_but_carry_no_score():
    task, algorithm, _ = tiny_algorithm()
    shared = prepare_base(task.load_data())
    state = loop.init(algorithm, task.params, shared.dataset)
    candidates = loop.ask(algorithm, jax.random.key(0), state, (), shared)
    scores = jnp.array([5.0, jnp.nan, jnp.inf, 7.0])
    status = candidates.status.at[3].set(int(Status.TIMEOUT))
    state, _ = loop.tell(algorithm, state, (), candidates, scores, status, 0)
    assert state.history.status[:4].tolist() == [
        Status.OK, Status.FAILED, Status.FAILED, Status.TIMEOUT,
    ]  # fmt: skip
    assert int(state.history.used) == 4
    np.testing.assert_array_equal(state.history.scores[:4], [5.0, np.nan, np.nan, np.nan])
    _, hyper = None, {**HYPER, "k": 1e-3}
    _, info = loop.retrain(algorithm, jax.random.key(0), state, shared, 5, hyper)
    assert bool(info.finite)


def test_invalid_decodes_are_charged():
    task, algorithm, _ = tiny_algorithm()
    vae = task.vae
    invalid = type(vae)(
        vae.latent_dim, vae.init, vae.encode, vae.decode, vae.log_likelihood,
        valid=lambda objects: objects[:, 0] % 2 == 0,
    )  # fmt: skip
    algorithm = Algorithm(invalid, algorithm.weighting, algorithm.proposer, algorithm.config, 12, 4)
    shared = prepare_base(task.load_data())
    state = loop.init(algorithm, task.params, shared.dataset)
    candidates = loop.ask(algorithm, jax.random.key(0), state, (), shared)
    expected = np.where(np.asarray(candidates.objects)[:, 0] % 2 == 0, Status.OK, Status.INVALID)
    np.testing.assert_array_equal(candidates.status, expected)
    scores = count_bits(candidates.objects)
    state, _ = loop.tell(algorithm, state, (), candidates, scores, candidates.status, 0)
    assert int(state.history.used) == 4


def test_what_was_scored_is_not_proposed_again():
    task, algorithm, _ = tiny_algorithm()
    shared = prepare_base(task.load_data())
    state = loop.init(algorithm, task.params, shared.dataset)
    seen = set()
    for _ in range(3):
        c = loop.ask(algorithm, jax.random.key(0), state, (), shared)
        new = {bytes(o) for o in np.asarray(c.objects)}
        assert not new & seen
        seen |= new
        state, _ = loop.tell(algorithm, state, (), c, count_bits(c.objects), c.status, 0)
    after = loop.ask(algorithm, jax.random.key(0), state, (), shared)
    assert (after.status == Status.UNUSED).all()


def test_a_model_that_repeats_itself_is_not_charged_for_it():
    task = make_tiny_task()
    constant = type(task.vae)(
        2, task.vae.init, task.vae.encode,
        lambda params, z: jnp.full((len(z), 2), 255, jnp.uint8), task.vae.log_likelihood,
    )  # fmt: skip
    task, algorithm, hyper = tiny_algorithm(vae=constant, params=task.params)
    state = run_by_hand(task, algorithm, hyper)
    assert int(state.history.used) == 1


def test_buffer_ignores_capacity_and_rows_beyond_it():
    batch = dict(
        objects=jnp.array([[1, 1], [2, 2], [3, 3]], jnp.uint8),
        latents=jnp.ones((3, 2)),
        scores=jnp.array([1.0, 2.0, 3.0]),
        status=jnp.zeros(3, jnp.int32),
        prints=Fingerprints(*jnp.arange(6, dtype=jnp.uint32).reshape(2, 3)),
        decoded=Fingerprints(*jnp.arange(6, 12, dtype=jnp.uint32).reshape(2, 3)),
        charged=jnp.array([True, False, True]),
    )
    small = append(append(empty_history(3, jnp.zeros(2, jnp.uint8), 2), **batch), **batch)
    assert small.scores.tolist() == [1.0, 3.0, 1.0]
    assert small.fingerprints.low.tolist() == [3, 5, 3]
    assert small.decoded.low.tolist() == [9, 11, 9]
    assert int(small.used) == 3


def test_grid_ranks_by_the_objective_and_states_its_price():
    task, algorithm, _ = tiny_algorithm()
    view = propose.View(task.params, empty_history(1, jnp.zeros(2, jnp.uint8), 2), None, None)
    pool = algorithm.proposer.propose(jax.random.key(0), view, ())
    scores = np.asarray(count_bits(pool.objects))
    assert len(scores) == algorithm.proposer.uncharged == 2500
    assert (np.diff(scores) <= 0).all()
    np.testing.assert_array_equal(task.vae.decode(task.params, pool.latents), pool.objects)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Dataset(jnp.zeros((0, 2)), jnp.zeros(0)), "non-empty"),
        (Dataset(jnp.zeros((2, 2), int), jnp.array([1.0, jnp.nan])), "first in row 1"),
        (Dataset(jnp.zeros((3, 2)), jnp.zeros(2)), "3 objects but 2 scores"),
        (Dataset(jnp.zeros((2, 2)), jnp.zeros(2)), "must be integers"),
        (Dataset(np.zeros((2, 2), np.int64), np.zeros(2)), "32 bits at most, got int64"),
    ],
)
def test_bad_base_data_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        check_dataset(data)


# Molecules: see test_molecules.
@pytest.mark.parametrize("name", sorted({*TASKS} - {"molecules"}))
def test_every_task_keeps_the_contract(name):
    task = TASKS[name]()
    data = task.load_data()
    check_dataset(data)
    params = task.vae.init(jax.random.key(0))
    objects = data.objects[:3]
    mean, log_std = task.vae.encode(params, objects)
    assert mean.shape == log_std.shape == (3, task.vae.latent_dim)
    decoded = task.vae.decode(params, mean)
    assert decoded.shape == objects.shape
    assert decoded.dtype == objects.dtype
    assert task.vae.log_likelihood(params, mean, objects).shape == (3,)
    # A decode does not depend on what else is in the batch.
    np.testing.assert_array_equal(task.vae.decode(params, mean[1:2])[0], decoded[1])
    if task.objective is not None:
        np.testing.assert_allclose(task.objective(objects), data.scores[:3], rtol=1e-5)


def test_unknown_method_is_named():
    with pytest.raises(ValueError, match="unknown method 'nope'; there are: lso"):
        get_method("nope")


@pytest.mark.parametrize(("method", "change"), [("lso", {"k": 0.1}), ("retrain_only", {"k": 0.1}),
                                               ("weight_only", {"retrain_every": 5})])  # fmt: skip
def test_a_method_refuses_what_it_fixes(method, change):
    with pytest.raises(ValueError, match=method):
        METHODS[method].with_options(**change)


def test_several_asks_a_round():
    """A proposer that gives two points at a time is asked twice for r = 4."""
    task, algorithm, hyper = tiny_algorithm("weighted_retraining", "prior")
    algorithm = dataclasses.replace(algorithm, proposer=propose.prior(task.vae, batch=2))
    assert algorithm.asks == 2
    by_hand = run_by_hand(task, algorithm, hyper)
    assert int(by_hand.history.used) == 12
    shared = prepare_base(task.load_data())
    whole = loop.simulate(algorithm, task.objective, 0, task.params, shared, hyper)
    np.testing.assert_array_equal(whole.history.objects, by_hand.history.objects)


def test_a_grid_smaller_than_the_batch_is_refused():
    with pytest.raises(ValueError, match="too few for batches of 2501"):
        propose.grid(make_tiny_task().vae, count_bits, 2501)


def test_no_weight_anywhere_leaves_the_model_alone():
    task, algorithm, hyper = tiny_algorithm()
    shared = prepare_base(task.load_data())
    state = loop.init(algorithm, task.params, shared.dataset)
    nothing = dataclasses.replace(algorithm, weighting=lambda s, m, r, h: jnp.zeros_like(s))
    after, info = loop.retrain(nothing, jax.random.key(0), state, shared, 5, hyper)
    assert not bool(info.finite)
    jax.tree.map(np.testing.assert_array_equal, after.params, task.params)


def test_what_is_known_teaches_without_being_charged():
    """A pool's known objects, up to the one that is chosen, are lessons: with their scores, or
    as failures; at most as many as the proposer has room for."""
    task, algorithm, _ = tiny_algorithm("weighted_retraining", "prior")
    pool_objects = jnp.array([[9, 9], [1, 1], [7, 7], [8, 8], [7, 7], [6, 6], [9, 9]], jnp.uint8)
    latents = jnp.arange(14.0).reshape(7, 2)
    base = Dataset(jnp.array([[7, 7], [0, 0]], jnp.uint8), jnp.array([0.5, 0.1]))
    shared = prepare_base(base)
    state = loop.init(algorithm, task.params, base)
    asked = jnp.array([[9, 9], [1, 1]], jnp.uint8)
    history = append(
        state.history,
        asked,
        jnp.zeros((2, 2)),
        jnp.array([2.0, jnp.nan]),
        jnp.array([Status.OK, Status.FAILED]),
        fingerprint(asked),
        fingerprint(asked),
        jnp.ones(2, bool),
    )
    state = state._replace(history=history)
    heard = []

    def proposer(lessons, batch):
        return propose.Proposer(
            "fixed",
            lambda key, view, surrogate: propose.Pool(latents, pool_objects),
            batch,
            observe=lambda surrogate, told: heard.append(told) or surrogate,
            max_duplicates=lessons,
        )

    def lessons_of(lessons, batch=1):
        changed = dataclasses.replace(algorithm, proposer=proposer(lessons, batch))
        asked = loop.ask(changed, jax.random.key(0), state, (), shared)
        return changed, asked

    changed, asked = lessons_of(5)
    assert asked.objects.tolist() == [[8, 8]]
    known = np.isfinite(asked.duplicates.scores) | asked.duplicates.failed
    np.testing.assert_array_equal(asked.duplicates.latents[known], latents[:3])
    np.testing.assert_array_equal(asked.duplicates.scores[:3], [2.0, np.nan, 0.5])
    assert asked.duplicates.failed.tolist() == [False, True, False, False, False]
    assert lessons_of(2)[1].duplicates.scores.tolist()[0] == 2.0
    assert lessons_of(0)[1].duplicates.scores.shape == (0,)
    _, two = lessons_of(7, batch=2)
    assert two.objects.tolist() == [[8, 8], [6, 6]]
    assert (
        np.isfinite(two.duplicates.scores).sum() == 3
    )  # the seventh comes after the second chosen

    told_state, _ = loop.tell(changed, state, (), asked, jnp.array([4.0]), asked.status, 0)
    assert int(told_state.history.used) == 3
    assert heard[0].scores.shape == (6,)
    np.testing.assert_array_equal(np.asarray(heard[0].scores)[[0, 2, 5]], [2.0, 0.5, 4.0])


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("known", [0, 2, 6, 30])
def test_only_what_may_be_needed_is_decoded(batch, known):
    """Of a pool without objects: the likely ones, and the others where too few of them are new."""
    task, algorithm, _ = tiny_algorithm("weighted_retraining", "prior")
    decoded = []

    def counting(params, z):
        objects = task.vae.decode(params, z)
        jax.debug.callback(lambda _: decoded.append(len(z)), objects[0, 0])
        return objects

    vae = dataclasses.replace(task.vae, decode=counting)
    latents = 2 * jax.random.normal(jax.random.key(0), (30, 2))
    objects = task.vae.decode(task.params, latents)
    base = Dataset(jnp.concatenate([objects[:known], objects[:1]]), jnp.arange(known + 1.0))
    shared = prepare_base(base)
    state = loop.init(algorithm, task.params, base)

    def ask(pool, likely):
        proposer = propose.Proposer(
            "fixed", lambda key, view, surrogate: pool, batch, decode_first=likely, max_duplicates=4
        )
        changed = dataclasses.replace(algorithm, proposer=proposer, vae=vae)
        out = loop.ask(changed, jax.random.key(0), state, (), shared)
        jax.effects_barrier()
        return out

    whole = ask(propose.Pool(latents, objects), 0)
    assert decoded == []
    lazy = ask(propose.Pool(latents), 6)
    jax.tree.map(np.testing.assert_array_equal, lazy, whole)
    new = len(
        {tuple(o) for o in np.asarray(objects[:6])} - {tuple(o) for o in base.objects.tolist()}
    )
    assert decoded == ([6] if new >= batch else [6, 24])


def test_another_spelling_of_what_is_known_is_not_asked_for_again():
    """The evaluation knows two decodes for other spellings of scored objects; the second of these
    had failed. Both are remembered, taught, and not charged."""
    task, algorithm, _ = tiny_algorithm("weighted_retraining", "prior")
    latents = jnp.arange(8.0).reshape(4, 2)
    pool_objects = jnp.array([[9, 9], [1, 1], [7, 7], [8, 8]], jnp.uint8)
    heard = []
    proposer = propose.Proposer(
        "fixed",
        lambda key, view, surrogate: propose.Pool(latents, pool_objects),
        2,
        observe=lambda surrogate, told: heard.append(told) or surrogate,
        max_duplicates=3,
    )
    algorithm = dataclasses.replace(algorithm, proposer=proposer)
    base = task.load_data()
    shared = prepare_base(Dataset(base.objects[:1], base.scores[:1]))
    state = loop.init(algorithm, task.params, shared.dataset)
    first = loop.ask(algorithm, jax.random.key(0), state, (), shared)
    other = first._replace(objects=jnp.array([[5, 5], [6, 6]], jnp.uint8))
    duplicate = jnp.full(2, Status.DUPLICATE)
    state, _ = loop.tell(algorithm, state, (), other, jnp.array([3.0, -jnp.inf]), duplicate, 0)
    assert int(state.history.used) == 0
    told = heard[-1]
    np.testing.assert_array_equal(told.scores[-2:], [3.0, np.nan])
    assert told.failed.tolist()[-2:] == [False, True]

    second = loop.ask(algorithm, jax.random.key(0), state, (), shared)
    assert second.objects.tolist() == [[7, 7], [8, 8]]
    np.testing.assert_array_equal(second.duplicates.scores, [3.0, np.nan, np.nan])
    assert second.duplicates.failed.tolist() == [False, True, False]
    # Charged under another spelling: the decode is known from then on, too.
    spelled = second._replace(objects=jnp.array([[2, 2], [3, 3]], jnp.uint8))
    good = jnp.full(2, Status.OK)
    state, _ = loop.tell(algorithm, state, (), spelled, jnp.array([1.0, 2.0]), good, 0)
    third = loop.ask(algorithm, jax.random.key(0), state, (), shared)
    assert third.status.tolist() == [Status.DUPLICATE] * 2


def test_nothing_is_searched_beyond_the_limit():
    task, algorithm, _ = tiny_algorithm("weighted_retraining", "prior")
    shared = prepare_base(task.load_data())
    state = loop.init(algorithm, task.params, shared.dataset)
    searched = []

    def propose_(key, view, surrogate):
        jax.debug.callback(lambda: searched.append(1))
        return algorithm.proposer.propose(key, view, surrogate)

    proposer = dataclasses.replace(algorithm.proposer, propose=propose_)
    counting = dataclasses.replace(algorithm, proposer=proposer)
    one = loop.ask(counting, jax.random.key(0), state, (), shared, limit=1)
    none = loop.ask(counting, jax.random.key(0), state, (), shared, limit=0)
    jax.effects_barrier()
    assert searched == [1]
    assert one.status.tolist() == [Status.OK] + [Status.UNUSED] * (len(one.status) - 1)
    assert set(none.status.tolist()) == {Status.UNUSED}
    jax.tree.map(lambda a, b: np.testing.assert_equal(a.shape, b.shape), one, none)


def test_too_small_a_pool_is_refused():
    task, algorithm, _ = tiny_algorithm("weighted_retraining", "prior")
    shared = prepare_base(task.load_data())
    state = loop.init(algorithm, task.params, shared.dataset)
    few = propose.Proposer("few", lambda *_: propose.Pool(jnp.zeros((2, 2))), 4)
    changed = dataclasses.replace(algorithm, proposer=few)
    with pytest.raises(ValueError, match="'few' gave a pool of 2 points, fewer than batch = 4"):
        loop.ask(changed, jax.random.key(0), state, (), shared)
    lazy = dataclasses.replace(few, batch=2)  # without saying what is likely
    asked = loop.ask(
        dataclasses.replace(algorithm, proposer=lazy), jax.random.key(0), state, (), shared
    )
    assert len(asked.status) == 2


def fixed_pool(objects, **settings):
    """A proposer whose pool is always the same; and what its surrogate was told."""
    heard = []
    latents = jnp.arange(2.0 * len(objects)).reshape(-1, 2)
    proposer = propose.Proposer(
        "fixed",
        lambda key, view, surrogate: propose.Pool(latents, jnp.array(objects, jnp.uint8)),
        observe=lambda surrogate, told: heard.append(told) or surrogate,
        **settings,
    )
    return proposer, heard


def begun(proposer, scores=None, **changes):
    """An algorithm with a proposer, one row of base data that no pool has, and a first state."""
    task, algorithm, _ = tiny_algorithm("weighted_retraining", "prior")
    algorithm = dataclasses.replace(algorithm, proposer=proposer, **changes)
    base = Dataset(
        jnp.array([[255, 255]], jnp.uint8), jnp.zeros(1) if scores is None else jnp.array(scores)
    )
    shared = prepare_base(base, algorithm.dedup_key)
    return algorithm, shared, loop.init(algorithm, task.params, base)


def test_an_identitys_integers_are_not_mistaken_for_an_objects_own():
    """[4, 0] is asked for; what is the same as [8, 0] has the integers [4, 0], too."""
    dedup_key = lambda objects: objects // 2  # noqa: E731
    proposer, _ = fixed_pool([[4, 0]], batch=1)
    algorithm, shared, state = begun(proposer, dedup_key=dedup_key)
    asked = loop.ask(algorithm, jax.random.key(0), state, (), shared)
    state, _ = loop.tell(algorithm, state, (), asked, jnp.array([7.0]), asked.status, 0)
    proposer, _ = fixed_pool([[8, 0], [20, 0]], batch=1, max_duplicates=1)
    later = dataclasses.replace(algorithm, proposer=proposer)
    asked = loop.ask(later, jax.random.key(0), state, (), shared)
    assert asked.objects.tolist() == [[8, 0]]
    assert np.isnan(asked.duplicates.scores).all()


def test_a_remembered_spelling_is_recognised_with_an_identity_too():
    dedup_key = lambda objects: objects // 2  # noqa: E731
    proposer, _ = fixed_pool([[60, 0], [20, 0]], batch=1)
    algorithm, shared, state = begun(proposer, dedup_key=dedup_key)
    asked = loop.ask(algorithm, jax.random.key(0), state, (), shared)
    found = asked._replace(objects=jnp.array([[1, 1]], jnp.uint8))  # as its canonical spelling
    duplicate = jnp.full(1, Status.DUPLICATE)
    state, _ = loop.tell(algorithm, state, (), found, jnp.array([2.0]), duplicate, 0)
    assert loop.ask(algorithm, jax.random.key(0), state, (), shared).objects.tolist() == [[20, 0]]


def test_what_is_known_is_taught_once():
    """A pool without enough that is new: the evaluation's answer repeats the lesson."""
    proposer, heard = fixed_pool([[1, 0], [2, 0]], batch=2, max_duplicates=2)
    algorithm, shared, state = begun(proposer)
    asked = loop.ask(algorithm, jax.random.key(0), state, (), shared)
    state, _ = loop.tell(algorithm, state, (), asked, jnp.array([0.5, 1.5]), asked.status, 0)
    again = loop.ask(algorithm, jax.random.key(0), state, (), shared)
    assert again.status.tolist() == [Status.DUPLICATE] * 2
    state, _ = loop.tell(algorithm, state, (), again, jnp.array([0.5, 1.5]), again.status, 0)
    np.testing.assert_array_equal(heard[-1].scores, [0.5, 1.5, np.nan, np.nan])
    assert int(state.history.aliases.used) == 0


@pytest.mark.parametrize("dtype", [jnp.int32, jnp.uint8, jnp.float16, bool])
def test_base_scores_of_any_number_type(dtype):
    proposer, _ = fixed_pool([[1, 0], [255, 255]], batch=1, max_duplicates=1)
    algorithm, shared, state = begun(proposer, jnp.ones(1, dtype))
    asked = jax.jit(lambda: loop.ask(algorithm, jax.random.key(0), state, (), shared))()
    assert asked.objects.tolist() == [[1, 0]]
    assert shared.dataset.scores.dtype == jnp.float32


def test_fewer_likely_points_than_a_batch_are_refused():
    few = propose.Proposer("few", lambda *_: propose.Pool(jnp.zeros((5, 2))), 4, decode_first=1)
    algorithm, shared, state = begun(few)
    with pytest.raises(ValueError, match=r"'few' decodes likely = 1 points first, fewer than"):
        loop.ask(algorithm, jax.random.key(0), state, (), shared)


def test_grid_ranks_unsigned_scores():
    task, _, _ = tiny_algorithm()
    bits = lambda o: jax.lax.population_count(o).sum(-1) // 8  # noqa: E731
    grid = propose.grid(task.vae, bits, 4)
    view = propose.View(task.params, empty_history(1, jnp.zeros(2, jnp.uint8), 2), None, None)
    pool = grid.propose(jax.random.key(0), view, ())
    assert (np.diff(np.asarray(bits(pool.objects)).astype(int)) <= 0).all()
