"""What a report counts, and in which order and colours it draws."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from bokeh.models import Line

import wrlso
from tests.builders import METHOD, count_bits_on_host, host_task, tiny_data, tiny_run
from wrlso.data import Dataset
from wrlso.results.html import run_html
from wrlso.results.report import charts, run_charts, sections
from wrlso.results.report.objects import cells_of
from wrlso.results.report.view import read_runs
from wrlso.status import Status


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A study of four candidates: one has a score, one failed, two are being measured."""
    path, task = tmp_path_factory.mktemp("measured") / "run", host_task(count_bits_on_host)
    with wrlso.open(path, task, METHOD, budget=12, proposer="prior", progress=False) as study:
        first, second, *_ = study.ask(4)
        study.tell({first.id: 5.0, second.id: None})
    return path, task


@pytest.fixture(scope="module")
def charged(tmp_path_factory):
    """A run whose starting data took 6 of 12 evaluations, and are the worst 50 alone."""
    data = tiny_data()
    worst = np.argsort(np.asarray(data.scores))[:50]
    few = Dataset(data.objects[worst], data.scores[worst])
    task = host_task(count_bits_on_host, load_data=lambda: few, initial=6, initial_spent=lambda: 6)
    return tiny_run(tmp_path_factory.mktemp("charged") / "run", task, seeds=2, proposer="prior")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    return tiny_run(path, host_task(count_bits_on_host), proposer="prior")


def first_row(table):
    return dict(zip(table.header, table.rows[0], strict=True))


def test_a_query_that_is_being_measured_has_not_failed(measured):
    path, task = measured
    (view,) = read_runs([path], task)
    assert sum(q.status == Status.PENDING for q in view.queries) == 2
    assert first_row(sections.overview([view]))["failed"].value == 1
    reasons = sections.failures(view, cells_of(view))
    assert [row[0].html for row in reasons.rows] == ["FAILED"]


def test_maps_mark_a_query_that_is_being_measured(measured):
    path, task = measured
    (view,) = read_runs([path], task)
    drawn, words = run_charts.latent_map(view, cells_of(view), "score")
    assert "axes" in words
    marked = {
        item.label.value: len(item.renderers[0].data_source.data["x"])
        for item in drawn.legend[0].items
    }
    assert marked == {"seed 0": 1, "failed": 1, "being measured": 2}
    (axis, *_) = wrlso.Result(path).plot("latent_map").axes
    (words,) = axis.texts
    assert words.get_text() == "× failed (1)\n○ being measured (2)"


@pytest.mark.parametrize("minimize", [False, True])
def test_the_map_draws_the_best_last_and_in_a_colour_of_its_own(tmp_path, minimize):
    number = lambda thing: float(thing[0]) * 256 + float(thing[1])  # noqa: E731
    data = tiny_data()
    scores = np.asarray(data.objects, float) @ (256.0, 1.0)
    task = host_task(number, minimize=minimize, load_data=lambda: Dataset(data.objects, scores))
    tiny_run(tmp_path / "run", task, budget=8, seeds=1, proposer="prior")
    (view,) = read_runs([tmp_path / "run"], task)
    drawn, _ = run_charts.latent_map(view, cells_of(view), "score")
    points = drawn.renderers[0]
    found = np.asarray(points.data_source.data["score"])
    best = found.min() if minimize else found.max()
    assert found[-1] == best == view.best()[0]
    mapper = points.glyph.fill_color.transform
    colours = np.clip(found, mapper.low, mapper.high)
    assert colours[-1] != colours[-2]


def test_charged_starting_data_leave_fewer_queries(charged, tmp_path):
    (view,) = read_runs([charged.folder.path])
    assert view.finished
    assert first_row(sections.overview([view]))["charged"].html == "12 of 12"
    assert "finished: 12 of 12 queries" in charged.report(tmp_path / "page.html").read_text()
    curves = charts.curves([view], {view.name: cells_of(view)}, "score")
    dashed = [r for r in curves.renderers if isinstance(r.glyph, Line)]
    assert [list(r.data_source.data["x"]) for r in dashed] == [[1, 6]]


def test_means_say_which_seeds_they_lack(run):
    (view,) = read_runs([run.folder.path])
    everyone = {view.name: cells_of(view)}
    assert "seeds" not in first_row(sections.overview([view]))["best, mean (95% interval)"].html
    assert "seeds" not in run_html(run.summary).split(":")[0]
    summary = copy.deepcopy(view.summary)
    summary["seeds"][2] |= {"best": None, "top10": None, "top50": None}
    queries = [
        replace(q, status=Status.FAILED, score=None) if q.seed == 2 else q for q in view.queries
    ]
    cut = replace(view, summary=summary, queries=queries)
    mean = first_row(sections.overview([cut]))["best, mean (95% interval)"]
    assert mean.html.endswith("), 2 of 3 seeds")
    assert "Mean of the best scores of 2 of 3 seeds: " in run_html(summary)
    (source,) = (
        r.data_source for r in charts.curves([cut], everyone, "score").renderers
        if "mean" in r.data_source.data and r.glyph.__class__.__name__ == "Scatter"
    )  # fmt: skip
    assert set(source.data["seeds"][-1:]) == {"2 of 3 seeds"}


def test_each_run_has_the_starting_data_that_its_folder_keeps(run, charged):
    paths = [run.folder.path, charged.folder.path]
    task = host_task(count_bits_on_host)
    for order in (paths, paths[::-1]):
        views = read_runs(order, task)
        starts = [view.config.starting["best"] for view in views]
        assert [view.start for view in views] == starts
        assert [len(view.base_scores) for view in views] == [
            view.config.starting["count"] for view in views
        ]
        assert starts[0] != starts[1]


def test_each_run_says_that_its_task_is_not_known(run, charged):
    views = read_runs([run.folder.path, charged.folder.path])
    assert [len(view.missing) for view in views] == [1, 1]
