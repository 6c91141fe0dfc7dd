"""A trained model of molecules in one file: parameters, vocabulary, sizes, card."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wrlso.chem.ringtree.tables import make_tables
from wrlso.chem.ringtree.vocabulary import Vocabulary
from wrlso.models.sampling import prng_key
from wrlso.models.vae import VAE
from wrlso.storage.sealed import DamagedFile
from wrlso.storage.tensors import StoredTree, read_tensors, save_tree
from wrlso.tasks.molecule.machine import Machine, make_machine
from wrlso.tasks.molecule.vae import Sizes, make_vae

_FORMAT, _WITHOUT_DIGEST = "ringtree-2", "ringtree-1"
_REMEDY = "restore it, or train a model with 'wrlso train molecules'"


@dataclass(frozen=True, eq=False)
class MoleculeModel:
    """Parameters and what they mean.

    Attributes:
      params: of the VAE.
      vocabulary: its symbols.
      sizes: of the VAE.
      length: L of its decodes.
      card: facts about the training, as text by name; ``settings`` are those of
        ``wrlso.tasks.molecule.training.Settings`` as JSON.
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

    @property
    def kl_weight(self) -> float:
        """Factor of the KL divergence with which the model was trained last."""
        return float(json.loads(self.card["settings"])["beta"])

    def vae(self, half_products: bool = False) -> VAE:
        """The VAE.

        With ``half_products``, its encoder and its likelihood multiply in bfloat16; its decoder
        always multiplies in float32.
        """
        compute = jnp.bfloat16 if half_products else None
        return make_vae(self.machine, self.length, self.sizes, compute)


def save_model(path: Path, model: MoleculeModel) -> None:
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


def load_model(path: Path | str) -> MoleculeModel:
    """Read a model.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is not of :func:`save_model`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no model of molecules at {path}")
    stored = _read(path)
    try:
        vocabulary = Vocabulary.from_json(json.loads(stored.metadata["vocabulary"]))
        sizes = Sizes(**json.loads(stored.metadata["sizes"]))
        length, card = int(stored.metadata["length"]), json.loads(stored.metadata["card"])
        empty = MoleculeModel(None, vocabulary, sizes, length, card)
        shapes = jax.eval_shape(empty.vae().init, prng_key(0))
        empty.kl_weight  # noqa: B018  (read later, at the start of a run)
    except Exception as error:
        raise DamagedFile(path, f"its metadata describe no model ({error!r})", _REMEDY) from error
    like = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, jnp.float16), shapes)
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), stored.tree(like))
    return MoleculeModel(params, vocabulary, sizes, length, card)


def _read(path: Path) -> StoredTree:
    """The file's content; of a model that an earlier version wrote, without a digest."""
    try:
        stored = read_tensors(path, _REMEDY, unsealed=True)
    except DamagedFile as error:
        raise ValueError(f"{_foreign(path)}: {error}") from error
    if stored.metadata.get("format") not in (_FORMAT, _WITHOUT_DIGEST):
        raise ValueError(_foreign(path))
    if stored.metadata["format"] == _FORMAT and not stored.sealed:
        raise DamagedFile(path, "it has no digest", _REMEDY)
    return stored


def _foreign(path: Path) -> str:
    return (
        f"{path} is not a model of molecules of this version: train one with 'wrlso train "
        "molecules', or omit the model to use the one that comes with wrlso"
    )


def model_digest(model: MoleculeModel) -> str:
    """A digest of everything that a decode depends on."""
    stated = [model.vocabulary.to_json(), model.sizes.to_json(), model.length]
    digest = hashlib.sha256(json.dumps(stated).encode())
    for leaf in jax.tree.leaves(model.params):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()
