"""Base data and history."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.builders import host_task, make_tiny_task
from wrlso.data import Dataset, append, check_dataset, empty_history, merge_replicates
from wrlso.evaluation.objective import HostObjective
from wrlso.fingerprint import Fingerprints
from wrlso.loop.candidates import prepare_base
from wrlso.replicates import combine
from wrlso.runs.base_data import load_base


def test_rows_beyond_the_capacity_are_dropped():
    batch = dict(
        objects=jnp.array([[1, 1], [2, 2], [3, 3]], jnp.uint8),
        latents=jnp.ones((3, 2)),
        scores=jnp.array([1.0, 2.0, 3.0]),
        status=jnp.zeros(3, jnp.int32),
        fingerprints=Fingerprints(*jnp.arange(6, dtype=jnp.uint32).reshape(2, 3)),
        decoded_fingerprints=Fingerprints(*jnp.arange(6, 12, dtype=jnp.uint32).reshape(2, 3)),
        charged=jnp.array([True, False, True]),
    )
    small = append(append(empty_history(3, jnp.zeros(2, jnp.uint8), 2), **batch), **batch)
    assert small.scores.tolist() == [1.0, 3.0, 1.0]
    assert small.fingerprints.low.tolist() == [3, 5, 3]
    assert small.decoded_fingerprints.low.tolist() == [9, 11, 9]
    assert int(small.used) == 3


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
def test_base_data_that_cannot_be_weighted_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        check_dataset(data)


def conflicting():
    objects = np.array([[1, 2], [3, 4], [1, 2], [5, 6], [1, 2], [3, 4]], np.uint8)
    return Dataset(objects, np.array([1, 4, 9, 5, 2, 4], np.float32))


@pytest.mark.parametrize(("how", "score"), [("mean", 4), ("median", 2), ("best", 9)])
def test_replicates_are_merged_at_their_first_row(how, score):
    merged = merge_replicates(conflicting(), how)
    assert merged.objects.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert merged.scores.tolist() == [score, 4, 5]
    assert merged.scores.dtype == jnp.float32
    assert merge_replicates(merged, "refuse").scores.tolist() == [score, 4, 5]


@pytest.mark.parametrize("changes", [dict(scores=[1.0, 2.0]), dict(scores=np.ones((6, 1)))])
def test_a_merge_needs_a_score_for_each_object(changes):
    for data in (conflicting()._replace(**changes), Dataset([], []), Dataset(None, None)):
        with pytest.raises(ValueError, match=r"^data must be objects \[N, ...\] and scores \[N\]"):
            merge_replicates(data)
    with pytest.raises(ValueError, match="a thing for each score"):
        combine(np.ones(3), [0, 1], "mean")


def test_lists_are_merged_as_arrays():
    expected = merge_replicates(conflicting())
    merged = merge_replicates(Dataset(*(part.tolist() for part in conflicting())))
    assert merged.objects.dtype == np.int32
    for a, b in zip(merged, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="32 bits at most, got int64"):
        merge_replicates(Dataset([[2**40]], [1.0]))


def test_replicates_with_different_scores_may_be_refused():
    message = "1 objects are there several times with different scores, such as rows 0 and 2 with"
    with pytest.raises(ValueError, match=f"{message} 1 and 9"):
        merge_replicates(conflicting(), "refuse")
    with pytest.raises(ValueError, match="one of mean, median, best, refuse, got 'first'"):
        merge_replicates(conflicting(), "first")


def test_spellings_of_one_thing_are_merged_by_the_key():
    merged = merge_replicates(conflicting(), "best", lambda objects: objects.sum(1) // 8)
    assert merged.objects.tolist() == [[1, 2], [5, 6]]
    assert merged.scores.tolist() == [9, 5]


def test_a_run_refuses_base_data_that_contradict_themselves():
    objects = jnp.array([[1, 2], [3, 4], [1, 2]], jnp.uint8)
    task = make_tiny_task(load_data=lambda: Dataset(objects, jnp.array([1.0, 2.0, 9.0])))
    with pytest.raises(ValueError, match="base data of task 'bits': 1 objects are there several"):
        load_base(task)
    task = make_tiny_task(
        load_data=lambda: Dataset(objects[:2], jnp.array([1.0, 9.0])),
        dedup_key=lambda objects: objects[:, :1] * 0,
    )
    with pytest.warns(UserWarning, match="under the dedup_key of task 'bits', 1 objects"):
        load_base(task)


def test_messages_show_the_users_scores_where_the_task_minimises():
    objects = jnp.array([[1, 2], [3, 4], [1, 2]], jnp.uint8)

    def load(scores, n=3, **changes):
        data = Dataset(objects[:n], np.array(scores))
        return load_base(make_tiny_task(load_data=lambda: data, minimize=True, **changes))

    with pytest.raises(ValueError, match=r"0 and 2 with 1 and 9: .* 'mean', minimize=True\)"):
        load([1.0, 2.0, 9.0])
    with pytest.warns(UserWarning, match=r"0 and 1 with 1 and 9: .* 'mean', minimize=True\)"):
        load([1.0, 9.0], 2, dedup_key=lambda objects: objects[:, :1] * 0)
    with pytest.raises(ValueError, match=r"score 1e\+200, which float32 cannot hold"):
        load([1.0, 1e200], 2)
    with pytest.raises(ValueError, match=r"row 1 is 1e\+200"):
        prepare_base(Dataset(objects[:2], np.array([1.0, 1e200])), minimize=True)


def test_a_run_refuses_spellings_of_one_object_with_different_scores(tmp_path):
    """Also where the base data hold neither in the canonical spelling, and some have none."""

    def canonical(thing):
        if thing[0] == 7:
            raise ValueError("it has none")
        return np.sort(thing)

    def task_of(scores):
        objects = jnp.array([[7, 1], [4, 3], [1, 2], [3, 4]], jnp.uint8)
        data = Dataset(objects, jnp.array(scores))
        host = HostObjective(lambda thing: 0.0, canonical=canonical)
        return data, host_task(host, load_data=lambda: data)

    data, task = task_of([0.0, 1.0, 2.0, 9.0])
    with pytest.raises(
        ValueError, match=r"canonical spelling .* rows 1 and 3 with 1 and 9"
    ) as error:
        load_base(task)
    assert "merge_replicates(data, 'mean', canonical=...)" in str(error.value)
    merged = merge_replicates(data._replace(objects=data.objects[1:], scores=data.scores[1:]),
                              "mean", canonical=canonical)  # fmt: skip
    assert merged.objects.tolist() == [[3, 4], [1, 2]]
    assert merged.scores.tolist() == [5, 2]
    _, agreeing = task_of([0.0, 1.0, 2.0, 1.0])
    assert load_base(agreeing).objects.tolist() == [[7, 1], [3, 4], [1, 2], [3, 4]]


def test_the_best_of_replicates_is_the_lowest_where_less_is_better():
    highest = merge_replicates(conflicting(), "best")
    lowest = merge_replicates(conflicting(), "best", minimize=True)
    negated = conflicting()._replace(scores=-conflicting().scores)
    assert lowest.scores.tolist() == (-merge_replicates(negated, "best").scores).tolist()
    assert lowest.scores[0] < highest.scores[0]


@pytest.mark.parametrize("how", ["mean", "median"])
@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.bool_])
def test_means_of_whole_numbers_keep_their_fractions(how, dtype):
    data = Dataset(np.array([[1], [1], [2]], np.uint8), np.array([0, 1, 1], dtype))
    assert merge_replicates(data, how).scores.tolist() == [0.5, 1.0]
    in_jax = merge_replicates(Dataset(*map(jnp.asarray, data)), how)
    assert in_jax.scores.tolist() == [0.5, 1.0]
    assert merge_replicates(data, "best").scores.dtype == dtype


def test_objects_that_jax_would_cut_are_refused_before_they_are_merged():
    data = Dataset(np.array([[1], [1 + 2**32]]), np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="32 bits at most"):
        merge_replicates(data, "mean", lambda objects: objects)


@pytest.mark.parametrize("how", ["mean", "median", "best"])
@pytest.mark.parametrize("minimize", [False, True])
def test_a_score_that_is_none_counts_only_where_there_is_no_other(how, minimize):
    objects = np.array([[1], [1], [2], [3], [3]])
    masked = np.ma.array([1.0, 999.0, 3.0, 7.0, 8.0], mask=[0, 1, 0, 1, 1])
    for scores in (masked, np.array([1.0, np.nan, 3.0, np.nan, np.nan])):
        merged = merge_replicates(Dataset(objects.astype(np.uint8), scores), how, None, minimize)
        np.testing.assert_array_equal(merged.scores, [1.0, 3.0, np.nan])
        again = merge_replicates(Dataset(objects.astype(np.uint8), scores), "refuse")
        np.testing.assert_array_equal(again.scores, merged.scores)
