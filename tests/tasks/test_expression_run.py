"""A whole run on expressions, small."""

import csv

import numpy as np
import pytest

import wrlso
from wrlso.results import figures
from wrlso.results.export import write_csv
from wrlso.status import Status
from wrlso.tasks.expression.evaluate import log_mse_scores, parse_target
from wrlso.tasks.expression.grammar import encode


@pytest.mark.filterwarnings("ignore:all 200 base objects")  # 200 are too few for x * x
@pytest.mark.parametrize(
    "architecture", ["feedback", pytest.param("paper", marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_a_run_ends_with_the_best_expressions(architecture, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "_SAMPLES", 20)
    task = wrlso.tasks.expressions(
        target="x * x", rows=200, architecture=architecture, pretrain_epochs=1
    )
    result = wrlso.run(
        task,
        wrlso.methods.weighted_retraining(retrain_every=5),
        out=tmp_path / "run",
        budget=10,
        seeds=2,
        proposer="prior",
        progress=False,
    )
    for seed in result.summary["seeds"]:
        best = log_mse_scores(encode([seed["best_object"]]), parse_target("x * x"))
        assert float(best[0]) == pytest.approx(seed["best"], rel=1e-6)
        assert seed["best_object"] in result.table()
        assert seed["charged"] == 10
    charged = [q for q in result.queries() if q.seed == 0 and q.status != Status.DUPLICATE]
    objects = np.array([np.frombuffer(q.object, np.uint8) for q in charged])
    assert len(np.unique(objects, axis=0)) == 10
    base = np.asarray(task.load_data().objects)
    assert not (objects[:, None] == base).all(-1).any()
    write_csv([result], tmp_path / "queries.csv")
    rows = list(csv.DictReader((tmp_path / "queries.csv").open()))
    for seed in result.summary["seeds"]:
        assert seed["best_object"] in {r["object"] for r in rows if r["seed"] == str(seed["seed"])}
    if architecture == "feedback":
        assert {q.status for q in charged} == {Status.OK}
    assert [path.stem for path in result.save_figures(formats=["pdf"])] == [
        "best_so_far", "weights", "prior_samples", "latent_map",
    ]  # fmt: skip
