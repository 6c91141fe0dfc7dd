"""How the prior of the model of molecules moves over the retrainings of one run.

    python -m benchmarks.molecules.prior --data FILE [--score-column NAME] [--budget 500] [--seed 0]

Weighted retraining and retraining without weights run side by side, with the settings of the task.
After each retraining the same 1,000 latents are decoded. Writes
benchmarks/results/molecule_prior.md and .csv.
"""

import argparse
import csv
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import wrlso
from benchmarks.molecules.chemistry import figures
from benchmarks.paper.options import RESULTS
from wrlso import loop, methods
from wrlso.chem.scores import penalized_logp
from wrlso.loop.candidates import Candidates, Evaluation
from wrlso.models.vae import decode_all
from wrlso.results.tables import markdown
from wrlso.status import Status

SAMPLES = 1000
METHODS = {
    "weighted retraining": methods.weighted_retraining(),
    "retrain only": methods.retrain_only(),
}
HEADER = ["method", "retraining", "median", "90%", "99%", "SA", "sane, no alerts", "best so far"]


def score(task: wrlso.Task, candidates: Candidates) -> tuple[Candidates, Evaluation]:
    """Evaluate candidates on the host, each in its canonical spelling."""
    host: Any = task.host_objective
    objects, status = np.array(candidates.objects), np.array(candidates.status)
    scores = np.full(len(status), -np.inf, np.float32)
    for i in np.flatnonzero(status == Status.OK):
        objects[i] = host.canonical(objects[i])
        scores[i] = penalized_logp(task.to_text(objects[i]))  # type: ignore[misc]
    evaluation = Evaluation(jnp.asarray(scores), jnp.asarray(status), jnp.zeros(len(status), bool))
    return candidates._replace(objects=jnp.asarray(objects)), evaluation


def rounds_of(
    task: wrlso.Task, base: Any, method: wrlso.Method, options: argparse.Namespace
) -> Iterator[list[str]]:
    """A row per retraining of one run, the pretrained model before them."""
    algorithm = wrlso.algorithm(task, method, budget=options.budget, batch=options.batch)
    latents = jax.random.normal(jax.random.key(0), (SAMPLES, task.vae.latent_dim))
    decode = jax.jit(lambda params: decode_all(task.vae, params, latents))
    retrain, fit, ask, tell = (
        jax.jit(lambda *args, step=step: step(algorithm, *args))
        for step in (loop.retrain, loop.fit, loop.ask, loop.tell)
    )
    state, best = loop.init(algorithm, task.params, base.dataset), -np.inf

    def row(number: int) -> list[str]:
        found = figures([task.to_text(x) for x in np.asarray(decode(state.params))])  # type: ignore[misc]
        numbers = (*np.quantile(found.plogp, [0.5, 0.9, 0.99]), found.sa.mean())
        shown = [f"{n:.2f}" for n in numbers]
        shown += [f"{found.passes.mean():.0%}", f"{best:.2f}" if np.isfinite(best) else "–"]
        return [method.name.replace("_", " "), str(number), *shown]

    yield row(0)
    for number in range(algorithm.rounds):
        key = lambda of: loop.query_key(options.seed, number, of)  # noqa: B023, E731
        steps = algorithm.steps(number, len(base.dataset.scores) + int(state.history.used))
        state, _ = retrain(key(loop.RETRAIN), state, base, jnp.int32(steps))
        yield row(number + 1)
        state, surrogate = fit(key(loop.FIT), state, base)
        limit = min(int(state.history.used) + algorithm.retrain_every, options.budget)
        for asked in range(4 * algorithm.asks):
            if int(state.history.used) >= limit:
                break
            candidates = ask(key(asked), state, surrogate, base, jnp.int32(limit))
            evaluated = score(task, candidates)
            state, surrogate = tell(state, surrogate, *evaluated, jnp.int32(number))
        scores = np.asarray(state.history.scores)
        best = float(scores[np.isfinite(scores)].max())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="a file of molecules, such as ZINC250k")
    parser.add_argument("--score-column", help="its column of penalised logP (default: computed)")
    parser.add_argument("--budget", type=int, default=500)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    task = wrlso.tasks.molecules(data=options.data, score_column=options.score_column)
    base = wrlso.base_data(task)
    rows = []
    for method in METHODS.values():
        for row in rounds_of(task, base, method, options):
            print(*row, flush=True)
            rows.append(row)
    with (RESULTS / "molecule_prior.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    text = (
        "# The prior of the model of molecules over one run\n\n`python -m "
        f"benchmarks.molecules.prior --data FILE --budget {options.budget} "
        f"--seed {options.seed}`: penalised logP of "
        f"{SAMPLES:,} samples of the prior, of the same latents, after each retraining; at most "
        f"38 heavy atoms, base data ZINC250k, {options.budget} charged queries in batches of "
        f"{options.batch}.\n\n{markdown(HEADER, rows)}\n"
    )
    (RESULTS / "molecule_prior.md").write_text(text)


if __name__ == "__main__":
    main()
