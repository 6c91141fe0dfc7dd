"""Time and memory as the number of seeds or rows grows."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.speed.harness import Row, median_seconds


def section_seeds() -> list[Row]:
    """Cost per seed with 16 seeds against 2: retraining of 60 steps and one ask."""
    two, sixteen = _retrain_and_ask(2), _retrain_and_ask(16)
    two(), sixteen()
    pairs = [(two(), sixteen()) for _ in range(7)]
    few, many = (statistics.median(p[i] for p in pairs) for i in (0, 1))
    return [
        (
            "cost per seed, 16 seeds against 2",
            f"{many / few:.2f} x",
            "<= 1.05 x",
            f"{1e3 * few:.0f} and {1e3 * many:.0f} ms for 60 steps and an ask; median of 7 "
            "alternating",
        )
    ]


def _retrain_and_ask(seeds: int) -> Callable[[], float]:
    """A function that retrains and asks once, and returns the seconds per seed."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    import wrlso
    from wrlso import loop
    from wrlso.parallel import broadcast, plan_seeds, replicate, spread
    from wrlso.runs.compiled import CompiledLoop
    from wrlso.runs.lanes import SeedInputs, SharedInputs

    task = wrlso.tasks.shapes()
    base = task.load_data()
    algorithm = wrlso.algorithm(task, wrlso.methods.weighted_retraining(), proposer="grid")
    plan = plan_seeds(seeds)
    compiled = CompiledLoop(algorithm, task.objective, plan, lambda phase, seconds: None)
    start = loop.init(algorithm, task.vae.init(jax.random.key(0)), base)
    numbers = algorithm.numbers()
    hyper = {name: np.full(seeds, value, np.float32) for name, value in numbers.items()}
    data = replicate(plan, wrlso.prepare_base(base))
    shared = SharedInputs(data, *replicate(plan, (jnp.int32(0), jnp.int32(0))))
    numbered = np.arange(seeds, dtype=np.int32)
    steps, limit = (np.full(seeds, value, np.int32) for value in (60, 500))
    inputs = spread(plan, SeedInputs(numbered, steps, limit, hyper))

    def once() -> float:
        state: Any = broadcast(plan, start)
        jax.block_until_ready(state)
        begin = time.perf_counter()
        state, _ = compiled.retrain(state, inputs, shared)
        compiled.ask((state, ()), inputs, shared)
        return (time.perf_counter() - begin) / seeds

    return once


def section_weights() -> list[Row]:
    """Rank weights of 250,000 scores against sorts of the same array."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from wrlso import rank_weights

    rows: list[Row] = []
    rng = np.random.default_rng(0)
    for name, array in (
        ("distinct", rng.normal(size=250_000)),
        ("many ties", rng.integers(400, size=250_000)),
    ):
        scores = jnp.asarray(array, jnp.float32)
        weights, sort = jax.jit(lambda s: rank_weights(s, 1e-3)), jax.jit(jnp.sort)
        host = np.asarray(scores)
        ours = median_seconds(lambda w=weights, s=scores: jax.block_until_ready(w(s)), 15)
        xla = median_seconds(lambda f=sort, s=scores: jax.block_until_ready(f(s)), 15)
        numpy_sort = median_seconds(lambda h=host: np.sort(h), 15)
        rows.append(
            (
                f"rank weights, N = 250,000, {name}, against one jnp.sort",
                f"{ours / xla:.2f} x",
                "<= 2 x",
                f"{1e3 * ours:.1f} and {1e3 * xla:.1f} ms; np.sort {1e3 * numpy_sort:.1f} ms",
            )
        )
    return rows


def peak_bytes(seeds: int) -> int:
    """Peak resident memory of a process that runs two rounds of the task with so many seeds."""
    code = (
        "import sys, tempfile, resource; from pathlib import Path\n"
        "import jax; jax.config.update('jax_num_cpu_devices', 2)\n"
        "from wrlso import run, methods, tasks\n"
        "t = tasks.shapes(); p = t.vae.init(jax.random.key(0))\n"
        "import dataclasses; quick = dataclasses.replace(t.retrain, first_epochs=.02, epochs=.02)\n"
        "t = dataclasses.replace(t, params=p, retrain=quick)\n"
        "d = tempfile.mkdtemp()\n"
        f"run(t, methods.weighted_retraining(1e-3, 50), out=Path(d)/'r', budget=100, seeds={seeds},"
        " progress=False)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return int(out.stdout.split()[-1])


def section_memory() -> list[Row]:
    """Growth of peak memory per added seed, against the seed's parameters and buffers."""
    import jax

    from wrlso.data import empty_history
    from wrlso.tasks import shapes

    task = shapes()
    base = task.load_data()
    params = sum(
        x.size * x.dtype.itemsize for x in jax.tree.leaves(task.vae.init(jax.random.key(0)))
    )
    buffer = sum(
        x.size * x.dtype.itemsize for x in jax.tree.leaves(empty_history(100, base.objects[0], 2))
    )
    few, many = 4, 64
    pairs = [(peak_bytes(few), peak_bytes(many)) for _ in range(3)]
    growth = statistics.median((b - a) / (many - few) for a, b in pairs)
    data = base.objects.nbytes + base.scores.nbytes
    return [
        (
            "growth of peak memory per added seed",
            f"{growth / 1024:.0f} KiB",
            f"<= {(params + buffer) / 1024:.0f} KiB",
            f"parameters {params / 1024:.0f} + buffers {buffer / 1024:.0f} KiB; base data "
            f"{data / 2**20:.1f} MiB; {few} against {many} seeds, median of 3",
        )
    ]
