"""wrlso: sample-efficient optimisation in the latent space of deep generative models.

A JAX implementation of weighted retraining (Tripp, Daxberger and
Hernández-Lobato, NeurIPS 2020). See the README for a first run.
"""

from wrlso import acquisition, gp, loop, maximize, methods, propose, surrogate, tasks
from wrlso._version import __version__
from wrlso.bo import BOConfig
from wrlso.candidates import share
from wrlso.data import Acquired, Dataset, Status
from wrlso.elbo import elbo_terms, gaussian_kl, weighted_negative_elbo
from wrlso.loop import Algorithm, simulate
from wrlso.methods import Method
from wrlso.parallel import over_seeds, plan_seeds
from wrlso.propose import Proposer
from wrlso.retrain import RetrainConfig
from wrlso.runs.driver import resume, run, sweep
from wrlso.runs.result import Result
from wrlso.surrogate import SurrogateConfig
from wrlso.tasks.base import PretrainConfig, Task
from wrlso.vae import VAE, Relaxation
from wrlso.weighting import (
    cumulative_weight,
    effective_sample_size,
    rank_weights,
    uniform_weights,
)

__all__ = [
    "VAE",
    "Acquired",
    "Algorithm",
    "BOConfig",
    "Dataset",
    "Method",
    "PretrainConfig",
    "Proposer",
    "Relaxation",
    "Result",
    "RetrainConfig",
    "Status",
    "SurrogateConfig",
    "Task",
    "__version__",
    "acquisition",
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
    "propose",
    "rank_weights",
    "resume",
    "run",
    "share",
    "simulate",
    "surrogate",
    "sweep",
    "tasks",
    "uniform_weights",
    "weighted_negative_elbo",
]
