"""Scores far from zero: exact on the host, and exact in float32 less an offset."""

import warnings
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wrlso
from tests.builders import (
    count_bits,
    host_task,
    make_tiny_task,
    tiny_algorithm,
    tiny_data,
    tiny_run,
)
from wrlso.data import Dataset, check_dataset
from wrlso.loop.candidates import prepare_base
from wrlso.scores import (
    evaluate,
    less,
    negative,
    negative_on_host,
    relative,
    score_offset,
    warn_of_merged,
)
from wrlso.scores.checks import is_concrete

FAR = -76_000_000
"""Float32 has a number in every eighth place there."""


def far_data():
    data = make_tiny_task().load_data()
    return Dataset(data.objects, np.asarray(data.scores, np.float64) + FAR)


def test_values_are_known_unless_a_transformation_or_another_process_holds_them():
    seen = []
    jax.jit(lambda x: seen.append(is_concrete(x)) or x)(1.0)
    jax.vmap(lambda x: seen.append(is_concrete(np.ones(2), x)) or x)(jnp.ones(3))
    seen.append(is_concrete(jnp.ones(2), SimpleNamespace(is_fully_addressable=False)))
    assert seen == [False, False, False]
    assert is_concrete(1.0, None, [2, 3], np.ones(2), jnp.ones(2))


def test_ranks_and_weights_are_those_of_the_differences():
    scores = FAR + np.array([3.0, 1.0, 2.0])
    base = prepare_base(Dataset(np.zeros((3, 2), np.uint8), scores))
    weights = wrlso.rank_weights(base.dataset.scores, 1e-3)
    np.testing.assert_array_equal(weights, wrlso.rank_weights(scores - FAR, 1e-3))
    kept = np.asarray(base.dataset.scores, np.float64)
    np.testing.assert_array_equal(kept + float(base.offset), scores)


@pytest.mark.parametrize(
    "scores",
    [
        FAR + np.arange(200.0),
        np.array([*(1e9 + np.arange(99.0)), 0.0]),  # one of them near zero
        1.0 + 1e-8 * np.arange(50),
        1e12 * (1 + 1e-9 * np.arange(20)),
    ],
)
def test_distinct_scores_stay_distinct(scores):
    used = relative(scores, score_offset(scores))
    assert len(np.unique(used)) == len(scores)
    assert (np.argsort(used) == np.argsort(scores)).all()


@pytest.mark.parametrize(
    "scores",
    [
        make_tiny_task().load_data().scores,
        np.random.default_rng(0).normal(size=50_000),
        np.random.default_rng(0).exponential(size=1000) - 7.0,
        np.array([0.1 + 0.2, 0.3, 1.0]),  # equal up to rounding
        np.array([-np.inf, np.nan]),
    ],
)
def test_ordinary_scores_are_used_as_they_are(scores):
    assert score_offset(scores) == 0
    if np.isfinite(scores).any():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            prepare_base(Dataset(np.zeros((len(scores), 1), np.uint8), scores))


@pytest.mark.slow
def test_the_tasks_that_ship_have_no_offset():
    for task in (wrlso.tasks.shapes(), wrlso.tasks.expressions()):
        assert score_offset(task.load_data().scores) == 0


def test_distinct_scores_that_become_equal_are_warned_of():
    scores = np.concatenate([np.arange(50.0), 1e12 + 1e3 * np.arange(50.0)])
    with pytest.warns(UserWarning, match=r"of \d+ distinct scores of the base data equal"):
        prepare_base(Dataset(np.zeros((100, 1), np.uint8), scores))


def test_an_objective_in_jax_is_exact_too():
    """Whole numbers without a float on the way; under x64 any float."""
    objects = make_tiny_task().load_data().objects
    expected = np.asarray(count_bits(objects))
    whole = evaluate(lambda x: FAR + count_bits(x).astype(jnp.int32), objects, float(FAR))
    np.testing.assert_array_equal(whole, expected)
    with jax.enable_x64(True):
        far = evaluate(lambda x: FAR + count_bits(x).astype(float), jnp.asarray(objects), FAR)
    assert far.dtype == jnp.float32
    np.testing.assert_array_equal(far, expected)


def test_a_run_finds_what_it_finds_near_zero(tmp_path):
    near = tiny_run(
        tmp_path / "near", host_task(lambda x: float(np.unpackbits(x).sum())), proposer="prior"
    )
    task = host_task(lambda x: FAR + float(np.unpackbits(x).sum()), load_data=far_data)
    far = tiny_run(tmp_path / "far", task, proposer="prior")
    for a, b in zip(near.queries(), far.queries(), strict=True):
        assert (a.object, a.latent, a.status) == (b.object, b.latent, b.status)
        assert b.score is None if a.score is None else b.score == a.score + FAR
    history = far.state(task=task).history
    offset = float(wrlso.base_data(task).offset)
    scores = np.asarray(history.scores, np.float64) + offset
    assert scores.tolist() == [list(seed) for seed in far.scores()]


def test_a_simulation_finds_what_it_finds_near_zero():
    found = {}
    for name, by in (("near", 0), ("far", FAR)):
        objective = lambda x, by=by: by + count_bits(x).astype(jnp.int32)  # noqa: E731
        data = far_data() if by else make_tiny_task().load_data()
        task, algorithm = tiny_algorithm(proposer="prior", objective=objective)
        base = prepare_base(data)
        run = jax.jit(lambda base, a=algorithm, t=task: wrlso.simulate(
            a, t.objective, 0, t.params, base
        ))  # fmt: skip
        history = run(base)[0].history
        scores = np.asarray(history.scores, np.float64) + float(base.offset) - by
        found[name] = np.asarray(history.objects), scores
    np.testing.assert_array_equal(found["near"][0], found["far"][0])
    np.testing.assert_array_equal(found["near"][1], found["far"][1])


def test_queries_that_become_equal_are_warned_of(tmp_path):
    """Nothing in the base data says that scores will be far away."""

    def score(thing):
        return 1e12 + float(np.unpackbits(thing).sum())

    with pytest.warns(UserWarning, match="distinct scores of the queries equal others"):
        tiny_run(tmp_path / "run", host_task(score), seeds=1, proposer="prior")


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint64, np.complex64])
def test_base_objects_of_other_types_are_refused_when_traced(dtype):
    objects, scores = np.ones((4, 2), dtype), np.arange(4.0)
    with pytest.raises(TypeError, match="objects of the base data must be integers"):
        prepare_base(Dataset(objects, scores))
    with jax.enable_x64(True), pytest.raises(TypeError, match=np.dtype(dtype).name):
        jax.eval_shape(lambda objects: prepare_base(Dataset(objects, scores)), objects)


@pytest.mark.parametrize(
    ("objects", "scores"),
    [((4, 2), (3,)), ((4, 2), (4, 1)), ((0, 2), (0,))],
)
def test_base_data_of_other_shapes_are_refused_when_traced(objects, scores):
    dataset = Dataset(np.ones(objects, np.uint8), np.ones(scores))
    for call in (prepare_base, lambda data: jax.eval_shape(prepare_base, data)):
        with pytest.raises(ValueError, match=r"base data must be objects \[N, ...\] and scores"):
            call(dataset)


def test_scores_that_float32_cannot_hold_are_refused(tmp_path):
    data = Dataset(np.arange(4, dtype=np.uint8).reshape(2, 2), np.array([1e200, 2e200]))
    with pytest.raises(ValueError, match="all NaN, infinite or too large"):
        prepare_base(data)
    with pytest.raises(ValueError, match=r"score 1e\+200, which float32 cannot hold"):
        tiny_run(tmp_path / "run", make_tiny_task(load_data=lambda: data))


def test_no_score_at_all_merges_nothing():
    for scores in ([], [np.nan, -np.inf], [0.0, 0.0]):
        assert not warn_of_merged(np.array(scores), 0.0, "nothing")


@pytest.mark.parametrize(("pairs", "warned"), [(1, False), (2, False), (3, True), (100, True)])
def test_a_pair_that_is_equal_by_chance_is_no_reason_to_warn(pairs, warned):
    """Molecules' scores of 16 seeds, looked at after each of ten rounds, hold such pairs."""
    scores = np.linspace(0.1, 0.9, 200)
    scores[1 : 2 * pairs : 2] = scores[: 2 * pairs : 2] + 1e-9
    if warned:
        with pytest.warns(UserWarning, match=r"^\d+ of 200 distinct scores of the queries"):
            assert warn_of_merged(scores, 0.0, "the queries")
    else:
        assert not warn_of_merged(scores, 0.0, "the queries")


def test_a_run_of_random_scores_warns_of_nothing():
    """64 seeds of 500 queries, ten rounds: several pairs are equal in all."""
    for seed in range(64):
        scores = np.random.default_rng(seed).normal(0.8, 0.02, 500)
        for queries in range(50, 501, 50):
            assert not warn_of_merged(scores[:queries], 0.0, "the queries")


WHOLE = [jnp.bool_, jnp.int8, jnp.uint8, jnp.int16, jnp.uint16, jnp.int32, jnp.uint32]


@pytest.mark.parametrize("dtype", WHOLE, ids=lambda kind: jnp.dtype(kind).name)
@pytest.mark.parametrize("offset", [0.0, 2.5, -3.0])
def test_whole_scores_of_every_type_are_negated_and_shifted_exactly(dtype, offset):
    ends = [0, 1] if dtype == jnp.bool_ else [jnp.iinfo(dtype).min, 0, 3, jnp.iinfo(dtype).max]
    room = [value for value in ends if abs(value) < 2**23]
    given = jnp.array(room, dtype)
    np.testing.assert_array_equal(less(given, offset), np.array(room) - offset)
    np.testing.assert_array_equal(jax.jit(negative)(given), -np.array(room, np.int64))
    on_host = np.asarray(given)
    np.testing.assert_array_equal(negative_on_host(on_host), -np.array(room, np.int64))
    for ours in (given, on_host):
        data = Dataset(np.zeros((len(room), 2), np.uint8), ours)
        shift = lambda data: prepare_base(data, None, offset).dataset.scores  # noqa: E731
        for prepared in (shift(data), jax.jit(shift)(jax.tree.map(jnp.asarray, data))):
            np.testing.assert_array_equal(prepared, np.array(room) - offset)


@pytest.mark.parametrize("dtype", [jnp.int32, jnp.uint32], ids=["int32", "uint32"])
@pytest.mark.parametrize("base", [76_000_000, 2**31 - 10])
def test_whole_scores_far_from_zero_keep_their_differences(dtype, base):
    given = jnp.arange(base, base + 4, dtype=dtype)
    near = np.float32(base)
    apart = np.arange(base, base + 4) - np.float64(near)
    np.testing.assert_array_equal(less(given, near), apart)
    lower = negative(given)
    assert lower.tolist() == [-base - i for i in range(4)]
    np.testing.assert_array_equal(less(lower, -near), -apart)


def test_what_has_no_negative_becomes_the_nearest_that_has():
    assert negative(jnp.array([2**31, 2**32 - 1], jnp.uint32)).tolist() == [-(2**31)] * 2
    assert negative(jnp.array([-(2**31)], jnp.int32)).tolist() == [2**31 - 1]
    assert negative_on_host(np.array([2**64 - 1, 1], np.uint64)).tolist() == [-(2.0**64), -1.0]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.bool_, np.uint32, np.float16])
def test_a_task_that_minimises_reads_starting_scores_of_any_type(dtype):
    data = tiny_data()
    scores = np.asarray(data.scores).astype(dtype)
    task = make_tiny_task(minimize=True, load_data=lambda: Dataset(data.objects, scores))
    base = wrlso.base_data(task)
    np.testing.assert_array_equal(base.dataset.scores + base.offset, -scores.astype(np.float32))


def test_a_masked_score_is_none_and_what_is_no_number_is_refused():
    masked = np.ma.array([3, 5, 9], mask=[False, False, True])
    weights = wrlso.rank_weights(masked)
    assert weights[2] == 0
    assert weights[1] > weights[0]
    objects = np.zeros((3, 2), np.uint8)
    assert np.isnan(prepare_base(Dataset(objects, masked)).dataset.scores[2])
    for wrong in (np.array([1j, 2, 3]), np.array(["1", "2", "3"]), np.array([0, 1, 2], "M8[s]")):
        with pytest.raises(ValueError, match="real numbers"):
            prepare_base(Dataset(objects, wrong))
        with pytest.raises(ValueError, match="scores must be real numbers"):
            wrlso.rank_weights(wrong)
        with pytest.raises(ValueError, match=r"data.scores must be real numbers"):
            check_dataset(Dataset(objects, wrong))


def test_base_objects_of_the_other_byte_order_are_the_same_objects():
    data = tiny_data()
    wide = np.asarray(data.objects).astype(np.int32)
    same = [prepare_base(Dataset(wide.astype(kind), data.scores)) for kind in ("<i4", ">i4")]
    jax.tree.map(np.testing.assert_array_equal, *same)
