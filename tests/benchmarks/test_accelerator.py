"""The prepared script for an accelerator, at small sizes on the CPU."""

import csv
from concurrent.futures import Future

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.accelerator.__main__ import PARTS, PROGRAMS, added, failures, main, measurements
from benchmarks.accelerator.agreement import Pair, agreement, compared, elbo_and_slope
from benchmarks.accelerator.loops import loops
from benchmarks.accelerator.measure import (
    COLUMNS,
    NOT_COMPILED,
    Compiled,
    Compiling,
    Deadline,
    Program,
    Row,
    cells,
)
from wrlso.tasks.molecule.model import load_model
from wrlso.tasks.molecule.task import SHIPPED

pytestmark = pytest.mark.usefixtures("rolled_loops")


@pytest.fixture(scope="module")
def rows(tmp_path_factory, rolled_loops):
    out = tmp_path_factory.mktemp("accelerator")
    parts = [part for part in PARTS if part not in ("loop", "sparse")]
    path = main(["--out", str(out), "--only", *parts])
    main(["--out", str(out), "--only", "sparse"])  # keeps the others' figures
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
    assert len(found) == 9
    for note in found:
        words = note.split()
        if "whole" in words:
            assert words[0] == words[2]
        else:
            assert float(words[-1]) < 1e-5


def test_the_elbo_that_a_cpu_does_not_compare_is_a_number():
    model = load_model(SHIPPED)
    loss, arguments = elbo_and_slope(model, jnp.zeros((2, 5), jnp.uint8))
    value, slope = jax.eval_shape(loss, *arguments)
    assert value.shape == ()
    assert jax.tree.structure(slope) == jax.tree.structure(model.params)


def test_differences_are_found():
    one, other = np.array([1.0, 2.0]), np.array([1.0, 2.2])
    assert compared((one, one), (other, one)) == "largest relative difference 9.1e-02"
    assert compared(np.array([1, 2, 3]), np.array([1, 2, 4])) == "2 of 3 whole numbers equal"
    assert compared(np.array([1.0, np.nan]), one).endswith("nan")


def test_a_comparison_that_is_not_compiled_in_time_is_a_note():
    pairs = [Pair("a program", [Future(), Future()], [(), ()])]
    (row,) = agreement(pairs, Deadline(0))
    assert row.note == NOT_COMPILED


def test_a_comparison_that_a_device_refuses_costs_the_others_nothing():
    refused, done = Future(), Future()
    refused.set_exception(RuntimeError("no such kernel"))
    done.set_result(Compiled(lambda x: x + 1, 0.0, 0.0))
    arguments = [(jnp.ones(2),), (jnp.ones(2),)]
    pairs = [Pair("one", [refused, done], arguments), Pair("other", [done, done], arguments)]
    one, other = agreement(pairs, Deadline(60))
    assert one.note == "RuntimeError: no such kernel"
    assert other.note == "largest relative difference 0.0e+00"


def test_peers_are_measured_or_their_absence_is_said(rows):
    theirs = [row for row in rows if row["mode"] in ("BoTorch", "GPyTorch")]
    absent = [row for row in rows if row["part"] == "peers"]
    assert len(theirs) == 2 or "torch" in absent[0]["note"]


def test_no_program_is_timed_after_the_end(monkeypatch):
    monkeypatch.setitem(PROGRAMS, "sparse", added(lambda small: one_program(lambda x: x + 1)))
    found = list(measurements(["sparse", "peers"], True, Deadline(0)))
    assert [row.note for row in found] == ["left out: no time"] * 2


def one_program(function):
    return iter([Program(Row("sparse", "a program"), function, (jnp.ones((2, 2)),))])


def test_a_program_is_timed_and_its_products_are_counted():
    program = next(one_program(lambda x: x @ x))
    compiling = Compiling()
    compiling.add(program)
    row = compiling.measured(program, Deadline(60))
    assert row.seconds > 0
    assert row.compile_seconds > 0
    assert row.tflops == pytest.approx(16 / row.seconds / 1e12)


def test_a_program_that_the_device_refuses_is_a_note():
    def refuse(x):
        raise RuntimeError("out of memory")

    program = next(one_program(lambda x: jax.pure_callback(refuse, x, x)))
    compiling = Compiling()
    compiling.add(program)
    row = compiling.measured(program, Deadline(60))
    assert row.seconds is None
    assert "out of memory" in row.note or "callback" in row.note.lower()


@pytest.mark.slow
def test_a_loop_is_measured_in_both_modes():
    programs, compiling = list(loops(True, ["shapes"])), Compiling()
    for program in programs:
        compiling.add(program)
    rows = [compiling.measured(program, Deadline(600)) for program in programs]
    assert [row.mode for row in rows] == ["vmap", "map"]
    assert all(row.seconds > 0 and not row.note for row in rows)


def test_a_part_that_is_not_measured_keeps_its_figures(tmp_path, monkeypatch):
    monkeypatch.setitem(PROGRAMS, "sparse", added(lambda small: one_program(lambda x: x + 1)))
    path = main(["--out", str(tmp_path), "--only", "sparse"])
    theirs = Row("sparse", "their program", mode="GPyTorch")
    with path.open("a", newline="") as file:
        csv.writer(file).writerow(cells(theirs))
    main(["--out", str(tmp_path), "--only", "sparse"])
    with path.open() as file:
        assert [row["what"] for row in csv.DictReader(file)] == ["a program", "their program"]


def test_a_part_that_fails_is_told(tmp_path, monkeypatch):
    def broken(small):
        raise RuntimeError("no such kernel")
        yield

    monkeypatch.setitem(PROGRAMS, "sparse", added(broken))
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
