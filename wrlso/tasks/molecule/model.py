"""A trained model of molecules in one file: parameters, symbols, sizes, card."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError

from wrlso.chem.fragments import Fragments
from wrlso.models.sampling import prng_key
from wrlso.models.sequence_vae import make_vae
from wrlso.models.vae import VAE
from wrlso.storage.tensors import load_metadata, load_tree, save_tree

_FORMAT = "1"


@dataclass(frozen=True, eq=False)
class MoleculeModel:
    """A trained model of molecules.

    Attributes:
      params: parameters of the VAE.
      fragments: its symbols.
      sizes: ``latent_dim``, ``encoder_units``, ``decoder_units``.
      card: facts about the training, as text by name.
    """

    params: Any
    fragments: Fragments
    sizes: Mapping[str, Any]
    card: Mapping[str, str]

    def vae(self, max_tokens: int, half_products: bool = False) -> VAE:
        """The VAE for molecules of at most ``max_tokens`` SELFIES tokens.

        With ``half_products``, its encoder and its likelihood multiply in bfloat16; its decoder
        always multiplies in float32.
        """
        return make_vae(
            len(self.fragments),
            max_tokens,
            sizes=self.fragments.sizes,
            compute=jnp.bfloat16 if half_products else None,
            **dict(self.sizes),
        )


def save_model(path: Path, model: MoleculeModel) -> None:
    """Write a model; half precision keeps three digits of its parameters and halves the file."""
    params = jax.tree.map(lambda a: np.asarray(a, np.float16), model.params)
    stored = {
        "format": _FORMAT,
        "fragments": json.dumps(model.fragments.to_json()),
        "sizes": json.dumps(dict(model.sizes)),
        "card": json.dumps(dict(model.card)),
    }
    save_tree(path, params, stored)


def load_model(path: Path | str) -> MoleculeModel:
    """Read a model.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if the file is not of :func:`save_model`, or its tokens have another meaning in
        this version.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no model of molecules at {path}")
    try:
        stored = load_metadata(path)
    except SafetensorError:
        stored = {}
    if stored.get("format") != _FORMAT or "fragments" not in stored:
        raise ValueError(
            f"{path} is not a model of molecules of this version: train one with 'wrlso train "
            "molecules', or omit the model to use the one that comes with wrlso"
        )
    sizes = json.loads(stored["sizes"])
    fragments = Fragments.from_json(json.loads(stored["fragments"]))
    vae = make_vae(len(fragments), 1, sizes=None, **sizes)
    like = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, jnp.float16),
        jax.eval_shape(vae.init, prng_key(0)),
    )
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), load_tree(path, like))
    return MoleculeModel(params, fragments, sizes, json.loads(stored["card"]))


def model_digest(model: MoleculeModel) -> str:
    """A digest of everything that a decode depends on."""
    digest = hashlib.sha256(json.dumps([model.fragments.to_json(), dict(model.sizes)]).encode())
    for leaf in jax.tree.leaves(model.params):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()
