"""A result that people correct is the new one everywhere; what two people tell is told once."""

import threading
from contextlib import closing

import jax.numpy as jnp
import numpy as np
import pytest

import wrlso
from tests.builders import METHOD, all_queries, count_bits_on_host, fixed_pool, host_task, tiny_run
from wrlso.cli.main import main
from wrlso.data import NO_SCORE, Aliases, forget_aliases
from wrlso.evaluation.components import ComponentScore
from wrlso.fingerprint import fingerprint
from wrlso.runs.log import QueryLog

SETTINGS = dict(budget=12, proposer="prior", progress=False)


def canonical(thing):
    """The spelling with all bits of a byte at its low end."""
    return ((1 << np.bitwise_count(thing).astype(int)) - 1).astype(np.uint8)


def charged(path):
    return [q for q in all_queries(path) if q.status.charged]


def scores_agree(result, task):
    scores = np.asarray(result.state(task=task).history.scores[0])
    logged = [NO_SCORE if q.score is None else q.score for q in charged(result.folder.path)]
    np.testing.assert_array_equal(scores[: len(logged)], np.float32(logged))


class Stop(KeyboardInterrupt):
    pass


@pytest.mark.parametrize("new", [-50.0, None])
def test_a_run_goes_on_with_what_was_corrected_while_it_stood(new, tmp_path):
    calls = []

    def interrupted(thing):
        calls.append(thing)
        if len(calls) == 10:
            raise Stop
        return count_bits_on_host(thing)

    task, path = host_task(interrupted), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        tiny_run(path, task, METHOD, seeds=1, **SETTINGS)
    with wrlso.open(path, task, progress=False) as study:
        assert study.tell({charged(path)[0].id: new}, replace=True).replaced == 1
    result = wrlso.resume(path, task=task, progress=False)
    assert charged(path)[0].score == new
    scores_agree(result, task)


def test_a_finished_run_grows_from_what_was_corrected_without_its_task(tmp_path):
    task, path = host_task(count_bits_on_host), tmp_path / "run"
    tiny_run(path, task, METHOD, seeds=1, **(SETTINGS | {"budget": 8}))
    file = tmp_path / "told.csv"
    file.write_text(f"id,score\n{charged(path)[0].id},-77\n")
    assert main(["tell", str(path), str(file), "--replace"]) == 0
    result = wrlso.resume(path, task=task, budget=12, progress=False)
    assert charged(path)[0].score == -77.0
    scores_agree(result, task)


def test_a_file_for_several_seeds_changes_none(tmp_path, capsys):
    task, path = host_task(count_bits_on_host), tmp_path / "run"
    tiny_run(path, task, METHOD, seeds=2, **(SETTINGS | {"budget": 4}))
    before, file = all_queries(path), tmp_path / "told.csv"
    file.write_text(f"id,score\n{charged(path)[0].id},99\n")
    assert main(["tell", str(path), str(file), "--replace"]) != 0
    assert "is a run of 2 seeds, and a study has one" in capsys.readouterr().err
    assert all_queries(path) == before


def test_two_people_tell_one_candidate_at_once(tmp_path, monkeypatch):
    """The second reads what the first has told, which stays."""
    task, path = host_task(count_bits_on_host), tmp_path / "lab"
    reports, add_results = {}, QueryLog.add_results
    with wrlso.open(path, task, METHOD, **SETTINGS) as study:
        (candidate, *_) = study.ask(4)

    def tell(score):
        with wrlso.open(path, task, progress=False) as other:
            reports[score] = other.tell({candidate.id: score})

    other = threading.Thread(target=tell, args=(7.0,))

    def slowly(self, results):
        if not other.ident:  # the other one tells between our check and our record
            other.start()
            other.join(2.0)
        add_results(self, results)

    monkeypatch.setattr(QueryLog, "add_results", slowly)
    tell(70.0)
    other.join()
    assert sorted(report.new for report in reports.values()) == [0, 1]
    (late,) = [report for report in reports.values() if not report.new]
    assert "which stays" in late.kept[0]
    (first,) = [score for score, report in reports.items() if report.new]
    assert next(q for q in all_queries(path) if q.id == candidate.id).score == first


def test_nothing_is_recorded_of_a_file_with_a_fault(tmp_path):
    task, path = host_task(count_bits_on_host), tmp_path / "lab"
    with wrlso.open(path, task, METHOD, **SETTINGS) as study:
        (candidate, *_) = study.ask(4)
        with pytest.raises(ValueError, match="there is no candidate 'r9q9'"):
            study.tell({candidate.id: 1.0, "r9q9": 2.0})
        assert len(study.pending) == 4
        assert study.tell({candidate.id: 1.0}).new == 1


def test_another_spelling_is_not_learned_with_a_score_that_was_corrected(tmp_path):
    spellings = [[255, 0b11111110], [255, 0b11111101], [127, 255], [1, 0b111111]]
    proposer, _ = fixed_pool(spellings, batch=1, max_duplicates=4)
    task = host_task(wrlso.HostObjective(count_bits_on_host, canonical))
    path, settings = tmp_path / "lab", {"budget": 8, "progress": False, "proposer": proposer}
    method = wrlso.methods.weighted_retraining(k=1e-2, retrain_every=8)
    with wrlso.open(path, task, method, **settings) as study:
        for _ in range(2):
            study.tell({c.id: count_bits_on_host(c.object) for c in study.ask(1)})
        first = charged(path)[0]
        assert study.tell({first.id: -90.0}, replace=True).replaced == 1
        study.tell({c.id: count_bits_on_host(c.object) for c in study.ask(1)})
        state = study._engine._engine.session.state  # as the next ask finds it
    scores, used = np.asarray(state.history.aliases.scores[0]), int(state.history.aliases.used[0])
    assert first.score not in scores[:used]


def test_aliases_of_corrected_rows_are_dropped_and_no_others():
    objects = jnp.arange(6, dtype=jnp.uint8)[:, None]
    aliases = Aliases(
        fingerprint(objects),
        jnp.array([3.0, NO_SCORE, 5.0, NO_SCORE, 3.0, 9.0], jnp.float32),
        jnp.array([False, True, False, False, False, False]),
        jnp.int32(5),
    )
    scores, rows = jnp.array([3.0, 5.0, NO_SCORE]), jnp.array([True, False, True])
    left = forget_aliases(aliases, scores, rows)
    assert int(left.used) == 2
    np.testing.assert_array_equal(left.scores[:2], [NO_SCORE, 5.0])
    np.testing.assert_array_equal(left.refused[:2], [True, False])
    for words, expected in zip(
        left.fingerprints, fingerprint(objects[jnp.array([1, 2])]), strict=True
    ):
        np.testing.assert_array_equal(words[:2], expected)
    none = forget_aliases(aliases, scores, jnp.zeros(3, bool))
    assert int(none.used) == 5
    np.testing.assert_array_equal(none.scores, aliases.scores)


def test_another_spelling_of_an_object_measured_elsewhere_is_the_same(tmp_path):
    """It is neither asked for nor charged, and that of an open candidate is its result."""
    task = host_task(wrlso.HostObjective(count_bits_on_host, canonical))
    path = tmp_path / "lab"
    other = [(np.uint8(~np.uint8((1 << (8 - i)) - 1)), np.uint8(~np.uint8((1 << (8 - j)) - 1)))
             for i in range(9) for j in range(9)]  # fmt: skip
    objects = [np.array(one, np.uint8) for one in other]
    assert any((canonical(one) != one).any() for one in objects)
    with wrlso.open(path, task, METHOD, **SETTINGS) as study:
        (candidate, *_) = study.ask(2)
        spelled = np.array([int(f"{int(v):08b}"[::-1], 2) for v in candidate.object], np.uint8)
        report = study.tell([(spelled, 5.0)])
        assert (report.new, report.elsewhere) == (1, 0)
        study.tell([(one, count_bits_on_host(one)) for one in objects], replace=True)
        known = {canonical(one).tobytes() for one in objects}
        assert all(c.object.tobytes() not in known for c in study.ask(4))


def test_numbers_that_the_type_does_not_hold_are_no_object(tmp_path):
    with wrlso.open(tmp_path / "lab", host_task(count_bits_on_host), METHOD, **SETTINGS) as study:
        for wrong, shown in (([300, 1], "300"), ([1, -1], "-1")):
            with pytest.raises(ValueError, match=f"must be uint8, which cannot hold {shown}"):
                study.tell([(np.array(wrong), 9.0)])
        assert study.tell([(np.array([255, 255]), 9.0)]).elsewhere == 1


def test_components_go_with_the_score_that_is_replaced(tmp_path):
    def objective(thing):
        return ComponentScore(count_bits_on_host(thing), [("bits", 1.0, None)])

    task, path = host_task(objective), tmp_path / "run"
    result = tiny_run(path, task, METHOD, seeds=1, **(SETTINGS | {"budget": 4}))
    first, second, *_ = charged(path)
    with wrlso.open(path, task, progress=False) as study:
        study.tell({first.id: None, second.id: 3.5}, replace=True)
    with closing(result.folder.open_log()) as log:
        found = log.components()
    keys = {(q.seed, q.round, q.index) for q in charged(path)}
    assert keys - set(found) == {(q.seed, q.round, q.index) for q in (first, second)}


@pytest.mark.parametrize("minimize", [False, True])
def test_a_corrected_starting_score_is_no_more_the_best_of_the_starting_data(minimize, tmp_path):
    task, path = host_task(count_bits_on_host, minimize=minimize), tmp_path / "lab"
    data, sign = task.load_data(), -1.0 if minimize else 1.0
    scores = np.asarray(data.scores)
    first = int((sign * scores).argmax())
    best = float(scores[first])
    with wrlso.open(path, task, METHOD, **SETTINGS) as study:
        study.ask(1)
        config = study.folder.stored_config()
        assert config.starting["best"] == best
        same = [thing for thing, score in zip(data.objects, scores, strict=True) if score == best]
        worse = -sign * 50.0
        study.tell([(np.asarray(thing), worse) for thing in same], replace=True)
        study.ask(1)
        assert f"| {best:g} " not in study.result().table().split("starting data")[1][:40]
    later = study.folder.stored_config()
    others = scores[scores != best]
    assert later.starting["best"] == sign * (sign * others).max()
    assert later.starting["count"] == config.starting["count"]
    assert (later.devices, later.budget) == (config.devices, config.budget)
    with wrlso.open(path, task, progress=False) as again:
        again.tell({c.id: count_bits_on_host(c.object) for c in again.pending})


def test_a_run_that_is_resumed_has_the_best_of_the_corrected_starting_data(tmp_path):
    task, path = host_task(count_bits_on_host), tmp_path / "run"
    result = tiny_run(path, task, METHOD, seeds=1, **(SETTINGS | {"budget": 4}))
    data, best = task.load_data(), result.folder.config.starting["best"]
    scores = np.asarray(data.scores)
    with wrlso.open(path, task, progress=False) as study:
        for thing in np.asarray(data.objects)[scores == best]:
            study.tell([(thing, -50.0)], replace=True)
    result = wrlso.resume(path, task=task, budget=8, progress=False)
    assert result.folder.config.starting["best"] == scores[scores != best].max() < best
    assert result.summary["starting"]["best"] == result.folder.config.starting["best"]
