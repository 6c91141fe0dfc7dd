"""Queries as a table."""

import csv
import json

from tests.builders import METHOD, tiny_run
from wrlso.results.export import write_csv


def test_every_query_becomes_a_row_of_the_csv(tmp_path):
    result = tiny_run(tmp_path / "run")
    write_csv([result], tmp_path / "all.csv")
    rows = list(csv.DictReader((tmp_path / "all.csv").open()))
    assert len(rows) == 36
    assert [float(r["score"]) for r in rows if r["seed"] == "1"] == result.scores()[1].tolist()
    assert len(json.loads(rows[0]["latent"])) == 2
    assert {(r["run"], r["method"], r["object"]) for r in rows} == {("run", METHOD.name, "")}
