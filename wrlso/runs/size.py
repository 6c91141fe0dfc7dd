"""The size of a run, checked before anything is made: memory, and numbers of training steps."""

import math
import os
from typing import Any

import jax
import jax.numpy as jnp

from wrlso.data import empty_history
from wrlso.loop.algorithm import Algorithm
from wrlso.models.sampling import prng_key
from wrlso.models.vae import object_like
from wrlso.runs.config import RunConfig

_COPIES = 2
"""A round holds the state before and after it."""

_MOST_STEPS = 2**31 - 1


def check_size(config: RunConfig, resolved: Algorithm) -> None:
    """Refuse a run whose state cannot be held.

    Raises:
      ValueError: naming budget and seeds, the memory that they take, and what there is.
    """
    like = object_like(resolved.vae)
    row = jax.eval_shape(
        lambda: empty_history(1, jnp.zeros(like.shape, like.dtype), resolved.vae.latent_dim)
    )
    params = jax.eval_shape(resolved.vae.init, prng_key(0))
    needed = _COPIES * config.seeds * (_bytes(params) + resolved.budget * _bytes(row))
    available = _memory()
    if needed > available:
        raise ValueError(
            f"budget = {config.budget} for {config.seeds} seeds needs {_words(needed)} of memory, "
            f"and this machine has {_words(available)}: lower budget or seeds"
        )


def check_steps(resolved: Algorithm, rows: int) -> None:
    """Refuse a retraining of more steps than a counter holds.

    Args:
      resolved: the algorithm.
      rows: number of objects of the starting data.

    Raises:
      ValueError: naming epochs and the number of steps.
    """
    config = resolved.retraining
    passes = max(config.first_epochs, config.epochs)
    steps = passes * (rows + resolved.budget) / config.batch_size
    if steps > _MOST_STEPS:
        raise ValueError(
            f"epochs = {passes:g} on {rows} objects takes {steps:.2g} training steps per "
            f"retraining, and at most {_MOST_STEPS:.2g} can be counted: lower it"
        )


def _bytes(tree: Any) -> int:
    return sum(math.prod(a.shape) * a.dtype.itemsize for a in jax.tree.leaves(tree))


def _memory() -> float:
    """Bytes of memory of the device; of the machine for a CPU; infinite if it is not known."""
    stats = jax.devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if stats and "bytes_limit" in stats:
        return float(stats["bytes_limit"]) * jax.device_count()
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # such as on Windows
        return math.inf


def _words(size: float) -> str:
    unit = min(int(math.log10(max(size, 1)) / 3), 6)
    return f"{size / 1000**unit:.3g} {('B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB')[unit]}"
