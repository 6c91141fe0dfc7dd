"""Pretrained parameters: trained once per task, cached, and shared by all runs."""

import hashlib
import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from wrlso.data import Dataset
from wrlso.models.checks import check_storable
from wrlso.models.sampling import prng_key
from wrlso.models.training import minibatches, train
from wrlso.parallel import compiler_options
from wrlso.storage.cache import cache_dir
from wrlso.storage.tensors import load_tree, save_tree
from wrlso.tasks.base import PretrainConfig, Task
from wrlso.weighting.ranks import uniform_weights

_FORMAT = 2
"""Version of the cached files, part of their names. Format 1 had no digests."""

_CHUNK = 500
"""Number of training steps between checks of the loss."""

_TAG = 0x70726574
"""Separates the random numbers of pretraining from those of a run with the same seed."""

Progress = Callable[[int, int], None]
"""A function of the number of steps done and the total number of steps."""


def pretrained_params(task: Task, base: Dataset, progress: Progress | None = None) -> Any:
    """The task's pretrained parameters, from the task itself, the cache, or training.

    Raises:
      ValueError: if the task has neither parameters nor a pretraining configuration, or the
        parameters hold a typed key.
      DamagedFile: if the cached ones are not as they were written.
    """
    if task.params is not None:
        check_storable(task.params)
        return jax.device_put(task.params)
    if task.pretrain is None:
        raise ValueError(
            f"task {task.name!r} has neither params nor a pretrain configuration: give one of them"
        )
    like = jax.eval_shape(task.vae.init, prng_key(0))
    check_storable(like)
    path = cache_path(task, base)
    about = {"kind": "pretrained", "recipe": path.stem}
    if path.exists():
        remedy = "delete it, and the model is trained again"
        return jax.tree.map(jnp.asarray, load_tree(path, like, remedy, about))
    path.parent.mkdir(parents=True, exist_ok=True)  # an error should come before the training
    params = pretrain(task, base, progress)
    save_tree(path, params, about)
    return params


def cache_path(task: Task, base: Dataset) -> Path:
    """The file that caches a task's pretrained parameters.

    Its name depends on the data, the schedule, the shapes of the parameters and the task's
    ``version``. Any other change of the model requires a new ``version``.
    """
    config = task.pretrain
    assert config is not None
    steps = jnp.arange(0, _steps(config, base), 250)
    recipe = (
        _FORMAT,
        task.version,
        data_digest(base),
        config.epochs,
        config.batch_size,
        config.learning_rate,
        config.seed,
        [float(b) for b in jax.vmap(config.beta_at)(steps)],
        jax.tree.map(jnp.shape, jax.eval_shape(task.vae.init, prng_key(0))),
    )
    digest = hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]
    name = re.sub(r"[^\w.-]+", "-", f"{task.name}-{task.version}-seed{config.seed}-{digest}")
    return cache_dir() / "pretrained" / f"{name}.safetensors"


def _steps(config: PretrainConfig, base: Dataset) -> int:
    """Total number of training steps."""
    return math.ceil(config.epochs * len(base.scores) / config.batch_size)


def data_digest(base: Dataset) -> str:
    """A digest of the objects and scores."""
    digest = hashlib.sha256()
    for part in base:
        array = np.ascontiguousarray(part)
        digest.update(repr((array.shape, str(array.dtype))).encode() + array.tobytes())
    return digest.hexdigest()[:16]


def pretrain(task: Task, base: Dataset, progress: Progress | None = None) -> Any:
    """Train the task's model from scratch on the unweighted base data.

    Raises:
      FloatingPointError: if training diverges.
    """
    config = task.pretrain
    assert config is not None
    root = jax.random.fold_in(prng_key(config.seed), _TAG)
    weights = uniform_weights(base.scores)
    batches = minibatches(weights, jnp.ones(weights.shape, bool))
    steps = _steps(config, base)
    objects = jnp.asarray(base.objects)

    @partial(jax.jit, compiler_options=compiler_options())
    def chunk(params: Any, opt_state: Any, first: jax.Array, n: jax.Array) -> Any:
        return train(
            jax.random.fold_in(root, 1),
            params,
            task.vae,
            lambda rows: objects[rows],
            batches,
            steps=n,
            batch_size=config.batch_size,
            optimizer=optax.adam(config.learning_rate),
            beta=config.beta_at,
            opt_state=opt_state,
            first_step=first,
        )

    params = task.vae.init(jax.random.fold_in(root, 0))
    _, opt_state, _ = jax.eval_shape(chunk, params, None, jnp.int32(0), jnp.int32(0))
    opt_state = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), opt_state)
    for first in range(0, steps, _CHUNK):
        n = min(_CHUNK, steps - first)
        params, opt_state, info = chunk(params, opt_state, jnp.int32(first), jnp.int32(n))
        if not bool(info.finite):
            raise FloatingPointError(
                f"pretraining of {task.name!r} diverged after step {first}: "
                "lower the learning rate or choose another pretrain seed"
            )
        if progress:
            progress(first + n, steps)
    return params
