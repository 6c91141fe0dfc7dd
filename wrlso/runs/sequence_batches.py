"""Settings, split and batches of the training of a model of strings."""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

_CHUNK = 64
"""Number of batches whose rows are sorted by length as one chunk."""


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of the training of a model of strings.

    Attributes:
      epochs: number of passes over the data.
      decay: number of passes at the end in which the learning rate falls to 0. Until the fall
        begins, a training can be resumed with another number of epochs; the result is that of a
        training with this number from the start.
      batch_size: number of objects per step.
      learning_rate: learning rate of Adam.
      beta: factor of the KL divergence after ``warmup`` epochs.
      warmup: number of epochs in which the factor rises from 0 to beta.
      held_out: share of the data that is held out for validation.
      seed: seed of parameters, split, order and noise.

    Raises:
      ValueError: if a number is out of range.
    """

    epochs: float = 40.0
    decay: float = 8.0
    batch_size: int = 256
    learning_rate: float = 1e-3
    beta: float = 0.03
    warmup: float = 1.0
    held_out: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs <= 0 or not 0 <= self.decay <= self.epochs:
            raise ValueError(
                f"epochs must be positive and decay between 0 and epochs, got epochs = "
                f"{self.epochs:g}, decay = {self.decay:g}"
            )
        if self.batch_size < 1 or not 0 <= self.held_out < 1:
            raise ValueError(
                f"batch_size must be at least 1 and held_out in [0, 1), got batch_size = "
                f"{self.batch_size}, held_out = {self.held_out:g}"
            )


class Split(NamedTuple):
    """Row numbers of two parts of the data.

    Attributes:
      train: rows to train on, ascending.
      held_out: rows for validation, ascending.
    """

    train: np.ndarray
    held_out: np.ndarray


def split(rows: int, config: TrainingConfig) -> Split:
    """Draw the rows to train on and the held-out rows, by the configuration's seed."""
    order = np.random.default_rng([config.seed, 0]).permutation(rows)
    held_out = int(config.held_out * rows)
    return Split(np.sort(order[held_out:]), np.sort(order[:held_out]))


class Batches:
    """The batch of each step: objects of similar length, as a function of the step alone.

    Args:
      train: rows to train on.
      objects: ``[N, cuts[-1]]``.
      cuts: lengths to which a batch may be cut, ascending.
      config: see :class:`TrainingConfig`.

    Raises:
      ValueError: if there are fewer rows than a batch has.
    """

    def __init__(
        self, train: np.ndarray, objects: np.ndarray, cuts: list[int], config: TrainingConfig
    ) -> None:
        if len(train) < config.batch_size:
            raise ValueError(
                f"{len(train)} objects to train on are fewer than a batch of {config.batch_size}"
            )
        ended = objects == 0
        self.lengths = np.where(ended.any(1), np.argmax(ended, axis=1), objects.shape[1])
        self.train, self.objects, self.cuts, self.config = train, objects, cuts, config
        self.per_epoch = len(train) // config.batch_size
        self.epoch = -1

    def __call__(self, step: int) -> Array:
        """Objects ``[batch_size, cut]``; the cut is the smallest that keeps an end in each row."""
        epoch, index = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self._begin(epoch)
        start = self.starts[index] * self.config.batch_size
        rows = self.train[self.order[start : start + self.config.batch_size]]
        cut = next(cut for cut in self.cuts if cut > self.lengths[rows].max())
        return jnp.asarray(self.objects[rows, :cut])

    def _begin(self, epoch: int) -> None:
        """Shuffle the rows, sort them by length within chunks, and shuffle the batches."""
        rng = np.random.default_rng([self.config.seed, 1, epoch])
        order = rng.permutation(len(self.train))[: self.per_epoch * self.config.batch_size]
        lengths = self.lengths[self.train]
        size = _CHUNK * self.config.batch_size
        chunks = [order[i : i + size] for i in range(0, len(order), size)]
        by_length = [chunk[np.argsort(lengths[chunk], kind="stable")] for chunk in chunks]
        self.epoch, self.order = epoch, np.concatenate(by_length)
        self.starts = rng.permutation(self.per_epoch)
