"""The prepared script for an accelerator, at small sizes on the CPU."""

import csv

import pytest

from benchmarks.accelerator.__main__ import PARTS, failures, main
from benchmarks.accelerator.loops import loops
from benchmarks.accelerator.measure import COLUMNS, Deadline, Row


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    out = tmp_path_factory.mktemp("accelerator")
    parts = [part for part in PARTS if part != "loop"]
    path = main(["--out", str(out), "--only", *parts])
    text = path.with_suffix(".md").read_text()
    assert "device: cpu" in text
    assert "nothing about speed" in text
    with path.open() as file:
        return list(csv.DictReader(file))


def test_every_part_gives_figures(rows):
    parts = {"agreement with the CPU", "ask", "sparse", "molecules"}
    assert {row["part"] for row in rows} >= parts
    assert not [row for row in rows if row["what"] == "failed"]
    for row in rows:
        assert list(row) == COLUMNS
        if row["part"] in ("ask", "sparse", "molecules"):
            assert float(row["seconds"]) > 0
        if row["mode"] in ("vmap", "wrlso"):
            assert float(row["memory_mib"]) > 0
            assert float(row["compile_seconds"]) > 0
            assert float(row["each"]) * int(row["per"]) == pytest.approx(
                float(row["seconds"]), rel=0.02
            )


def test_the_device_agrees_with_the_cpu(rows):
    found = [row["note"] for row in rows if row["part"] == "agreement with the CPU"]
    assert len(found) == 2
    assert all(float(note.split()[-1]) < 1e-5 for note in found)


def test_peers_are_measured_or_their_absence_is_said(rows):
    theirs = [row for row in rows if row["mode"] in ("BoTorch", "GPyTorch")]
    absent = [row for row in rows if row["part"] == "peers"]
    assert len(theirs) == 2 or "torch" in absent[0]["note"]


@pytest.mark.parametrize("part", PARTS)
def test_no_part_begins_after_the_time(part):
    if part in ("agreement", "molecules", "loop"):  # a second, or what loads models first
        return
    found = list(PARTS[part](True, Deadline(0)))
    assert found
    assert all(row.note == "left out: no time" for row in found)


@pytest.mark.slow
def test_a_loop_is_measured_in_both_modes():
    rows = list(loops(True, Deadline(600), ["shapes"]))
    assert [row.mode for row in rows] == ["vmap", "map"]
    assert all(row.seconds > 0 and not row.note for row in rows)


def test_a_part_that_fails_is_told(tmp_path, monkeypatch):
    def broken(small, deadline):
        raise RuntimeError("no such kernel")
        yield

    monkeypatch.setitem(PARTS, "sparse", broken)
    assert failures(main(["--out", str(tmp_path), "--only", "sparse"])) == [
        "RuntimeError: no such kernel"
    ]


@pytest.mark.slow
def test_all_parts_run_on_a_cpu_in_a_minute_and_none_fails(tmp_path):
    path = main(["--out", str(tmp_path)])
    with path.open() as file:
        rows = [Row(**{**row, "per": int(row["per"])}) for row in csv.DictReader(file)]
    assert not [row for row in rows if row.what == "failed"]
    assert {row.part for row in rows} >= {"loop", "molecules", "ask", "sparse"}
    assert {row.mode for row in rows if row.part == "loop"} == {"vmap", "map"}
