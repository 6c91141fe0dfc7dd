"""wrlso: sample-efficient optimisation in the latent space of deep generative models.

A JAX implementation of weighted retraining (Tripp, Daxberger and Hernández-Lobato, NeurIPS 2020).
See the README for a first run.
"""

from wrlso import acquisition, gp, loop, maximize, methods, proposers, tasks
from wrlso.api import base_data, pretrained, resume, run, sweep
from wrlso.data import Dataset, History
from wrlso.evaluation.objective import HostObjective
from wrlso.loop import Algorithm, RetrainConfig, prepare_base, simulate
from wrlso.methods import Method
from wrlso.models.elbo import elbo_terms, gaussian_kl, weighted_negative_elbo
from wrlso.models.vae import VAE, Relaxation
from wrlso.parallel import over_seeds, plan_seeds
from wrlso.proposers import BOConfig, Proposer, SurrogateConfig
from wrlso.resolve import algorithm
from wrlso.results.result import Result
from wrlso.runs.settings import RunSettings
from wrlso.status import Status
from wrlso.tasks.base import PretrainConfig, Task
from wrlso.weighting import (
    cumulative_weight,
    effective_sample_size,
    rank_weights,
    uniform_weights,
)
from wrlso.weighting import registry as weightings

__version__ = "0.1.0"

__all__ = [
    "VAE",
    "Algorithm",
    "BOConfig",
    "Dataset",
    "History",
    "HostObjective",
    "Method",
    "PretrainConfig",
    "Proposer",
    "Relaxation",
    "Result",
    "RetrainConfig",
    "RunSettings",
    "Status",
    "SurrogateConfig",
    "Task",
    "__version__",
    "acquisition",
    "algorithm",
    "base_data",
    "cumulative_weight",
    "effective_sample_size",
    "elbo_terms",
    "gaussian_kl",
    "gp",
    "loop",
    "maximize",
    "methods",
    "over_seeds",
    "plan_seeds",
    "prepare_base",
    "pretrained",
    "proposers",
    "rank_weights",
    "resume",
    "run",
    "simulate",
    "sweep",
    "tasks",
    "uniform_weights",
    "weighted_negative_elbo",
    "weightings",
]
