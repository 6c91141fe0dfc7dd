"""Long training of a model of strings, in batches of similar length, with checkpoints.

A call with the same folder continues a training that was stopped.
"""

import csv
import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from tqdm import tqdm

from wrlso.models.elbo import elbo_terms
from wrlso.models.sampling import prng_key
from wrlso.models.vae import VAE, decode_all, encode_all
from wrlso.runs.sequence_batches import Batches, TrainingConfig, split
from wrlso.storage.files import write_atomically
from wrlso.storage.tensors import load_metadata, load_tree, save_tree

_FORMAT = 2
"""Version of the checkpoints."""

_SAVE_EVERY = 120.0
"""Seconds between checkpoints."""

_RISE = 100
"""Number of steps in which the learning rate rises to its plateau."""

_CHECK_EVERY = 50
"""Number of steps between checks of the loss."""

_VALIDATED = 2000
"""Maximum number of held-out objects that are reconstructed after each epoch."""


def train_strings(
    vae: VAE,
    objects: np.ndarray,
    cuts: list[int],
    directory: Path | str,
    config: TrainingConfig,
    progress: bool = True,
) -> Any:
    """Train a VAE of strings, or continue a training that was stopped in the same folder.

    Args:
      vae: the model, for strings of any length.
      objects: ``[N, L] uint8``; a 0 ends each row that is shorter than L.
      cuts: lengths to which batches may be cut, ascending; the last is at least L + 1. One step is
        compiled per length.
      directory: folder of ``checkpoint.safetensors`` and ``log.csv``, which has one line per epoch.
      config: see :class:`TrainingConfig`.
      progress: show a bar.

    Returns:
      The parameters.

    Raises:
      ValueError: if the folder holds a training of other data or with other settings.
      FloatingPointError: if training diverges.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    objects = np.pad(objects, [(0, 0), (0, cuts[-1] - objects.shape[1])])
    rows = split(len(objects), config)
    held_out = objects[rows.held_out[:_VALIDATED]]
    batches = Batches(rows.train, objects, cuts, config)
    per_epoch = batches.per_epoch
    steps = round(config.epochs * per_epoch)
    optimizer = _optimizer(config, per_epoch, steps)
    params = jax.jit(vae.init)(prng_key(config.seed))
    opt_state, first, totals = optimizer.init(params), 0, _Totals()
    checkpoint = _Checkpoint(directory / "checkpoint.safetensors", _recipe(objects, config))
    if checkpoint.path.exists():
        params, opt_state, first, totals = checkpoint.load((params, opt_state))
    step = _step(vae, optimizer, config, per_epoch)
    validate = partial(reconstructed, jax.jit(partial(round_trip, vae)))
    meter = _Meter(directory / "log.csv", totals, first / per_epoch)

    with tqdm(total=steps, initial=first, unit=" steps", disable=not progress) as bar:
        for number in range(first, steps):
            params, opt_state, terms = step(params, opt_state, batches(number), number)
            meter.add(terms)
            bar.update()
            done = number + 1
            ends_epoch = done % per_epoch == 0 or done == steps
            is_checked = ends_epoch or done % _CHECK_EVERY == 0
            if is_checked:
                meter.check(done)
                bar.set_postfix_str(str(meter))
            if ends_epoch:
                meter.end_epoch(done / per_epoch, validate(params, held_out))
            if ends_epoch or (is_checked and checkpoint.is_due):
                checkpoint.save((params, opt_state), done, meter.totals)
    return params


class _Totals(NamedTuple):
    """Sums that a checkpoint holds.

    Attributes:
      seconds: seconds of training since its beginning.
      sums: sums of the nats and of the KL divergence since the end of the last epoch.
      steps: number of steps since the end of the last epoch.
    """

    seconds: float = 0.0
    sums: Sequence[float] = (0.0, 0.0)
    steps: int = 0


class _Checkpoint:
    """Writes and reads the state of a training.

    Attributes:
      path: the file.
      recipe: the settings and the digest of the data, as text.
    """

    def __init__(self, path: Path, recipe: str) -> None:
        self.path, self.recipe = path, recipe
        self._saved_at = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the last checkpoint is old enough for a new one."""
        return time.monotonic() - self._saved_at > _SAVE_EVERY

    def save(self, trees: tuple[Any, Any], step: int, totals: _Totals) -> None:
        """Write parameters and optimizer state after a number of steps."""
        metadata = {"step": str(step), "recipe": self.recipe, "totals": json.dumps(totals)}
        save_tree(self.path, dict(zip(_TREES, trees, strict=True)), metadata)
        self._saved_at = time.monotonic()

    def load(self, like: tuple[Any, Any]) -> tuple[Any, Any, int, _Totals]:
        """Parameters, optimizer state, number of steps done, totals.

        Raises:
          ValueError: if the checkpoint is of another training.
        """
        metadata = load_metadata(self.path)
        if metadata["recipe"] != self.recipe:
            raise ValueError(
                f"{self.path} is of another training: it has {metadata['recipe']}, and this "
                f"training has {self.recipe}; give another folder, or the same data and settings"
            )
        trees = load_tree(self.path, dict(zip(_TREES, like, strict=True)))
        params, opt_state = (jax.tree.map(jnp.asarray, trees[name]) for name in _TREES)
        totals = _Totals(*json.loads(metadata["totals"]))
        return params, opt_state, int(metadata["step"]), totals


_TREES = ("params", "opt_state")


class _Meter:
    """Means since the end of the last epoch, and seconds since the beginning of the training.

    It deletes the lines of the log beyond the ``epoch`` at which the training continues. They were
    written between a checkpoint and a kill, and the training will write them again.
    """

    def __init__(self, path: Path, totals: _Totals, epoch: float) -> None:
        self.path, self.earlier_seconds, self.began = path, totals.seconds, time.monotonic()
        self.sums, self.steps = np.array(totals.sums), totals.steps
        if path.exists():
            head, *lines = path.read_text().splitlines(keepends=True)
            valid = [line for line in lines if float(line.split(",")[0]) <= epoch * (1 + 1e-5)]
            write_atomically(path, "".join([head, *valid]).encode())

    @property
    def totals(self) -> _Totals:
        return _Totals(self.seconds, self.sums.tolist(), self.steps)

    @property
    def seconds(self) -> float:
        return self.earlier_seconds + time.monotonic() - self.began

    def add(self, terms: Array) -> None:
        self.sums, self.steps = self.sums + np.asarray(terms, np.float64), self.steps + 1

    def __str__(self) -> str:
        nats, kl = self.sums / self.steps
        return f"{nats:.2f} nats, KL {kl:.1f}"

    def check(self, done: int) -> None:
        """Raise FloatingPointError if the loss is not finite."""
        if not np.isfinite(self.sums).all():
            raise FloatingPointError(f"training diverged before step {done}: lower learning_rate")

    def end_epoch(self, epoch: float, exact: float) -> None:
        """Write a line of the log and begin new sums."""
        new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(("epoch", "nats", "kl", "held_out_reconstructed", "seconds"))
            values = (epoch, *(self.sums / self.steps), exact, self.seconds)
            writer.writerow([f"{value:.6g}" for value in values])
        self.sums, self.steps = np.zeros(2), 0


def round_trip(vae: VAE, params: Any, objects: Array) -> Array:
    """Encode objects to the means, and decode these."""
    return decode_all(vae, params, encode_all(vae, params, objects))


def reconstructed(
    round_trip: Callable[[Any, Array], Array], params: Any, objects: np.ndarray
) -> float:
    """Share of the objects ``[N, L]`` that :func:`round_trip` returns unchanged; NaN if N = 0."""
    if len(objects) == 0:
        return math.nan
    decoded = np.asarray(round_trip(params, jnp.asarray(objects)))
    length = min(decoded.shape[1], objects.shape[1])
    same = (decoded[:, :length] == objects[:, :length]).all(1)
    same &= (decoded[:, length:] == 0).all(1) & (objects[:, length:] == 0).all(1)
    return float(same.mean())


def _optimizer(config: TrainingConfig, per_epoch: int, steps: int) -> optax.GradientTransformation:
    """Adam on clipped gradients.

    The learning rate rises in a few steps, stays constant, and finally falls linearly to 0.
    """
    fall = max(round(config.decay * per_epoch), 1)

    def rate(count: Array) -> Array:
        up = (count + 1) / _RISE
        down = (steps - count) / fall
        return config.learning_rate * jnp.clip(jnp.minimum(up, down), 0.0, 1.0)

    return optax.chain(optax.clip_by_global_norm(5.0), optax.adam(rate))


def _step(
    vae: VAE, optimizer: optax.GradientTransformation, config: TrainingConfig, per_epoch: int
) -> Any:
    """The compiled training step."""

    def loss(params: Any, key: Array, objects: Array, beta: Array) -> tuple[Array, Array]:
        log_likelihood, kl = elbo_terms(key, params, vae, objects)
        return (beta * kl - log_likelihood).mean(), jnp.stack([-log_likelihood.mean(), kl.mean()])

    @jax.jit
    def step(params: Any, opt_state: Any, objects: Array, number: Array) -> Any:
        key = jax.random.fold_in(prng_key(config.seed), number)
        beta = config.beta * jnp.minimum(number / (config.warmup * per_epoch + 1), 1.0)
        (_, terms), gradient = jax.value_and_grad(loss, has_aux=True)(params, key, objects, beta)
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, terms

    return step


def _recipe(objects: np.ndarray, config: TrainingConfig) -> str:
    """The format, the digest of the data, and the settings that a resumed training must share."""
    settings: dict[str, Any] = asdict(config)
    del settings["epochs"], settings["decay"]
    settings["objects"] = hashlib.sha256(objects.tobytes()).hexdigest()[:16]
    settings["format"] = _FORMAT
    return json.dumps(settings, sort_keys=True)


def read_log(path: Path | str) -> list[dict[str, float]]:
    """The lines of ``log.csv``; ``seconds`` counts from the beginning of the training."""
    with Path(path).open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
