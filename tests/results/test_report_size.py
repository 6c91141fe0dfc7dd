"""The report of five runs of 500 queries for each of five seeds: small, soon made, soon seen."""

import subprocess
import sys
import time
from dataclasses import replace

import jax.numpy as jnp
import pytest

import wrlso
from tests.results.browser import CHROMIUM, needs_chromium
from wrlso.proposers import prior
from wrlso.proposers.base import Prediction

RUNS, SEEDS, BUDGET = 5, 5, 500

PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page, and the seconds that the command took, from its start."""
    folder = tmp_path_factory.mktemp("five")
    task = wrlso.tasks.shapes()

    def predict(surrogate, latents):
        return Prediction(200 + 50 * latents[:, 0], jnp.full(len(latents), 80.0))

    proposer = replace(prior(task.vae, 50), predict=predict)
    for number in range(RUNS):
        wrlso.run(
            task, wrlso.methods.random_search(), out=folder / f"run{number}", proposer=proposer,
            budget=BUDGET, seeds=SEEDS, first_seed=SEEDS * number, progress=False,
        )  # fmt: skip
    paths = sorted(map(str, folder.glob("run*")))
    file = folder / "all.html"
    start = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "wrlso", "report", *paths, "--html", str(file)],
        check=True, capture_output=True,
    )  # fmt: skip
    return file, time.monotonic() - start


@pytest.mark.slow
def test_it_is_small_and_soon_made(page):
    file, seconds = page
    text = file.read_text()
    for number in range(RUNS):
        assert f'id="run{number + 1}"' in text
    assert text.count("score that the surrogate predicted") == RUNS
    print(f"{file.stat().st_size / 1e6:.2f} MB, made in {seconds:.1f} s")
    assert file.stat().st_size <= 5_000_000
    assert seconds <= 10


@needs_chromium
@pytest.mark.slow
def test_it_is_soon_seen(page):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1200, "height": 900})
        tab.goto(page[0].resolve().as_uri())
        tab.wait_for_function(
            "Bokeh.documents.length && Bokeh.documents[0].is_idle", timeout=60_000
        )
        painted = tab.evaluate(PAINT)
        whole = tab.evaluate("performance.now()")
        browser.close()
    print(f"first paint after {painted / 1000:.2f} s, all charts after {whole / 1000:.2f} s")
    assert painted <= 2000
