"""What the evaluation of a batch changes: the table of ``wrlso.loop.tell``, and what follows."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.builders import begun, count_bits, evaluation, fixed_pool, tiny_algorithm
from wrlso import loop
from wrlso.data import NO_SCORE
from wrlso.loop.candidates import Evaluation, prepare_base
from wrlso.loop.tell import Settlement, consequences, settle
from wrlso.status import Status

NAN, NO = float("nan"), NO_SCORE


@pytest.mark.parametrize(
    ("asked", "after", "score", "had_failed", "expected"),
    [
        # expected: charged, status, recorded score, learned score, learns a failure, learns that it
        # was refused, alias
        (Status.OK, Status.OK, 2.0, False, (True, Status.OK, 2.0, 2.0, False, False, False)),
        (Status.OK, Status.OK, np.inf, False, (True, Status.FAILED, NO, NO, True, False, False)),
        (Status.OK, Status.OK, NAN, False, (True, Status.FAILED, NO, NO, True, False, False)),
        (Status.OK, Status.FAILED, 9.0, False, (True, Status.FAILED, NO, NO, True, False, False)),
        (
            Status.OK, Status.TIMEOUT, NAN, False,
            (True, Status.TIMEOUT, NO, NO, True, False, False),
        ),
        (
            Status.INVALID, Status.INVALID, NAN, False,
            (True, Status.INVALID, NO, NO, True, False, False),
        ),
        (
            Status.DUPLICATE, Status.DUPLICATE, 2.0, False,
            (False, Status.DUPLICATE, NO, NO, False, False, False),
        ),
        (
            Status.DUPLICATE, Status.DUPLICATE, NAN, True,
            (False, Status.DUPLICATE, NO, NO, False, False, False),
        ),
        (
            Status.OK, Status.DUPLICATE, 2.0, False,
            (False, Status.DUPLICATE, NO, 2.0, False, False, True),
        ),
        (
            Status.OK, Status.DUPLICATE, NAN, True,
            (False, Status.DUPLICATE, NO, NO, True, False, True),
        ),
        (
            Status.OK, Status.DUPLICATE, NAN, False,
            (False, Status.DUPLICATE, NO, NO, False, False, False),
        ),
        (
            Status.OK, Status.REFUSED, NAN, False,
            (False, Status.REFUSED, NO, NO, False, True, True),
        ),
        (
            Status.REFUSED, Status.REFUSED, NAN, False,
            (False, Status.REFUSED, NO, NO, False, True, False),
        ),
        (
            Status.UNUSED, Status.UNUSED, NAN, False,
            (False, Status.UNUSED, NO, NO, False, False, False),
        ),
    ],
)  # fmt: skip
def test_the_consequences_are_those_of_the_table(asked, after, score, had_failed, expected):
    outcome = consequences(
        jnp.array([int(asked)]),
        Evaluation(jnp.array([score]), jnp.array([int(after)]), jnp.array([had_failed])),
    )
    found = tuple(np.asarray(part)[0] for part in outcome)
    np.testing.assert_equal([float(x) for x in found], [float(x) for x in expected])


def begun_task(**changes):
    task, algorithm = tiny_algorithm()
    algorithm = dataclasses.replace(algorithm, **changes)
    base = prepare_base(task.load_data())
    return algorithm, base, loop.init(algorithm, task.params, base.dataset)


def test_failures_are_charged_but_carry_no_score():
    algorithm, base, state = begun_task()
    candidates = loop.ask(algorithm, jax.random.key(0), state, (), base)
    status = candidates.status.at[3].set(int(Status.TIMEOUT))
    found = evaluation(candidates, [5.0, jnp.nan, jnp.inf, 7.0], status)
    state, _ = loop.tell(algorithm, state, (), candidates, found, 0)
    assert state.history.status[:4].tolist() == [
        Status.OK, Status.FAILED, Status.FAILED, Status.TIMEOUT,
    ]  # fmt: skip
    assert int(state.history.used) == 4
    np.testing.assert_array_equal(state.history.scores[:4], [5.0, NO_SCORE, NO_SCORE, NO_SCORE])
    _, info = loop.retrain(algorithm, jax.random.key(0), state, base, 5)
    assert bool(info.finite)


def test_invalid_decodes_are_charged_without_being_scored():
    task, _ = tiny_algorithm()
    vae = dataclasses.replace(task.vae, valid=lambda objects: objects[:, 0] % 2 == 0)
    algorithm, base, state = begun_task(vae=vae)
    candidates = loop.ask(algorithm, jax.random.key(0), state, (), base)
    even = np.asarray(candidates.objects)[:, 0] % 2 == 0
    assert 0 < even.sum() < 4
    np.testing.assert_array_equal(candidates.status, np.where(even, Status.OK, Status.INVALID))
    found = loop.score(count_bits, candidates)
    np.testing.assert_array_equal(found.scores == NO_SCORE, ~even)
    state, _ = loop.tell(algorithm, state, (), candidates, found, 0)
    assert int(state.history.used) == 4
    np.testing.assert_array_equal(state.history.scores[:4] == NO_SCORE, ~even)


def test_another_spelling_of_a_scored_object_is_not_asked_for_again():
    """The evaluation knows two decodes for other spellings of scored objects; the second of these
    had failed. Both are remembered and learned, but not charged."""
    pool = [[9, 9], [1, 1], [7, 7], [8, 8]]
    proposer, observed = fixed_pool(pool, batch=2, max_duplicates=3)
    algorithm, base, state = begun(proposer)
    first = loop.ask(algorithm, jax.random.key(0), state, (), base)
    other = first._replace(objects=jnp.array([[5, 5], [6, 6]], jnp.uint8))
    duplicate = jnp.full(2, Status.DUPLICATE)
    found = evaluation(other, [3.0, jnp.nan], duplicate, jnp.array([False, True]))
    state, _ = loop.tell(algorithm, state, (), other, found, 0)
    assert int(state.history.used) == 0
    np.testing.assert_array_equal(observed[-1].scores[-2:], [3.0, NO_SCORE])
    assert observed[-1].failed.tolist()[-2:] == [False, True]

    second = loop.ask(algorithm, jax.random.key(0), state, (), base)
    assert second.objects.tolist() == [[7, 7], [8, 8]]
    np.testing.assert_array_equal(second.duplicates.scores, [3.0, NO_SCORE, NO_SCORE])
    assert second.duplicates.failed.tolist() == [False, True, False]
    # Charged under another spelling: the decode is known from then on, too.
    spelled = second._replace(objects=jnp.array([[2, 2], [3, 3]], jnp.uint8))
    state, _ = loop.tell(algorithm, state, (), spelled, evaluation(spelled, [1.0, 2.0]), 0)
    third = loop.ask(algorithm, jax.random.key(0), state, (), base)
    assert third.status.tolist() == [Status.DUPLICATE] * 2


def test_the_integers_of_a_dedup_key_are_not_mistaken_for_an_object():
    """[4, 0] is asked for; what is the same as [8, 0] has the integers [4, 0], too."""
    proposer, _ = fixed_pool([[4, 0]], batch=1)
    algorithm, base, state = begun(proposer, dedup_key=lambda objects: objects // 2)
    asked = loop.ask(algorithm, jax.random.key(0), state, (), base)
    state, _ = loop.tell(algorithm, state, (), asked, evaluation(asked, [7.0]), 0)
    proposer, _ = fixed_pool([[8, 0], [20, 0]], batch=1, max_duplicates=1)
    later = dataclasses.replace(algorithm, proposer=proposer)
    asked = loop.ask(later, jax.random.key(0), state, (), base)
    assert asked.objects.tolist() == [[8, 0]]
    assert (asked.duplicates.scores == NO_SCORE).all()


def test_an_alias_is_recognised_with_a_dedup_key_too():
    proposer, _ = fixed_pool([[60, 0], [20, 0]], batch=1)
    algorithm, base, state = begun(proposer, dedup_key=lambda objects: objects // 2)
    asked = loop.ask(algorithm, jax.random.key(0), state, (), base)
    found = asked._replace(objects=jnp.array([[1, 1]], jnp.uint8))  # as its canonical spelling
    duplicate = evaluation(found, [2.0], jnp.full(1, Status.DUPLICATE))
    state, _ = loop.tell(algorithm, state, (), found, duplicate, 0)
    again = loop.ask(algorithm, jax.random.key(0), state, (), base)
    assert again.objects.tolist() == [[20, 0]]


def test_a_duplicate_that_ask_recognised_is_learned_once():
    """A pool without enough new objects: the evaluation gives their scores a second time."""
    proposer, observed = fixed_pool([[1, 0], [2, 0]], batch=2, max_duplicates=2)
    algorithm, base, state = begun(proposer)
    asked = loop.ask(algorithm, jax.random.key(0), state, (), base)
    state, _ = loop.tell(algorithm, state, (), asked, evaluation(asked, [0.5, 1.5]), 0)
    again = loop.ask(algorithm, jax.random.key(0), state, (), base)
    assert again.status.tolist() == [Status.DUPLICATE] * 2
    state, _ = loop.tell(algorithm, state, (), again, evaluation(again, [0.5, 1.5]), 0)
    np.testing.assert_array_equal(observed[-1].scores, [0.5, 1.5, NO_SCORE, NO_SCORE])
    assert int(state.history.aliases.used) == 0


def test_a_late_result_that_is_no_number_is_a_failure():
    """As in ``tell``: NaN and infinity had entered the history as scores."""
    task, algorithm = tiny_algorithm(proposer="prior")
    base = prepare_base(task.load_data())
    state = loop.init(algorithm, task.params, base.dataset)
    n = len(state.history.scores)
    rows = jnp.arange(n) < 3
    scores = jnp.zeros(n).at[:3].set(jnp.array([jnp.nan, jnp.inf, 2.0]))
    status = jnp.full(n, int(Status.OK))
    settlement = Settlement(rows, scores, status)
    after, _ = settle(algorithm, state, (), settlement)
    assert after.history.scores[:3].tolist() == [-np.inf, -np.inf, 2.0]
    assert after.history.status[:3].tolist() == [Status.FAILED, Status.FAILED, Status.OK]
