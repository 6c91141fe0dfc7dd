"""Base data of the expressions task: from a file, or samples of the grammar."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from wrlso.data import Dataset
from wrlso.storage.text import read_lines, read_text
from wrlso.tasks.expression.evaluate import log_mse_scores
from wrlso.tasks.expression.grammar import MAX_STEPS, NOTHING, PRODUCTIONS, GrammarError, encode
from wrlso.tasks.expression.rules import RULES, S, T, begin, completions, push

_POOL = 20_000
"""Number of expressions that are sampled if no file is given."""


def sample_expressions(n: int, seed: int = 0) -> np.ndarray:
    """Draw distinct derivations ``[n, 15] uint8``, uniformly among those of at most 15 steps.

    The probability of a production is proportional to the number of ways to complete the derivation
    after it, so only repetitions are rejected.

    Args:
      n: number of derivations, at most a million (there are 2 * 10^8).
      seed: seed of NumPy's generator; the expressions are the same on every machine.
    """
    if not 1 <= n <= 1_000_000:
        raise ValueError(f"n must be between 1 and a million, got {n}")
    rng = np.random.default_rng(seed)
    distinct = np.empty((0, MAX_STEPS), np.uint8)
    while len(distinct) < n:
        drawn = np.concatenate([distinct, _sample(rng, n)])
        _, first = np.unique(drawn, axis=0, return_index=True)
        distinct = drawn[np.sort(first)]
    return distinct[:n]


def _sample(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw derivations ``[n, 15]`` uniformly and independently."""
    ways = completions()
    stack = np.asarray(begin(n))
    choices = jnp.broadcast_to(jnp.arange(len(PRODUCTIONS)), (n, len(PRODUCTIONS)))
    out = np.full((n, MAX_STEPS), NOTHING, np.uint8)
    for step in range(MAX_STEPS):
        repeated = np.broadcast_to(stack[:, None], (*choices.shape, stack.shape[1]))
        after = np.asarray(push(jnp.asarray(repeated), choices))
        weight = ways[MAX_STEPS - step - 1, (after == S).sum(-1), (after == T).sum(-1)]
        weight *= RULES.allowed[stack[:, 0]]
        share = np.cumsum(weight, axis=1)
        chosen = (rng.random((n, 1)) * share[:, -1:] >= share).sum(1)
        stack = after[np.arange(n), chosen]
        out[:, step] = chosen
    return out


def read_expressions(path: str | Path) -> np.ndarray:
    """Derivations ``[N, 15] uint8`` of a file with one expression per line, plain or compressed, in
    UTF-8, UTF-16 or Latin-1.

    Raises:
      ValueError: naming file, line and column, if a line is outside the grammar, or the file is
        empty or no text.
      OSError: if the file cannot be read.
    """
    lines = read_lines(read_text(path).text)
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise ValueError(f"{path} is empty: it must hold one expression per line")
    try:
        return encode(lines)
    except GrammarError as error:
        raise ValueError(f"{path}, {error}") from None


def worse_half(
    derivations: np.ndarray, target: np.ndarray, rows: int = 5000, seed: int = 0
) -> Dataset:
    """The paper's base data: a draw from the worse half, by score, of the distinct expressions.

    Args:
      derivations: ``[N, 15]``; repetitions are dropped.
      target: derivation of the target expression.
      rows: number of expressions to draw without replacement; a smaller half is taken as a whole.
      seed: seed of the draw.
    """
    _, first = np.unique(derivations, axis=0, return_index=True)
    distinct = derivations[np.sort(first)]
    scores = np.asarray(jax.jit(log_mse_scores)(distinct, target))
    worse = np.argsort(scores, kind="stable")[: max(1, len(scores) // 2)]
    chosen = np.random.default_rng(seed).permutation(worse)[:rows]
    return Dataset(jnp.asarray(distinct[chosen]), jnp.asarray(scores[chosen]))


def base_data(
    path: str | Path | None, target: np.ndarray, rows: int = 5000, seed: int = 0
) -> Dataset:
    """:func:`worse_half` of a file, or of 20,000 expressions sampled from the grammar."""
    pool = sample_expressions(_POOL) if path is None else read_expressions(path)
    return worse_half(pool, target, rows, seed)
