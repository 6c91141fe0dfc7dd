"""The images of the shapes task and their area."""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import Array

from wrlso.data import Dataset
from wrlso.tasks.shape.model import SIZE, unpack

_LEFT = 32
_SIDES = range(1, 21)
_COPIES = 10
_HELD_OUT = 0.05


def area(objects: Array) -> Array:
    """Number of set pixels of packed images: ``[B, 64, 8] uint8 -> [B] float32`` in [0, 4096]."""
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
    """The shuffled data: the first 5% for validation, the other 95% as base data of runs."""
    images = all_images()
    images = images[np.random.default_rng(0).permutation(len(images))]
    held_out = int(_HELD_OUT * len(images))
    part = images[held_out:] if split == "train" else images[:held_out]
    scores = np.unpackbits(part, axis=-1).sum((1, 2)).astype(np.float32)
    return Dataset(jnp.asarray(part), jnp.asarray(scores))
