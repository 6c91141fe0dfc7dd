"""Where the loop's time goes on molecules, and what its shortcuts are worth.

    python -m benchmarks.molecule_loop [--only NAME ...]

On the model that comes with the package and 10,000 samples of its prior, a few of them long, at the
size limit of the paper's best molecule. Writes benchmarks/results/molecule_loop.md and .csv. Ratios
carry over, times do not.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.harness import Row, main

TOKENS, ATOMS = 297, 173
STEPS = 32


def _problem(half_products: bool = False) -> tuple[Any, Any, Any, Any]:
    """Task, algorithm, shared data, and a seed's state before its first retraining."""
    from wrlso import loop, prepare_base
    from wrlso.methods import weighted_retraining
    from wrlso.resolve import make_algorithm
    from wrlso.runs.config import RunConfig
    from wrlso.storage.digest import describe
    from wrlso.tasks import molecules

    task = molecules(max_tokens=TOKENS, max_heavy_atoms=ATOMS, half_products=half_products)
    config = RunConfig(
        "molecules", budget=500, seeds=1, proposer="bo", **describe(weighted_retraining())
    )
    algorithm = make_algorithm(task, config)
    base = task.load_data()
    return task, algorithm, prepare_base(base), loop.init(algorithm, task.params, base)


def _training(half_products: bool = False, by_length: bool = True) -> Callable[[], Any]:
    """A function that makes STEPS training steps on rank-weighted data."""
    import jax
    import jax.numpy as jnp

    from wrlso import loop

    task, algorithm, shared, state = _problem(half_products)
    if not by_length:
        algorithm = dataclasses.replace(algorithm, vae=dataclasses.replace(task.vae, lengths=None))
    steps = jax.jit(
        lambda state, shared: loop.retrain(
            algorithm, jax.random.key(0), state, shared, jnp.int32(STEPS), {"k": 1e-3}
        )
    )
    return lambda: jax.block_until_ready(steps(state, shared))


def _alternating(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[float, float]:
    """Median seconds of two calls, five of each, in turn."""
    taken: tuple[list[float], list[float]] = ([], [])
    for call in (first, second):
        call()
    for _ in range(5):
        for call, seconds in zip((first, second), taken, strict=True):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    return statistics.median(taken[0]), statistics.median(taken[1])


def section_lengths() -> list[Row]:
    """Minibatches of like length against minibatches as drawn."""
    plain, ordered = _alternating(_training(by_length=False), _training())
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
    full, half = _alternating(_training(), _training(half_products=True))
    return [
        (
            "training step, products in bfloat16, against float32",
            f"{half / full:.2f} x",
            "< 1 x where the processor can",
            f"{1e3 * half / STEPS:.0f} against {1e3 * full / STEPS:.0f} ms",
        )
    ]


def section_compile() -> list[Row]:
    """What a new program of training costs before its first step."""
    import jax

    jax.config.update("jax_enable_compilation_cache", False)
    train = _training()
    begun = time.perf_counter()
    train()
    taken = time.perf_counter() - begun
    how = f"and {STEPS} steps; of all six lengths at which minibatches may be cut"
    return [("compiling the training", f"{taken:.0f} s", "stated", how)]


def section_unrolled() -> list[Row]:
    """Encoding with loops of the recurrent unit unrolled, against loops."""
    import jax

    from wrlso.models import gru as recurrent
    from wrlso.models.vae import encode_all

    task, _, shared, state = _problem()
    rows = shared.dataset.objects[:3000]

    def encoding(unrolled: int) -> Callable[[], Any]:
        encode = jax.jit(lambda params, rows: encode_all(task.vae, params, rows))
        usual, recurrent._UNROLLED = recurrent._UNROLLED, unrolled
        compiled = encode.lower(state.params, rows).compile()
        recurrent._UNROLLED = usual
        return lambda: jax.block_until_ready(compiled(state.params, rows))

    loops, unrolled = _alternating(encoding(0), encoding(recurrent._UNROLLED))
    return [
        (
            "encoding, short loops unrolled, against loops",
            f"{unrolled / loops:.2f} x",
            "< 1 x",
            f"{len(rows) / unrolled:,.0f} against {len(rows) / loops:,.0f} molecules a second",
        )
    ]


def section_round() -> list[Row]:
    """The parts of a round without retraining: encode, fit, ask, tell."""
    import jax
    import jax.numpy as jnp

    from wrlso import loop
    from wrlso.models.vae import encode_all

    task, algorithm, shared, state = _problem()
    config = task.bo.surrogate
    rows = shared.dataset.objects[: config.best + config.random]
    encode = jax.jit(lambda rows: encode_all(task.vae, state.params, rows))
    fit = jax.jit(lambda state: loop.fit(algorithm, jax.random.key(1), state, shared))
    _, surrogate = fit(state)

    def asking(algorithm: loop.Algorithm) -> Callable[[], Any]:
        ask = jax.jit(
            lambda state, surrogate: loop.ask(
                algorithm, jax.random.key(2), state, surrogate, shared
            )
        )
        return lambda: jax.block_until_ready(ask(state, surrogate))

    every = dataclasses.replace(
        algorithm, proposer=dataclasses.replace(algorithm.proposer, decode_first=0)
    )
    some, all_ = _alternating(asking(algorithm), asking(every))
    encoded, fitted = _alternating(
        lambda: jax.block_until_ready(encode(rows)), lambda: jax.block_until_ready(fit(state))
    )
    found = asking(algorithm)()
    tell = jax.jit(
        lambda state, surrogate: loop.tell(
            algorithm, state, surrogate, found, jnp.ones(1), found.status, 0
        )
    )
    told, _ = _alternating(lambda: jax.block_until_ready(tell(state, surrogate)), lambda: None)
    n = len(rows)
    return [
        (
            "an ask that decodes likely points first, against all points",
            f"{some / all_:.2f} x",
            "< 1 x",
            f"{1e3 * some:.0f} against {1e3 * all_:.0f} ms; the pool has "
            f"{task.bo.candidates + task.bo.starts // 2} points",
        ),
        (
            f"a fit of the surrogate to {n:,} molecules",
            f"{fitted:.1f} s",
            "stated",
            f"of these {encoded:.1f} s to encode them ({n / encoded:,.0f} a second)",
        ),
        ("a tell", f"{1e3 * told:.0f} ms", "stated", "one query and two lessons"),
    ]


if __name__ == "__main__":
    main(
        "benchmarks.molecule_loop",
        "The loop on molecules",
        __doc__ or "",
        {
            "lengths": section_lengths,
            "half": section_half,
            "compile": section_compile,
            "unrolled": section_unrolled,
            "round": section_round,
        },
    )
