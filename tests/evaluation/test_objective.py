"""Where an objective in Python is evaluated."""

import pytest

from wrlso.evaluation.objective import HostObjective


def test_a_timeout_without_workers_is_refused():
    with pytest.raises(ValueError, match="workers = 0 evaluates in this process, which no timeout"):
        HostObjective(lambda thing: 0.0, timeout=3)
