"""The tables of the four corners on molecules, and the search by noise."""

import jax
import numpy as np
import pytest
from scipy.stats import ttest_rel

from benchmarks.molecules.corners import paired
from benchmarks.molecules.noise import noise_search
from tests.builders import make_tiny_task
from wrlso.data import empty_history
from wrlso.loop.candidates import prepare_base
from wrlso.models.vae import encode_all
from wrlso.proposers.base import View

pytestmark = pytest.mark.usefixtures("rolled_loops")


def test_pairs_are_those_seeds_that_both_rows_have():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(1.0, 1.0, 6), rng.normal(0.0, 1.0, 5)
    lines = [
        {"objective": "qed", "row": row, "seed": seed, "best": score}
        for row, scores in (("a", ours), ("b", theirs))
        for seed, score in enumerate(scores)
    ]
    difference = ours[:5] - theirs
    p = ttest_rel(ours[:5], theirs).pvalue
    expected = f"{difference.mean():+.3f} ± {difference.std(ddof=1):.3f} (5, p = {p:.2g})"
    assert paired(lines, "qed", "a", "b", "best") == expected
    assert paired(lines[:7], "qed", "a", "b", "best") == "–"


def test_noise_stays_around_the_best_objects_known():
    task = make_tiny_task()
    base = prepare_base(task.load_data())
    history = empty_history(8, base.dataset.objects[0], 2)
    view = View(task.params, history, base.dataset, base.distinct)
    pool = noise_search(task.vae, best=3, pool=200).propose(jax.random.key(0), view, ())
    scores = np.where(base.distinct, base.dataset.scores, -np.inf)
    best = base.dataset.objects[np.argsort(-scores, kind="stable")[:3]]
    centres = np.asarray(encode_all(task.vae, task.params, best))
    distance = np.linalg.norm(np.asarray(pool.latents)[:, None] - centres, axis=-1)
    assert (distance.min(1) < 1.0).mean() > 0.7
    assert set(distance.argmin(1).tolist()) == {0, 1, 2}
