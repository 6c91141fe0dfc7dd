"""Objectives in Python: failures, spellings, and what the log keeps."""

import math
import os
import time
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from tests.builders import count_bits_on_host, host_task, make_tiny_task, tiny_run
from wrlso.data import NO_SCORE, Dataset, empty_history
from wrlso.evaluation.components import ComponentScore, ComponentValue
from wrlso.evaluation.objective import HostEvaluator, HostObjective
from wrlso.fingerprint import fingerprint
from wrlso.loop.candidates import Candidates
from wrlso.proposers.base import Observations
from wrlso.runs.evaluate import BatchPosition, ScoredObjects, evaluate_on_host
from wrlso.runs.log import Query, QueryLog
from wrlso.status import Status

pytestmark = pytest.mark.usefixtures("strict_modes")


def test_a_host_objective_gives_the_run_of_the_jax_objective(tmp_path):
    ours = tiny_run(tmp_path / "jax", proposer="prior")
    task = host_task(lambda thing: float(np.unpackbits(thing).sum()))
    theirs = tiny_run(tmp_path / "host", task, proposer="prior")
    assert theirs.queries() == ours.queries()
    assert theirs.summary["compilations"] == {"retrain": 1, "fit": 1, "ask": 1, "tell": 1}
    assert theirs.summary["uncharged_evaluations"] == 0


def test_blas_has_one_thread_per_device(tmp_path):
    """OpenBLAS's own threads would fight over the cores that the devices already use."""
    seen = []

    def objective(bits):
        threads = [i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"]
        seen.append((len(threads), max(threads)))
        return float(np.unpackbits(bits).sum())

    before = [i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"]
    tiny_run(tmp_path / "two", host_task(objective), proposer=None, devices=2, budget=4)
    assert {most for _, most in seen} == {1}
    assert min(libraries for libraries, _ in seen) >= 1
    after = [i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"]
    assert after[: len(before)] == before


def test_a_host_objective_that_fails_loses_one_query(tmp_path):
    def objective(thing):
        bits = int(np.unpackbits(thing).sum())
        if bits == 8:
            raise RuntimeError("eight is too many")
        return math.nan if bits == 9 else float(bits)

    result = tiny_run(tmp_path / "run", host_task(objective), proposer="prior", budget=40, seeds=2)
    failed = [q for q in result.queries() if q.status == Status.FAILED]
    assert {q.reason for q in failed} == {"RuntimeError: eight is too many", "score is nan"}
    assert all(q.score is None for q in failed)
    assert all(s["charged"] == 40 for s in result.summary["seeds"])
    assert sum(result.summary["failures"].values()) == len(failed)
    assert "x: RuntimeError: eight is too many" in result.table()


def test_the_parts_of_a_score_are_logged_with_it(tmp_path):
    def objective(thing):
        bits = int(np.unpackbits(thing).sum())
        return ComponentScore(bits / 2, [("bits", bits, bits / 2), ("first", int(thing[0]))])

    task = host_task(HostObjective(objective, workers=1))
    result = tiny_run(tmp_path / "run", task, proposer="prior", budget=8, seeds=2)
    parts = result.components()
    scored = [q for q in result.queries() if q.status == Status.OK]
    assert len(scored) == len(parts) >= 8
    for query in scored:
        thing = np.frombuffer(query.object, np.uint8)
        bits = int(np.unpackbits(thing).sum())
        assert query.score == bits / 2
        expected = (("bits", bits, bits / 2), ("first", int(thing[0]), None))
        assert parts[query.seed, query.round, query.index] == expected


def test_a_replayed_query_replaces_its_parts(tmp_path):
    log = QueryLog(tmp_path / "log")
    query = Query(0, 1, 2, b"", b"", 1.0, Status.OK)
    log.add([query], [ComponentValue("a", 1.0), ComponentValue("b", 2.0, 0.5)])
    log.add([query], [ComponentValue("a", 3.0)])
    assert log.components() == {(0, 1, 2): (("a", 3.0, None),)}
    log.forget_from(1)
    assert log.components() == {}
    log.close()


def test_another_spelling_of_a_scored_object_is_neither_scored_nor_charged(tmp_path):
    """Here two bytes are the same thing in either order."""
    scored = []

    def score(thing):
        scored.append(tuple(thing))
        return float(np.unpackbits(thing).sum())

    task = host_task(HostObjective(score, canonical=np.sort))
    result = tiny_run(tmp_path / "run", task, proposer="prior", budget=60, seeds=1)
    queries = result.queries()
    assert all(a <= b for a, b in scored)
    assert len(set(scored)) == len(scored) == result.summary["seeds"][0]["charged"]
    kept = {tuple(x) for x in np.asarray(task.load_data().objects)}
    base = {tuple(np.sort(x)) for x in np.asarray(task.load_data().objects)}
    charged = [q for q in queries if q.status == Status.OK]
    assert [tuple(q.object) for q in charged] == scored
    assert (
        base - kept
    )  # the base data have spellings of their own, which are put into the canonical
    assert not base & set(scored)
    duplicates = [q for q in queries if q.status == Status.DUPLICATE]
    assert duplicates
    assert all(q.score is None for q in duplicates)
    # The model is retrained after r charged queries, however many were asked for.
    by_round = Counter(q.round for q in charged)
    assert set(by_round.values()) == {result.folder.config.retrain_every}


@pytest.mark.slow
def test_a_spelling_that_the_evaluation_recognised_becomes_an_alias(tmp_path):
    """What the host alone knows to be the same is remembered, and the budget is spent."""

    def canonical(thing):  # how many bits are set in each byte
        return (1 << np.bitwise_count(thing).astype(int)) - 1

    task = host_task(HostObjective(lambda thing: float(np.bitwise_count(thing).sum()), canonical))
    result = tiny_run(tmp_path / "run", task, proposer="bo", budget=30, seeds=2)
    aliases = result.state(task=task).history.aliases
    assert (np.asarray(aliases.used) > 0).all()
    assert [s["charged"] for s in result.summary["seeds"]] == [30, 30]


def test_a_refused_object_is_neither_scored_nor_charged_nor_asked_for_again(tmp_path):
    scored, judged = [], []

    def score(thing):
        scored.append(tuple(thing))
        return float(np.unpackbits(thing).sum())

    def accept(thing):
        judged.append(tuple(thing))
        if thing[0] % 5 == 0:
            raise ValueError("five")
        return "odd" if thing[0] % 2 else None

    task = host_task(HostObjective(score, accept=accept))
    result = tiny_run(tmp_path / "run", task, proposer="bo", budget=20, seeds=2)
    assert [s["charged"] for s in result.summary["seeds"]] == [20, 20]
    assert all(first % 2 == 0 and first % 5 for first, _ in scored)
    assert len(judged) == len(set(judged))
    refused = [q for q in result.queries() if q.status == Status.REFUSED]
    assert refused
    assert all(q.score is None for q in refused)
    reasons = {q.reason for q in refused}
    assert reasons == {"odd", "the accept test did not answer: ValueError: five"}
    for seed in range(2):
        decoded = [q.object for q in refused if q.seed == seed]
        assert len(decoded) == len(set(decoded))


def test_a_test_in_jax_passes_over_what_it_refuses(tmp_path):
    def even(objects):
        return objects[:, 0] % 2 == 0

    result = tiny_run(
        tmp_path / "run", make_tiny_task(accept=even), proposer="bo", budget=20, seeds=2
    )
    assert [s["charged"] for s in result.summary["seeds"]] == [20, 20]
    assert all(q.object[0] % 2 == 0 for q in result.queries() if q.status.charged)
    assert sum(s["refused"] for s in result.summary["seeds"]) > 0
    assert "refused by the accept test" in result.table()


def test_a_test_that_refuses_everything_ends_the_run_and_says_so(tmp_path):
    task = host_task(HostObjective(count_bits_on_host, accept=lambda thing: False))
    result = tiny_run(tmp_path / "run", task, proposer="prior", seeds=1)
    assert result.summary["seeds"][0]["charged"] == 0
    assert "were refused" in result.table()


def test_a_crash_or_a_hang_in_a_worker_loses_one_query(tmp_path):
    def score(thing):
        bits = int(np.unpackbits(thing).sum())
        if bits == 8:
            os._exit(3)
        if bits == 9:
            time.sleep(60)
        return float(bits)

    def canonical(thing):
        if thing[0] % 7 == 3:
            raise ValueError("no spelling")
        return thing

    task = host_task(HostObjective(score, canonical, workers=2, timeout=1.5))
    result = tiny_run(tmp_path / "run", task, proposer="prior", budget=18, seeds=1)
    reasons = {q.status: q.reason for q in result.queries() if q.reason}
    assert result.summary["seeds"][0]["charged"] == 18
    failed = {q.reason for q in result.queries() if q.status == Status.FAILED}
    assert any("exit" in reason for reason in failed)
    assert "ValueError: no spelling" in failed
    assert "1.5 s" in reasons[Status.TIMEOUT]
    for q in result.queries():
        bits = int(np.unpackbits(np.frombuffer(q.object, np.uint8)).sum())
        spelled = q.object[0] % 7 != 3
        expected = {8: Status.FAILED, 9: Status.TIMEOUT}.get(bits, Status.OK)
        assert q.status == (expected if spelled else Status.FAILED)


def test_a_logged_answer_is_kept_where_the_proposal_differs(tmp_path):
    """Another machine's rounding may propose something else after a resume: what was paid stays."""
    objects = jnp.array([[[1, 0], [3, 0]]], jnp.uint8)
    duplicates = Observations(
        jnp.zeros((1, 1, 2)), jnp.ones((1, 1)), *2 * (jnp.zeros((1, 1), bool),)
    )
    prints = jax.vmap(fingerprint)(objects)
    status = jnp.zeros((1, 2), jnp.int32)
    asked = Candidates(
        jnp.ones((1, 2, 2)), objects, status, duplicates, prints, prints, jnp.zeros(1, jnp.int32)
    )
    log = QueryLog(tmp_path / "log.sqlite")
    position = BatchPosition([7], [log], 2, 10)
    base = Dataset(jnp.array([[0, 7]], jnp.uint8), jnp.zeros(1))
    history = jax.tree.map(lambda a: a[None], empty_history(4, base.objects[0], 2))
    first, again = (ScoredObjects(base, history, 1) for _ in range(2))
    evaluate_on_host(HostEvaluator(lambda thing: float(thing[0])), position, asked, first)
    other = jax.vmap(fingerprint)(objects + 8)
    now = asked._replace(
        objects=objects + 8,
        latents=asked.latents * 2,
        decoded_fingerprints=other,
        fingerprints=other,
    )
    evaluated, evaluation = evaluate_on_host(
        HostEvaluator(lambda thing: 99.0), position, now, again
    )
    known = [again.find(0, np.array(thing, np.uint8)) for thing in ([1, 0], [3, 0], [0, 7])]
    assert known == [1, 3, 0]
    jax.tree.map(np.testing.assert_array_equal, evaluated, asked)
    assert evaluation.scores.tolist() == [[1.0, 3.0]]
    assert evaluation.status.tolist() == [[Status.OK] * 2]
    assert not evaluation.failed.any()
    log.close()


def test_the_evaluation_of_a_duplicate_gives_the_known_score_or_failure(tmp_path):
    """[2, 0] is in the base data; [4, 0] failed before; [6, 0] twice in a batch is scored once."""
    objects = jnp.array([[[2, 0], [4, 0], [6, 0], [6, 0]]], jnp.uint8)
    prints = jax.vmap(fingerprint)(objects)
    nothing = Observations(jnp.zeros((1, 0, 2)), jnp.zeros((1, 0)), *2 * (jnp.zeros((1, 0), bool),))
    status = jnp.zeros((1, 4), jnp.int32)
    asked = Candidates(
        jnp.ones((1, 4, 2)), objects, status, nothing, prints, prints, jnp.zeros(1, jnp.int32)
    )
    base = Dataset(jnp.array([[2, 0]], jnp.uint8), jnp.array([0.5]))
    history = jax.tree.map(lambda a: a[None], empty_history(4, base.objects[0], 2))
    scored = ScoredObjects(base, history, 1)
    scored.add(0, np.array([4, 0], np.uint8), NO_SCORE)
    log, calls = QueryLog(tmp_path / "log.sqlite"), []

    def objective(thing):
        calls.append(thing.tolist())
        return 7.0

    _, found = evaluate_on_host(
        HostEvaluator(objective), BatchPosition([3], [log], 0, 0), asked, scored
    )
    assert calls == [[6, 0]]
    duplicate = Status.DUPLICATE
    assert found.status.tolist() == [[duplicate, duplicate, Status.OK, duplicate]]
    np.testing.assert_array_equal(found.scores, [[0.5, NO_SCORE, 7.0, 7.0]])
    assert found.failed.tolist() == [[False, True, False, False]]
    assert [q.score for q in log.queries()] == [None, None, 7.0, None]
    log.close()


def test_a_warning_comes_early_if_nothing_has_a_score(tmp_path):
    def broken(thing):
        raise RuntimeError("no licence")

    task = make_tiny_task(objective=None, host_objective=broken)
    with pytest.warns(UserWarning, match="none of the first .* last reason: RuntimeError: no lic"):
        result = tiny_run(tmp_path / "run", task, proposer="prior")
    assert result.summary["best"]["mean"] is None
