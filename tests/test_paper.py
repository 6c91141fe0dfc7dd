"""What the paper's grid is made of, and what its tables say."""

import gzip
import re

import numpy as np
import pytest

from benchmarks import published_runs
from benchmarks import statistics as stats
from benchmarks.paper_grid import LOOP, QUICK, TASKS, Scale, settings
from wrlso.runs.config import RunConfig, describe

NAN = np.nan


def test_running_top_mean_is_that_of_a_sort():
    rng = np.random.default_rng(0)
    scores = np.where(rng.random(60) < 0.2, NAN, rng.integers(9, size=60).astype(float))
    scores[:2] = NAN
    expected = []
    for i in range(1, 61):
        good = np.sort(scores[:i][np.isfinite(scores[:i])])[::-1][:10]
        expected.append(good.mean() if len(good) else NAN)
    np.testing.assert_allclose(stats.running_top_mean(scores), expected)
    assert stats.area_under_top(scores, 60) == pytest.approx(np.nanmean(expected))
    held = np.nanmean(expected + [expected[-1]] * 40)
    assert stats.area_under_top(scores, 100) == pytest.approx(held)
    assert stats.top_at(scores, 10, 60) == pytest.approx(expected[-1])
    assert np.isnan(stats.area_under_top(scores[:2], 60))
    assert np.isnan(stats.area_under_top(scores[:0], 60))


def test_queries_to_reach_a_target():
    scores = np.array([NAN, 1.0, 3.0, 2.0, 5.0])
    assert [stats.queries_to_reach(scores, t) for t in (1, 2.5, 5, 6)] == [2, 3, 5, None]


def test_what_seeds_can_tell():
    """Five against five: two complete separations of the 252 divisions, p = 2 / 252."""
    low, high = [1.0, 2.0, 3.0, 4.0, 5.0], [11.0, 12.0, 13.0, 14.0, 16.0]
    assert stats.p_value(high, low) == pytest.approx(2 / 252)
    assert stats.verdict(high, low) == "better (p = 0.0079)"
    assert stats.verdict(low, high) == "worse (p = 0.0079)"
    assert stats.verdict(low, [1.5, 2.5, 3.5, 4.5, 5.5]).startswith("not told apart")
    assert stats.verdict([1.0], low) == "too few seeds to tell"
    assert stats.verdict([1.0, NAN], low) == "too few seeds to tell"
    # Two against two can never be told apart.
    assert stats.verdict([9.0, 9.5], [1.0, 1.5]) == "too few seeds to tell"


def test_intervals_of_the_mean():
    low, high = stats.interval([1.0, 2.0, 3.0, 4.0, 10.0])
    assert 1 < low < 4 < high < 10
    assert stats.interval([3.0, 3.0, 3.0]) == (3, 3)
    assert all(np.isnan(stats.interval([1.0])))
    assert all(np.isnan(stats.interval([1.0, NAN])))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("scale", [Scale(), QUICK], ids=["whole", "quick"])
def test_the_grid(task, scale):
    grid = settings(task, scale)
    assert len({s.folder for s in grid}) == len({s.name for s in grid}) == len(grid)
    assert all(re.fullmatch(r"[\w=.,+-]+", s.folder) for s in grid)
    assert sum(s.headline for s in grid) == 1 + (task == "shapes")
    loop = [s for s in grid if s.family == LOOP]
    assert len(loop) == 9 + (task == "shapes")
    assert {s.method.weighting for s in grid if s.family != LOOP} == {
        "dbas", "dbas_reference", "cem_pi", "cem_pi_reference", "feedback", "rwr", "uniform",
    }  # fmt: skip
    programs = {
        RunConfig(
            task, budget=s.budget, seeds=s.seeds, proposer=s.proposer or "", **describe(s.method)
        ).static()
        for s in grid
    }
    # Three values of r; six baselines at two values of r; random search; shapes without peeking.
    assert len(programs) == 3 + 12 + 1 + (task == "shapes")


def test_the_small_grid_of_molecules_has_the_corners_and_every_baseline():
    names = [s.name for s in settings("molecules", Scale(), full=False)]
    assert names == [
        "weighted retraining, k = 0.001, r = 50",
        "weighted retraining, k = 0.1, r = 50",
        "retrain only, r = 50",
        "weight only, k = 0.001",
        "LSO",
        "DbAS, quantile = 0.95, noise = 0.1, r = 200",
        "DbAS reference, quantile = 0.95, noise = 0.1, r = 200",
        "CEM-PI, quantile = 0.95, r = 200",
        "CEM-PI reference, quantile = 0.95, r = 200",
        "FB-VAE, quantile = 0.95, r = 200",
        "RWR, alpha = 1, r = 200",
        "random search",
    ]


def test_published_runs_are_found_by_configuration(tmp_path):
    lines = ["task,method,k,quantile,noise,alpha,retrain_every,seed,round,query,score"]
    for seed, score in ((1, 3.0), (2, 5.0)):
        lines += [f"expr,rank,1e-3,,,,50,{seed},0,{i},{score - i}" for i in range(3)]
        lines += [f"expr,dbas,,0.8,0.1,,200,{seed},0,0,7.0"]
        lines += [f"shapes,rank,inf,,,,1000000,{seed},0,0,{score}"]
        lines += [f"chem,rwr,,,,1e-1,200,{seed},0,0,{score}"]
    path = tmp_path / "runs.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    runs = published_runs.load(path)

    def best(task, name):
        setting = next(s for s in settings(task, Scale()) if s.name == name)
        return [scores.tolist() for scores in published_runs.counterpart(runs, task, setting)]

    # There lower is better; here higher.
    headline = "weighted retraining, k = 0.001, r = 50"
    assert best("expressions", headline) == [[-3, -2, -1], [-5, -4, -3]]
    assert best("shapes", "LSO") == [[3], [5]]
    assert best("molecules", "RWR, alpha = 0.1, r = 200") == [[3], [5]]
    assert best("molecules", "RWR, alpha = 0.1, r = 500") == []
    # Void: all published baselines on expressions carry the same numbers.
    assert best("expressions", "DbAS, quantile = 0.8, noise = 0.1, r = 200") == []
    assert best("shapes", "random search") == []
    assert published_runs.load(None) == {}
