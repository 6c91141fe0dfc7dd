"""Overhead of a run over a simulation, of a second run over the first, and what a run leaves.

    python -m benchmarks.speed.overhead [--only asks second arrays]

The tests' tiny task, proposer bo, 4 seeds. The same queries are made by ``wrlso.run``, with an
objective in JAX and with one in Python, and by ``simulate`` in one compiled program. Each is timed
at two budgets; the difference is free of compilation and start, and is divided by the asks that
were made: a run asks again where a proposal was known. The smallest of several times counts, as
other work on the machine only adds to it. LAPACK has one thread everywhere (``run`` sees to it):
with more, ``simulate`` takes six times longer. Writes benchmarks/results/overhead.md and .csv.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import wrlso
from benchmarks.speed.harness import Row, main
from tests.builders import count_bits_on_host, host_task, make_tiny_task
from wrlso.parallel import over_seeds, plan_seeds, spread

SEEDS, REPEATS = 4, 4
BUDGETS = 20, 40

SECOND = """
import json, sys, time
start = time.perf_counter()
import wrlso
imported = time.perf_counter()
task = wrlso.tasks.shapes()
method = wrlso.methods.weighted_retraining(retrain_every=5).with_options(epochs=0.02)
wrlso.run(task, method, out=sys.argv[1], budget=10, seeds=2, proposer="bo", progress=False)
print(json.dumps([imported - start, time.perf_counter() - imported]))
"""

Cost = tuple[float, float, float]
"""Wall time and processor time in seconds, and the asks of a seed."""


def timed(call: Callable[[], float]) -> Cost:
    wall, processor = time.perf_counter(), time.process_time()
    asks = call()
    return time.perf_counter() - wall, time.process_time() - processor, asks


def run(task: wrlso.Task, r: int, budget: int) -> float:
    """Asks of a seed, on average."""
    with tempfile.TemporaryDirectory() as folder:
        method = wrlso.methods.weighted_retraining(k=1e-2, retrain_every=r)
        result = wrlso.run(
            task, method, out=Path(folder) / "run", budget=budget, seeds=SEEDS, proposer="bo",
            progress=False,
        )  # fmt: skip
        return len(result.queries()) / SEEDS


def simulation(task: wrlso.Task, r: int, budget: int) -> Callable[[], float]:
    method = wrlso.methods.weighted_retraining(k=1e-2, retrain_every=r)
    algorithm = wrlso.algorithm(task, method, budget=budget, proposer="bo")
    plan = plan_seeds(SEEDS)
    shared = task.params, wrlso.base_data(task)
    seeds = spread(plan, jax.numpy.arange(plan.lanes))

    def simulate(seed: Any, shared: Any) -> Any:
        state, rounds = wrlso.simulate(algorithm, task.objective, seed, *shared)
        return state.history, rounds.asks

    call = jax.jit(over_seeds(simulate, plan))
    return lambda: float(np.asarray(call(seeds, shared)[1]).sum()) / SEEDS


def an_ask(call: Callable[[int], float]) -> tuple[float, float]:
    """Wall and processor seconds of an ask of all seeds."""
    best: list[Cost] = []
    for budget in BUDGETS:
        call(budget)  # compiles
        costs = [timed(lambda b=budget: call(b)) for _ in range(REPEATS)]
        best.append((min(c[0] for c in costs), min(c[1] for c in costs), costs[0][2]))
    (wall, processor, asks), (more_wall, more_processor, more) = best
    return (more_wall - wall) / (more - asks), (more_processor - processor) / (more - asks)


def section_asks() -> list[Row]:
    """An ask by ``simulate`` and by ``run``."""
    rows: list[Row] = []
    in_jax, in_python = make_tiny_task(), host_task(count_bits_on_host)
    for r in (20, 4):
        simulations = {budget: simulation(in_jax, r, budget) for budget in BUDGETS}
        base = an_ask(lambda budget: simulations[budget]())  # noqa: B023
        cases = {"in JAX": (in_jax, "<= 1.3 x" if r == 20 else ""), "in Python": (in_python, "")}
        for where, (task, target) in cases.items():
            if where == "in Python" and r == 4:
                continue
            wall, processor = an_ask(lambda budget: run(task, r, budget))  # noqa: B023
            ratio = processor / base[1]
            rows.append(
                (
                    f"an ask of 4 seeds, objective {where}, run against simulate, r = {r}",
                    f"{wall / base[0]:.2f} x",
                    target,
                    f"{1e3 * wall:.1f} and {1e3 * base[0]:.1f} ms; processor time "
                    f"{1e3 * processor:.1f} and {1e3 * base[1]:.1f} ms, {ratio:.2f} x",
                )
            )
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
            f"{second:.1f} and {first:.1f} s; import wrlso {imports:.2f} s besides",
        )
    ]


def section_arrays() -> list[Row]:
    """Arrays that are alive after a run, with Python's collector switched off."""
    gc.disable()
    task = make_tiny_task()
    before = len(jax.live_arrays())
    run(task, 4, 8)
    left = len(jax.live_arrays()) - before
    return [("live arrays after a run, collector switched off", f"{left}", "0", "tiny task, bo")]


SECTIONS = {"asks": section_asks, "second": section_second, "arrays": section_arrays}

if __name__ == "__main__":
    main("benchmarks.speed.overhead", "overhead", "Overhead of a run", __doc__, SECTIONS)
