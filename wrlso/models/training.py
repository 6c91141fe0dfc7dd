"""Training a VAE on weighted minibatches, compiled once for any number of steps."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jax.typing import ArrayLike

from wrlso.models.checks import check_rows
from wrlso.models.descent import descend
from wrlso.models.elbo import BetaSchedule, weighted_negative_elbo
from wrlso.models.sampling import build_cdf, draw
from wrlso.models.vae import VAE
from wrlso.weighting.ranks import uniform_weights

WeightForm = Literal["sample", "loss", "split"]


class Minibatches(NamedTuple):
    """The way in which rows enter minibatches.

    Attributes:
      cdf: ``[N]`` integers, the cumulative distribution that rows are drawn from.
      loss_weights: ``[N]``, the factor of a row's loss once it is drawn.
    """

    cdf: Array
    loss_weights: Array


def minibatches(weights: Array, mask: Array, form: WeightForm = "sample") -> Minibatches:
    """Weights as sampling probabilities, as loss factors, or as both.

    All three have the same expected gradient, ``sum_i w_i * grad loss_i``.

    Args:
      weights: ``[N]``, summing to one.
      mask: ``[N]``, true where a row may be drawn.
      form: ``"sample"`` draws by weight (A.3.1); ``"loss"`` draws uniformly and
        multiplies losses (A.3.2); ``"split"`` is the latter with a row of
        relative weight above one split into enough copies to bring each copy's
        factor below two, which cuts the variance.
    """
    if form == "sample":
        probability = weights
    elif form == "loss":
        probability = uniform_weights(jnp.zeros_like(weights), mask)
    elif form == "split":
        rows = mask.sum().astype(jax.dtypes.canonicalize_dtype(weights.dtype))
        copies = jnp.where(mask, jnp.maximum(jnp.ceil(weights * rows), 1.0), 0.0)
        total = copies.sum()
        probability = copies / jnp.where(total > 0, total, 1.0)
    else:
        raise ValueError(f"form must be 'sample', 'loss' or 'split', got {form!r}")
    factor = weights / jnp.where(probability > 0, probability, 1.0)
    return Minibatches(build_cdf(probability), factor)


_TOGETHER = 16
"""Minibatches drawn together where objects differ in length."""


def draw_by_length(
    key: Array,
    number: Array,
    batches: Minibatches,
    batch_size: int,
    lengths: Callable[[Array], Array],
) -> Array:
    """Rows ``[B]`` of a training step whose objects are of like length.

    16 minibatches are drawn together, sorted by length, and come in random order. Each row is
    drawn as often as it would be alone, so that the expected gradient is the same, but few
    minibatches hold a long object and cost what it costs.

    Args:
      key: typed PRNG key of the training.
      number: of the step, may be traced.
      batches: from :func:`minibatches`.
      batch_size: B (static).
      lengths: ``rows [n] -> [n]``.
    """
    key = jax.random.fold_in(jax.random.fold_in(key, number // _TOGETHER), _TOGETHER)
    draw_key, order_key = jax.random.split(key)
    rows = draw(draw_key, batches.cdf, _TOGETHER * batch_size)
    alike = rows[jnp.argsort(lengths(rows))].reshape(_TOGETHER, batch_size)
    return alike[jax.random.permutation(order_key, _TOGETHER)[number % _TOGETHER]]


class TrainInfo(NamedTuple):
    """The outcome of training.

    Attributes:
      loss: ``[]``, mean over the steps, nats per object.
      finite: ``[]``, false if training diverged or no row may be drawn; the parameters are then
        those from before.
    """

    loss: Array
    finite: Array


def train(
    key: Array,
    params: Any,
    vae: VAE,
    objects: Callable[[Array], Array],
    batches: Minibatches,
    *,
    steps: ArrayLike,
    batch_size: int,
    optimizer: optax.GradientTransformation,
    beta: BetaSchedule,
    opt_state: Any = None,
    first_step: ArrayLike = 0,
) -> tuple[Any, Any, TrainInfo]:
    """Minimise the weighted negative ELBO for ``steps`` steps in one compiled loop.

    Args:
      key: typed PRNG key; step i uses ``fold_in(key, first_step + i)``.
      params: the model's parameters. Floats are trained; whole numbers, booleans and keys stay.
      vae: the model (static).
      objects: ``rows [B] -> objects [B, ...]``.
      batches: from :func:`minibatches`.
      steps: number of steps, may be traced: the loop compiles once.
      batch_size: B (static).
      optimizer: any optax transformation, such as ``optax.adam(1e-3)``; its numbers may be traced.
      beta: factor of the KL as a function of the step number.
      opt_state: to continue with; a fresh optimiser if None.
      first_step: number of the first step, to continue a schedule.

    Returns:
      ``(params, opt_state, TrainInfo)``.
    """

    def lengths(rows: Array) -> Array:
        assert vae.lengths is not None
        return check_rows("lengths", vae.lengths(objects(rows)), rows)

    def step(i: Array, carry: tuple[Any, Any, Array]) -> tuple[Any, Any, Array]:
        params, opt_state, total = carry
        number = jnp.asarray(first_step) + i
        row_key, noise_key = jax.random.split(jax.random.fold_in(key, number))
        if vae.lengths is None:
            rows = draw(row_key, batches.cdf, batch_size)
        else:
            rows = draw_by_length(key, number, batches, batch_size, lengths)

        def loss_of(trained: Any) -> Array:
            return weighted_negative_elbo(
                noise_key,
                _joined(trained, others),
                vae,
                objects(rows),
                beta(number),
                batches.loss_weights[rows],
            )

        loss, grads = jax.value_and_grad(loss_of)(params)
        known = {"value": loss, "grad": grads, "value_fn": loss_of}
        params, opt_state = descend(optimizer, grads, opt_state, params, known)
        return params, opt_state, total + loss.astype(jnp.float32)

    params, others = _floats_and_others(params)
    opt_state = optimizer.init(params) if opt_state is None else opt_state
    start = (params, opt_state, jnp.zeros((), jnp.float32))
    trained, opt_state, total = lax.fori_loop(0, steps, step, start)
    # Not the norm: it may overflow where every parameter is finite.
    leaves_finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(trained)]
    finite = jnp.stack([jnp.isfinite(total), *leaves_finite]).all() & (batches.cdf[-1] > 0)
    kept, kept_state = jax.tree.map(
        lambda new, old: jnp.where(finite, new, old), (trained, opt_state), start[:2]
    )
    loss = total / jnp.maximum(steps, 1).astype(jnp.float32)
    return _joined(kept, others), kept_state, TrainInfo(loss, finite)


def _floats_and_others(params: Any) -> tuple[Any, Any]:
    """Parameters twice: the floats, and the others, each with None in place of the rest."""

    def floats(leaf: Any) -> bool:
        return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)

    return (
        jax.tree.map(lambda leaf: leaf if floats(leaf) else None, params),
        jax.tree.map(lambda leaf: None if floats(leaf) else leaf, params),
    )


def _joined(trained: Any, others: Any) -> Any:
    """The parameters of :func:`_floats_and_others` as one."""
    return jax.tree.map(
        lambda leaf, other: other if leaf is None else leaf,
        trained,
        others,
        is_leaf=lambda leaf: leaf is None,
    )
