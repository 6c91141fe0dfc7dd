"""The tables of the four corners on molecules, and the search by noise."""

import jax
import numpy as np
import pytest
from rdkit import Chem
from scipy.stats import ttest_1samp, ttest_rel

from benchmarks.molecules.corner_tables import differences, paired, power, seeds_needed
from benchmarks.molecules.corners import committed, merged
from benchmarks.molecules.genetic import Charging, genetic_algorithm, random_molecules
from benchmarks.molecules.noise import noise_search
from tests.builders import make_tiny_task
from wrlso.data import empty_history
from wrlso.loop.candidates import prepare_base
from wrlso.models.vae import encode_all
from wrlso.proposers.base import View

_SOME = ("CCO", "CCN", "CCCO", "CC(C)O", "c1ccccc1", "Cc1ccccc1", "Oc1ccccc1", "CCC(=O)O", "CCNC")

pytestmark = pytest.mark.usefixtures("rolled_loops")


def test_pairs_are_those_seeds_that_both_rows_have():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(1.0, 1.0, 6), rng.normal(0.0, 1.0, 5)
    lines = [
        {"objective": "qed", "row": row, "seed": seed, "best": score}
        for row, scores in (("a", ours), ("b", theirs))
        for seed, score in enumerate(scores)
    ]
    difference = differences(lines, "qed", "a", "b", "best")
    np.testing.assert_array_equal(difference, ours[:5] - theirs)
    p = ttest_rel(ours[:5], theirs).pvalue
    expected = f"{difference.mean():+.3f} ± {difference.std(ddof=1):.3f} (5, p = {p:.2g})"
    assert paired(difference) == expected
    assert paired(difference[:1]) == "–"
    assert power(difference[:1]) == "–"
    assert paired(np.array([0.1, 0.1, 0.1 + 1e-17])) == "+0.100 ± 0.000 (3, p = –)"  # no t-test


def test_a_new_line_takes_the_place_of_an_old_one_of_the_same_seed():
    lines = committed()
    assert lines
    assert merged(lines, []) == lines
    newer = {**lines[0], "best": 100.0}
    assert merged(lines, [newer])[0]["best"] == 100.0
    assert len(merged(lines, [newer])) == len(lines)


def test_the_seeds_needed_see_the_difference_in_the_stated_share_of_cases():
    n = seeds_needed(0.5, 0.5)
    draws = np.random.default_rng(0).normal(0.5, 0.5, (20000, n))
    seen = (ttest_1samp(draws, 0.0, axis=1).pvalue < 0.01).mean()
    assert 0.79 < seen < 0.86
    assert seeds_needed(0.001, 1.0) is None


def test_the_genetic_algorithm_pays_for_new_molecules_within_the_size_only():
    known = {s: float(len(s)) / 10 for s in _SOME}
    charged = genetic_algorithm("penalized_logp", known, 15, 12, seed=0)
    assert len(charged) == 15 == len(dict(charged))
    assert not set(dict(charged)) & set(known)
    assert all(Chem.MolFromSmiles(s).GetNumHeavyAtoms() <= 12 for s, _ in charged)
    again = Charging("penalized_logp", known, 1, 12)
    assert again(["CCO", "OCC", "c1ccccc1CCCCCCCCCCCC"]) == [0.3, 0.3, -np.inf]
    assert again.charged == []


def test_random_molecules_are_different_ones_of_the_data():
    known = {s: float(i) for i, s in enumerate(_SOME)}
    drawn = random_molecules(known, 5, seed=0)
    assert len(dict(drawn)) == 5
    assert all(known[s] == score for s, score in drawn)
    assert drawn != random_molecules(known, 5, seed=1)


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
