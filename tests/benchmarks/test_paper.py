"""What the paper's grid is made of, and what its tables say."""

import csv
import gzip
import re

import numpy as np
import pytest

import wrlso
from benchmarks.paper import figures as paper_figures
from benchmarks.paper import published_runs
from benchmarks.paper import statistics as stats
from benchmarks.paper.grid import LOOP, QUICK, TASKS, Scale, settings
from benchmarks.paper.records import Finished, read_records, write_queries, write_records
from benchmarks.paper.rows import Row
from benchmarks.paper.runs import finished, program
from benchmarks.paper.tables import document, write_seeds
from tests.builders import make_tiny_task
from wrlso import Dataset

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
    expected = list(np.nan_to_num(expected, nan=-1.0))  # before the first success
    assert stats.area_under_top(scores, 60, -1.0) == pytest.approx(np.mean(expected))
    held = np.mean(expected + [expected[-1]] * 40)
    assert stats.area_under_top(scores, 100, -1.0) == pytest.approx(held)
    assert stats.top_at(scores, 10, 60) == pytest.approx(expected[-1])
    assert stats.area_under_top(scores[:2], 60, -1.0) == -1
    assert stats.area_under_top(scores[:0], 60, -1.0) == -1
    # A late first success is no merit.
    late, steady = np.array([NAN] * 499 + [10.0]), np.full(500, 9.9)
    assert stats.area_under_top(late, 500, 0.0) < stats.area_under_top(steady, 500, 0.0)


def test_queries_to_reach_a_target():
    scores = np.array([NAN, 1.0, 3.0, 2.0, 5.0])
    assert [stats.queries_to_reach(scores, t) for t in (1, 2.5, 5, 6)] == [2, 3, 5, None]


def test_what_seeds_can_tell():
    """Five against five: two complete separations of the 252 divisions, p = 2 / 252."""
    low, high = [1.0, 2.0, 3.0, 4.0, 5.0], [11.0, 12.0, 13.0, 14.0, 16.0]
    assert stats.p_value(high, low) == pytest.approx(2 / 252)
    assert stats.verdict(high, low) == "better (p = 0.0079)"
    assert stats.verdict(low, high) == "worse (p = 0.0079)"
    assert stats.verdict(low, [1.5, 2.5, 3.5, 4.5, 5.5]).startswith("not significant")
    assert stats.verdict([1.0], low) == "too few seeds to tell"
    assert stats.verdict([1.0, NAN], low) == "a seed had no success"
    assert stats.verdict(high, [NAN] * 5) == "a seed had no success"
    # Two against two can never be told apart.
    assert stats.verdict([9.0, 9.5], [1.0, 1.5]) == "too few seeds to tell"


def test_intervals_of_the_mean():
    low, high = stats.interval([1.0, 2.0, 3.0, 4.0, 10.0])
    assert low < 4 < high
    half = 2.776 * np.std([1.0, 2.0, 3.0, 4.0, 10.0], ddof=1) / np.sqrt(5)  # Student's t
    assert 0.8 * 2 * half < high - low < 1.1 * 2 * half
    assert stats.interval([3.0, 3.0, 3.0]) == (3, 3)
    assert all(np.isnan(stats.interval([1.0])))
    assert all(np.isnan(stats.interval([1.0, NAN])))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("scale", [Scale(), QUICK], ids=["whole", "quick"])
def test_the_grid(task, scale):
    grid = settings(task, scale)
    assert len({s.folder for s in grid}) == len({s.name for s in grid}) == len(grid)
    assert all(re.fullmatch(r"[\w=.,+-]+", s.folder) for s in grid)
    # Shapes without peeking: as the protocol trains, and as the baselines do; the small grid
    # retrains the latter as often anyway.
    fair = (task == "shapes") * (3 if scale == Scale() else 2)
    assert sum(s.headline for s in grid) == 1 + fair
    loop = [s for s in grid if s.family == LOOP]
    assert len(loop) == 9 + fair
    assert {s.method.weighting for s in grid if s.family != LOOP} == {
        "dbas", "dbas_reference", "cem_pi", "cem_pi_reference", "feedback", "rwr", "uniform",
    }  # fmt: skip
    programs = {program(s) for s in grid}
    # Three values of r; six baselines at two values of r; random search.
    assert len(programs) == 3 + 12 + 1 + fair


def test_the_small_grid_of_molecules_has_the_corners_and_every_baseline():
    names = [s.name for s in settings("molecules", Scale(), full=False)]
    assert names == [
        "weighted retraining, k = 0.001, r = 50",
        "weighted retraining, k = 0.1, r = 50",
        "retrain only, r = 50",
        "weight only, k = 0.001",
        "LSO",
        "DbAS, quantile = 0.95, noise = 0.1, r = 200",
        "DbAS, quantile = 0.95, noise = 0.1, r = 200, beta = 1",
        "DbAS reference, quantile = 0.95, noise = 0.1, r = 200",
        "DbAS reference, quantile = 0.95, noise = 0.1, r = 200, beta = 1",
        "CEM-PI, quantile = 0.95, r = 200",
        "CEM-PI, quantile = 0.95, r = 200, beta = 1",
        "CEM-PI reference, quantile = 0.95, r = 200",
        "CEM-PI reference, quantile = 0.95, r = 200, beta = 1",
        "FB-VAE, quantile = 0.95, r = 200",
        "FB-VAE, quantile = 0.95, r = 200, beta = 1",
        "RWR, alpha = 1, r = 200",
        "RWR, alpha = 1, r = 200, beta = 1",
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


def test_intervals_cover_the_mean_of_few_seeds():
    rng = np.random.default_rng(0)
    found = [stats.interval(rng.normal(size=5)) for _ in range(200)]
    assert 0.9 <= np.mean([low <= 0 <= high for low, high in found]) <= 0.98


def made_up(setting, scores):
    """A finished run with these scores of each seed."""
    best = [None if np.isnan(s).all() else float(np.nanmax(s)) for s in scores]
    summary = {
        "task_options": {"data": "a/b.txt", "max_heavy_atoms": 3},
        "budget": setting.budget,
        "proposer": setting.proposer or "bo",
        "seeds": [
            {"seed": i, "charged": len(s), "retrainings": 1 + i, "best": b, "best_object": "CC"}
            for i, (s, b) in enumerate(zip(scores, best, strict=True))
        ],
        "charged_evaluations": sum(map(len, scores)),
        "uncharged_evaluations": 2500 * (setting.proposer == "grid"),
        "wall_seconds": 90.0,
        "seconds": {"retrain": 45.0, "session": 90.0},
        "compilations": {"retrain": 1, "fit": 1},
        "side_by_side": 1,
    }
    lines = [
        f"{i},0,{j}," + (",FAILED" if np.isnan(x) else f"{x:.6g},OK")
        for i, s in enumerate(scores)
        for j, x in enumerate(s)
    ]
    return Row(setting, Finished(summary, "abc123", lines))


def test_tables_and_figures_say_what_went_wrong(tmp_path):
    """A method whose seeds all failed, one that ended early, one that peeks."""
    grid = settings("molecules", Scale(20, (10,), 40, (20,), 2, 2), full=False)
    by_name = {s.name: s for s in grid}
    rng = np.random.default_rng(0)
    good = [rng.normal(size=20), rng.normal(size=20)]
    rows = [
        made_up(by_name["weighted retraining, k = 0.001, r = 10"], good),
        made_up(by_name["LSO"], [np.full(20, NAN), np.full(20, NAN)]),
        made_up(by_name["weight only, k = 0.001"], [rng.normal(size=20), rng.normal(size=12)]),
        made_up(by_name["random search"], [rng.normal(size=40), rng.normal(size=40)]),
        made_up(by_name["RWR, alpha = 1, r = 20"], [rng.normal(np.arange(40)) for _ in range(8)]),
    ]
    rows[2].summary["uncharged_evaluations"] = 7
    base = Dataset(np.zeros((3, 2), np.uint8), np.array([0.0, 1.0, 4.0]))
    text = document("molecules", {"data": None}, base, rows, {}, "COMMAND", len(grid))
    lines = {name: [x for x in text.split("\n") if x.startswith(f"| {name}")] for name in by_name}
    assert "`COMMAND`, with the code of abc123; data = sampled." in text
    assert "5 of the grid's 18 methods have been run" in text
    assert "nan" not in text
    assert all("a seed had no success" in x or "nan" not in x for x in lines["LSO"])
    assert "a seed had no success" in lines["LSO"][2]
    assert "weight only, k = 0.001 †" in text
    assert "not compared: one peeks" in lines["weight only, k = 0.001"][2]
    assert "too few seeds to tell" in lines["random search"][3]
    assert lines["random search"][2].endswith(" – |")
    assert "better (p = 0.044)" in lines["RWR, alpha = 1, r = 20"][2]
    assert "| 0.75 |" in re.sub(" +", " ", lines["random search"][4])  # minutes a seed
    assert "1–2" in lines["LSO"][0]

    write_seeds(rows, 1.0, tmp_path / "seeds.csv")
    write_queries([row.run for row in rows], tmp_path / "queries.csv.gz")
    seeds = list(csv.DictReader((tmp_path / "seeds.csv").open()))
    assert [*dict.fromkeys(s["setting"] for s in seeds)] == [row.setting.name for row in rows]
    assert float(seeds[0]["top1_at_end"]) == pytest.approx(good[0].max(), abs=1e-6)

    made = {
        "weights": paper_figures.weight_histograms(np.asarray(base.scores), 1, "a"),
        "k-and-r": paper_figures.loop_curves("molecules", rows, {}, 1, "a"),
        "only": paper_figures.loop_curves("molecules", rows[1:2], {}, 1, "a"),
        "none": paper_figures.loop_curves("molecules", [], {}, 1, "a"),
        "methods": paper_figures.all_curves("molecules", rows, {}, 1, "a"),
        "scores": paper_figures.moved_scores(rows, 1, "a"),
    }
    assert [axis.get_title() for axis in made["only"].axes] == ["k = inf"]
    assert "published" not in made["k-and-r"].get_suptitle()
    paper_figures.save(made, tmp_path / "figure")
    assert len(list(tmp_path.glob("figure-*.png"))) == len(made)


def test_baselines_are_compared_at_the_headlines_budget_too():
    grid = {s.name: s for s in settings("expressions", Scale(20, (10,), 40, (20,), 5, 5))}
    rising = [np.linspace(-5.0 - i, -i, 40) for i in range(5)]
    rows = [
        made_up(grid["weighted retraining, k = 0.001, r = 10"], [s[10:30] + 0.1 for s in rising]),
        made_up(grid["random search"], rising),
    ]
    text = document("expressions", {}, Dataset(np.zeros((3, 2)), np.arange(3.0)), rows, {}, "C", 9)
    told = [x for x in text.split("\n") if x.startswith("| random search")][-2]
    cells = [cell.strip() for cell in told.strip("|").split("|")]
    early = np.mean([-s[:20].max() for s in rising])
    assert cells[2:4] == ["40", "2.000 ± 1.414"]
    assert cells[6:] == [f"{early:.3f} ± 1.414", "not significant (p = 0.21)"]
    assert "-0.000" not in text


def test_a_configuration_that_failed_does_not_hide_one_that_did_not():
    grid = settings("shapes", Scale(20, (10,), 40, (20,), 2, 2))
    failed, good = (s for s in grid if s.name.startswith("CEM-PI, "))
    rows = [made_up(failed, [np.full(40, NAN)] * 2), made_up(good, [np.arange(40.0)] * 2)]
    figure = paper_figures.all_curves("shapes", rows, {}, 1, "a")
    assert [t.get_text() for t in figure.axes[0].texts] == [good.name]


def test_rows_are_kept_with_the_results(tmp_path):
    """What another machine has run is shown, unless it is run here or was of another task."""
    grid = settings("molecules", Scale(4, (2,), 4, (2,), 2, 2), full=False)
    rows = [made_up(s, [np.array([1.5, NAN, 2.25, 3.0]), np.full(4, NAN)]) for s in grid[:2]]
    rows[1].run.queries.append("1,1,0,9.0,DUPLICATE")
    paths = tmp_path / "runs.json", tmp_path / "queries.csv.gz"
    assert read_records(*paths) == {}
    write_records({row.setting.name: row.run for row in rows}, paths[0])
    write_queries([row.run for row in rows], paths[1])
    written = [path.read_bytes() for path in paths]
    assert b"a/b.txt" not in written[0]
    kept = read_records(*paths)
    write_records(kept, paths[0])
    write_queries([*kept.values()], paths[1])
    assert [path.read_bytes() for path in paths] == written

    write_queries([kept[grid[0].name]], paths[1])  # as after a kill between the two
    with pytest.raises(ValueError, match="do not belong together: restore both"):
        read_records(*paths)

    task = make_tiny_task(options={"data": "elsewhere/b.txt", "max_heavy_atoms": 3})
    found = finished(task, grid, tmp_path, kept)
    assert [row.name for row in found] == [row.name for row in rows]
    np.testing.assert_equal([row.scores for row in found], [row.scores for row in rows])
    assert [len(scores) for scores in found[1].scores] == [4, 4]
    np.testing.assert_equal([row.best for row in found], [row.best for row in rows])
    assert finished(make_tiny_task(options={"max_heavy_atoms": 4}), grid, tmp_path, kept) == []

    # In less precision it is the same task, and the table says so.
    kept[grid[1].name].summary["task_options"]["half_products"] = True
    found = finished(task, grid, tmp_path, kept)
    assert [row.name for row in found] == [row.name for row in rows]
    base = Dataset(np.zeros((3, 2), np.uint8), np.array([0.0, 1.0, 4.0]))
    assert f"bfloat16 (`--half-products`): {found[1].name}.\n" in document(
        "shapes", task.options, base, found, {}, "COMMAND", len(grid)
    )


def test_runs_of_another_grid_are_not_mixed_in(tmp_path):
    task = make_tiny_task()
    grid = settings("shapes", Scale(6, (3,), 9, (3,), 1, 1))
    chosen = next(s for s in grid if s.name == "LSO")
    elsewhere = {s.name: made_up(s, [np.arange(6.0)]).run for s in [*grid[:2], chosen]}
    for run in elsewhere.values():
        run.summary["task_options"] = {}
    wrlso.run(task, chosen.method, out=tmp_path / chosen.folder, budget=6, seeds=1, progress=False)
    (row,) = finished(task, grid, tmp_path, {})
    assert row.name == "LSO"
    # What is run here stands in for what was run elsewhere.
    rows = finished(task, grid, tmp_path, elsewhere)
    assert [row.run.code for row in rows if row.name == "LSO"] == ["unknown"]
    assert len(rows) == 3
    more = settings("shapes", Scale(12, (3,), 9, (3,), 1, 1))
    with pytest.raises(ValueError, match="was run with budget = 6"):
        finished(task, more, tmp_path, {})
