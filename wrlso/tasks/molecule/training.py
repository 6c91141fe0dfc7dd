"""Training the model of molecules: batches of like length, checkpoints, resumed after a kill."""

import csv
import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from wrlso.models.descent import descend
from wrlso.models.elbo import gaussian_kl
from wrlso.models.sampling import prng_key
from wrlso.models.vae import VAE
from wrlso.parallel import compiler_options
from wrlso.storage.files import write_atomically
from wrlso.storage.tensors import read_tensors, save_tree
from wrlso.tasks.molecule.vae import properties

CUTS = (9, 11, 13, 15, 17, 20, 26, 44)
"""Lengths at which batches are cut; longer ones are cut at the length of the data."""

_CHUNK = 64
"""Batches that are sorted by length together."""

_SAVE_EVERY = 180.0
"""Seconds between checkpoints, and between lines of the log."""

_RISE = 100
"""Steps in which the learning rate reaches its plateau."""

_MOST_LOST = 5.0
"""Norm at which gradients are clipped."""


_RANGES = (
    ("steps", 1, 10**9),
    ("decay", 0.0, 1.0),
    ("batch_size", 1, 10**6),
    ("floor", 0.0, 1.0),
    ("beta", 0.0, 1e6),
    ("warmup", 0, 10**9),
    ("head", 0.0, 1e6),
    ("held_out", 0.0, 0.9),
    ("seed", 0, 2**31 - 1),
)
"""Least and largest value of each setting."""


@dataclass(frozen=True)
class Settings:
    """Settings of the model's training.

    Attributes:
      steps: gradient steps.
      decay: share of them at the end in which the learning rate falls to ``floor`` of itself.
      batch_size: molecules a step.
      learning_rate: Adam's.
      floor: see ``decay``.
      beta: factor of the KL, reached after ``warmup`` steps from 0.
      warmup: see ``beta``.
      head: factor of the squared errors of the properties that a linear head predicts.
      held_out: share of the molecules that is kept for validation.
      seed: of parameters, split, order and noise.

    Raises:
      ValueError: if a number is out of range; it names the setting, its value and the range.
    """

    steps: int = 20_000
    decay: float = 0.4
    batch_size: int = 128
    learning_rate: float = 1e-3
    floor: float = 0.02
    beta: float = 0.1
    warmup: int = 1000
    head: float = 1.0
    held_out: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, most in _RANGES:
            value = getattr(self, name)
            if not least <= value <= most:
                highest = "" if math.isinf(most) else f" and at most {most:g}"
                raise ValueError(f"{name} must be at least {least:g}{highest}, got {value:g}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(
                f"learning_rate must be positive and finite, got {self.learning_rate:g}"
            )


class Split(NamedTuple):
    """Row numbers."""

    train: np.ndarray
    held_out: np.ndarray


def split(rows: int, settings: Settings) -> Split:
    """The rows to train on and those kept back, drawn by the seed."""
    order = np.random.default_rng([settings.seed, 0]).permutation(rows)
    kept_back = int(settings.held_out * rows)
    return Split(np.sort(order[kept_back:]), np.sort(order[:kept_back]))


def train(
    vae: VAE,
    objects: np.ndarray,
    targets: np.ndarray,
    directory: Path | str,
    settings: Settings,
    start: Any = None,
    tell: Callable[[str], None] = print,
) -> Any:
    """Train the model, or go on where an earlier call in the same folder was stopped.

    ``steps`` and ``decay`` may be other ones than those of the earlier call.

    Args:
      vae: the model.
      objects: ``[N, L] uint16``, each row ended by a 0 where shorter than L.
      targets: ``[N, P]`` standardised properties for the head.
      directory: of ``checkpoint.safetensors`` and ``log.csv``.
      settings: see :class:`Settings`.
      start: parameters to begin with; None: new ones, drawn by the seed.
      tell: gets a line of progress every few minutes.

    Returns:
      The parameters.

    Raises:
      ValueError: if the folder holds a training of other data or with other settings.
      FloatingPointError: if training diverges.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    objects = np.pad(objects, [(0, 0), (0, 1)])
    cuts = [cut for cut in CUTS if cut < objects.shape[1]] + [objects.shape[1]]
    sizes = (objects > 0).sum(1)
    batches = _Batches(split(len(objects), settings).train, sizes, settings)
    optimizer = optax.chain(
        optax.clip_by_global_norm(_MOST_LOST), optax.adam(learning_rate_of(settings))
    )
    params = jax.jit(vae.init)(prng_key(settings.seed)) if start is None else start
    state = (params, optimizer.init(params))
    checkpoint, recipe = directory / "checkpoint.safetensors", _recipe(objects, settings)
    first, spent = 0, 0.0
    if checkpoint.exists():
        state, first, spent = _resume(checkpoint, state, recipe)
    step = _step(vae, optimizer, settings)
    began = saved = time.monotonic()
    sums, count = np.zeros(3), 0
    for number in range(first, settings.steps):
        batch = batches(number)
        cut = next(c for c in cuts if c > sizes[batch].max())
        *state, terms = step(*state, objects[batch, :cut], targets[batch], number)
        sums, count = sums + np.asarray(terms, np.float64), count + 1
        if not np.isfinite(sums).all():
            raise FloatingPointError(f"training diverged before step {number + 1}")
        now = time.monotonic()
        if number + 1 == settings.steps or now - saved > _SAVE_EVERY:
            saved, seconds = now, spent + now - began
            stored = {"step": str(number + 1), "recipe": recipe, "seconds": str(seconds)}
            save_tree(checkpoint, {"params": state[0], "opt_state": state[1]}, stored)
            _log(directory / "log.csv", number + 1, sums / count, seconds)
            tell(f"step {number + 1}: {sums / count} in {seconds:.0f} s")
            sums, count = np.zeros(3), 0
    return state[0]


def learning_rate_of(settings: Settings) -> optax.Schedule:
    """A short rise, a plateau, a straight fall."""

    def rate(count: Array) -> Array:
        up = (count + 1) / _RISE
        down = (settings.steps - count) / max(settings.decay * settings.steps, 1)
        return settings.learning_rate * jnp.clip(jnp.minimum(up, down), settings.floor, 1.0)

    return rate


def _step(vae: VAE, optimizer: optax.GradientTransformation, settings: Settings) -> Any:
    def loss(
        params: Any, key: Array, objects: Array, targets: Array, beta: Array
    ) -> tuple[Array, Array]:
        mean, log_std = vae.encode(params, objects)
        latents = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape, mean.dtype)
        nats = -vae.log_likelihood(params, latents, objects).mean()
        kl = gaussian_kl(mean, log_std).mean()
        error = jnp.zeros((), nats.dtype)
        if settings.head:
            error = ((properties(params, latents) - targets) ** 2).sum(-1).mean()
        return beta * kl + nats + settings.head * error, jnp.stack([nats, kl, error])

    @partial(jax.jit, compiler_options=compiler_options())
    def step(params: Any, opt_state: Any, objects: Array, targets: Array, number: Array) -> Any:
        key = jax.random.fold_in(prng_key(settings.seed), number)
        beta = settings.beta * jnp.minimum(number / settings.warmup, 1.0)
        slope, terms = jax.grad(loss, has_aux=True)(params, key, objects, targets, beta)
        return *descend(optimizer, slope, opt_state, params), terms

    return step


class _Batches:
    """Row numbers of each step's batch, about equally long: a function of the step alone."""

    def __init__(self, train: np.ndarray, sizes: np.ndarray, settings: Settings) -> None:
        self.train, self.sizes, self.settings = train, sizes[train], settings
        self.per_epoch = len(train) // settings.batch_size
        if not self.per_epoch:
            raise ValueError(
                f"{len(train)} molecules to train on are fewer than a batch of "
                f"{settings.batch_size}"
            )
        self.epoch = -1

    def __call__(self, step: int) -> np.ndarray:
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self._begin(epoch)
        start = self.places[place] * self.settings.batch_size
        return self.train[self.order[start : start + self.settings.batch_size]]

    def _begin(self, epoch: int) -> None:
        """Rows in random order, then by length within chunks; batches in random order."""
        rng = np.random.default_rng([self.settings.seed, 1, epoch])
        order = rng.permutation(len(self.train))[: self.per_epoch * self.settings.batch_size]
        size = _CHUNK * self.settings.batch_size
        chunks = [order[i : i + size] for i in range(0, len(order), size)]
        by_length = [chunk[np.argsort(self.sizes[chunk], kind="stable")] for chunk in chunks]
        self.epoch, self.order = epoch, np.concatenate(by_length)
        self.places = rng.permutation(self.per_epoch)


def _recipe(objects: np.ndarray, settings: Settings) -> str:
    kept: dict[str, Any] = asdict(settings)
    del kept["steps"], kept["decay"], kept["floor"]
    kept["objects"] = hashlib.sha256(objects.tobytes()).hexdigest()[:16]
    return json.dumps(kept, sort_keys=True)


def _resume(path: Path, like: tuple[Any, Any], recipe: str) -> tuple[tuple[Any, Any], int, float]:
    file = read_tensors(path, "delete it, and the training begins again; or restore it")
    stored = file.metadata
    if stored.get("recipe") != recipe:
        raise ValueError(
            f"{path} is of another training: it has {stored.get('recipe')}, asked for is {recipe}; "
            "give another folder, or the same data and settings"
        )
    tree = file.tree(dict(zip(("params", "opt_state"), like, strict=True)))
    tree = jax.tree.map(jnp.asarray, tree)
    return (tree["params"], tree["opt_state"]), int(stored["step"]), float(stored["seconds"])


def _log(path: Path, step: int, means: np.ndarray, seconds: float) -> None:
    """Add a line; lines of later steps, written before a kill, go."""
    names = ["step", "nats", "kl", "error", "seconds"]
    lines = []
    if path.exists():
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            rows = [row for row in csv.reader(file) if len(row) == len(names)]
            lines = [row for row in rows if row[0].isdecimal() and int(row[0]) < step]
    lines.append([str(step), *(f"{value:.6g}" for value in (*means, seconds))])
    write_atomically(path, "".join(",".join(row) + "\n" for row in [names, *lines]).encode())
