"""Line 3 of Algorithm 1: retrain the model on all data, weighted by score."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import optax
from jax import Array
from jax.typing import ArrayLike

from wrlso.data import Dataset, History, all_rounds, all_scores, gather
from wrlso.models.elbo import constant_beta
from wrlso.models.training import WeightForm, minibatches, train
from wrlso.models.vae import VAE
from wrlso.scores.checks import form_of, keep_numbers, keep_whole
from wrlso.weighting.checks import check_rate
from wrlso.weighting.ranks import effective_sample_size
from wrlso.weighting.registry import Weighting, weights_of

Optimizer: TypeAlias = (
    optax.GradientTransformation | Callable[[ArrayLike], optax.GradientTransformation]
)
"""An optax transformation, or a function from a learning rate to one, such as ``optax.adam``."""

TRAINING_NUMBERS = ("learning_rate", "beta")
"""Names of traced numbers that every retraining has."""

_STATED = ("first_steps", "steps")
"""Names of numbers of steps that may be None."""


@dataclass(frozen=True)
class RetrainConfig:
    """Settings of a task's retraining. Sizes are static; the loop traces the rates.

    Attributes:
      first_epochs: passes over the data at the first retraining.
      epochs: passes over the data at each later retraining.
      first_steps: training steps of the first retraining, whatever the size of the data; None: as
        many as ``first_epochs`` takes. Methods that train on the last samples only ignore it.
      steps: the same for each later retraining, in place of ``epochs``.
      batch_size: objects per step.
      learning_rate: of the optimizer.
      beta: factor of the KL divergence.
      form: how weights enter training, see :func:`wrlso.models.training.minibatches`.
      min_steps: minimum number of training steps per retraining, unless it has no pass at all. A
        few steps on small data hardly move a model. Methods that train on the last samples only
        ignore it.
      optimizer: any optax transformation, or a function from the learning rate to one. Its state
        starts afresh at every retraining, as in the paper's runs. A transformation brings its own
        learning rate, so ``learning_rate`` has no effect on it.

    Raises:
      ValueError: for a batch without an object, a number that is negative or not finite, one of
        objects or steps that is not whole, and an optimizer of another kind.
    """

    first_epochs: float = 1.0
    epochs: float = 0.1
    batch_size: int = 32
    learning_rate: float = 1e-3
    beta: float = 1.0
    form: WeightForm = "sample"
    min_steps: int = 0
    optimizer: Optimizer = optax.adam
    first_steps: int | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        stated = [name for name in _STATED if getattr(self, name) is not None]
        keep_whole(self, {"batch_size": 1} | dict.fromkeys(["min_steps", *stated], 0))
        rates = (*TRAINING_NUMBERS, "first_epochs", "epochs")
        keep_numbers(self, *rates)
        for name in rates:
            check_rate(name, getattr(self, name))
        made = isinstance(self.optimizer, optax.GradientTransformation)
        if not (made or callable(self.optimizer)):
            raise ValueError(
                "optimizer must be an optax transformation, or a function from the learning rate "
                f"to one, such as optax.adam, got {self.optimizer!r}{_remedy(self.optimizer)}"
            )

    def make_optimizer(self, learning_rate: ArrayLike) -> optax.GradientTransformation:
        """The optax transformation for a learning rate, which may be traced.

        Raises:
          ValueError: if a function returns anything else.
        """
        if isinstance(self.optimizer, optax.GradientTransformation):
            return self.optimizer
        made = self.optimizer(learning_rate)
        if not isinstance(made, optax.GradientTransformation):
            raise ValueError(
                "optimizer must be a function from the learning rate to an optax transformation, "
                f"such as optax.adam, got one that returns {form_of(made)}{_remedy(made)}"
            )
        return made


def _remedy(optimizer: Any) -> str:
    """The remedy where a wrapper of optax is given, such as ``optax.MultiSteps``; else empty."""
    makes_one = hasattr(optimizer, "gradient_transformation")
    return ": give its .gradient_transformation()" * makes_one


class RetrainInfo(NamedTuple):
    """The outcome of a retraining.

    Attributes:
      loss: ``[]``, mean over the steps, nats per object.
      finite: ``[]``, false if training diverged or no row may be drawn; the parameters are then
        those from before.
      effective_rows: ``[]``, the weights' effective sample size.
    """

    loss: Array
    finite: Array
    effective_rows: Array


def retrain_model(
    key: Array,
    params: Any,
    history: History,
    base: Dataset,
    steps: ArrayLike,
    hyper: Mapping[str, ArrayLike],
    *,
    vae: VAE,
    weighting: Weighting,
    config: RetrainConfig,
) -> tuple[Any, RetrainInfo]:
    """Weighted fine-tuning on base data and history (Algorithm 1, line 3).

    The newest points take part like all others.

    Args:
      key: typed PRNG key of this seed and round.
      params: the model's parameters.
      history: this seed's queries.
      base: the data that all seeds share.
      steps: number of training steps, may be traced.
      hyper: traced numbers: those of the weighting, and ``learning_rate`` and ``beta`` where they
        differ from the configuration's.
      vae, weighting, config: static.

    Returns:
      The new parameters and a :class:`RetrainInfo`.
    """
    hyper = {"learning_rate": config.learning_rate, "beta": config.beta, **hyper}
    scores, usable = all_scores(base, history)
    weights = weights_of(weighting, scores, usable, all_rounds(base, history), hyper)
    params, _, info = train(
        key,
        params,
        vae,
        lambda rows: gather(base, history, rows),
        minibatches(weights, usable, config.form),
        steps=steps,
        batch_size=config.batch_size,
        optimizer=config.make_optimizer(hyper["learning_rate"]),
        beta=constant_beta(hyper["beta"]),
    )
    return params, RetrainInfo(info.loss, info.finite, effective_sample_size(weights))
