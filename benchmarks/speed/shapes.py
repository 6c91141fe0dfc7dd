"""The shapes task against PyTorch: one training step, and the headline run."""

import dataclasses
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.speed.harness import Row, median_seconds

_TORCH_SEEDS = 3
"""Number of PyTorch's seeds, one after the other. Each takes over a minute, and three tell the cost
of one."""


def jax_step_seconds(architecture: str, lanes: int, devices: int, steps: int = 30) -> float:
    """Seconds per training step and seed, inside the loop, batch 32."""
    import jax
    import jax.numpy as jnp

    from wrlso import weightings
    from wrlso.data import empty_history
    from wrlso.loop.retraining import retrain_model
    from wrlso.parallel import broadcast, over_seeds, plan_seeds, replicate
    from wrlso.tasks import shapes

    task = shapes(architecture=architecture)
    base, vae = task.load_data(), task.vae
    plan = plan_seeds(lanes, devices)

    def one(lane: Any, shared: Any) -> Any:
        params, history = lane
        data, n = shared
        return retrain_model(
            jax.random.key(0),
            params,
            history,
            data,
            n,
            {"k": 1e-3},
            vae=vae,
            weighting=weightings.rank(),
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
    """Median seconds per training step of the same model in PyTorch."""
    import numpy as np
    import torch

    from benchmarks.speed.torch_shapes import TorchVAE, train_steps

    torch.manual_seed(0)
    images = (np.random.default_rng(0).random((500, 64, 64)) < 0.1).astype(np.uint8)
    rows = np.random.default_rng(0).integers(500, size=32 * 40)
    return statistics.median(train_steps(TorchVAE(), images, rows, 32)[5:])


def section_step() -> list[Row]:
    """One training step of the paper's architecture, batch 32.

    The minimum is 12.6 million multiply-adds per image forwards and three times as many with the
    gradients, hence 2.4 GFLOP per step.
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

    def row(figure: str, seconds: float, target: str = "", how: str = "") -> Row:
        return (figure, f"{seconds / torch_s:.2f} x", target, f"{1e3 * seconds:.1f} ms{how}")

    return [
        row(
            "training step, paper's architecture, one seed on both cores, against PyTorch",
            one,
            "<= 0.7 x",
            f"; {how}",
        ),
        row(
            "the same per seed, two seeds side by side on two virtual devices (as in runs)",
            two,
            "<= 0.7 x",
            f"; {how}",
        ),
        row("the default architecture, one seed on both cores, against the same PyTorch", own_one),
        row("the same per seed, two seeds side by side", own_two),
        (
            "arithmetic rate of our paper step, two seeds side by side",
            f"{2.4 / two:.0f} GFLOP/s",
            "",
            "minimum of 2.4 GFLOP per step",
        ),
    ]


def headline_run(architecture: str, pretrained: bool) -> tuple[float, dict[str, Any]]:
    """The headline run in this process: five seeds, compilation included, without pretraining."""
    import jax

    import wrlso

    task = wrlso.tasks.shapes(architecture=architecture)
    # The time does not depend on the parameters.
    params = wrlso.pretrained(task) if pretrained else task.vae.init(jax.random.key(0))
    task = dataclasses.replace(task, params=params)
    method = wrlso.methods.weighted_retraining(1e-3, 50)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        folder = Path(out) / "run"
        result = wrlso.run(task, method, out=folder, budget=500, seeds=5, progress=False)
        return time.perf_counter() - start, result.summary


def torch_headline() -> tuple[float, dict[str, float]]:
    """Seconds of the headline run in PyTorch, scaled to 5 seeds: in all, and by phase."""
    import numpy as np
    import torch

    from benchmarks.speed.torch_shapes import TorchVAE, run_seed, train_steps
    from wrlso.tasks.shape.data import load

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
    scale = 5 / _TORCH_SEEDS
    by_phase = {p: scale * sum(f[p] for f in phases) for p in ("retrain", "ask")}
    return scale * (time.perf_counter() - start), by_phase


def section_headline() -> list[Row]:
    """The headline run, 5 seeds, against PyTorch, one after the other in this process."""
    elapsed, summary = headline_run("coordinate", pretrained=True)
    paper_elapsed, paper = headline_run("paper", pretrained=False)
    theirs, by_phase = torch_headline()
    return [
        (
            "headline run, 5 seeds, compilation included: our default model against PyTorch's",
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
            "parameters of the package",
        ),
    ]
