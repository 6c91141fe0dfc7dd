"""Operations and memory of a run's programs for many seeds, as XLA counts them.

    python -m benchmarks.speed.programs --data FILE [--seeds 16] [--mode vmap]

FILE is a CSV file of molecules with a column ``osimertinib``, such as ZINC250k with its scores. The
programs of a run of molecules, weighted retraining and proposer ``bo``, are compiled for all seeds
at once, as on an accelerator. Nothing is computed: each program returns zeros. XLA counts the body
of a loop once. Writes benchmarks/results/programs.md and .csv.
"""

import argparse
import contextlib
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import wrlso
from benchmarks.speed.harness import Row, write
from wrlso.runs.compiled import CompiledOnce

NAMES = ("retrain", "fit", "ask", "tell")


class Compiled(Exception):
    """All programs have been compiled."""


def counted(data: str, seeds: int, mode: str) -> list[Row]:
    """The figures of each program."""
    rows: list[Row] = []

    def count(self: CompiledOnce, *args: Any) -> Any:
        program = self._jitted.lower(*args).compile()
        memory, costs = program.memory_analysis(), program.cost_analysis() or {}
        if self.name in NAMES:
            for figure, value in (
                ("operations", f"{costs.get('flops', 0.0) / 1e9:,.0f} G"),
                ("temporary memory", f"{memory.temp_size_in_bytes / 2**20:,.0f} MiB"),
                ("arguments", f"{memory.argument_size_in_bytes / 2**20:,.0f} MiB"),
            ):
                rows.append((f"{self.name}, {figure}", value, "stated", f"{seeds} seeds, {mode}"))
                print(rows[-1], flush=True)
        if self.name == NAMES[-1]:
            raise Compiled
        like = jax.eval_shape(self._jitted, *args)
        return jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), like)

    CompiledOnce.__call__ = count  # type: ignore[method-assign]
    task = wrlso.tasks.molecules(
        "osimertinib", data=data, score_column="osimertinib", half_products=True, workers=1
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Compiled):
        wrlso.run(
            task, wrlso.methods.weighted_retraining(), out=Path(folder) / "run", budget=500,
            seeds=seeds, batch=10, devices=1, seed_mode=mode, progress=False,
        )  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--mode", choices=("map", "vmap"), default="vmap")
    options = parser.parse_args()
    rows = counted(options.data, options.seeds, options.mode)
    write("programs", "benchmarks.speed.programs --data FILE", "Programs of many seeds", rows)


if __name__ == "__main__":
    main()
