"""Hyperparameters by maximum a posteriori, from several starts, inside jit."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from wrlso.gp.checks import check_numbers
from wrlso.gp.kernels import default_lengthscale
from wrlso.maximize import maximize
from wrlso.scores import at_least_single
from wrlso.scores.checks import check_scalar, check_whole, keep_whole


class Hyperparameters(NamedTuple):
    """``lengthscales [d]``, ``variance []`` of the function and ``noise []`` (variance) of the
    observations, for latents and targets in standard units."""

    lengthscales: Array
    variance: Array
    noise: Array


class LogNormal(NamedTuple):
    """A log-normal prior: ``median`` and the standard deviation ``spread`` of the logarithm."""

    median: float
    spread: float


_VARIANCE = LogNormal(1.0, 1.0)
_NOISE = LogNormal(math.exp(-4.0), 1.0)


@dataclass(frozen=True)
class FitConfig:
    """Priors, bounds and effort of a fit of hyperparameters.

    Attributes:
      restarts: number of starts: the given one, the priors' medians, and draws from the priors,
        all within the bounds. A prior may have its median outside.
      evaluations: number of evaluations of the log posterior and its gradient per start.
      lengthscale: prior of each lengthscale; None: the dimension-scaled prior of Hvarfner et al.
        (2024).
      variance, noise: priors.
      lengthscale_bounds, variance_bounds, noise_bounds: bounds of the result. The exact GP raises
        noise to rounding error, see :mod:`wrlso.gp.exact`.

    Raises:
      ValueError: for a bound, a median or a spread that is not positive and finite, bounds in the
        wrong order, and a number of restarts or evaluations that is not whole or below one.
    """

    restarts: int = 3
    evaluations: int = 30
    lengthscale: LogNormal | None = None
    variance: LogNormal = _VARIANCE
    noise: LogNormal = _NOISE
    lengthscale_bounds: tuple[float, float] = (0.02, 100.0)
    variance_bounds: tuple[float, float] = (0.02, 50.0)
    noise_bounds: tuple[float, float] = (1e-5, 1.0)

    def __post_init__(self) -> None:
        keep_whole(self, {"restarts": 1, "evaluations": 1})
        for name in ("lengthscale", "variance", "noise"):
            _check_bounds(f"{name}_bounds", getattr(self, f"{name}_bounds"))
            if name != "lengthscale" or self.lengthscale is not None:
                _check_prior(name, getattr(self, name))


def _check_prior(name: str, prior: LogNormal) -> None:
    if not isinstance(prior, LogNormal) or not all(_is_positive(number) for number in prior):
        raise ValueError(
            f"{name} must be a prior of positive, finite median and spread, such as "
            f"LogNormal(1.0, 0.5), got {prior}"
        )


def _check_bounds(name: str, bounds: tuple[float, float]) -> None:
    pair = isinstance(bounds, tuple) and len(bounds) == 2
    if not pair or not all(map(_is_positive, bounds)) or bounds[0] > bounds[1]:
        raise ValueError(
            f"{name} must be two positive, finite numbers in a tuple, the lower one first, got "
            f"{bounds}"
        )


def _is_positive(number: Any) -> bool:
    return isinstance(number, (int, float, np.number)) and bool(0 < number < math.inf)


LogEvidence = Callable[[Hyperparameters], Array]
"""The log marginal likelihood, or a bound of it, ``[]`` nats."""


def default_hyperparameters(
    dimensions: int, config: FitConfig | None = None, dtype: DTypeLike = jnp.float32
) -> Hyperparameters:
    """The priors' medians, in a type that a fit from them keeps.

    Raises:
      ValueError: unless the number of dimensions is whole and at least one.
    """
    check_whole("dimensions", dimensions, 1)
    config = config or FitConfig()
    return _unpack(_prior(dimensions, config, dtype)[0], dimensions)


def fit(
    key: Array, log_evidence: LogEvidence, start: Hyperparameters, config: FitConfig | None = None
) -> tuple[Hyperparameters, Array]:
    """Maximise ``log_evidence + log prior`` over the box of bounds, in logarithms.

    A call outside of ``jit`` compiles the fit anew: where there are several, as with other data,
    put it into a jitted function.

    Args:
      key: typed PRNG key, for the random starts.
      log_evidence: pure; called ``evaluations`` times per start, with its gradient.
      start: to begin with, such as those of the last fit. Their type is that of the fit, at least
        float32.
      config: priors, bounds, effort (static).

    Returns:
      The best found, and there ``log_evidence`` plus the log prior of the logarithms
      without its constant ``[]``; never worse than ``start`` (put within the bounds).
      If no evidence is finite, as with NaN among the data, ``start`` is returned, with
      the value -inf. The value's derivative is that of ``log_evidence`` at the hyperparameters
      found (envelope theorem), which count as constants.

    Raises:
      ValueError: for a start of other shapes, complex numbers, and evidence that is not one number.
    """
    config = config or FitConfig()
    start = _checked(start)
    d, dtype = start.lengthscales.shape[0], start.lengthscales.dtype
    centre, spread = _prior(d, config, dtype)
    lower, upper = _bounds(d, config, dtype)
    middle = jnp.clip(centre, lower, upper)  # to start from; the prior stays where it is
    shape = (max(config.restarts - 2, 0), d + 2)
    random = middle[None] + spread[None] * jax.random.normal(key, shape, dtype)
    starts = jnp.concatenate([_pack(start)[None], middle[None], random])[: config.restarts]

    def log_posterior(packed: Array) -> Array:
        log_prior = -0.5 * (((packed - centre) / spread) ** 2).sum()
        value = log_evidence(_unpack(packed, d))
        check_numbers("the value of log_evidence", value)
        check_scalar("the value of log_evidence", value)
        return value + log_prior

    # One start after the other: each fills the machine, and memory does not grow.
    value_and_grad = jax.value_and_grad(log_posterior)
    found = maximize(
        None,
        starts.astype(dtype),
        lower,
        upper,
        config.evaluations,
        value_and_grad=lambda packed: lax.map(value_and_grad, packed),
    )
    return _unpack(found.points[0], d), found.values[0]


def _checked(start: Hyperparameters) -> Hyperparameters:
    """The start in one type, at least float32."""
    if not isinstance(start, Hyperparameters):
        raise ValueError(
            f"start must be Hyperparameters(lengthscales, variance, noise), got {start!r}: "
            "default_hyperparameters gives some"
        )
    for name, part in start._asdict().items():
        check_numbers(f"start.{name}", part)
    if np.ndim(start.lengthscales) != 1 or np.shape(start.lengthscales)[0] == 0:
        raise ValueError(
            "start.lengthscales must be [d], one for each of at least one dimension, got shape "
            f"{np.shape(start.lengthscales)}: give one number an axis, as jnp.ones(1)"
        )
    check_scalar("start.variance", start.variance)
    check_scalar("start.noise", start.noise)
    dtype = at_least_single(jnp.asarray(start.lengthscales).dtype)
    return Hyperparameters(*(jnp.asarray(part, dtype) for part in start))


def _prior(dimensions: int, config: FitConfig, dtype: DTypeLike) -> tuple[Array, Array]:
    scale = config.lengthscale or LogNormal(default_lengthscale(dimensions), math.sqrt(3.0))
    priors = [scale] * dimensions + [config.variance, config.noise]
    return (
        jnp.array([math.log(p.median) for p in priors], dtype),
        jnp.array([p.spread for p in priors], dtype),
    )


def _bounds(dimensions: int, config: FitConfig, dtype: DTypeLike) -> tuple[Array, Array]:
    bounds = [config.lengthscale_bounds] * dimensions
    bounds += [config.variance_bounds, config.noise_bounds]
    lower, upper = jnp.log(jnp.array(bounds, dtype)).T
    return lower, upper


def _pack(hyper: Hyperparameters) -> Array:
    parts = [hyper.lengthscales, jnp.atleast_1d(hyper.variance), jnp.atleast_1d(hyper.noise)]
    return jnp.log(jnp.concatenate(parts))


def _unpack(packed: Array, d: int) -> Hyperparameters:
    values = jnp.exp(packed)
    return Hyperparameters(values[:d], values[d], values[d + 1])
