"""Which points of a pool become candidates, and how much of a pool is decoded for it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.builders import begun, count_bits, evaluation, fixed_pool, tiny_algorithm
from wrlso import loop
from wrlso.data import NO_SCORE, Dataset, append
from wrlso.fingerprint import fingerprint
from wrlso.loop.candidates import _verdicts, no_candidates, prepare_base
from wrlso.proposers.base import Pool, Proposer
from wrlso.scores import evaluate
from wrlso.status import Status

pytestmark = pytest.mark.usefixtures("strict_modes")


def started(**changes):
    task, algorithm = tiny_algorithm(**changes)
    base = prepare_base(task.load_data())
    return task, algorithm, base, loop.init(algorithm, task.params, base.dataset)


def test_a_scored_object_is_not_proposed_again():
    _, algorithm, base, state = started()
    seen = set()
    for _ in range(3):
        asked = loop.ask(algorithm, jax.random.key(0), state, (), base)
        new = {bytes(o) for o in np.asarray(asked.objects)}
        assert len(new) == 4
        assert not new & seen
        seen |= new
        found = evaluation(asked, count_bits(asked.objects))
        state, _ = loop.tell(algorithm, state, (), asked, found, 0)
    after = loop.ask(algorithm, jax.random.key(0), state, (), base)
    assert (after.status == Status.UNUSED).all()  # the budget is spent


def test_duplicates_before_the_chosen_points_are_learned_but_not_charged():
    """At most ``max_duplicates`` of them, with their scores or as failures."""
    task, algorithm = tiny_algorithm(proposer="prior")
    pool = [[9, 9], [1, 1], [7, 7], [8, 8], [7, 7], [6, 6], [9, 9]]
    data = Dataset(jnp.array([[7, 7], [0, 0]], jnp.uint8), jnp.array([0.5, 0.1]))
    base = prepare_base(data)
    state = loop.init(algorithm, task.params, data)
    scored = jnp.array([[9, 9], [1, 1]], jnp.uint8)
    history = append(
        state.history,
        scored,
        jnp.zeros((2, 2)),
        jnp.array([2.0, NO_SCORE]),
        jnp.array([Status.OK, Status.FAILED]),
        fingerprint(scored),
        fingerprint(scored),
        jnp.ones(2, bool),
    )
    state = state._replace(history=history)

    def ask(max_duplicates, batch=1):
        proposer, observed = fixed_pool(pool, batch=batch, max_duplicates=max_duplicates)
        changed = dataclasses.replace(algorithm, proposer=proposer)
        return changed, loop.ask(changed, jax.random.key(0), state, (), base), observed

    changed, asked, observed = ask(5)
    assert asked.objects.tolist() == [[8, 8]]
    known = np.isfinite(asked.duplicates.scores) | asked.duplicates.failed
    latents = jnp.arange(14.0).reshape(7, 2)
    np.testing.assert_array_equal(asked.duplicates.latents[known], latents[:3])
    np.testing.assert_array_equal(asked.duplicates.scores[:3], [2.0, NO_SCORE, 0.5])
    assert asked.duplicates.failed.tolist() == [False, True, False, False, False]
    assert ask(2)[1].duplicates.scores.tolist()[0] == 2.0
    assert ask(0)[1].duplicates.scores.shape == (0,)
    two = ask(7, batch=2)[1]
    assert two.objects.tolist() == [[8, 8], [6, 6]]
    # The seventh point comes after the second that is chosen.
    assert np.isfinite(two.duplicates.scores).sum() == 3

    told, _ = loop.tell(changed, state, (), asked, evaluation(asked, [4.0]), 0)
    assert int(told.history.used) == 3
    assert observed[0].scores.shape == (6,)
    np.testing.assert_array_equal(np.asarray(observed[0].scores)[[0, 2, 5]], [2.0, 0.5, 4.0])


def counting(vae):
    """The model, and the numbers of latents that it decodes."""
    decoded = []

    def decode(params, z):
        objects = vae.decode(params, z)
        jax.debug.callback(lambda _: decoded.append(len(z)), objects[0, 0])
        return objects

    return dataclasses.replace(vae, decode=decode), decoded


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("known", [0, 2, 6, 30])
def test_the_rest_of_a_pool_is_decoded_only_where_too_few_of_its_first_points_are_new(batch, known):
    task, algorithm = tiny_algorithm(proposer="prior")
    vae, decoded = counting(task.vae)
    latents = 2 * jax.random.normal(jax.random.key(0), (30, 2))
    objects = task.vae.decode(task.params, latents)
    data = Dataset(jnp.concatenate([objects[:known], objects[:1]]), jnp.arange(known + 1.0))
    base = prepare_base(data)
    state = loop.init(algorithm, task.params, data)

    def ask(pool, decode_first):
        proposer = Proposer(
            "fixed", lambda *_: pool, batch, decode_first=decode_first, max_duplicates=4
        )
        changed = dataclasses.replace(algorithm, proposer=proposer, vae=vae)
        out = loop.ask(changed, jax.random.key(0), state, (), base)
        jax.effects_barrier()
        return out

    whole = ask(Pool(latents, objects), 0)
    assert decoded == []
    lazy = ask(Pool(latents), 6)
    jax.tree.map(np.testing.assert_array_equal, lazy, whole)
    first = {tuple(o) for o in np.asarray(objects[:6]).tolist()}
    new = len(first - {tuple(o) for o in data.objects.tolist()})
    assert decoded == ([6] if new >= batch else [6, 24])


def test_lanes_decode_the_rest_only_if_one_of_them_needs_it():
    """Under vmap, each lane finds what it finds alone."""
    task, algorithm = tiny_algorithm(proposer="prior")
    vae, decoded = counting(task.vae)
    latents = 2 * jax.random.normal(jax.random.key(0), (30, 2))
    objects = task.vae.decode(task.params, latents)
    base = prepare_base(Dataset(objects[:6], jnp.arange(6.0)))
    state = loop.init(algorithm, task.params, base.dataset)

    def ask(latents):
        proposer = Proposer("fixed", lambda *_: Pool(latents), 2, decode_first=6, max_duplicates=4)
        changed = dataclasses.replace(algorithm, proposer=proposer, vae=vae)
        return loop.ask(changed, jax.random.key(0), state, (), base)

    pools = jnp.stack([latents[::-1], latents])  # the second begins with what is known
    alone = jax.tree.map(lambda *leaves: np.stack(leaves), *map(ask, pools))
    together = jax.vmap(ask)
    jax.tree.map(np.testing.assert_array_equal, together(pools), alone)
    jax.effects_barrier()
    decoded.clear()
    together(pools[:1])
    jax.effects_barrier()
    assert set(decoded) == {6}
    together(pools)
    jax.effects_barrier()
    assert set(decoded) == {6, 24}


def test_nothing_is_searched_beyond_the_limit():
    _, algorithm, base, state = started(proposer="prior")
    searched = []

    def propose(key, view, surrogate):
        jax.debug.callback(lambda: searched.append(1))
        return algorithm.proposer.propose(key, view, surrogate)

    proposer = dataclasses.replace(algorithm.proposer, propose=propose)
    counting = dataclasses.replace(algorithm, proposer=proposer)
    one = loop.ask(counting, jax.random.key(0), state, (), base, limit=1)
    none = loop.ask(counting, jax.random.key(0), state, (), base, limit=0)
    jax.effects_barrier()
    assert searched == [1]
    assert one.status.tolist() == [Status.OK] + [Status.UNUSED] * (len(one.status) - 1)
    assert set(none.status.tolist()) == {Status.UNUSED}
    jax.tree.map(lambda a, b: np.testing.assert_equal(a.shape, b.shape), one, none)


def test_a_pool_smaller_than_the_batch_is_refused():
    _, algorithm, base, state = started(proposer="prior")
    few = Proposer("few", lambda *_: Pool(jnp.zeros((2, 2))), 4)
    changed = dataclasses.replace(algorithm, proposer=few)
    with pytest.raises(ValueError, match="'few' gave a pool of 2 points, fewer than batch = 4"):
        loop.ask(changed, jax.random.key(0), state, (), base)
    whole = dataclasses.replace(algorithm, proposer=dataclasses.replace(few, batch=2))
    assert len(loop.ask(whole, jax.random.key(0), state, (), base).status) == 2


def test_decoding_fewer_points_first_than_a_batch_is_refused():
    few = Proposer("few", lambda *_: Pool(jnp.zeros((5, 2))), 4, decode_first=1)
    algorithm, base, state = begun(few)
    with pytest.raises(ValueError, match="'few' decodes decode_first = 1 points first, fewer than"):
        loop.ask(algorithm, jax.random.key(0), state, (), base)


@pytest.mark.parametrize("dtype", [jnp.int32, jnp.uint8, jnp.float16, bool])
def test_base_scores_of_any_number_type_become_float32(dtype):
    proposer, _ = fixed_pool([[1, 0], [255, 255]], batch=1, max_duplicates=1)
    algorithm, base, state = begun(proposer, jnp.ones(1, dtype))
    asked = jax.jit(lambda: loop.ask(algorithm, jax.random.key(0), state, (), base))()
    assert asked.objects.tolist() == [[1, 0]]
    assert base.dataset.scores.dtype == jnp.float32


@pytest.mark.parametrize("dtype", [bool, jnp.int32, jnp.float32])
def test_verdicts_of_any_type_count_as_booleans(dtype):
    objects = jnp.array([[0], [1], [2]], jnp.uint8)
    even = lambda objects: (objects[:, 0] % 2 == 0).astype(dtype)  # noqa: E731
    assert _verdicts("accept", even, objects).tolist() == [True, False, True]
    with pytest.raises(ValueError, match=r"accept must map objects \[3, 1\] to booleans \[3\]"):
        jax.eval_shape(lambda objects: _verdicts("accept", lambda o: o, objects), objects)


def test_a_key_that_merges_the_batch_is_refused_when_traced():
    with pytest.raises(ValueError, match="dedup_key must map objects"):
        jax.eval_shape(
            lambda objects: fingerprint(objects, lambda o: o.sum()[None]),
            jnp.zeros((3, 2), jnp.uint8),
        )


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        (Pool(jnp.zeros((20, 3)), None), r"must give points \[P, 2\] of the latent space"),
        (Pool(jnp.zeros(20), None), r"must give points \[P, 2\]"),
        (Pool(jnp.zeros((20, 2)), jnp.zeros((19, 2), jnp.uint8)), "an object for each of 20"),
        (Pool(jnp.zeros((20, 2)), jnp.zeros((20, 2), jnp.int32)), r"objects uint8\[2\], .* int32"),
        (
            Pool(jnp.zeros((20, 2)), jnp.zeros((20, 3), jnp.uint8)),
            r"objects uint8\[2\], .* uint8\[3\]",
        ),
        (jnp.zeros((20, 2)), "must give a Pool of points"),
    ],
)
def test_a_pool_of_another_shape_is_refused_when_traced(pool, message):
    proposer = Proposer("own", lambda key, view, surrogate: pool, batch=4)
    _, algorithm, base, state = started(proposer=proposer)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda key: loop.ask(algorithm, key, state, (), base), jax.random.key(0))


@pytest.mark.parametrize(
    "changes", [dict(batch=0), dict(batch=2.5), dict(decode_first=-1), dict(max_duplicates=True)]
)
def test_a_proposer_without_a_batch_is_refused(changes):
    settings = dict(batch=4) | changes
    with pytest.raises(ValueError, match=f"^{next(iter(changes))} of a proposer must be"):
        Proposer("own", lambda key, view, surrogate: None, **settings)


@pytest.mark.parametrize("key", [lambda o: (o, o), lambda o: 3, lambda o: None], ids=["2", "3", ""])
def test_a_key_that_is_no_array_is_refused(key):
    with pytest.raises(ValueError, match=r"^dedup_key must map objects"):
        fingerprint(jnp.zeros((3, 2), jnp.uint8), key)


def test_base_scores_may_be_a_list():
    base = prepare_base(Dataset(np.zeros((2, 3), np.uint8), [0.5, 1.5]))
    assert base.dataset.scores.tolist() == [0.5, 1.5]


@pytest.mark.parametrize("where", [loop.score, lambda f, c: evaluate(f, c.objects)])
def test_complex_scores_are_refused(where):
    _, _, base, state = started()
    candidates = no_candidates(state.history, base, batch=4, max_duplicates=0)
    with pytest.raises(ValueError, match=r"^scores of the objective must be real numbers"):
        where(lambda objects: jnp.ones(len(objects), jnp.complex64), candidates)


def test_an_offset_of_the_users_is_that_of_the_candidates():
    """One that is no float32 had base scores 2.3 away from equal scores of queries."""
    scores = np.array([-76543210.0, -76543205.0])
    base = prepare_base(Dataset(np.array([[1], [2]], np.uint8), scores), offset=-76543210.3)
    own = evaluate(
        lambda objects: jnp.full(len(objects), -76543210), jnp.zeros((1, 1)), base.offset
    )
    assert own[0] == base.dataset.scores[0]


def test_a_base_score_too_large_for_float32_is_refused():
    data = Dataset(np.array([[1], [2], [3]], np.uint8), np.array([1.0, 2.0, 1e39]))
    with pytest.raises(
        ValueError, match=r"scores of the base data must be within .* row 2 is 1e\+39"
    ):
        prepare_base(data)


def test_lists_of_objects_are_taken():
    base = prepare_base(Dataset([[0, 1], [1, 0]], [1.0, 2.0]))
    assert base.dataset.objects.dtype == jnp.int32
    with pytest.raises(TypeError, match="int64"):
        prepare_base(Dataset([[0, 2**40], [1, 0]], [1.0, 2.0]))


@pytest.mark.parametrize("compiled", [False, True])
def test_equal_scores_of_base_and_queries_tie_in_double_precision_mode(compiled):
    """Both are float32: 99.1 in float64 would stand above the same score of a query."""
    objects = np.array([[1], [2]], np.uint8)

    def make(scores):
        return prepare_base(Dataset(objects, scores), offset=0.0)

    with jax.enable_x64(True):
        base = (jax.jit(make) if compiled else make)(jnp.array([99.1, 1.0]))
        own = evaluate(lambda objects: jnp.full(len(objects), 99.1), jnp.zeros((1, 1)))
    assert base.dataset.scores.dtype == own.dtype == jnp.float32
    assert base.dataset.scores[0] == own[0]
