"""Speed and memory against what the work costs at the least and against PyTorch, in one run.

    python -m benchmarks.speed [--only step headline seeds weights memory]

Every section runs in a process of its own, on all cores. Writes
benchmarks/results/speed.md and speed.csv. Ratios carry over to another machine,
times do not.
"""

import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import Row, main, median_seconds

_TORCH_SEEDS = 3
"""PyTorch's seeds run one after the other, each over a minute: three tell the cost of one."""


def jax_step_seconds(architecture: str, lanes: int, devices: int, steps: int = 30) -> float:
    """Seconds a training step and seed, inside the loop, batch 32."""
    import jax
    import jax.numpy as jnp

    from wrlso.data import empty_history
    from wrlso.loop.steps import retrain
    from wrlso.parallel import broadcast, over_seeds, plan_seeds, replicate
    from wrlso.tasks import shapes
    from wrlso.weighting.registry import WEIGHTINGS

    task = shapes(architecture=architecture)
    base, vae = task.load_data(), task.vae
    plan = plan_seeds(lanes, devices)

    def one(lane: Any, shared: Any) -> Any:
        params, history = lane
        data, n = shared
        hyper = {"k": 1e-3, "learning_rate": 1e-3, "beta": 10.0}
        return retrain(
            jax.random.key(0),
            params,
            history,
            data,
            n,
            hyper,
            vae=vae,
            weighting=WEIGHTINGS["rank"],
            config=task.retrain,
        )[0]

    state = (vae.init(jax.random.key(0)), empty_history(500, base.objects[0], 2))
    lane, data = broadcast(plan, state), replicate(plan, base)
    call = jax.jit(over_seeds(one, plan))
    times = {
        n: median_seconds(
            lambda n=n: jax.block_until_ready(call(lane, (data, replicate(plan, jnp.int32(n))))), 5
        )
        for n in (2, 2 + steps)
    }
    return (times[2 + steps] - times[2]) / steps / lanes


def torch_step_seconds() -> float:
    import numpy as np
    import torch

    from benchmarks.torch_shapes import TorchVAE, train_steps

    torch.manual_seed(0)
    images = (np.random.default_rng(0).random((500, 64, 64)) < 0.1).astype(np.uint8)
    rows = np.random.default_rng(0).integers(500, size=32 * 40)
    return statistics.median(train_steps(TorchVAE(), images, rows, 32)[5:])


def section_step() -> list[Row]:
    """One training step of the paper's architecture, batch 32.

    At the least: 12.6 million multiply-adds an image forwards, three times that
    with the gradients, so 2.4 GFLOP a step.
    """
    rounds = [
        (
            torch_step_seconds(),
            jax_step_seconds("paper", 1, 1),
            jax_step_seconds("paper", 2, 2),
            jax_step_seconds("coordinate", 1, 1),
            jax_step_seconds("coordinate", 2, 2),
        )
        for _ in range(3)
    ]
    torch_s, one, two, own_one, own_two = (
        statistics.median(r[i] for r in rounds) for i in range(5)
    )
    how = f"median of 3 alternating rounds; PyTorch {1e3 * torch_s:.1f} ms"
    return [
        (
            "training step, paper's architecture, one seed on both cores, against PyTorch",
            f"{one / torch_s:.2f} x",
            "<= 0.7 x",
            f"{1e3 * one:.1f} ms; {how}",
        ),
        (
            "the same, a seed of two side by side on two virtual devices (as runs do)",
            f"{two / torch_s:.2f} x",
            "<= 0.7 x",
            f"{1e3 * two:.1f} ms; {how}",
        ),
        (
            "the default architecture, one seed on both cores, against the same PyTorch",
            f"{own_one / torch_s:.2f} x",
            "",
            f"{1e3 * own_one:.1f} ms",
        ),
        (
            "the same, a seed of two side by side",
            f"{own_two / torch_s:.2f} x",
            "",
            f"{1e3 * own_two:.1f} ms",
        ),
        (
            "arithmetic rate of our paper step, two seeds side by side",
            f"{2.4 / two:.0f} GFLOP/s",
            "",
            "2.4 GFLOP a step at the least",
        ),
    ]


def headline_run(architecture: str, pretrained: bool) -> tuple[float, dict[str, Any]]:
    """The headline run in this process: five seeds, compile included, pretraining excluded."""
    import jax

    from wrlso import methods, run
    from wrlso.runs.pretrained import pretrained_params
    from wrlso.tasks import shapes

    task = shapes(architecture=architecture)
    if pretrained:
        params = pretrained_params(task, task.load_data())
    else:  # the time does not depend on them
        params = task.vae.init(jax.random.key(0))
    task = dataclasses.replace(task, params=params)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        result = run(task, methods.weighted_retraining(1e-3, 50), out=Path(out) / "run",
                     budget=500, seeds=5, progress=False)  # fmt: skip
        return time.perf_counter() - start, result.summary


def section_headline() -> list[Row]:
    """The headline run, 5 seeds, against PyTorch, one after the other in this process."""
    import numpy as np
    import torch

    from benchmarks.torch_shapes import TorchVAE, run_seed, train_steps
    from wrlso.tasks.shape.data import load

    elapsed, summary = headline_run("coordinate", pretrained=True)
    paper_elapsed, paper = headline_run("paper", pretrained=False)
    base = load()
    images = np.unpackbits(np.asarray(base.objects), axis=-1)
    torch.manual_seed(0)
    start_model = TorchVAE()
    train_steps(start_model, images, np.random.default_rng(0).integers(len(images), size=3200), 32)
    start, phases = time.perf_counter(), []
    for seed in range(_TORCH_SEEDS):
        model = TorchVAE()
        model.load_state_dict(start_model.state_dict())
        phases.append(run_seed(model, images, np.asarray(base.scores), seed))
        print(f"PyTorch seed {seed}: {phases[-1]}", file=sys.stderr, flush=True)
    theirs = (time.perf_counter() - start) / _TORCH_SEEDS * 5
    by_phase = {p: sum(f[p] for f in phases) / _TORCH_SEEDS * 5 for p in ("retrain", "ask")}
    return [
        (
            "headline run, 5 seeds, compile included: our default model against PyTorch's",
            f"{theirs / elapsed:.1f} x faster",
            ">= 10 x",
            f"{elapsed:.1f} s ({summary['compile_seconds']:.1f} compile) and {theirs:.1f} s "
            f"(retrain {by_phase['retrain']:.0f}, ask {by_phase['ask']:.0f}), one run each; "
            f"PyTorch runs the paper's architecture, {_TORCH_SEEDS} seeds measured, scaled to 5",
        ),
        (
            "the same, the paper's architecture on both sides",
            f"{theirs / paper_elapsed:.1f} x faster",
            "",
            f"{paper_elapsed:.1f} s ({paper['compile_seconds']:.1f} compile), untrained start",
        ),
        (
            "best of the headline run, mean of 5 seeds",
            f"{summary['best']['mean']:.1f}",
            ">= 883",
            "",
        ),
    ]


def section_seeds() -> list[Row]:
    """Cost of a seed at 16 seeds against 2: retraining of 60 steps and one ask."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from wrlso import loop, prepare_base
    from wrlso.methods import weighted_retraining
    from wrlso.parallel import broadcast, plan_seeds, replicate, spread
    from wrlso.resolve import make_algorithm
    from wrlso.runs.compiled import CompiledLoop, Global, Lane
    from wrlso.runs.config import RunConfig
    from wrlso.storage.digest import describe
    from wrlso.tasks import shapes

    task = shapes()
    base = task.load_data()

    def prepare(seeds: int) -> Callable[[], float]:
        config = RunConfig(
            "shapes", budget=500, seeds=seeds, proposer="grid", **describe(weighted_retraining())
        )
        algorithm, plan = make_algorithm(task, config), plan_seeds(seeds)
        compiled = CompiledLoop(algorithm, task.objective, plan, lambda phase, seconds: None)
        start = loop.init(algorithm, task.vae.init(jax.random.key(0)), base)
        hyper = {
            "k": np.full(seeds, 1e-3, np.float32),
            "learning_rate": np.full(seeds, 1e-3, np.float32),
            "beta": np.full(seeds, 10, np.float32),
        }
        shared = Global(
            replicate(plan, prepare_base(base)), *replicate(plan, (jnp.int32(0), jnp.int32(0)))
        )
        steps = np.full(seeds, 60, np.int32)
        limit = np.full(seeds, 500, np.int32)
        lane = spread(plan, Lane(np.arange(seeds, dtype=np.int32), steps, limit, hyper))

        def once() -> float:
            state = broadcast(plan, start)
            jax.block_until_ready(state)
            begin = time.perf_counter()
            state, _ = compiled.retrain(state, lane, shared)
            compiled.ask((state, ()), lane, shared)
            return (time.perf_counter() - begin) / seeds

        return once

    two, sixteen = prepare(2), prepare(16)
    two(), sixteen()
    pairs = [(two(), sixteen()) for _ in range(7)]
    few, many = (statistics.median(p[i] for p in pairs) for i in (0, 1))
    return [
        (
            "cost a seed, 16 seeds against 2",
            f"{many / few:.2f} x",
            "<= 1.05 x",
            f"{1e3 * few:.0f} and {1e3 * many:.0f} ms for 60 steps and an ask; median of 7 "
            "alternating",
        )
    ]


def section_weights() -> list[Row]:
    """Rank weights of 250,000 scores against sorts of the same array."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from wrlso.weighting.ranks import rank_weights

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
    """Growth of peak memory for each added seed, against its parameters and buffers."""
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
            "peak memory grows for each added seed",
            f"{growth / 1024:.0f} KiB",
            f"<= {(params + buffer) / 1024:.0f} KiB",
            f"parameters {params / 1024:.0f} + buffers {buffer / 1024:.0f} KiB; base data "
            f"{data / 2**20:.1f} MiB; {few} against {many} seeds, median of 3",
        )
    ]


SECTIONS = {
    "step": section_step,
    "headline": section_headline,
    "seeds": section_seeds,
    "weights": section_weights,
    "memory": section_memory,
}


if __name__ == "__main__":
    main("benchmarks.speed", "Speed", __doc__, SECTIONS)
