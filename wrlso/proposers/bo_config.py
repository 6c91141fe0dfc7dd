"""Settings of Bayesian optimisation in latent space."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from wrlso import acquisition as acq
from wrlso.proposers.surrogate import SurrogateConfig
from wrlso.scores.checks import as_whole, keep_numbers, values_of_rows

AcquisitionName = Literal["log_ei", "ei", "ucb", "thompson"]
AcquisitionFunction = Callable[[Array, Array, Array], Array]
"""``(mean [s], variance [s], best_f []) -> values [s]`` in standard units of the scores; higher is
better. Each value depends on its own point only, and is differentiable. A point with the value NaN
is chosen after all others."""

ACQUISITIONS: dict[str, AcquisitionFunction] = {
    "log_ei": acq.log_expected_improvement,
    "ei": acq.expected_improvement,
}
"""Acquisition functions that need nothing but mean, variance and best score, by name. ``bo`` also
knows ``"ucb"`` and ``"thompson"``."""


def acquisition_of_own(
    function: AcquisitionFunction, mean: Array, variance: Array, best: Array
) -> Array:
    """Values ``[s]`` of an acquisition function of one's own, in the type of the mean; NaN is -inf.

    Raises:
      ValueError: if it returns anything but a real number for each point.
    """
    call = lambda: function(mean, variance, best)  # noqa: E731
    task = f"return a number for each of {len(mean)} points"
    values = values_of_rows("acquisition", call, len(mean), task).astype(mean.dtype)
    return jnp.where(jnp.isnan(values), -jnp.inf, values)


_OTHER_ACQUISITIONS = ("ucb", "thompson")
_WHOLE = ("starts", "candidates", "candidates_per_query", "evaluations", "max_duplicates")


@dataclass(frozen=True)
class BOConfig:
    """Settings of the search for the next points. All static.

    Attributes:
      acquisition: ``"log_ei"``, ``"ei"``, ``"ucb"`` (with ``ucb_beta``), ``"thompson"`` (which
        samples at the draws instead of climbing), or a function of your own
        (:data:`AcquisitionFunction`).
      ucb_beta: factor of the variance in the upper confidence bound, under a square root.
      starts: number of climbs side by side, half from the best draws and half from good data.
      candidates: least number of draws from the prior and around good data. Starts are chosen among
        them, and so are Thompson's samples, and the proposals where all maxima are known.
      candidates_per_query: draws for each query of a batch, where these are more than
        ``candidates``. A search that ranks its draws then costs the same per query in every batch.
      near: share of the draws that are around good data, in [0, 1].
      least_step: the smallest step of such a draw, as a share of the largest, in (0, 1]. That
        one is 1 in each dimension, or ``region``.
      evaluations: maximum number of evaluations of the acquisition function per climb; 0: nothing
        climbs, the draws and the good data themselves are proposed.
      max_duplicates: maximum number of maxima per ask that decode to known objects and are observed
        although nothing is evaluated.
      bound: latent points stay in ``[-bound, bound]`` in every dimension.
      region: distance per dimension that a climb may go from its start; None: anywhere within the
        bounds. In many dimensions nearly all of the box is far from all data, where a model may
        decode to anything.
      max_norm: points further from the origin are moved to this distance; None: no limit. Nearly
        all of the prior lies within 1.1 sqrt(d).
      reencode: rank the decodes of all points by the acquisition function at their own encodings,
        which is where the surrogate's data lie. A point far from all data may decode to an object
        whose encoding is elsewhere; what the surrogate expects at the point then says little.
      surrogate: the model of the scores.

    Raises:
      ValueError: if a number is out of its range or not whole, the acquisition's name is unknown,
        or a function of your own returns anything but a number for each point.
    """

    acquisition: AcquisitionName | AcquisitionFunction = "log_ei"
    ucb_beta: float = 4.0
    starts: int = 20
    candidates: int = 256
    candidates_per_query: int = 0
    near: float = 0.5
    least_step: float = 10**-0.5
    evaluations: int = 60
    max_duplicates: int = 2
    bound: float = 3.0
    region: float | None = None
    max_norm: float | None = None
    reencode: bool = False
    surrogate: SurrogateConfig = field(default_factory=SurrogateConfig)

    def __post_init__(self) -> None:
        for name in _WHOLE:
            object.__setattr__(self, name, as_whole(name, getattr(self, name)))
        limits = [name for name in ("region", "max_norm") if getattr(self, name) is not None]
        keep_numbers(self, "ucb_beta", "near", "least_step", "bound", *limits)
        if callable(self.acquisition):
            three, best = (jax.ShapeDtypeStruct(s, jnp.result_type(float)) for s in ((3,), ()))
            jax.eval_shape(partial(acquisition_of_own, self.acquisition), three, three, best)
        names = (*ACQUISITIONS, *_OTHER_ACQUISITIONS)
        if not callable(self.acquisition) and self.acquisition not in names:
            raise ValueError(
                f"acquisition must be a function or one of {', '.join(names)}, got "
                f"{self.acquisition!r}"
            )
        if not 1 <= self.starts <= self.candidates // 3:
            raise ValueError(
                f"starts must be between 1 and a third of candidates = {self.candidates}, got "
                f"{self.starts}"
            )
        if self.region is not None and not self.region > 0:
            raise ValueError(f"region must be positive or None, got {self.region:g}")
        if self.max_norm is not None and not self.max_norm > 0:
            raise ValueError(f"max_norm must be positive or None, got {self.max_norm:g}")
        if self.reencode and self.acquisition == "thompson":
            raise ValueError(
                "reencode = True ranks by an acquisition function of mean and variance, which "
                "'thompson' is not: choose another acquisition"
            )
        if not (0 <= self.near <= 1 and 0 < self.least_step <= 1):
            raise ValueError(
                "near must be a share in [0, 1] and least_step one in (0, 1], got near = "
                f"{self.near:g}, least_step = {self.least_step:g}"
            )
        if self.candidates_per_query < 0:
            raise ValueError(
                f"candidates_per_query must not be negative, got {self.candidates_per_query}"
            )
        if self.evaluations < 0 or self.bound <= 0 or min(self.ucb_beta, self.max_duplicates) < 0:
            raise ValueError(
                "evaluations must be at least 0, bound positive, ucb_beta and max_duplicates not "
                f"negative, got evaluations = {self.evaluations}, bound = {self.bound:g}, "
                f"ucb_beta = {self.ucb_beta:g}, max_duplicates = {self.max_duplicates}"
            )

    def for_batch(self, batch: int) -> "BOConfig":
        """The settings with the number of draws for batches of q queries."""
        return replace(self, candidates=max(self.candidates, self.candidates_per_query * batch))
