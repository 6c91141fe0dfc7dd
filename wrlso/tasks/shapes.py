"""2D shapes: find the image of largest area (the paper's first task).

Base data are 64 x 64 binary images of one axis-aligned square whose left column
is 32: side 1 to 20, every row position that fits, ten copies each. The score of
an image is its number of set pixels; the largest square has 400.
"""

from functools import partial
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import Array

from wrlso.data import Dataset
from wrlso.elbo import geometric_beta
from wrlso.retrain import RetrainConfig
from wrlso.tasks.base import PretrainConfig, Task
from wrlso.tasks.shapes_model import SIZE, Architecture, make_vae, unpack

_LEFT = 32
_SIDES = range(1, 21)
_COPIES = 10
_HELD_OUT = 0.05


def shapes(
    architecture: Architecture = "coordinate", pretrain_seed: int = 0, pretrain_epochs: int = 20
) -> Task:
    """The shapes task.

    Args:
      architecture: ``"coordinate"``, the default, or ``"paper"``, the original's
        convolutional VAE, several times slower.
      pretrain_seed: of the pretraining; each seed is cached on its own.
      pretrain_epochs: passes over the data in pretraining; the protocol's is 20.
    """
    return Task(
        name="shapes",
        summary="maximise the number of set pixels of a 64 x 64 image",
        vae=make_vae(architecture),
        load_data=partial(load, "train"),
        objective=area,
        soft_objective=lambda soft: soft.sum((-2, -1)),
        retrain=RetrainConfig(
            first_epochs=1.0, epochs=0.1, batch_size=32, learning_rate=1e-3, beta=10.0
        ),
        pretrain=PretrainConfig(
            epochs=pretrain_epochs,
            batch_size=16,
            learning_rate=1e-3,
            beta=geometric_beta(1e-6, 10.0, factor=1.1, every=10, warmup=1000),
            seed=pretrain_seed,
        ),
        proposer="grid",
        version=f"1-{architecture}",
        options={
            "architecture": architecture,
            "pretrain_seed": pretrain_seed,
            "pretrain_epochs": pretrain_epochs,
        },
        to_images=lambda objects: np.unpackbits(objects, axis=-1),
    )


def area(objects: Array) -> Array:
    """Set pixels of packed images: ``[B, 64, 8] uint8 -> [B] float32`` in [0, 4096]."""
    return unpack(objects).sum((-2, -1))


def all_images() -> np.ndarray:
    """All 10,900 images of the protocol, packed, in order: ``[10900, 64, 8] uint8``."""
    images = []
    for side in _SIDES:
        for top in range(SIZE - side + 1):
            image = np.zeros((SIZE, SIZE), np.uint8)
            image[top : top + side, _LEFT : _LEFT + side] = 1
            images.append(np.packbits(image, axis=-1))
    return np.repeat(np.stack(images), _COPIES, axis=0)


def load(split: Literal["train", "validation"] = "train") -> Dataset:
    """The shuffled data: the first 5% are held out, the rest is what runs start from."""
    images = all_images()
    images = images[np.random.default_rng(0).permutation(len(images))]
    held_out = int(_HELD_OUT * len(images))
    part = images[held_out:] if split == "train" else images[:held_out]
    scores = np.unpackbits(part, axis=-1).sum((1, 2)).astype(np.float32)
    return Dataset(jnp.asarray(part), jnp.asarray(scores))
