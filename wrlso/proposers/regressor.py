"""A learned regressor from soft objects to scores, for the gradient proposers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from wrlso.data import all_scores, gather
from wrlso.gp.standardize import standardizer
from wrlso.models.descent import descend
from wrlso.models.sampling import build_cdf, draw
from wrlso.models.vae import VAE, Relaxation
from wrlso.proposers.base import View
from wrlso.scores.checks import keep_numbers, keep_whole
from wrlso.weighting.ranks import rank_weights


@dataclass(frozen=True)
class RegressorConfig:
    """A multilayer perceptron and its training. All static.

    Attributes:
      width: units of each of the two hidden layers.
      steps: number of Adam steps per fit, which continues from the parameters of the last fit.
      batch_size: objects per step, drawn by rank weights.
      learning_rate: of Adam.
      k: of the rank weights: large enough that all data count, small enough that the few good ones
        do.

    Raises:
      ValueError: if a number is out of range or not whole.
    """

    width: int = 128
    steps: int = 300
    batch_size: int = 128
    learning_rate: float = 1e-3
    k: float = 0.1

    def __post_init__(self) -> None:
        keep_whole(self, {"width": 1, "steps": 0, "batch_size": 1}, of=" of a regressor")
        keep_numbers(self, "learning_rate", "k", of=" of a regressor")


class _Perceptron(nn.Module):
    width: int

    @nn.compact
    def __call__(self, soft: Array) -> Array:
        x = soft.reshape(soft.shape[0], -1)
        x = nn.relu(nn.Dense(self.width)(x))
        x = nn.relu(nn.Dense(self.width)(x))
        return nn.Dense(1)(x)[:, 0]


def initial_params(key: Array, soft_like: Array, config: RegressorConfig) -> Any:
    """Parameters for soft objects shaped like ``soft_like [B, ...]``."""
    return _Perceptron(config.width).init(key, soft_like)


def regress(params: Any, soft: Array, config: RegressorConfig) -> Array:
    """Scores ``[B]`` in standard units of soft objects ``[B, ...]``."""
    return jnp.asarray(_Perceptron(config.width).apply(params, soft))


def train_regressor(
    key: Array, params: Any, view: View, relaxation: Relaxation, config: RegressorConfig
) -> Any:
    """Parameters after least squares on all scored data, in minibatches; reads no other score."""
    scores, usable = all_scores(view.base, view.history)
    units = standardizer(scores, usable)
    targets = jnp.where(usable, units.apply(scores), 0.0)
    cdf = build_cdf(rank_weights(scores, config.k, usable))
    optimizer = optax.adam(config.learning_rate)

    def loss(params: Any, soft: Array, target: Array) -> Array:
        return ((regress(params, soft, config) - target) ** 2).mean()

    def step(i: Array, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        params, state = carry
        rows = draw(jax.random.fold_in(key, i), cdf, config.batch_size)
        soft = relaxation.soften(gather(view.base, view.history, rows))
        grads = jax.grad(loss)(params, soft, targets[rows])
        return descend(optimizer, grads, state, params)

    start = (params, optimizer.init(params))
    return lax.fori_loop(0, config.steps, step, start)[0]


def make_regressor(
    vae: VAE, config: RegressorConfig
) -> tuple[Callable[[Array, View, Any], tuple[Any, Any]], Callable[..., Array]]:
    """The two functions of a regressor.

    Returns:
      ``fit(key, view, params) -> (params, params)``, as a proposer needs it, and
      ``h(params, soft) -> [B]``. The first parameters are those of :func:`initial_params`, the same
      for all seeds; each fit continues from the last.
    """
    assert vae.relaxation is not None
    relaxation = vae.relaxation

    def fit(key: Array, view: View, params: Any) -> tuple[Any, Any]:
        trained = train_regressor(key, params, view, relaxation, config)
        return trained, trained

    return fit, lambda params, soft: regress(params, soft, config)
