"""Where an objective in Python is evaluated."""

import asyncio
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from wrlso.evaluation.objective import HostEvaluator, HostObjective


def test_a_timeout_without_workers_is_refused():
    with pytest.raises(ValueError, match="workers = 0 evaluates in this process, which no timeout"):
        HostObjective(lambda thing: 0.0, timeout=3)


def flaky(folder):
    """An objective that fails at its first call for an object, and one that always fails."""

    def score(thing):
        note = Path(folder, str(thing[0]))
        if thing[0] == 3 or not note.exists():
            note.touch()
            raise OSError(f"no licence for {thing[0]}")
        return float(thing[0])

    return score


@pytest.mark.parametrize("workers", [0, 2])
def test_retries_state_the_reasons_of_earlier_tries(workers, tmp_path):
    objective = HostObjective(flaky(tmp_path), workers=workers, retries=1)
    with HostEvaluator(objective) as evaluator:
        found = sorted(evaluator.outcomes("score", [np.array([n]) for n in (1, 2, 3)]))
    reason = "OSError: no licence for"
    assert found == [
        (0, "ok", 1.0, f"earlier tries: {reason} 1"),
        (1, "ok", 2.0, f"earlier tries: {reason} 2"),
        (2, "failed", None, f"{reason} 3; then {reason} 3"),
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_is_one_call_and_loses_one_object_only(workers, tmp_path):
    calls = tmp_path / "calls"

    def score(things):
        with calls.open("a") as file:
            file.write(f"{len(things)} ")
        if any(thing[0] == 7 for thing in things):
            os._exit(3) if workers else sys.exit(3)
        return [ValueError("five") if thing[0] == 5 else float(thing[0]) for thing in things]

    objective = HostObjective(score, workers=workers, batch_size=4)
    with HostEvaluator(objective) as evaluator:
        found = sorted(evaluator.outcomes("score", [np.array([n]) for n in range(8)]))
    assert {o.position: o.value for o in found if o.kind == "ok"} == {
        n: float(n) for n in (0, 1, 2, 3, 4, 6)
    }
    assert found[5].reason == "ValueError: five"
    assert "3" in found[7].reason
    assert sorted(calls.read_text().split()) == ["1"] * 4 + ["4"] * 2


def test_an_objective_in_this_process_is_isolated_as_far_as_it_can_be():
    def score(thing):
        thing[:] = 0  # its own copy
        if os.fork() == 0:
            return -99.0
        return sys.exit(3)

    given = [np.array([n]) for n in (4, 5)]
    found = list(HostEvaluator(score).outcomes("score", given))
    assert [o.reason for o in found] == ["SystemExit: 3"] * 2
    assert [int(thing[0]) for thing in given] == [4, 5]


@pytest.mark.parametrize(
    "kind",
    [
        asyncio.CancelledError,
        GeneratorExit,
        SystemExit,
        type("PanicException", (BaseException,), {}),
    ],
)
def test_only_interrupts_of_the_user_end_an_evaluation_in_this_process(kind):

    def score(thing):
        if thing[0] == 1:
            raise kind
        if thing[0] == 2:
            raise BaseExceptionGroup("two", [kind(), ValueError()])
        return 1.0

    found = list(HostEvaluator(score).outcomes("score", [np.array([n]) for n in range(4)]))
    assert [o.kind for o in found] == ["ok", "failed", "failed", "ok"]
    assert kind.__name__ in found[1].reason

    def interrupted(thing):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(HostEvaluator(interrupted).outcomes("score", [np.array([0])]))


def test_canonical_objects_of_another_form_fail_by_themselves():
    def canonical(thing):
        return [thing, thing[:1], thing - 5, None][int(thing[0])]

    objective = HostObjective(lambda thing: 1.0, canonical)
    things = [np.array([n, n], np.int8) for n in range(4)]
    found = list(HostEvaluator(objective).outcomes("canonical", things))
    assert [o.kind for o in found] == ["ok", "failed", "ok", "failed"]
    assert "shape (1,)" in found[1].reason
    assert found[2].value.tolist() == [-3, -3]


@pytest.mark.parametrize("bad", [{"retries": -1}, {"batch_size": 0}])
def test_numbers_out_of_range_are_named(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        HostObjective(float, **bad)
