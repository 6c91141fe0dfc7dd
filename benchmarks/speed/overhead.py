"""Overhead of a run over a simulation, of a second run over the first, and what a run leaves.

    python -m benchmarks.speed.overhead [--only asks second arrays]

The tests' tiny task, proposer bo, 4 seeds. The same queries are made by ``wrlso.run``, with an
objective in JAX and with one in Python, and by ``simulate`` in one compiled program. The wall time
of all rounds, but for compilation, is divided by the asks that were made. Both take turns, and the
medians count. With 64 bits in 8 dimensions 200 queries are new, and both do the same. With 16 bits
in 2 dimensions they are not: ``run`` asks again where a proposal was known, after another fit, and
a round ends with its slowest seed, where ``simulate`` makes 200 asks and no more. ``run`` calls
each program for the first time, which weighs most where the budget is small. A second row
therefore states its time against that of its own programs: the rest is the log, checkpoints and
transfers. LAPACK has one thread everywhere (``run`` sees to it): with more, ``simulate`` takes
several times longer.

A second run, in another process, finds all its programs on disk. What is left is imports, tracing
and lowering, the loading of the programs and the work.

Writes benchmarks/results/overhead.md and .csv.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import wrlso
from benchmarks.speed.harness import Row, main
from tests.builders import count_bits_on_host, host_task, make_tiny_task, tiny_data, tiny_vae
from wrlso.parallel import over_seeds, plan_seeds, spread
from wrlso.runs.session import Session

SEEDS, REPEATS = 4, 7
PROGRAMS = ("retrain", "search", "fit", "ask", "predict", "tell")

SECOND = """
import json, sys, time
start = time.perf_counter()
import wrlso
wrlso.run, wrlso.tasks, wrlso.methods  # imported when used
imported = time.perf_counter()
task = wrlso.tasks.shapes()
method = wrlso.methods.weighted_retraining(retrain_every=5).with_options(epochs=0.02)
wrlso.run(task, method, out=sys.argv[1], budget=10, seeds=2, proposer="bo", progress=False)
print(json.dumps([imported - start, time.perf_counter() - start]))
"""


def roomy(task: wrlso.Task) -> wrlso.Task:
    """The tiny task with 64 bits over 8 dimensions: so many queries are all new there."""
    vae = tiny_vae(64, 8)
    changed = {
        "vae": vae,
        "load_data": partial(tiny_data, 64),
        "params": vae.init(jax.random.key(1)),
    }
    return replace(task, **changed)


def method_of(r: int) -> wrlso.Method:
    return wrlso.methods.weighted_retraining(k=1e-2, retrain_every=r)


class Asks(NamedTuple):
    """A measurement of ``run``.

    Attributes:
      rounds: seconds of all rounds, but for compilation, by asks.
      programs: those of their programs.
      later: those of the later rounds by r, which is their asks where nothing is asked for again.
      asks: asks a seed.
    """

    rounds: float
    programs: float
    later: float
    asks: float


def by_run(task: wrlso.Task, r: int, budget: int) -> Asks:
    """An ask of ``run``."""
    with tempfile.TemporaryDirectory() as folder, rounds_timed() as seconds:
        result = wrlso.run(
            task, method_of(r), out=Path(folder) / "run", budget=budget, seeds=SEEDS,
            proposer="bo", progress=False,
        )  # fmt: skip
        asks = len(result.queries()) / SEEDS
        phases = result.summary["seconds"]
        programs = sum(phases.get(name, 0.0) for name in PROGRAMS)
        rounds = sum(seconds) - result.summary["compile_seconds"]
        later = sum(seconds[1:]) / len(seconds[1:]) / r
        return Asks(rounds / asks, programs / asks, later, asks)


@contextmanager
def rounds_timed() -> Iterator[list[float]]:
    """The seconds of each round that is run in the block."""
    seconds, run_round = list[float](), Session._run_round

    def timed(self: Session, check_interrupt: Callable[[], None]) -> None:
        start = time.perf_counter()
        run_round(self, check_interrupt)
        seconds.append(time.perf_counter() - start)

    Session._run_round = timed  # type: ignore[method-assign]
    try:
        yield seconds
    finally:
        Session._run_round = run_round  # type: ignore[method-assign]


def by_simulate(task: wrlso.Task, r: int, budget: int) -> Callable[[], float]:
    """A function that measures an ask of ``simulate``, in seconds."""
    algorithm = wrlso.algorithm(task, method_of(r), budget=budget, proposer="bo")
    plan = plan_seeds(SEEDS)
    shared = task.params, wrlso.base_data(task)
    seeds = spread(plan, jax.numpy.arange(plan.lanes))

    def simulate(seed: Any, shared: Any) -> Any:
        state, rounds = wrlso.simulate(algorithm, task.objective, seed, *shared)
        return state.history, rounds.asks

    call = jax.jit(over_seeds(simulate, plan))
    asks = float(np.asarray(call(seeds, shared)[1]).sum()) / SEEDS

    def measure() -> float:
        start = time.perf_counter()
        jax.block_until_ready(call(seeds, shared))
        return (time.perf_counter() - start) / asks

    return measure


def taking_turns(
    simulated: wrlso.Task, task: wrlso.Task, r: int, budget: int
) -> tuple[Asks, float]:
    """The medians of ``run`` and of ``simulate``, one after the other."""
    simulate = by_simulate(simulated, r, budget)
    both = [(by_run(task, r, budget), simulate()) for _ in range(REPEATS)]
    runs = np.median([run for run, _ in both], axis=0)
    return Asks(*runs.tolist()), float(np.median([seconds for _, seconds in both]))


def section_asks() -> list[Row]:
    """An ask by ``simulate`` and by ``run``."""
    rows: list[Row] = []
    in_jax, in_python = make_tiny_task(), host_task(count_bits_on_host)
    for bits, r, budget, where, task, target in (
        (64, 20, 200, "in JAX", roomy(in_jax), "<= 1.3 x"),
        (16, 20, 200, "in JAX", in_jax, "stated"),
        (16, 20, 40, "in JAX", in_jax, "<= 1.3 x"),
        (16, 4, 40, "in JAX", in_jax, "stated"),
        (64, 20, 200, "in Python", roomy(in_python), "stated"),
    ):
        run, base = taking_turns(roomy(in_jax) if bits == 64 else in_jax, task, r, budget)
        what = f"an ask of 4 seeds, {bits} bits, objective {where}, r = {r}, budget {budget}"
        for peer, theirs, goal in (
            ("simulate", base, target),
            ("its programs", run.programs, "stated"),
        ):
            how = f"{1e3 * run.rounds:.2f} and {1e3 * theirs:.2f} ms; run asks {run.asks:.0f} times"
            rows.append((f"{what}: run against {peer}", f"{run.rounds / theirs:.2f} x", goal,
                         f"{how} a seed"))  # fmt: skip
            print(rows[-1], file=sys.stderr, flush=True)
        if run.asks == budget and where == "in JAX":
            how = f"{1e3 * run.later:.2f} and {1e3 * base:.2f} ms: no first call of a program"
            rows.append((f"{what}: later rounds of run against simulate",
                         f"{run.later / base:.2f} x", "stated", how))  # fmt: skip
    return rows


def section_second() -> list[Row]:
    """The same run twice, in two processes with one cache of compiled programs."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "WRLSO_CACHE": f"{folder}/cache"}
        found = []
        for name in ("first", "second"):
            command = [sys.executable, "-c", SECOND, f"{folder}/{name}"]
            out = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True, env=environment
            )
            found.append(json.loads(out.stdout.splitlines()[-1]))
    (_, first), (imports, second) = found
    return [
        (
            "second identical wrlso.run in a new process, shapes, bo, 10 queries, 2 seeds",
            f"{second / first:.2f} x",
            "<= 0.15 x",
            f"{second:.1f} and {first:.1f} s, imports of {imports:.1f} s included in both",
        )
    ]


def section_arrays() -> list[Row]:
    """Arrays that are alive after a run, with Python's collector switched off."""
    gc.disable()
    before = len(jax.live_arrays())
    with tempfile.TemporaryDirectory() as folder:
        wrlso.run(
            make_tiny_task(), method_of(4), out=Path(folder) / "run", budget=8, seeds=SEEDS,
            proposer="bo", progress=False,
        )  # fmt: skip
        left = len(jax.live_arrays()) - before
    return [("live arrays after a run, collector switched off", f"{left}", "0", "tiny task, bo")]


SECTIONS = {"asks": section_asks, "second": section_second, "arrays": section_arrays}

if __name__ == "__main__":
    main("benchmarks.speed.overhead", "overhead", "Overhead of a run", __doc__, SECTIONS)
