"""The weighted evidence lower bound (Sec. 4 and A.3 of the paper)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from wrlso.models.checks import check_encoding, check_rows
from wrlso.models.vae import VAE
from wrlso.scores import at_least_single

BetaSchedule = Callable[[Array], Array]


def gaussian_kl(mean: Array, log_std: Array) -> Array:
    """KL(N(mean, exp(log_std)^2) || N(0, 1)), summed over the last axis, exact, in nats.

    In float32 or the arguments' wider type: 16 bits do not hold the sum of many dimensions.
    """
    parts = map(jnp.asarray, (mean, log_std))
    mean, log_std = (part.astype(at_least_single(part.dtype)) for part in parts)
    return 0.5 * (jnp.exp(2 * log_std) + mean**2 - 1.0 - 2 * log_std).sum(-1)


@jax.custom_jvp
def bernoulli_log_likelihood(logits: Array, x: Array) -> Array:
    """Elementwise log p(x) for x in {0, 1}, as floats, under ``logits``, without overflow, in nats.

    ``log(1 + e)`` stands where one would expect ``log1p``, which XLA's CPU
    backend does not vectorise: e lies in (0, 1], so it costs no more than one
    rounding of 1 + e, 6e-8.
    """
    return x * logits - jnp.maximum(logits, 0) - jnp.log(1 + jnp.exp(-jnp.abs(logits)))


@bernoulli_log_likelihood.defjvp
def _bernoulli_log_likelihood_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    logits, x = primals
    logits_dot, x_dot = tangents
    slope = (x - jax.nn.sigmoid(logits)) * logits_dot + logits * x_dot
    return bernoulli_log_likelihood(logits, x), slope


def elbo_terms(key: Array, params: Any, vae: VAE, objects: Array) -> tuple[Array, Array]:
    """One-sample estimate of both terms of the ELBO for each object.

    Args:
      key: a typed PRNG key.
      params: the model's parameters.
      vae: the model.
      objects: ``[B, ...]`` in the model's storage form.

    Returns:
      ``(log_likelihood [B], kl [B])`` in nats. The KL is exact.

    Raises:
      ValueError: if the model's functions return other shapes, also under ``jit``.
    """
    found = vae.encode(params, objects)
    mean, log_std = check_encoding(found, objects, vae.latent_dim)
    noise = jax.random.normal(key, mean.shape, mean.dtype)
    latent = mean + jnp.exp(log_std) * noise
    log_likelihood = vae.log_likelihood(params, latent, objects)
    return check_rows("log_likelihood", log_likelihood, objects), gaussian_kl(mean, log_std)


def weighted_negative_elbo(
    key: Array,
    params: Any,
    vae: VAE,
    objects: Array,
    beta: ArrayLike = 1.0,
    loss_weights: Array | None = None,
) -> Array:
    """Minibatch loss: the mean of ``loss_weight * (beta * KL - log-likelihood)``, or of the model's
    own loss if it has one.

    With minibatches drawn by weight, ``loss_weights`` is None (A.3.1); with
    minibatches drawn uniformly it is N times the weight of each row (A.3.2).
    Both have the same expectation, ``sum_i w_i * loss_i``.

    Args:
      key, params, vae, objects: as in :func:`elbo_terms`.
      beta: factor of the KL, scalar, may be traced.
      loss_weights: ``[B]``, or None for ones.

    Returns:
      ``[]`` nats per object.

    Raises:
      ValueError: if ``loss_weights`` or what the model's functions return has another shape, also
        under ``jit``.
    """
    if loss_weights is not None:
        loss_weights = check_rows("loss_weights", loss_weights, objects)
    if vae.loss is not None:
        loss = check_rows("loss", vae.loss(key, params, objects, beta), objects)
    else:
        log_likelihood, kl = elbo_terms(key, params, vae, objects)
        kind = jnp.promote_types(kl.dtype, log_likelihood.dtype)
        loss = jnp.asarray(beta, kind) * kl.astype(kind) - log_likelihood.astype(kind)
    return (loss if loss_weights is None else loss_weights * loss).mean()


def constant_beta(beta: ArrayLike) -> BetaSchedule:
    """The same beta at every step, as in retraining: in float32, or an array's wider type."""
    dtype = at_least_single(getattr(beta, "dtype", jnp.float32))
    return lambda step: jnp.asarray(beta, jax.dtypes.canonicalize_dtype(dtype))


def geometric_beta(
    start: float = 1e-6,
    stop: float = 10.0,
    factor: float = 1.1,
    every: int = 10,
    warmup: int = 1000,
) -> BetaSchedule:
    """Pretraining's annealing: ``start``, then times ``factor`` every ``every`` steps after
    ``warmup`` steps, and never above ``stop``.

    Raises:
      ValueError: if ``start`` is not positive, from which no factor leads anywhere.
    """
    if not start > 0:
        raise ValueError(f"start must be positive, got {start}")

    def beta(step: Array) -> Array:
        grown = jnp.maximum(step - warmup, 0) // every
        return jnp.minimum(start * factor ** grown.astype(jnp.float32), stop)

    return beta
