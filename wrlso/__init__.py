"""wrlso: sample-efficient optimisation in the latent space of deep generative models.

A JAX implementation of weighted retraining (Tripp, Daxberger and Hernández-Lobato, NeurIPS 2020).
See the README for a first run.

Importing the package loads nothing else: each public name is loaded when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wrlso import acquisition, gp, loop, maximize, methods, proposers, tasks
    from wrlso.api import base_data, pretrained, resume, run, sweep
    from wrlso.data import Dataset, History, merge_replicates
    from wrlso.evaluation.objective import HostObjective
    from wrlso.loop import Algorithm, RetrainConfig, prepare_base, simulate
    from wrlso.methods import Method
    from wrlso.models.elbo import elbo_terms, gaussian_kl, weighted_negative_elbo
    from wrlso.models.vae import VAE, Relaxation
    from wrlso.parallel import over_seeds, plan_seeds
    from wrlso.proposers import BOConfig, Proposer, SurrogateConfig
    from wrlso.resolve import algorithm
    from wrlso.results.report import report
    from wrlso.results.result import Result
    from wrlso.runs.events import RoundEvent
    from wrlso.runs.settings import RunSettings
    from wrlso.runs.telling import Candidate
    from wrlso.status import Status
    from wrlso.study import Study, open
    from wrlso.tasks.base import PretrainConfig, Task
    from wrlso.weighting import (
        cumulative_weight,
        effective_sample_size,
        rank_weights,
        uniform_weights,
    )
    from wrlso.weighting import registry as weightings

__version__ = "0.1.0"

_MODULES = {
    "acquisition": "wrlso.acquisition",
    "gp": "wrlso.gp",
    "loop": "wrlso.loop",
    "maximize": "wrlso.maximize",
    "methods": "wrlso.methods",
    "proposers": "wrlso.proposers",
    "tasks": "wrlso.tasks",
    "weightings": "wrlso.weighting.registry",
}
_NAMES = {
    "wrlso.api": ("base_data", "pretrained", "resume", "run", "sweep"),
    "wrlso.data": ("Dataset", "History", "merge_replicates"),
    "wrlso.evaluation.objective": ("HostObjective",),
    "wrlso.loop": ("Algorithm", "RetrainConfig", "prepare_base", "simulate"),
    "wrlso.methods": ("Method",),
    "wrlso.models.elbo": ("elbo_terms", "gaussian_kl", "weighted_negative_elbo"),
    "wrlso.models.vae": ("VAE", "Relaxation"),
    "wrlso.parallel": ("over_seeds", "plan_seeds"),
    "wrlso.proposers": ("BOConfig", "Proposer", "SurrogateConfig"),
    "wrlso.resolve": ("algorithm",),
    "wrlso.results.report": ("report",),
    "wrlso.results.result": ("Result",),
    "wrlso.runs.events": ("RoundEvent",),
    "wrlso.runs.settings": ("RunSettings",),
    "wrlso.status": ("Status",),
    "wrlso.runs.telling": ("Candidate",),
    "wrlso.study": ("Study", "open"),
    "wrlso.tasks.base": ("PretrainConfig", "Task"),
    "wrlso.weighting": (
        "cumulative_weight",
        "effective_sample_size",
        "rank_weights",
        "uniform_weights",
    ),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "VAE",
    "Algorithm",
    "BOConfig",
    "Candidate",
    "Dataset",
    "History",
    "HostObjective",
    "Method",
    "PretrainConfig",
    "Proposer",
    "Relaxation",
    "Result",
    "RetrainConfig",
    "RoundEvent",
    "RunSettings",
    "Status",
    "Study",
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
    "merge_replicates",
    "methods",
    "open",
    "over_seeds",
    "plan_seeds",
    "prepare_base",
    "pretrained",
    "proposers",
    "rank_weights",
    "report",
    "resume",
    "run",
    "simulate",
    "sweep",
    "tasks",
    "uniform_weights",
    "weighted_negative_elbo",
    "weightings",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = importlib.import_module(_MODULES[name])
    elif name in _MODULE_OF:
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    else:
        raise AttributeError(f"module 'wrlso' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
