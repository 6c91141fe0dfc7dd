"""Ways to choose the next latent points: Bayesian optimisation, grid, prior, gradients."""

from wrlso.proposers.base import Observations, Pool, Prediction, Proposer, View
from wrlso.proposers.bayesian import bo
from wrlso.proposers.bo_config import ACQUISITIONS, BOConfig
from wrlso.proposers.gradient import GRADIENT_METHODS, GradientConfig, gradient_ascent
from wrlso.proposers.grid_search import grid
from wrlso.proposers.prior_samples import prior
from wrlso.proposers.surrogate import SurrogateConfig

__all__ = [
    "ACQUISITIONS",
    "GRADIENT_METHODS",
    "BOConfig",
    "GradientConfig",
    "Observations",
    "Pool",
    "Prediction",
    "Proposer",
    "SurrogateConfig",
    "View",
    "bo",
    "gradient_ascent",
    "grid",
    "prior",
]
