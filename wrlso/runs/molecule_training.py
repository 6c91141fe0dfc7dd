"""Training of a model of molecules from a file of molecules; a stopped training can continue."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wrlso.chem.corpus import Corpus, encode_corpus
from wrlso.chem.fragments import SYMBOLS, Fragments, learn_fragments
from wrlso.chem.load import load_molecules, report
from wrlso.models.sequence_vae import cut_lengths, make_vae, standardize_latents
from wrlso.models.vae import VAE
from wrlso.runs.sequence_training import (
    TrainingConfig,
    read_log,
    reconstructed,
    round_trip,
    split,
    train_strings,
)
from wrlso.storage.cache import cache_dir
from wrlso.tasks.molecule.model import MoleculeModel, save_model

SIZES = {"latent_dim": 56, "encoder_units": 256, "decoder_units": 512}
"""Sizes of the model that comes with the package."""

_STANDARDIZED = 5000
"""Maximum number of molecules that standardise the latent space after training."""

_logger = logging.getLogger(__name__)


def train_molecules(
    data: str | Path,
    out: str | Path,
    config: TrainingConfig,
    *,
    sizes: Mapping[str, Any] = SIZES,
    symbols: int = SYMBOLS,
    half_products: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Train a model of molecules and write it to a file, or continue a training that was stopped.

    Args:
      data: a file of molecules, see ``wrlso.chem.load.load_molecules``.
      out: the model's file. A folder beside it, ``<out>.training``, holds checkpoints and the log.
      config: see :class:`TrainingConfig`.
      sizes: sizes of the model, see :data:`SIZES`.
      symbols: maximum number of the model's symbols, up to 256: the tokens of the alphabet and
        frequent sequences of them.
      half_products: multiply in bfloat16 while training, which is faster on processors with such
        products.
      workers: number of processes that read molecules; None: one per core.
      progress: show bars.

    Returns:
      The model's card.

    Raises:
      ValueError: if the file has too few molecules, or the folder holds another training.
      FloatingPointError: if training diverges.
    """
    out = Path(out)
    if out.is_dir():
        raise ValueError(f"out = {out} is a folder: give the path of the model's file")
    out.parent.mkdir(parents=True, exist_ok=True)
    corpus, rows, fragments = prepare(data, symbols, workers, progress)
    cuts = cut_lengths(rows.shape[1] + 1)
    compute = jnp.bfloat16 if half_products else None
    vae = make_vae(len(fragments), cuts[-1], **sizes, compute=compute, cut=False)
    folder = out.with_name(out.name + ".training")
    params = train_strings(vae, rows, cuts, folder, config, progress)
    parts = split(len(rows), config)
    params = _standardized(vae, params, rows[parts.train])
    # Runs use parameters in half precision and products in float32.
    params = jax.tree.map(lambda a: a.astype(jnp.float16).astype(jnp.float32), params)
    as_used = make_vae(len(fragments), cuts[-1], **sizes, cut=False)
    held_out = rows[parts.held_out]
    exact = reconstructed(jax.jit(partial(round_trip, as_used)), params, held_out)
    card = {
        "data": Path(data).name,
        "molecules": len(rows),
        "digest": hashlib.sha256("\n".join(corpus.smiles).encode()).hexdigest()[:16],
        "config": asdict(config),
        "seconds": read_log(folder / "log.csv")[-1]["seconds"],
        "held_out": len(held_out),
        "held_out_reconstructed": exact,
    }
    stored = {name: json.dumps(value) for name, value in card.items()}
    save_model(out, MoleculeModel(params, fragments, dict(sizes), stored))
    return card


def _standardized(vae: VAE, params: Any, rows: np.ndarray) -> Any:
    """Rescale the latent space: encodings then have mean 0 and variance 1, as the prior has."""
    chosen = rows[:: -(-len(rows) // _STANDARDIZED)]
    encode = jax.jit(vae.encode)
    parts = [encode(params, chosen[i : i + 500]) for i in range(0, len(chosen), 500)]
    mean, log_std = (np.concatenate(part) for part in zip(*parts, strict=True))
    shift, scale = mean.mean(0), np.sqrt(mean.var(0) + np.exp(2 * log_std).mean(0))
    return standardize_latents(params, jnp.asarray(shift), jnp.asarray(scale))


def prepare(
    data: str | Path, symbols: int, workers: int | None, progress: bool
) -> tuple[Corpus, np.ndarray, Fragments]:
    """The distinct molecules of a file, their rows of symbols, and the symbols."""
    cache = cache_dir() / "molecules"
    loaded = load_molecules(data, workers=workers, progress=progress, directory=cache)
    if loaded.rejected:
        _logger.warning("%s: %s", data, report(loaded.rejected))
    corpus = encode_corpus(loaded.smiles, cache, workers=workers, progress=progress)
    fragments = learn_fragments(corpus.tokens, corpus.alphabet, symbols)
    return corpus, fragments.merge(corpus.tokens), fragments
