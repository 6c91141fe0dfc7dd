"""A few of the kills of ``make torture``."""

import pytest

from tests.torture.kills import Case, torture
from tests.torture.work import CASES


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_killed_run_ends_as_the_uninterrupted_one(name, tmp_path):
    case = Case(name, tmp_path / "case")
    case.begin()
    assert sum(torture(case, number, seed=1, most=2).number for number in range(2)) >= 1
