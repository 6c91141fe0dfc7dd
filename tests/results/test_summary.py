"""Numbers of a run, against their definitions."""

import numpy as np

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
