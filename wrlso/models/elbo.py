"""The weighted evidence lower bound (Sec. 4 and A.3 of the paper)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from wrlso.models.checks import check_encoding, check_rows
from wrlso.models.vae import VAE
from wrlso.scores import at_least_single
from wrlso.scores.checks import native
from wrlso.weighting.checks import as_float, check_kind, check_rate

BetaSchedule = Callable[[Array], Array]


def gaussian_kl(mean: ArrayLike, log_std: ArrayLike) -> Array:
    """KL(N(mean, exp(log_std)^2) || N(0, 1)), summed over the last axis, exact, in nats.

    In float32 or the arguments' wider type: 16 bits do not hold the sum of many dimensions. Neither
    the result nor its slopes lose digits where the distribution is close to N(0, 1).

    Raises:
      ValueError: for what is no real number.
    """
    mean, log_std = _floats(mean=mean, log_std=log_std)
    return 0.5 * (_beyond_linear(2 * log_std) + mean**2).sum(-1)


def _floats(**arrays: ArrayLike) -> list[Array]:
    """Arrays in their common type, which is float32 at least."""
    given = {name: jnp.asarray(native(array)) for name, array in arrays.items()}
    for name, array in given.items():
        check_kind(name, array)
    with jax.numpy_dtype_promotion("standard"):
        dtype = at_least_single(jnp.result_type(*given.values()))
    return [array.astype(dtype) for array in given.values()]


@jax.custom_jvp
def _beyond_linear(x: Array) -> Array:
    """``exp(x) - 1 - x``, not negative, to the rounding of the type; infinite at infinity."""
    near = jnp.abs(x) < 0.5
    small, series = jnp.where(near, x, 0.0), jnp.ones_like(x)
    for n in range(15, 2, -1):
        series = 1 + (small * (1 / n)) * series
    large = jnp.where(near, 1.0, x)
    rest = jnp.expm1(large) - jnp.minimum(large, jnp.finfo(x.dtype).max)
    return jnp.where(near, 0.5 * small**2 * series, rest)


@_beyond_linear.defjvp
def _beyond_linear_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _beyond_linear(primals[0]), jnp.expm1(primals[0]) * tangents[0]


def bernoulli_log_likelihood(logits: ArrayLike, x: ArrayLike) -> Array:
    """Elementwise log p(x) for x in {0, 1}, of any real type, under ``logits``, in nats.

    In float32 or the arguments' wider float. It does not overflow, and infinite logits are certain:
    0 where x is what they say, and minus infinity elsewhere.

    ``log(1 + e)`` stands where one would expect ``log1p``, which XLA's CPU
    backend does not vectorise: e lies in (0, 1], so it costs no more than one
    rounding of 1 + e, 6e-8.

    Raises:
      ValueError: for what is no real number.
    """
    return _bernoulli(*_floats(logits=logits, x=x))


@jax.custom_jvp
def _bernoulli(logits: Array, x: Array) -> Array:
    size = jnp.abs(logits)
    wrong = jnp.where(logits > 0, 1 - x, x)  # by how much x differs from what the sign says
    return jnp.where(wrong == 0, 0.0, -wrong * size) - jnp.log(1 + jnp.exp(-size))


def _bernoulli_jvp(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Any]:
    logits, x = primals
    parts = []
    if not isinstance(tangents[0], SymbolicZero):
        parts.append((x - jax.nn.sigmoid(logits)) * tangents[0])
    if not isinstance(tangents[1], SymbolicZero):
        largest = jnp.finfo(logits.dtype).max
        parts.append(jnp.clip(logits, -largest, largest) * tangents[1])
    return _bernoulli(logits, x), sum(parts[1:], parts[0])


_bernoulli.defjvp(_bernoulli_jvp, symbolic_zeros=True)


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
      ValueError: if there is no object, if ``beta`` is no single real number, if ``loss_weights``
        are no real numbers, and if they or what the model's functions return has another shape, all
        also under ``jit``; for a concrete ``beta`` that is negative, NaN or infinite.
    """
    if np.shape(objects)[:1] in ((), (0,)):
        raise ValueError(
            "objects must be a batch of at least one object, [B, ...], got shape "
            f"{list(np.shape(objects))}: a mean over no object does not exist"
        )
    check_rate("beta", beta)
    if loss_weights is not None:
        check_kind("loss_weights", loss_weights)
        loss_weights = check_rows("loss_weights", loss_weights, objects)
    if vae.loss is not None:
        loss = check_rows("loss", vae.loss(key, params, objects, beta), objects)
    else:
        log_likelihood, kl = elbo_terms(key, params, vae, objects)
        kind = jnp.promote_types(kl.dtype, log_likelihood.dtype)
        loss = as_float("beta", beta, kind) * kl.astype(kind) - log_likelihood.astype(kind)
    if loss_weights is None:
        return _floats(loss=loss)[0].mean()
    loss, loss_weights = _floats(loss=loss, loss_weights=loss_weights)
    return (loss_weights * loss).mean()


def constant_beta(beta: ArrayLike) -> BetaSchedule:
    """The same beta at every step, as in retraining: in float32, or an array's wider type.

    Raises:
      ValueError: if ``beta`` is no single real number; for a concrete one that is negative, NaN or
        infinite.
    """
    check_rate("beta", beta)
    dtype = jax.dtypes.canonicalize_dtype(at_least_single(getattr(beta, "dtype", jnp.float32)))
    return lambda step: as_float("beta", beta, dtype)


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
