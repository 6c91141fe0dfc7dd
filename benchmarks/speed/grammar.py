"""Expressions: round trips, the evaluator against NumPy, and the decodes of the grammar VAEs.

    EXPRESSIONS=FILE python -m benchmarks.speed.grammar [--only parse evaluate models]

FILE holds the paper's 100,000 expressions, plain or gzipped. Without it, as many are sampled from
the grammar. Models are pretrained unless they are cached. Writes benchmarks/results/grammar.md and
grammar.csv. Ratios carry over to another machine, times do not.
"""

import os
import time
import warnings

import numpy as np

from benchmarks.speed.harness import Row, main, median_seconds

FILE = os.environ.get("EXPRESSIONS")
TARGET = "1 / 3 + x + sin(x * x)"
_KIND = "the paper's" if FILE else "sampled"


def _texts_and_derivations() -> tuple[list[str], np.ndarray]:
    from wrlso.tasks.expression.data import read_expressions, sample_expressions
    from wrlso.tasks.expression.grammar import decode

    found = read_expressions(FILE) if FILE else sample_expressions(100_000)
    return [decode(derivation) for derivation in found], found


def section_parse() -> list[Row]:
    """Strings to derivations and back to strings."""
    from wrlso.tasks.expression.grammar import decode, encode

    texts, _ = _texts_and_derivations()
    start = time.perf_counter()
    back = [decode(derivation) for derivation in encode(texts)]
    seconds = time.perf_counter() - start
    same = sum(a == b for a, b in zip(texts, back, strict=True))
    return [
        (
            f"{len(texts):,} expressions ({_KIND}) parsed and written again",
            f"{same / len(texts):.2%} equal",
            "100%, in a few seconds",
            f"{seconds:.1f} s",
        )
    ]


def section_evaluate() -> list[Row]:
    """All expressions at 1,000 points, and their scores."""
    import jax

    from wrlso.tasks.expression.evaluate import POINTS, log_mse_scores, parse_target

    texts, derivations = _texts_and_derivations()
    names = {"x": POINTS, "sin": np.sin, "exp": np.exp}
    aim = eval(TARGET, names)

    def by_numpy() -> np.ndarray:
        found = np.empty(len(texts))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for i, text in enumerate(texts):
                mse = np.mean((eval(text, names) + 0 * POINTS - aim) ** 2)
                found[i] = max(-7.0, -np.log1p(mse)) if np.isfinite(mse) else -7.0
        return found

    score = jax.jit(log_mse_scores).lower(derivations, parse_target(TARGET)).compile()
    ours = lambda: score(derivations, parse_target(TARGET)).block_until_ready()  # noqa: E731
    start = time.perf_counter()
    expected = by_numpy()
    theirs = time.perf_counter() - start
    mine = median_seconds(ours, 3)
    found = np.asarray(ours(), np.float64)
    error = np.abs(found - expected) / np.maximum(np.abs(expected), 1e-3)
    order = np.argsort(expected, kind="stable")
    apart = np.diff(expected[order]) > 1e-6
    swapped = (np.diff(found[order])[apart] <= 0).sum()
    rate = len(texts) / mine
    return [
        (
            f"scores of {len(texts):,} expressions ({_KIND}) against NumPy's eval of the strings",
            f"{error.max():.1e}",
            "<= 1e-04",
            f"largest relative error, in float32; {swapped} of {apart.sum():,} neighbours in rank "
            "that differ by more than 1e-6 change places",
        ),
        (
            "the same, speed",
            f"{theirs / mine:.1f} x NumPy's",
            "stated",
            f"{mine:.1f} against {theirs:.1f} s; {rate:,.0f} expressions per second at 1,000 "
            "points in double precision on one core",
        ),
    ]


def section_models() -> list[Row]:
    """Both grammar VAEs: decodes of prior samples, reconstruction of held-out expressions."""
    import jax
    import jax.numpy as jnp

    from wrlso.data import Dataset
    from wrlso.models.vae import decode_all, encode_all
    from wrlso.runs.pretrained import pretrained_params
    from wrlso.tasks import expressions
    from wrlso.tasks.expression.data import worse_half
    from wrlso.tasks.expression.evaluate import parse_target
    from wrlso.tasks.expression.rules import is_complete

    _, derivations = _texts_and_derivations()
    pool = worse_half(derivations, parse_target(TARGET), rows=7000)
    base = Dataset(pool.objects[:5000], pool.scores[:5000])
    held_out = pool.objects[5000:]
    rows: list[Row] = []
    for architecture in ("feedback", "paper"):
        task = expressions(architecture=architecture, pretrain=True)  # type: ignore[arg-type]
        params = pretrained_params(task, base)
        z = jax.random.normal(jax.random.key(1), (10_000, task.vae.latent_dim))
        drawn = jax.jit(lambda p, z, v=task.vae: decode_all(v, p, z))(params, z)
        valid = np.asarray(jax.jit(is_complete)(drawn))
        different = len(np.unique(np.asarray(drawn)[valid], axis=0))
        again = jax.jit(lambda p, x, v=task.vae: decode_all(v, p, encode_all(v, p, x)))
        exact = float(jnp.mean((again(params, held_out) == held_out).all(1)))
        rows.append(
            (
                f"{architecture} model: valid decodes of 10,000 samples of the prior",
                f"{valid.mean():.1%}",
                "100% by construction" if architecture == "feedback" else "stated",
                f"{different:,} of them distinct; argmax at each step",
            )
        )
        rows.append(
            (
                f"{architecture} model: held-out expressions reconstructed exactly",
                f"{exact:.1%}",
                "stated",
                f"{len(held_out):,} of the worse half; trained on 5,000 others, 50 epochs, batches "
                "of 100, beta 0.1",
            )
        )
    return rows


SECTIONS = {"parse": section_parse, "evaluate": section_evaluate, "models": section_models}

if __name__ == "__main__":
    title = "Expressions: grammar, evaluator, models"
    main("benchmarks.speed.grammar", "grammar", title, __doc__, SECTIONS)
