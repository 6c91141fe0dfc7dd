"""Figures of a run."""

import importlib

import matplotlib

from tests.builders import make_tiny_task, tiny_run
from wrlso.results import figures


def test_figures_leave_the_backend_of_a_notebook_alone(tmp_path):
    result = tiny_run(tmp_path / "run")
    before = matplotlib.get_backend()
    matplotlib.use("svg")
    try:
        importlib.reload(figures)
        assert {path.suffix for path in result.plot(make_tiny_task())} == {".png"}
        assert matplotlib.get_backend() == "svg"
    finally:
        matplotlib.use(before)
