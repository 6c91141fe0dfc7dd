"""Encoding and decoding of molecules against the same model in PyTorch."""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.speed.harness import Row

_LENGTH, _BATCH = 80, 1000
TARGETS = {"encode": 2000, "decode": 500}
"""Molecules per second."""


def time_against_torch(model: Any, rows: np.ndarray) -> list[Row]:
    """Rows of the table for a model of molecules and ``rows [n, L]`` of its symbols.

    Both libraries work in batches and take turns.
    """
    import jax
    import torch

    from wrlso.models.vae import decode_all, encode_all

    objects = np.pad(rows, [(0, 0), (0, _LENGTH - rows.shape[1])])
    vae = model.vae(_LENGTH)
    latents = np.array(jax.random.normal(jax.random.key(0), (len(objects), vae.latent_dim)))
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    encode, decode = _torch_functions(model)
    ours = {"encode": encode_all, "decode": decode_all}
    mine = {name: jax.jit(partial(f, vae, model.params)) for name, f in ours.items()}
    return [
        _compare("encode", lambda: mine["encode"](objects), lambda: encode(objects)),
        _compare("decode", lambda: mine["decode"](latents), lambda: decode(latents)),
    ]


def _torch_functions(model: Any) -> tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]:
    """Encode and decode in batches with the model's parameters in PyTorch."""
    import torch

    from benchmarks.speed.torch_strings import TorchStrings

    peer = TorchStrings(model.params, model.fragments.sizes)

    def in_batches(function: Callable[[Any], Any]) -> Callable[[np.ndarray], np.ndarray]:
        def call(rows: np.ndarray) -> np.ndarray:
            starts = range(0, len(rows), _BATCH)
            return torch.cat([function(torch.tensor(rows[i : i + _BATCH])) for i in starts]).numpy()

        return call

    return in_batches(peer.encode), in_batches(lambda z: peer.decode(z, _LENGTH))


def _compare(name: str, ours: Callable[[], Any], theirs: Callable[[], Any]) -> Row:
    import torch

    a, b = np.asarray(ours()), theirs()
    if name == "encode":
        agree = f"outputs differ by a maximum of {np.abs(a - b).max():.0e}"
    else:
        agree = f"{(a == b).all(1).mean():.2%} of the molecules are equal"
    seconds = np.array([[_seconds(ours), _seconds(theirs)] for _ in range(7)])
    mine, its = np.median(seconds, axis=0)
    return (
        f"{name}, {len(a):,} molecules",
        f"{len(a) / mine:,.0f} per second, {its / mine:.1f} x PyTorch's",
        f">= {TARGETS[name]:,} per second, >= 1 x",
        f"PyTorch {len(a) / its:,.0f} per second, {torch.get_num_threads()} threads, batches of "
        f"{_BATCH:,}; median of 7 turns; {agree}",
    )


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    np.asarray(call())
    return time.perf_counter() - start
