"""From scores to training weights: the paper's rank weights, and those it compares with."""

from wrlso.weighting.baselines import (
    cem_pi_reference_weights,
    cem_pi_weights,
    dbas_reference_weights,
    dbas_weights,
    feedback_weights,
    rwr_weights,
)
from wrlso.weighting.ranks import (
    cumulative_weight,
    effective_sample_size,
    rank_weight_share,
    rank_weights,
    uniform_weights,
)
from wrlso.weighting.registry import WEIGHTINGS, Weighting, weighting_named

__all__ = [
    "WEIGHTINGS",
    "Weighting",
    "cem_pi_reference_weights",
    "cem_pi_weights",
    "cumulative_weight",
    "dbas_reference_weights",
    "dbas_weights",
    "effective_sample_size",
    "feedback_weights",
    "rank_weight_share",
    "rank_weights",
    "rwr_weights",
    "uniform_weights",
    "weighting_named",
]
