"""Long training of a model of strings: by length in buckets, with checkpoints, to be resumed."""

import csv
import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
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
from wrlso.models.vae import VAE, decode_all, encode_all
from wrlso.storage.files import write_atomically
from wrlso.storage.tensors import load_metadata, load_tree, save_tree

_CHUNK = 64
"""Batches that are sorted by length together."""

_SAVE_EVERY = 120.0
"""Seconds between checkpoints."""

_RISE = 100
"""Steps in which the learning rate reaches its plateau."""

_CHECK_EVERY = 50
"""Steps between looks at the loss."""

_VALIDATED = 2000
"""Objects kept back that are reconstructed after each epoch, at most."""


@dataclass(frozen=True)
class TrainingConfig:
    """How a model of strings is trained.

    Attributes:
      epochs: passes over the data.
      decay: of them, at the end, those in which the learning rate falls to 0. Before them,
        training can be resumed with another number of epochs as if that had been meant.
      batch_size: objects a step.
      learning_rate: Adam's.
      beta: factor of the KL, reached after ``warmup`` epochs.
      warmup: epochs in which beta rises from 0.
      held_out: share of the data that is kept for validation.
      seed: of parameters, split, order and noise.
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
    """Row numbers."""

    train: np.ndarray
    held_out: np.ndarray


def split(rows: int, config: TrainingConfig) -> Split:
    """The rows to train on and those kept back, drawn by the configuration's seed."""
    order = np.random.default_rng([config.seed, 0]).permutation(rows)
    kept_back = int(config.held_out * rows)
    return Split(np.sort(order[kept_back:]), np.sort(order[:kept_back]))


def train_strings(
    vae: VAE,
    objects: np.ndarray,
    cuts: list[int],
    directory: Path | str,
    config: TrainingConfig,
    progress: bool = True,
) -> Any:
    """Train a VAE of strings, or go on where an earlier call in the same folder was stopped.

    Args:
      vae: the model, for strings of any length.
      objects: ``[N, L] uint8``, each row ended by a 0 where shorter than L.
      cuts: lengths at which batches may be cut, ascending, the last at least L + 1; for each a
        step is compiled.
      directory: of ``checkpoint.safetensors`` and ``log.csv``, a line an epoch.
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
    sizes = np.where((objects == 0).any(1), np.argmax(objects == 0, axis=1), objects.shape[1])
    rows = split(len(objects), config)
    if len(rows.train) < config.batch_size:
        raise ValueError(
            f"{len(rows.train)} objects to train on are fewer than a batch of {config.batch_size}"
        )
    batches = _Batches(rows.train, sizes, config)
    per_epoch = batches.per_epoch
    steps = round(config.epochs * per_epoch)
    optimizer = optax.chain(
        optax.clip_by_global_norm(5.0), optax.adam(_learning_rate(config, per_epoch, steps))
    )
    checkpoint = directory / "checkpoint.safetensors"
    recipe = _recipe(objects, config)
    params = jax.jit(vae.init)(jax.random.key(config.seed))
    opt_state, first, so_far = optimizer.init(params), 0, _SoFar()
    if checkpoint.exists():
        params, opt_state, first, so_far = _resume(checkpoint, (params, opt_state), recipe)
    step = _step(vae, optimizer, config, per_epoch)
    validate = partial(reconstructed, jax.jit(partial(round_trip, vae)))
    meter = _Meter(directory / "log.csv", so_far, first / per_epoch)

    with tqdm(total=steps, initial=first, unit=" steps", disable=not progress) as bar:
        for number in range(first, steps):
            batch = batches(number)
            cut = next(c for c in cuts if c > sizes[batch].max())
            taken = jnp.asarray(objects[batch, :cut])
            params, opt_state, terms = step(params, opt_state, taken, number)
            meter.add(terms)
            bar.update()
            done = number + 1
            ended = done % per_epoch == 0 or done == steps
            if ended or done % _CHECK_EVERY == 0:
                meter.check(done)
                bar.set_postfix_str(str(meter))
            if ended:
                held_out = objects[rows.held_out[:_VALIDATED]]
                meter.end_epoch(done / per_epoch, validate(params, held_out))
            if ended or (done % _CHECK_EVERY == 0 and meter.seconds_unsaved > _SAVE_EVERY):
                stored = {"step": str(done), "recipe": recipe, "so_far": meter.to_json()}
                save_tree(checkpoint, {"params": params, "opt_state": opt_state}, stored)
                meter.saved = time.monotonic()
    return params


class _SoFar(NamedTuple):
    """Seconds since the training's beginning; sums and steps since the last epoch's end."""

    seconds: float = 0.0
    sums: Sequence[float] = (0.0, 0.0)
    steps: int = 0


class _Meter:
    """Means since the last epoch's end, and seconds since the training's beginning.

    Lines of the log beyond the ``epoch`` that training goes on from are forgotten: they were
    written between a checkpoint and a kill, and will be again.
    """

    def __init__(self, path: Path, so_far: _SoFar, epoch: float) -> None:
        self.path, self.spent, self.began = path, so_far.seconds, time.monotonic()
        self.saved = self.began
        self.sums, self.steps = np.array(so_far.sums), so_far.steps
        if path.exists():
            head, *lines = path.read_text().splitlines(keepends=True)
            kept = [line for line in lines if float(line.split(",")[0]) <= epoch * (1 + 1e-5)]
            write_atomically(path, "".join([head, *kept]).encode())

    def to_json(self) -> str:
        return json.dumps(_SoFar(self.seconds, self.sums.tolist(), self.steps))

    @property
    def seconds(self) -> float:
        return self.spent + time.monotonic() - self.began

    def add(self, terms: Array) -> None:
        self.sums, self.steps = self.sums + np.asarray(terms, np.float64), self.steps + 1

    def __str__(self) -> str:
        nats, kl = self.sums / self.steps
        return f"{nats:.2f} nats, KL {kl:.1f}"

    @property
    def seconds_unsaved(self) -> float:
        return time.monotonic() - self.saved

    def check(self, done: int) -> None:
        if not np.isfinite(self.sums).all():
            raise FloatingPointError(f"training diverged before step {done}: lower learning_rate")

    def end_epoch(self, epoch: float, exact: float) -> None:
        new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(("epoch", "nats", "kl", "held_out_reconstructed", "seconds"))
            values = (epoch, *(self.sums / self.steps), exact, self.seconds)
            writer.writerow([f"{value:.6g}" for value in values])
        self.sums, self.steps = np.zeros(2), 0


def round_trip(vae: VAE, params: Any, objects: Array) -> Array:
    """The decodes of the encodings' means."""
    return decode_all(vae, params, encode_all(vae, params, objects))


def reconstructed(
    round_trip: Callable[[Any, Array], Array], params: Any, objects: np.ndarray
) -> float:
    """Share of the objects ``[N, L]`` that come back from :func:`round_trip`; NaN of none."""
    if len(objects) == 0:
        return math.nan
    found = np.asarray(round_trip(params, jnp.asarray(objects)))
    length = min(found.shape[1], objects.shape[1])
    same = (found[:, :length] == objects[:, :length]).all(1)
    same &= (found[:, length:] == 0).all(1) & (objects[:, length:] == 0).all(1)
    return float(same.mean())


def _learning_rate(config: TrainingConfig, per_epoch: int, steps: int) -> optax.Schedule:
    """A short rise, a plateau, a straight fall to 0."""
    fall = max(round(config.decay * per_epoch), 1)

    def rate(count: Array) -> Array:
        up = (count + 1) / _RISE
        down = (steps - count) / fall
        return config.learning_rate * jnp.clip(jnp.minimum(up, down), 0.0, 1.0)

    return rate


def _step(
    vae: VAE, optimizer: optax.GradientTransformation, config: TrainingConfig, per_epoch: int
) -> Any:
    def loss(params: Any, key: Array, objects: Array, beta: Array) -> tuple[Array, Array]:
        log_likelihood, kl = elbo_terms(key, params, vae, objects)
        return (beta * kl - log_likelihood).mean(), jnp.stack([-log_likelihood.mean(), kl.mean()])

    @jax.jit
    def step(params: Any, opt_state: Any, objects: Array, number: Array) -> Any:
        key = jax.random.fold_in(jax.random.key(config.seed), number)
        beta = config.beta * jnp.minimum(number / (config.warmup * per_epoch + 1), 1.0)
        (_, terms), slope = jax.value_and_grad(loss, has_aux=True)(params, key, objects, beta)
        updates, opt_state = optimizer.update(slope, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, terms

    return step


class _Batches:
    """Row numbers of each step's batch, about equally long: a function of the step alone."""

    def __init__(self, train: np.ndarray, sizes: np.ndarray, config: TrainingConfig) -> None:
        self.train, self.sizes, self.config = train, sizes[train], config
        self.per_epoch = len(train) // config.batch_size
        self.epoch = -1

    def __call__(self, step: int) -> np.ndarray:
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self._begin(epoch)
        start = self.places[place] * self.config.batch_size
        return self.train[self.order[start : start + self.config.batch_size]]

    def _begin(self, epoch: int) -> None:
        """Rows in random order, then by length within chunks; batches in random order."""
        rng = np.random.default_rng([self.config.seed, 1, epoch])
        order = rng.permutation(len(self.train))[: self.per_epoch * self.config.batch_size]
        size = _CHUNK * self.config.batch_size
        chunks = [order[i : i + size] for i in range(0, len(order), size)]
        by_length = [chunk[np.argsort(self.sizes[chunk], kind="stable")] for chunk in chunks]
        self.epoch, self.order = epoch, np.concatenate(by_length)
        self.places = rng.permutation(self.per_epoch)


def _recipe(objects: np.ndarray, config: TrainingConfig) -> str:
    settings: dict[str, Any] = asdict(config)
    del settings["epochs"], settings["decay"]
    settings["objects"] = hashlib.sha256(objects.tobytes()).hexdigest()[:16]
    return json.dumps(settings, sort_keys=True)


def _resume(path: Path, like: tuple[Any, Any], recipe: str) -> tuple[Any, Any, int, _SoFar]:
    stored = load_metadata(path)
    if stored["recipe"] != recipe:
        raise ValueError(
            f"{path} is of another training: it has {stored['recipe']}, asked for is {recipe}; "
            "give another folder, or the same data and settings"
        )
    tree = load_tree(path, dict(zip(("params", "opt_state"), like, strict=True)))
    tree = jax.tree.map(jnp.asarray, tree)
    so_far = _SoFar(*json.loads(stored["so_far"]))
    return tree["params"], tree["opt_state"], int(stored["step"]), so_far


def read_log(path: Path | str) -> list[dict[str, float]]:
    """The lines of ``log.csv``: ``seconds`` since the training's beginning."""
    with Path(path).open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
