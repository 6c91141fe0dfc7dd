"""The time of the loop's parts on molecules, and the gain of its shortcuts.

    python -m benchmarks.speed.molecule_loop [--only NAME ...]

The model is that of the package. The data are 10,000 samples of its prior. Writes
benchmarks/results/molecule_loop.md and .csv.
Ratios carry over, times do not.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from benchmarks.speed.harness import Row, alternating, main, median_seconds

STEPS = 32


def _problem(half_products: bool = False) -> tuple[Any, Any, Any, Any]:
    """Task, algorithm, base data, and a seed's state before its first retraining."""
    import wrlso

    task = wrlso.tasks.molecules(half_products=half_products)
    algorithm = wrlso.algorithm(task, wrlso.methods.weighted_retraining())
    base = wrlso.base_data(task)
    return task, algorithm, base, wrlso.loop.init(algorithm, task.params, base.dataset)


def _training(half_products: bool = False, by_length: bool = True) -> Callable[[], Any]:
    """A function that runs STEPS training steps on rank-weighted data."""
    import jax
    import jax.numpy as jnp

    from wrlso import loop

    task, algorithm, shared, state = _problem(half_products)
    if not by_length:
        algorithm = dataclasses.replace(algorithm, vae=dataclasses.replace(task.vae, lengths=None))
    steps = jax.jit(
        lambda state, shared: loop.retrain(
            algorithm, jax.random.key(0), state, shared, jnp.int32(STEPS)
        )
    )
    return lambda: jax.block_until_ready(steps(state, shared))


def section_lengths() -> list[Row]:
    """Minibatches of like length against minibatches as drawn."""
    plain, ordered = alternating(_training(by_length=False), _training())
    return [
        (
            "training step, minibatches of like length, against minibatches as drawn",
            f"{ordered / plain:.2f} x",
            "< 1 x",
            f"{1e3 * ordered / STEPS:.0f} against {1e3 * plain / STEPS:.0f} ms, 128 molecules",
        )
    ]


def section_half() -> list[Row]:
    """Products in bfloat16 against float32, both in minibatches of like length."""
    full, half = alternating(_training(), _training(half_products=True))
    return [
        (
            "training step, products in bfloat16, against float32",
            f"{half / full:.2f} x",
            "< 1 x if the processor has them",
            f"{1e3 * half / STEPS:.0f} against {1e3 * full / STEPS:.0f} ms",
        )
    ]


def section_compile() -> list[Row]:
    """Cost of a new program of training before its first step."""
    import jax

    jax.config.update("jax_enable_compilation_cache", False)
    train = _training()
    begun = time.perf_counter()
    train()
    taken = time.perf_counter() - begun
    how = f"and {STEPS} steps; all six lengths of minibatches"
    return [("compiling the training", f"{taken:.0f} s", "stated", how)]


def section_unrolled() -> list[Row]:
    """Encoding with the recurrent unit's loops unrolled, against loops."""
    import jax

    from wrlso.models import gru
    from wrlso.models.vae import encode_all

    task, _, shared, state = _problem()
    rows = shared.dataset.objects[:3000]

    def encoding(unrolled: int) -> Callable[[], Any]:
        encode = jax.jit(lambda params, rows: encode_all(task.vae, params, rows))
        usual, gru._UNROLLED = gru._UNROLLED, unrolled
        compiled = encode.lower(state.params, rows).compile()
        gru._UNROLLED = usual
        return lambda: jax.block_until_ready(compiled(state.params, rows))

    loops, unrolled = alternating(encoding(0), encoding(gru._UNROLLED))
    return [
        (
            "encoding, short loops unrolled, against loops",
            f"{unrolled / loops:.2f} x",
            "< 1 x",
            f"{len(rows) / unrolled:,.0f} against {len(rows) / loops:,.0f} molecules per second",
        )
    ]


def section_round() -> list[Row]:
    """The parts of a round without retraining: encode, fit, ask, tell."""
    return [*_ask_rows(), *_fit_rows(), *_tell_rows()]


def _fitted() -> tuple[Any, Any, Any, Any, Any, Callable[[Any], Any]]:
    """:func:`_problem`, a surrogate, and the compiled fit."""
    import jax

    from wrlso import loop

    task, algorithm, shared, state = _problem()
    fit = jax.jit(lambda state: loop.fit(algorithm, jax.random.key(1), state, shared))
    return task, algorithm, shared, state, fit(state)[1], fit


def _asking(algorithm: Any, shared: Any, state: Any, surrogate: Any) -> Callable[[], Any]:
    import jax

    from wrlso import loop

    key = jax.random.key(2)
    ask = jax.jit(lambda state, surrogate: loop.ask(algorithm, key, state, surrogate, shared))
    return lambda: jax.block_until_ready(ask(state, surrogate))


def _ask_rows() -> list[Row]:
    task, algorithm, shared, state, surrogate, _ = _fitted()
    proposer = dataclasses.replace(algorithm.proposer, decode_first=0)
    every = dataclasses.replace(algorithm, proposer=proposer)
    some, all_ = alternating(
        _asking(algorithm, shared, state, surrogate), _asking(every, shared, state, surrogate)
    )
    points = task.bo.candidates + task.bo.starts // 2
    return [
        (
            "an ask that decodes likely points first, against all points",
            f"{some / all_:.2f} x",
            "< 1 x",
            f"{1e3 * some:.0f} against {1e3 * all_:.0f} ms; the pool has {points} points",
        )
    ]


def _fit_rows() -> list[Row]:
    import jax

    from wrlso.models.vae import encode_all

    task, _, shared, state, _, fit = _fitted()
    rows = shared.dataset.objects[: task.bo.surrogate.best + task.bo.surrogate.random]
    encode = jax.jit(lambda rows: encode_all(task.vae, state.params, rows))
    encoded, fitted = alternating(
        lambda: jax.block_until_ready(encode(rows)), lambda: jax.block_until_ready(fit(state))
    )
    n = len(rows)
    return [
        (
            f"a fit of the surrogate to {n:,} molecules",
            f"{fitted:.1f} s",
            "stated",
            f"{encoded:.1f} s of them to encode ({n / encoded:,.0f} per second)",
        )
    ]


def _tell_rows() -> list[Row]:
    import jax
    import jax.numpy as jnp

    from wrlso import loop

    _, algorithm, shared, state, surrogate, _ = _fitted()
    found = _asking(algorithm, shared, state, surrogate)()
    evaluation = loop.Evaluation(jnp.ones(1), found.status, jnp.zeros(1, bool))
    tell = jax.jit(
        lambda state, surrogate: loop.tell(algorithm, state, surrogate, found, evaluation, 0)
    )
    seconds = median_seconds(lambda: jax.block_until_ready(tell(state, surrogate)), 5)
    n = len(found.duplicates.scores)
    how = f"one query and a maximum of {n} duplicates"
    return [("a tell", f"{1e3 * seconds:.0f} ms", "stated", how)]


SECTIONS = {
    "lengths": section_lengths,
    "half": section_half,
    "compile": section_compile,
    "unrolled": section_unrolled,
    "round": section_round,
}

if __name__ == "__main__":
    title = "The loop on molecules"
    main("benchmarks.speed.molecule_loop", "molecule_loop", title, __doc__, SECTIONS)
