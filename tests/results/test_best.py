"""The best objects of a run: order, ties, seeds, distances, columns."""

import numpy as np
import pytest

from tests.builders import host_task, tiny_run
from wrlso.evaluation.components import ComponentScore, ComponentValue
from wrlso.results.best import best_queries, component_columns, spread
from wrlso.results.export_best import export_best
from wrlso.runs.log import Query
from wrlso.status import Status


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    def objective(thing):
        bits = int(np.unpackbits(thing).sum())
        return ComponentScore(bits, [("score", int(thing[0]), None), ("half", bits, bits / 2)])

    task = host_task(objective, to_text=lambda thing: bytes(thing).hex())
    folder = tmp_path_factory.mktemp("best") / "run"
    return task, tiny_run(folder, task, proposer="prior", budget=24, seeds=2)


def test_the_best_objects_of_all_seeds_are_different_and_in_order(run):
    task, result = run
    best = result.best_objects(None, task=task)
    scored = [q for q in result.queries() if q.status == Status.OK]
    assert [one.score for one in best] == sorted((one.score for one in best), reverse=True)
    assert {one.object for one in best} == {q.object for q in scored}
    assert len(best) == len({q.object for q in scored}) < len(scored)
    for one in best:
        assert one.text == one.object.hex()
        assert one.components[1].value == one.score
    assert [one.text for one in result.best_objects(3, task=task)] == [o.text for o in best[:3]]
    assert result.best_objects(2)[0].text == best[0].text  # the log has it


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_object_with_several_scores_has_the_place_of_its_best(sign):
    """Of equal scores, the first query counts."""
    scores = [(b"a", 1.0), (b"b", 5.0), (b"c", 3.0), (b"a", 9.0), (b"b", 5.0)]
    queries = [
        Query(0, 0, i, b"", thing, sign * score, Status.OK)
        for i, (thing, score) in enumerate(scores)
    ]
    queries.append(Query(0, 0, len(scores), b"", b"d", None, Status.FAILED))
    assert [query.index for query in best_queries(queries, sign)] == [3, 1, 2]


def test_diverse_objects_are_spread_over_the_latent_space(run):
    task, result = run
    diverse = result.best_objects(4, diverse=True, task=task)
    assert diverse[0].object == result.best_objects(1)[0].object
    assert [one.score for one in diverse] == sorted((o.score for o in diverse), reverse=True)
    pool = result.best_objects(20)
    apart = np.linalg.norm([one.latent - diverse[0].latent for one in pool], axis=1)
    assert pool[int(apart.argmax())].object in {one.object for one in diverse}
    assert len(result.best_objects(10**6, diverse=True)) == len(result.best_objects(None))


def test_points_are_spread_by_hand():
    """On a line, from its left end: the right end, then the middle, then the quarters."""
    line = np.array([0.0, 8.0, 4.0, 1.0, 6.5])
    assert spread(abs(line[:, None] - line), 5) == [0, 1, 2, 4, 3]
    assert spread(np.zeros((3, 3)), 2) == [0, 1]  # of equals, the first


def test_a_table_of_pandas_has_every_query(run):
    task, result = run
    table = result.to_dataframe(task)
    assert table.shape == (len(result.queries()), 14)
    scored = table[table.status == "OK"]
    assert (scored["half desirability"] * 2 == scored.score).all()
    first = [int(text[:2], 16) for text in scored.object]
    assert (scored["component score"] == first).all()


def test_components_replace_no_other_column():
    found = component_columns((ComponentValue("score", 1.0, 0.5), ComponentValue("qed", 2.0)))
    assert found == {"component score": 1.0, "component score desirability": 0.5, "qed": 2.0}


def test_objects_of_other_tasks_go_to_csv_only(run, tmp_path):
    task, result = run
    assert export_best(result, tmp_path / "best.csv", 2, task=task) == 2
    best = result.best_objects(2, task=task)
    header, *rows = (tmp_path / "best.csv").read_text().splitlines()
    assert header == "name,object,score,seed,query,component score,half,half desirability"
    assert [row.split(",")[1] for row in rows] == [one.text for one in best]
    with pytest.raises(ValueError, match=r"has no molecules, which \.sdf holds"):
        export_best(result, tmp_path / "best.sdf")
    assert not (tmp_path / "best.sdf").exists()
