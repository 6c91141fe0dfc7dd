"""The page of HTML, also in a browser."""

import re
import shlex
import shutil
import threading
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

import wrlso
from tests.builders import METHOD, count_bits, count_bits_on_host, host_task, tiny_run, unfinish
from tests.results.browser import hover, needs_chromium, opened
from wrlso.cli.main import main
from wrlso.cli.options import parse_run_options
from wrlso.methods import get_method
from wrlso.proposers import prior
from wrlso.proposers.base import Prediction
from wrlso.results.plane import plane
from wrlso.results.report import reproduce
from wrlso.results.report.objects import cells_of
from wrlso.results.report.view import read_runs
from wrlso.runs.config import make_config
from wrlso.runs.settings import RunSettings
from wrlso.status import Status
from wrlso.tasks import TASKS


def fails_above_seven(thing):
    score = count_bits_on_host(thing)
    if score > 7:
        raise ValueError("<b>too many</b> bits")
    return score


def task():
    return host_task(
        fails_above_seven,
        to_text=lambda thing: "<" + "".join(map(str, np.unpackbits(thing))) + ">",
        to_images=lambda things: np.unpackbits(things, axis=-1).reshape(-1, 4, 4),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("report") / "first", task(), proposer="prior")


@pytest.fixture(scope="module")
def second(run):
    """A second run to compare with."""
    return tiny_run(run.folder.path.with_name("second"), task(), proposer="prior")


@pytest.fixture(scope="module")
def page(run, second, tmp_path_factory):
    return wrlso.report([run, second], tmp_path_factory.mktemp("page") / "all.html", task=task())


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """A run whose surrogate is always three too high, and says so by its standard deviation."""

    made = task()

    def predict(params, latents):
        bits = count_bits(made.vae.decode(params, latents))
        return Prediction(bits + 3.0, jnp.full(len(latents), 2.0))

    proposer = replace(
        prior(made.vae, 4), fit=lambda key, view, memory: (memory, view.params), predict=predict
    )
    return tiny_run(tmp_path_factory.mktemp("predicted") / "run", made, proposer=proposer)


def test_the_page_says_how_well_the_surrogate_predicted(predicted, page, tmp_path):
    scored = sum(q.status == Status.OK for q in predicted.queries())
    words = f"0% of {scored} scores came within one predicted standard deviation (line) and 100% "
    alone = wrlso.report(predicted, tmp_path / "predicted.html").read_text()
    assert words + "within two" in alone
    assert "The rank correlation is 1.00" in alone
    assert "score that the surrogate predicted" in alone
    assert "score that the surrogate predicted" not in page.read_text()
    assert "The run has no surrogate" in page.read_text()


@needs_chromium
def test_a_point_shows_what_was_predicted_and_what_came(predicted, tmp_path):
    with opened(wrlso.report(predicted, tmp_path / "predicted.html")) as (tab, errors, _):
        shown = hover(tab, "prediction", renderer=1)
        mean, came = map(
            float, re.search(r"predicted ([\d.]+) ± 2.*?came ([\d.]+)", shown, re.DOTALL).groups()
        )
        assert mean == came + 3
        assert errors == []


def going(run, tmp_path):
    """The run without its last round and its summary, as it was while it went on."""
    path = unfinish(shutil.copytree(run.folder.path, tmp_path / "going"))
    cut = read_runs([path])[0].folder.open_log()
    cut.forget_from(2)
    cut.close()
    return path


def test_the_page_holds_everything_of_both_runs(page, run):
    text = page.read_text()
    for words in ("first", "second", "Latent map", "Failures", "Cost", "Make it again"):
        assert words in text
    assert "ValueError: &lt;b&gt;too many&lt;/b&gt; bits" in text
    assert "<b>too many" not in text
    failed = sum(q.status == Status.FAILED for q in run.queries())
    assert failed > 0
    assert f'data-value="{float(failed)}"' in text
    assert page.stat().st_size < 2_000_000


def test_without_the_task_the_page_says_what_it_lacks(run, tmp_path):
    text = wrlso.report(run, tmp_path / "alone.html").read_text()
    assert "Objects and starting data are not shown: unknown task &#39;bits&#39;" in text
    assert "Latent map" in text


@needs_chromium
def test_a_browser_shows_it_without_errors_and_without_a_network(page):
    with opened(page) as (tab, errors, requests):
        drawn = tab.locator("figure").count()
        assert drawn >= 6
        shown = hover(tab, "object")
        assert "<img" in shown
        assert re.search(r"&lt;[01]{16}&gt;", shown)
        assert "seed 0" in hover(tab, "improvement", renderer=5)
        assert errors == []
        assert requests == [page.resolve().as_uri()]


@needs_chromium
def test_a_click_sorts_a_table_both_ways(page):
    with opened(page) as (tab, errors, _):
        table = tab.get_by_role("table", name="Best objects of first")
        column = "[...document.querySelector('table[aria-label=\"Best objects of first\"]')"
        column += ".tBodies[0].rows].map((row) => Number(row.cells[2].dataset.value))"
        before = tab.evaluate(column)
        assert before == sorted(before, reverse=True)
        assert len(set(before)) > 1
        table.get_by_role("button", name="score").click()
        assert tab.evaluate(column) == before
        table.get_by_role("button", name="score").click()
        assert tab.evaluate(column) == before[::-1]
        head = table.get_by_role("columnheader", name="score")
        assert head.get_attribute("aria-sort") == "ascending"
        assert errors == []


def test_a_run_under_way_is_shown_and_followed_to_its_end(run, tmp_path, capsys):
    path, file = going(run, tmp_path), tmp_path / "going.html"
    assert main(["report", str(path), "--html", str(file)]) == 0
    text = file.read_text()
    assert "under way: 24 of 36 queries" in text
    assert 'http-equiv="refresh"' not in text  # nobody writes it again

    seen = []

    def end_it(words):
        seen.append((words, file.read_text()))
        shutil.copy(run.folder.summary_file, path)

    watched = threading.Thread(
        target=wrlso.report,
        args=(path, file),
        kwargs={"watch": True, "every": 1.0, "say": end_it},
    )
    watched.start()
    watched.join(60)
    assert not watched.is_alive()
    assert len(seen) == 1
    assert 'http-equiv="refresh" content="1"' in seen[0][1]
    assert "finished: 24 of 36" in file.read_text()
    assert 'http-equiv="refresh"' not in file.read_text()


def test_a_run_that_has_not_asked_yet_has_a_page(run, tmp_path):
    (tmp_path / "new").mkdir()
    shutil.copy(run.folder.config_file, tmp_path / "new")
    text = wrlso.report(tmp_path / "new", tmp_path / "new.html", task=task()).read_text()
    assert "under way: 0 of 36 queries" in text
    assert "No query has a score yet" in text


def test_arguments_that_cannot_be_used_are_named(run, tmp_path, capsys):
    with pytest.raises(ValueError, match="runs is empty"):
        wrlso.report([], tmp_path / "a.html")
    with pytest.raises(ValueError, match="every must be at least 1 second, got 0"):
        wrlso.report(run, tmp_path / "a.html", watch=True, every=0)
    with pytest.raises(ValueError, match="not a run folder"):
        wrlso.report(tmp_path, tmp_path / "a.html")
    assert main(["report", str(run.folder.path), "--watch"]) == 2
    assert "--html FILE" in capsys.readouterr().err
    assert not (tmp_path / "a.html").exists()


def test_runs_of_one_folder_name_keep_apart(run, tmp_path):
    other = shutil.copytree(run.folder.path, tmp_path / "first")
    names = [view.name for view in read_runs([run.folder.path, other, other])]
    assert len(set(names)) == 3


def test_pictures_stop_at_the_budget_with_the_best_first(run, monkeypatch):
    monkeypatch.setattr("wrlso.results.report.objects.PAGE_PICTURES", 3)
    view = read_runs([run.folder.path], task())[0]
    drawn = cells_of(view).pictures
    scores = {(q.seed, q.round, q.index): q.score for q in view.queries}
    shown = [scores[key] for key in drawn]
    assert len(shown) == 3
    best = sorted((s for s in scores.values() if s is not None), reverse=True)
    assert sorted(shown, reverse=True) == best[:3]


def test_the_plane_of_principal_components_keeps_distances_within_it():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(40, 2)) * (5.0, 2.0)
    frame, _ = np.linalg.qr(rng.normal(size=(6, 2)))
    points, _, words = plane(flat @ frame.T)
    expected = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    np.testing.assert_allclose(
        np.linalg.norm(points[:, None] - points[None], axis=-1), expected, atol=1e-9
    )
    assert "100% of the variance" in words
    assert plane(np.zeros((1, 5)))[0].shape == (1, 2)
    assert plane(np.zeros((3, 1)))[0].shape == (3, 2)


@pytest.mark.parametrize(
    ("name", "method", "settings", "options"),
    [
        ("shapes", "weighted_retraining", {"budget": 100}, {}),
        ("shapes", "lso", {"seeds": 2, "first_seed": 3, "proposer": "bo", "batch": 1}, {}),
        ("shapes", "dbas", {"budget": 400}, {"pretrain_seed": 3}),
        ("shapes", "random_search", {"seed_mode": "vmap"}, {"pretrain": True}),
        ("molecules", "weighted_retraining", {}, {"workers": 1}),
        ("molecules", "weight_only", {}, {"workers": 1}),
        ("expressions", "retrain_only", {}, {"target": "sin(x) * 2", "distinct": "spelling"}),
    ],
)
def test_the_command_makes_the_run_again(name, method, settings, options):
    """The command line reads it back to the same record."""
    task = TASKS[name](**options)
    changed = get_method(method)
    if method == "weight_only":
        changed = changed.with_options(effective_rows=300.0)
    if (name, method) == ("shapes", "weighted_retraining"):
        changed = changed.with_options(k=0.02, retrain_every=25, epochs=0.3, beta=2.0)
    if method == "dbas":
        changed = changed.with_options(quantile=0.9, noise=0.2)
    chosen = RunSettings(**settings)
    algorithm = wrlso.algorithm(task, changed, **chosen.chosen())
    config = make_config(task, changed, chosen, algorithm)
    words = reproduce.command_of(config).split("wrlso run ")[1]
    read = parse_run_options(name, TASKS[name], shlex.split(words)[1:])
    again = get_method(read.command["method"]).with_options(**read.method)
    settings_again = RunSettings(**read.settings)
    task_again = TASKS[name](**read.task)
    algorithm_again = wrlso.algorithm(task_again, again, **settings_again.chosen())
    found = make_config(task_again, again, settings_again, algorithm_again)
    assert replace(found, task_options={}, run=config.run) == replace(config, task_options={})
    assert dict(found.task_options) == dict(config.task_options)


def test_a_run_of_ones_own_parts_is_made_again_in_python(run):
    config = run.folder.config
    assert reproduce.command_of(config) is None
    code = reproduce.python_of(config)
    assert "your task 'bits'" in code
    assert f"retrain_every={METHOD.retrain_every}" in code
    assert "budget=12, seeds=3" in code


def test_a_notebook_shows_the_table_and_the_curve(run):
    html = run._repr_html_()
    assert html.count("<tr>") == 1 + 3
    assert "image/svg+xml" in html
    assert "&lt;" in html  # the best objects, escaped
