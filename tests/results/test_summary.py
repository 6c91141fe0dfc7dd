"""Numbers of a run, against their definitions."""

import numpy as np

from tests.builders import make_tiny_task, tiny_data, tiny_run
from wrlso.data import Dataset
from wrlso.results.summary import best_so_far, charged_scores, top_mean
from wrlso.runs.log import Query
from wrlso.status import Status


def test_failures_and_duplicates_do_not_count_as_scores():
    scores = np.array([np.nan, 2.0, 1.0, np.nan, 5.0])
    np.testing.assert_array_equal(best_so_far(scores), [np.nan, 2, 2, 2, 5])
    assert top_mean(scores, 2) == 3.5
    assert top_mean(scores[:1], 2) is None
    queries = [
        Query(0, 0, i, b"", b"", s, status)
        for i, (s, status) in enumerate(
            [(1.0, Status.OK), (None, Status.DUPLICATE), (None, Status.FAILED)]
        )
    ]
    np.testing.assert_array_equal(charged_scores(queries), [1.0, np.nan])


def test_a_run_says_what_its_only_lead_scores(tmp_path):
    """A lead that no query beats would otherwise be nowhere in the results."""
    data = tiny_data()
    lead = Dataset(data.objects[3:4], data.scores[3:4])
    task = make_tiny_task(load_data=lambda: lead, to_text=lambda thing: thing.tobytes().hex())
    result = tiny_run(tmp_path / "run", task, budget=4, seeds=1, proposer="prior")
    score, text = float(lead.scores[0]), np.asarray(lead.objects[0]).tobytes().hex()
    start = result.summary["starting"]
    expected = {"count": 1, "best": score, "best_object": text, "initial": 0, "offset": score}
    assert start == expected
    assert f"starting data: {text}" in result.table()
