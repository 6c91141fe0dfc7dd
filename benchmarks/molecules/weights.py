"""Whether weights move the prior of the model of molecules: its samples before and after training.

    python -m benchmarks.molecules.weights --data FILE [--score-column NAME] [--steps 75 ...]

The shipped model is retrained once by ``wrlso.loop.retrain``, weighted by the rank of penalised
logP and, as a control, uniformly. The same 1,000 latents are decoded with each. Writes
benchmarks/results/molecule_weights.md.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import wrlso
from benchmarks.molecules.chemistry import figures
from benchmarks.paper.options import RESULTS
from wrlso import loop, methods
from wrlso.models.vae import decode_all
from wrlso.results.tables import markdown

SAMPLES = 1000
HEADER = ["training", "median", "90%", "99%", "largest", "SA", "sane, no alerts", "effective rows"]


def measure(data: str, score_column: str | None, steps: list[int], k: float) -> list[list[str]]:
    """Rows of the table."""
    task = wrlso.tasks.molecules(data=data, score_column=score_column)
    base = wrlso.base_data(task)
    latents = jax.random.normal(jax.random.key(0), (SAMPLES, task.vae.latent_dim))
    decode = jax.jit(lambda params: decode_all(task.vae, params, latents))

    def row(name: str, params: Any, effective: str = "") -> list[str]:
        smiles = [task.to_text(one) for one in np.asarray(decode(params))]
        found = figures(smiles, map)
        numbers = np.quantile(found.plogp, [0.5, 0.9, 0.99, 1.0])
        shown = [f"{number:.2f}" for number in (*numbers, found.sa.mean())]
        return [name, *shown, f"{found.passes.mean():.0%}", effective]

    rows = [row("none", task.params)]
    algorithm = wrlso.algorithm(task, methods.weighted_retraining(k))
    state = loop.init(algorithm, task.params, base.dataset)
    retrain = jax.jit(
        lambda state, shared, number, k: loop.retrain(
            algorithm, jax.random.key(1), state, shared, number, {"k": k}
        )
    )
    for number in steps:
        for name, value in ((f"k = {k:g}", k), ("uniform", np.inf)):
            began = time.perf_counter()
            found = retrain(state, base, jnp.int32(number), jnp.float32(value))
            after, info = jax.block_until_ready(found)
            print(f"{name}, {number} steps: {time.perf_counter() - began:.0f} s", flush=True)
            effective = f"{float(info.effective_rows):,.0f}"
            rows.append(row(f"{name}, {number} steps", after.params, effective))
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="a file of molecules, such as ZINC250k")
    parser.add_argument("--score-column", help="its column of penalised logP (default: computed)")
    parser.add_argument("--steps", type=int, nargs="+", default=[75])
    parser.add_argument("--k", type=float, default=1e-3)
    options = parser.parse_args()
    table = markdown(HEADER, measure(options.data, options.score_column, options.steps, options.k))
    text = (
        "# Weights and the prior of the model of molecules\n\n"
        f"`python -m benchmarks.molecules.weights --data FILE` ({Path(options.data).name}): "
        f"penalised logP of {SAMPLES:,} samples of the prior, of the same latents, before and "
        f"after one retraining of the shipped model.\n\n{table}\n"
    )
    (RESULTS / "molecule_weights.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
