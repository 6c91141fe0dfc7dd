"""A trained model of molecules in one file: parameters, vocabulary, sizes, its training."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError

from wrlso.chem.ringtree.tables import make_tables
from wrlso.chem.ringtree.vocabulary import Vocabulary
from wrlso.models.dense import Compute
from wrlso.models.vae import VAE
from wrlso.storage.tensors import load_metadata, load_tree, save_tree
from wrlso.tasks.molecule.machine import Machine, make_machine
from wrlso.tasks.molecule.vae import Sizes, make_vae

_FORMAT = "ringtree-1"


@dataclass(frozen=True, eq=False)
class StoredModel:
    """Parameters and what they mean.

    Attributes:
      params: of the VAE.
      vocabulary: its symbols.
      sizes: of the VAE.
      length: L of its decodes.
      card: whatever else is to be kept with it, as text.
    """

    params: Any
    vocabulary: Vocabulary
    sizes: Sizes
    length: int
    card: Mapping[str, str]

    @cached_property
    def machine(self) -> Machine:
        """The grammar of the vocabulary."""
        return make_machine(make_tables(self.vocabulary), self.length)

    def vae(self, length: int | None = None, compute: Compute = None) -> VAE:
        """The VAE, for strings of at most ``length`` symbols where fewer are wanted."""
        return make_vae(self.machine, min(length or self.length, self.length), self.sizes, compute)


def save_model(path: Path, model: StoredModel) -> None:
    """Write a model, its parameters in half precision: three digits, half the size."""
    params = jax.tree.map(lambda a: np.asarray(a, np.float16), model.params)
    stored = {
        "format": _FORMAT,
        "vocabulary": json.dumps(model.vocabulary.to_json(), separators=(",", ":")),
        "sizes": json.dumps(model.sizes.to_json()),
        "length": str(model.length),
        "card": json.dumps(dict(model.card)),
    }
    save_tree(path, params, stored)


def load_model(path: Path | str) -> StoredModel:
    """Read a model.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is not of :func:`save_model`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no model of molecules at {path}")
    try:
        stored = load_metadata(path)
    except SafetensorError:
        stored = {}
    if stored.get("format") != _FORMAT:
        raise ValueError(
            f"{path} is no model of molecules of this version: train one with 'wrlso train "
            "molecules', or leave the model out for the one that comes with wrlso"
        )
    vocabulary = Vocabulary.from_json(json.loads(stored["vocabulary"]))
    sizes, length = Sizes(**json.loads(stored["sizes"])), int(stored["length"])
    empty = StoredModel(None, vocabulary, sizes, length, json.loads(stored["card"]))
    like = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, jnp.float16),
        jax.eval_shape(empty.vae().init, jax.random.key(0)),
    )
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), load_tree(path, like))
    return StoredModel(params, vocabulary, sizes, length, empty.card)
