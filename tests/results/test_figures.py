"""Figures of a run: what they show, where they draw, what their files are."""

import dataclasses
import importlib

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.builders import count_bits_on_host, host_task, make_tiny_task, tiny_run
from wrlso.results import figures
from wrlso.results.figures import KINDS
from wrlso.results.figures.curves import _label
from wrlso.results.figures.labels import label_end, spread
from wrlso.results.figures.objects import _unlike
from wrlso.results.report import charts
from wrlso.results.report.view import read_runs

OF_BITS = [kind for kind in KINDS if kind not in ("progress", "best_objects")]


@pytest.fixture(scope="module")
def task():
    return make_tiny_task()


@pytest.fixture(scope="module")
def result(tmp_path_factory, task):
    return tiny_run(tmp_path_factory.mktemp("figures") / "run", task)


@pytest.fixture(scope="module")
def pictured(task):
    """The same task with pictures: 4 x 4 pixels."""
    images = lambda objects: np.unpackbits(objects, axis=-1).reshape(-1, 4, 4)  # noqa: E731
    return dataclasses.replace(task, to_images=images)


def test_files_are_vectors_and_pictures_and_always_the_same(result, task, tmp_path):
    written = result.save_figures(task)
    assert [path.name for path in written] == [
        f"{kind}.{suffix}" for kind in OF_BITS for suffix in ("pdf", "png")
    ]
    pdf = {path: path.read_bytes() for path in written if path.suffix == ".pdf"}
    assert all(content.startswith(b"%PDF") for content in pdf.values())
    assert all(b"/FontFile2" in content for content in pdf.values())  # text that stays text
    result.save_figures(task, formats=("pdf",))
    assert all(path.read_bytes() == content for path, content in pdf.items())


def test_figures_leave_the_backend_of_a_notebook_alone(result, task):
    before = matplotlib.get_backend()
    matplotlib.use("svg")
    try:
        importlib.reload(figures)
        result.plot()
        assert matplotlib.get_backend() == "svg"
    finally:
        matplotlib.use(before)


def test_the_curve_is_steps_and_the_best_of_the_start_is_a_line(result, task):
    figure = result.plot()
    (axis,) = figure.axes
    (mean,) = (line for line in axis.lines if line.get_gid() == "mean")
    assert mean.get_drawstyle() == "steps-post"
    np.testing.assert_array_equal(mean.get_ydata(), np.mean(result.curves(), 0))
    start = float(task.load_data().scores.max())
    assert [start, start] in [list(line.get_ydata()) for line in axis.lines]
    texts = [text.get_text() for text in axis.texts] + [axis.get_title("left"), axis.get_xlabel()]
    assert axis.get_legend() is None
    assert not [text for text in texts if "_" in text]  # no identifier of code
    assert axis.get_title("left") == "Bits: weighted retraining"


def test_two_runs_share_the_axes_of_the_caller(result):
    axis = Figure().subplots()
    figure = result.plot(ax=axis, label="one")
    assert result.plot(ax=axis, label="another") is figure is axis.figure
    means = [line for line in axis.lines if line.get_gid() == "mean"]
    assert len({line.get_color() for line in means}) == 2
    assert len({line.get_linestyle() for line in means}) == 2  # they differ without colours
    labels = sorted((t.get_position()[1], t.get_text()) for t in axis.texts)
    assert {"one", "another"} <= {text for _, text in labels}
    gaps = np.diff([place for place, _ in labels])
    assert (gaps > 0.02).all()  # equal ends, but no label lies upon another


@pytest.mark.parametrize("kind", OF_BITS)
def test_each_figure_is_drawn_on_axes_of_the_caller(result, task, kind):
    count = {"weights": 2, "manifold": 3}.get(kind, 1)
    whole = Figure(figsize=(9, 3))
    axes = whole.subplots(1, count)
    assert result.plot(kind, ax=axes, task=task) is whole
    assert all(axis.has_data() for axis in np.ravel(axes))
    with pytest.raises(ValueError, match=rf"ax has 4 axes: this figure needs {count}"):
        result.plot(kind, ax=Figure().subplots(2, 2), task=task)


def test_the_manifold_has_the_scores_before_and_after_and_their_difference(result, task):
    panels = [axis for axis in result.plot("manifold", task=task).axes if axis.images]
    before, after, change = (np.ma.filled(axis.images[0].get_array(), np.nan) for axis in panels)
    np.testing.assert_allclose(after - before, change)
    assert np.abs(change).max() > 0
    low, high = panels[2].images[0].get_clim()
    assert low == -high  # no change is the middle of the scale
    assert [axis.get_xlabel() for axis in panels] == ["z₁"] * 3
    assert panels[0].images[0].get_clim() == panels[1].images[0].get_clim()


def test_objects_that_look_alike_are_shown_once(result, pictured):
    same = np.ones((3, 4, 4))
    same[2, :2] = 0
    assert _unlike(same, 8) == [0, 2]
    figure = result.plot("best_objects", task=pictured)
    shown = [np.asarray(axis.images[0].get_array()) for axis in figure.axes if axis.images]
    assert 2 <= len(shown) <= 8
    assert len({one.tobytes() for one in shown}) == len(shown)
    figure = result.plot("progress", task=pictured)
    first, *others = [axis.get_title() for axis in figure.axes if axis.images]
    assert first.startswith("starting data")
    assert others[-1].endswith(f"{result.best.max():.4g}")


def test_the_best_objects_begin_with_the_best_also_if_it_once_scored_least(
    result, pictured, monkeypatch
):
    scored = sorted((q for q in result.queries() if q.score is not None), key=lambda q: q.score)
    again = dataclasses.replace(scored[0], round=9, score=99.0)
    told = [*result.queries(), again]
    monkeypatch.setattr(result, "queries", lambda: told)
    assert result.best_objects(1)[0].score == 99.0
    titles = [a.get_title() for a in result.plot("best_objects", task=pictured).axes if a.images]
    assert titles[0] == f"99, seed {again.seed}"


def test_the_label_says_how_many_seeds_its_mean_is_of(result):
    """A seed without a score is not in it."""
    eight, none = np.array([np.nan, 8.0]), np.array([np.nan])
    said = [
        _label(result, curves).split("\n")[1:]
        for curves in ([eight, none, eight], [eight, eight], [none, eight], [eight], [none])
    ]
    assert said == [["8 ± 0, 2 of 3 seeds"], ["8 ± 0, 2 seeds"], ["8, 1 of 2 seeds"], ["8"], []]


def test_lower_may_be_better(tmp_path):
    task = host_task(lambda thing: -count_bits_on_host(thing), minimize=True,
                     load_data=lambda: make_tiny_task().load_data()._replace(
                         scores=-make_tiny_task().load_data().scores))  # fmt: skip
    result = tiny_run(tmp_path / "run", task, proposer="prior", seeds=1, budget=8)
    (axis,) = result.plot().axes
    assert axis.get_ylabel().endswith("(lower is better)")
    start = float(task.load_data().scores.min())
    assert [start, start] in [list(line.get_ydata()) for line in axis.lines]
    (view,) = read_runs([tmp_path / "run"], task)
    assert view.start == start
    rows = charts.improvements(view)
    scores = [query.score for query, _ in rows]
    assert scores == sorted(scores, reverse=True)
    left, _ = result.plot("weights", task=task).axes
    assert left.get_xlim()[1] <= 1  # the scores as the user has them: at most 0


def test_wrong_requests_say_what_there_is(result, task):
    with pytest.raises(ValueError, match="unknown figure 'curve'; there are: best_so_far, weights"):
        result.plot("curve")
    with pytest.raises(ValueError, match="no pictures of objects: give it to_images="):
        result.plot("progress", task=task)
    with pytest.raises(ValueError, match="two latent dimensions and an objective in JAX"):
        result.plot("manifold", task=host_task(count_bits_on_host))
    with pytest.raises(ValueError, match="got host_samples = 0"):
        result.plot("prior_samples", task=host_task(count_bits_on_host))


def test_labels_keep_apart_and_near_their_ends():
    axis = Figure(figsize=(4, 3)).subplots()
    axis.set_ylim(0, 1)
    for height in (0.5, 0.5, 0.5, 0.9):
        label_end(axis, height, "a\nb", "black")
    spread(axis)
    places = sorted(text.get_position()[1] for text in axis.texts)
    assert np.diff(places[:3]) == pytest.approx([np.diff(places[:2])[0]] * 2)
    assert places[1] == pytest.approx(0.5)
    assert places[3] == pytest.approx(0.9)
