"""2D shapes: find the image of largest area (the paper's first task).

The base data are 64 x 64 binary images of one axis-aligned square whose left column is 32: every
side from 1 to 20 at every row position that fits, ten copies each. The score of an image is its
number of set pixels; the largest square has 400.
"""

from functools import partial
from pathlib import Path

import numpy as np

from wrlso.loop.retraining import RetrainConfig
from wrlso.models.elbo import geometric_beta
from wrlso.tasks.base import PretrainConfig, Task, shipped_params
from wrlso.tasks.shape.data import area, load
from wrlso.tasks.shape.model import Architecture, make_vae

SHIPPED = Path(__file__).with_name("pretrained.safetensors")
"""The parameters of the default model, pretrained with seed 0; ``pretrained.md`` describes them."""


def shapes(
    architecture: Architecture = "coordinate",
    pretrain: bool = False,
    pretrain_seed: int = 0,
    pretrain_epochs: int = 20,
) -> Task:
    """Maximise the number of set pixels of a 64 x 64 image.

    Args:
      architecture: the model: 'coordinate', or 'paper', the paper's convolutional VAE, which is
        several times slower.
      pretrain: train the model anew (a minute or two, then cached) instead of using the parameters
        that come with the package. Another architecture, seed or number of epochs is always trained
        anew.
      pretrain_seed: seed of the pretraining.
      pretrain_epochs: number of passes over the data in pretraining; the protocol has 20.

    Raises:
      ValueError: if the architecture is unknown, or a number is out of range.
    """
    vae = make_vae(architecture)
    settings = (architecture, pretrain_seed, pretrain_epochs)
    shipped = not pretrain and settings == ("coordinate", 0, 20)
    return Task(
        name="shapes",
        vae=vae,
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
        params=shipped_params(SHIPPED, vae) if shipped else None,
        proposer="grid",
        version=f"1-{architecture}",
        options={
            "architecture": architecture,
            "pretrain": pretrain,
            "pretrain_seed": pretrain_seed,
            "pretrain_epochs": pretrain_epochs,
        },
        to_images=lambda objects: np.unpackbits(objects, axis=-1),
    )
