"""Memory of a further seed, by the steps of a run: what takes it, and how much is arrays.

    python -m benchmarks.speed.memory

Shapes, default architecture, proposer grid, two rounds of 50 queries, with 16 and with 64 seeds in
processes of their own, whose programs are compiled already. After each step of the second round the
process states its resident memory; the difference of the two, by 48, is what a further seed costs
there. Writes benchmarks/results/memory.md and .csv.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.speed.harness import Row, write

FEW, MANY = 16, 64


def resident() -> float:
    """KiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024


def measured(seeds: int) -> dict[str, float]:
    """KiB after each step of the last round, KiB of live arrays, and the peak."""
    import dataclasses

    import jax

    import wrlso
    from wrlso.runs.session import Session

    found: dict[str, float] = {}

    def stated(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            out = step(*args, **kwargs)
            found[name] = resident()
            found["live arrays"] = sum(array.nbytes for array in jax.live_arrays()) / 1024
            return out

        return call

    steps = {"retrain": "retraining", "_search_in_jax": "search and log", "end_round": "checkpoint"}
    for name, words in steps.items():
        setattr(Session, name, stated(words, getattr(Session, name)))
    task = wrlso.tasks.shapes()
    quick = dataclasses.replace(task.retrain, first_epochs=0.02, epochs=0.02)
    task = dataclasses.replace(task, params=task.vae.init(jax.random.key(0)), retrain=quick)
    method = wrlso.methods.weighted_retraining(1e-3, 50)
    with tempfile.TemporaryDirectory() as folder:
        wrlso.run(
            task, method, out=Path(folder) / "run", budget=100, seeds=seeds, proposer="grid",
            progress=False,
        )  # fmt: skip
    found["summary, after the run"] = resident()
    found["peak of the process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found


def parts() -> dict[str, float]:
    """KiB of a seed's parameters, and of its history."""
    import jax

    from wrlso.data import empty_history
    from wrlso.tasks import shapes

    task = shapes()
    trees = {
        "parameters": jax.eval_shape(task.vae.init, jax.random.key(0)),
        "buffers": jax.eval_shape(lambda: empty_history(100, task.load_data().objects[0], 2)),
    }
    return {
        name: sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(tree)) / 1024
        for name, tree in trees.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, help=argparse.SUPPRESS)
    seeds = parser.parse_args().seeds
    if seeds:
        print(json.dumps(measured(seeds)))
        return
    runs = []
    for n in (FEW, MANY, FEW, MANY):  # the first two compile, which takes more memory than all else
        command = [sys.executable, "-m", "benchmarks.speed.memory", "--seeds", str(n)]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        runs.append(json.loads(out.stdout.splitlines()[-1]))
    few, many = runs[2:]
    own = parts()
    total = sum(own.values())
    how = ", ".join(f"{name} {size:.0f} KiB" for name, size in own.items())
    rows: list[Row] = []
    for name in many:
        growth = (many[name] - few[name]) / (MANY - FEW)
        target = f"<= {2 * total:.0f} KiB" if name.startswith("peak") else ""
        rows.append((name, f"{growth:.0f} KiB a seed, {growth / total:.1f} x", target, how))
        print(" | ".join(rows[-1]), flush=True)
    write("memory", "benchmarks.speed.memory", "Memory of a further seed", rows)


if __name__ == "__main__":
    main()
