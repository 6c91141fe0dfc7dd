"""How the next latent points are chosen.

A proposer ranks a pool of latent points with their decodes. The loop takes from
its top those objects that were not scored before, so that no proposer has to
know what was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from wrlso.data import Acquired, Dataset
from wrlso.vae import VAE

Objective = Callable[[Array], Array]
"""``objects [B, ...] -> scores [B]``, higher is better."""

_SLICE = 250


def evaluate(objective: Objective, objects: Array) -> Array:
    """``[B] float32`` scores of ``[B, ...]`` objects.

    Raises:
      ValueError: if the objective does not give a score for each object.
    """
    scores = jnp.asarray(objective(objects), jnp.float32)
    if scores.shape != objects.shape[:1]:
        raise ValueError(
            f"objective must map objects {list(objects.shape)} to scores {list(objects.shape[:1])}"
            f", got {list(scores.shape)}; give a function of one object as host_objective"
        )
    return scores


class Pool(NamedTuple):
    """Candidates in order of preference: ``latents [P, d]`` and their ``objects [P, ...]``.

    Without objects, the loop decodes the first ``Proposer.likely`` of them, and the others only
    where too few of these are new."""

    latents: Array
    objects: Array | None = None


class View(NamedTuple):
    """All that a proposer may look at: the current model and the data scored so far."""

    params: Any
    acquired: Acquired
    base: Dataset
    distinct: Array
    """``[N]`` booleans: false for a base object that stands in an earlier row, too."""


class Told(NamedTuple):
    """What points taught: ``latents [q, d]``, ``scores [q]`` (NaN where there is none: a failure,
    or a place that the budget did not cover) and ``failed [q]``."""

    latents: Array
    scores: Array
    failed: Array


def _no_surrogate(key: Array, view: View, memory: Any) -> tuple[Any, Any]:
    return memory, ()


def _no_lesson(surrogate: Any, told: Told) -> Any:
    return surrogate


@dataclass(frozen=True, eq=False)
class Proposer:
    """A way to choose latent points: pure functions, and what is static about them.

    Attributes:
      name: as in ``--proposer``.
      propose: ``(key, View, surrogate) -> Pool``.
      batch: queries taken from each pool; the pool holds at least as many.
      uncharged: objective evaluations that a pool costs beyond the budget. Zero
        for an honest method; shown wherever its results are.
      fit: ``(key, View, memory) -> (memory, surrogate)``, called after each
        retraining. ``memory`` is what lasts from one round to the next (and into
        checkpoints), the surrogate what lasts for a round; any pytrees.
      observe: ``(surrogate, Told) -> surrogate``, called after each batch.
      likely: points of a pool without objects that are decoded first, at least ``batch`` and
        ``lessons``.
      lessons: points of each pool, at most, whose objects are known already that are
        observed together with a batch: such a point costs nothing and would else be
        proposed again and again.
      memory: at the beginning.
    """

    name: str
    propose: Callable[[Array, View, Any], Pool]
    batch: int
    uncharged: int = 0
    fit: Callable[[Array, View, Any], tuple[Any, Any]] = _no_surrogate
    observe: Callable[[Any, Told], Any] = _no_lesson
    likely: int = 0
    lessons: int = 0
    memory: Any = ()


def decode_all(vae: VAE, params: Any, latents: Array) -> Array:
    """Decode ``[P, d]`` latents in slices, so that memory does not grow with P."""
    return _in_slices(lambda z: vae.decode(params, z), latents)


def encode_all(vae: VAE, params: Any, objects: Array) -> Array:
    """Means ``[P, d]`` of the encoder for ``[P, ...]`` objects, in slices."""
    return _in_slices(lambda x: vae.encode(params, x)[0], objects)


def _in_slices(function: Callable[[Array], Array], rows: Array) -> Array:
    """``function(rows)`` for a function whose rows do not depend on one another. The last slice is
    filled up with copies of the last row."""
    n = rows.shape[0]
    if n <= _SLICE:
        return function(rows)
    filled = rows[jnp.minimum(jnp.arange(-(-n // _SLICE) * _SLICE), n - 1)]
    out = lax.map(function, filled.reshape(-1, _SLICE, *rows.shape[1:]))
    return out.reshape(-1, *out.shape[2:])[:n]


def grid(
    vae: VAE, objective: Objective, batch: int, bound: float = 3.0, side: int = 50
) -> Proposer:
    """The paper's "optimal model" for the shapes task: peek at the objective on a grid.

    Decodes a ``side x side`` grid on ``[-bound, bound]^2`` and ranks it by the
    true objective. These evaluations are not charged to the budget, so results
    with this proposer show what retraining does to the model, not what an
    optimiser could do with it.

    Raises:
      ValueError: if the latent space does not have two dimensions, or a batch is
        larger than the grid.
    """
    if vae.latent_dim != 2:
        raise ValueError(f"the grid proposer needs 2 latent dimensions, got {vae.latent_dim}")
    if batch > side**2:
        raise ValueError(
            f"the grid proposer has {side**2} points, too few for batches of {batch}: lower "
            "retrain_every (or, for a method that never retrains, the budget)"
        )
    line = jnp.linspace(-bound, bound, side, dtype=jnp.float32)
    points = jnp.stack(jnp.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)

    def propose(key: Array, view: View, surrogate: Any) -> Pool:
        objects = decode_all(vae, view.params, points)
        best_first = jnp.argsort(-evaluate(objective, objects), stable=True)
        return Pool(points[best_first], objects[best_first])

    return Proposer("grid", propose, batch, uncharged=side * side)


def prior(vae: VAE, batch: int, oversample: int = 4) -> Proposer:
    """Samples from the model's prior, in random order: no surrogate, nothing peeked at.

    ``oversample * batch`` points are drawn and decoded, so that a batch can be
    filled with new objects where a model repeats itself.
    """

    def propose(key: Array, view: View, surrogate: Any) -> Pool:
        latents = jax.random.normal(key, (oversample * batch, vae.latent_dim), jnp.float32)
        return Pool(latents, decode_all(vae, view.params, latents))

    return Proposer("prior", propose, batch)
