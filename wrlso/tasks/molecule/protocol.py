"""The numbers of the protocol for molecules: retraining and search."""

import math
from typing import Literal

from wrlso.gp.fit import FitConfig
from wrlso.loop.retraining import RetrainConfig
from wrlso.proposers.bo_config import BOConfig
from wrlso.proposers.surrogate import SurrogateConfig


def retraining(kl_weight: float) -> RetrainConfig:
    """Steps, not passes: on large data the weights' few good molecules are seen often enough in
    75 steps, and more of them only narrow the prior."""
    return RetrainConfig(
        first_epochs=0.05,
        epochs=0.02,
        first_steps=75,
        steps=30,
        batch_size=128,
        learning_rate=5e-4,
        beta=kl_weight,
    )


def bayesian_optimisation(penalty: float | Literal["lowest"], latent_dim: int) -> BOConfig:
    """Many draws of the prior and around good data, ranked at the encodings of their decodes.

    Nothing climbs: far from all data the surrogate's maxima decode to something else. The upper
    confidence bound stays near the mean: in 56 dimensions most of the variance is that of molecules
    unlike all good ones, which expected improvement prefers (``benchmarks/molecules/ranking.py``).
    """
    return BOConfig(
        acquisition="ucb",
        ucb_beta=0.25,
        starts=30,
        candidates=300,
        candidates_per_query=300,
        near=0.8,
        least_step=0.1,
        evaluations=0,
        region=1.0,
        max_norm=1.4 * math.sqrt(latent_dim),
        reencode=True,
        surrogate=SurrogateConfig(
            kind="exact",
            best=500,
            random=500,
            fit=FitConfig(restarts=1, evaluations=20),
            penalty=penalty,
        ),
    )
