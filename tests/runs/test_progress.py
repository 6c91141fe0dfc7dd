"""The words beside a run: how long the rest will take."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from tqdm import tqdm

from tests.builders import count_bits_on_host, host_task, tiny_run
from wrlso import methods
from wrlso.runs import progress


@pytest.fixture
def clock(monkeypatch):
    """The time that the bar's watch shows."""
    time = SimpleNamespace(monotonic=lambda: time.now, now=0.0)
    monkeypatch.setattr(progress, "time", time)
    return time


def said(clock, capsys, spent: dict[str, float], elapsed: float, queries: int, total: int) -> str:
    bar = tqdm(total=total, file=io.StringIO())
    shown = progress.Progress(bar, None, round_size=50)
    for phase, seconds in spent.items():
        shown.spend(phase, seconds)
    clock.now += elapsed
    shown.update(queries, [np.ones(queries)])
    shown.update(queries + 10, [np.ones(queries + 10)])
    return capsys.readouterr().err


def test_compilation_is_not_taken_for_the_time_of_a_query(clock, capsys):
    """60 s of 72 s are spent once; a round of 50 has one retraining of 4 s."""
    spent = {"compile": 60.0, "retrain": 3.0, "fit": 1.0}
    text = said(clock, capsys, spent, 72.0, 10, 500)
    assert text.strip() == (
        "10 queries took 72 s, 60 s of them to compile programs, 0.8 s each: "
        "the other 490 will take about 7 min"  # 490 * 0.8 + 490 / 50 * 4 = 431 s
    )


def test_a_slow_evaluation_is_what_counts(clock, capsys):
    text = said(clock, capsys, {"compile": 20.0, "retrain": 5.0}, 14425.0, 4, 100)
    assert text.strip() == (
        "4 queries took 4 h, 3.6e+03 s each: the other 96 will take about 4 days"
    )


def test_nothing_is_said_too_early_or_at_the_end(clock, capsys):
    assert said(clock, capsys, {}, 10.0, 3, 3) == ""


def test_a_run_says_how_long_it_will_take(tmp_path, capfd):
    task = host_task(count_bits_on_host)
    method = methods.weighted_retraining(k=1e-2, retrain_every=4)
    tiny_run(tmp_path / "run", task, method, budget=8, seeds=1, proposer="prior", progress=True)
    assert "4 queries took" in capfd.readouterr().err
