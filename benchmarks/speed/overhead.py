"""Overhead of a run over a simulation: log, checkpoints, progress and dispatches, per ask.

    python -m benchmarks.speed.overhead [--asks 100]

The tests' tiny task, proposer bo, 4 seeds. The same queries are made by ``wrlso.run``, with an
objective in JAX and with one in Python, and by ``simulate`` in one compiled program. Each is timed
at two budgets; the difference is free of compilation and start. Wall time and processor time of the
process are both printed: on a machine that others use only the latter means much.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

import wrlso
from tests.builders import METHOD, count_bits_on_host, host_task, make_tiny_task
from wrlso.parallel import over_seeds, plan_seeds, spread
from wrlso.runs.process import request_devices

SEEDS = 4
Seconds = tuple[float, float]
"""Wall time and processor time."""


def timed(call: Callable[[], Any]) -> Seconds:
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - processor


def run(task: wrlso.Task, budget: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        wrlso.run(
            task, METHOD, out=Path(folder) / "run", budget=budget, seeds=SEEDS, proposer="bo",
            progress=False,
        )  # fmt: skip


def simulation(task: wrlso.Task, budget: int) -> Callable[[], Any]:
    algorithm = wrlso.algorithm(task, METHOD, budget=budget, proposer="bo")
    plan = plan_seeds(SEEDS)
    shared = task.params, wrlso.base_data(task)
    seeds = spread(plan, jax.numpy.arange(plan.lanes))
    call = jax.jit(
        over_seeds(
            lambda seed, shared: (
                wrlso.simulate(algorithm, task.objective, seed, *shared)[0].history
            ),
            plan,
        )
    )
    return lambda: jax.block_until_ready(call(seeds, shared))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--asks", type=int, default=100, help="asks of the smaller budget")
    asks = parser.parse_args().asks
    request_devices(SEEDS, None)
    in_jax, in_python = make_tiny_task(), host_task(count_bits_on_host)
    budgets = asks, 2 * asks
    simulations = {budget: simulation(in_jax, budget) for budget in budgets}
    calls: dict[str, Callable[[int], Any]] = {
        "simulate": lambda budget: simulations[budget](),
        "run, objective in JAX": lambda budget: run(in_jax, budget),
        "run, objective in Python": lambda budget: run(in_python, budget),
    }
    each: dict[str, list[Seconds]] = {name: [] for name in calls}
    for number in range(4):
        for name, call in calls.items():
            small, large = (timed(lambda b=b, c=call: c(b)) for b in budgets)
            if number:  # the first compiles
                pair = [(b - a) / asks for a, b in zip(small, large, strict=True)]
                each[name].append((pair[0], pair[1]))
    base = [statistics.median(pair[i] for pair in each["simulate"]) for i in range(2)]
    for name, pairs in each.items():
        wall, processor = (statistics.median(pair[i] for pair in pairs) for i in range(2))
        print(
            f"{name}: {1e3 * wall:.2f} ms an ask, {wall / base[0]:.2f} x; "
            f"processor {1e3 * processor:.2f} ms, {processor / base[1]:.2f} x"
        )


if __name__ == "__main__":
    main()
