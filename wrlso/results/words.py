"""The names of tasks, methods and scores as figures write them, without identifiers of code."""

from collections.abc import Mapping
from typing import Any

_METHODS = {
    "lso": "latent space optimisation",
    "dbas": "DbAS",
    "cem_pi": "CEM-PI",
    "rwr": "RWR",
    "fb_vae": "FB-VAE",
}
_SCORES = {"shapes": "set pixels", "expressions": "−log(1 + MSE)"}
_OBJECTIVES = {"penalized_logp": "penalised logP", "qed": "QED"}


def method_in_words(name: str) -> str:
    """A method's name, such as ``weighted retraining`` for ``weighted_retraining``."""
    return _METHODS.get(name, name.replace("_", " "))


def objective_in_words(summary: Mapping[str, Any]) -> str:
    """The objective that a run states, such as ``penalised logP``; empty if it states none."""
    stated = str((summary.get("stated") or {}).get("objective", ""))
    return _OBJECTIVES.get(stated, stated.removeprefix("function ").replace("_", " "))


def score_in_words(summary: Mapping[str, Any]) -> str:
    """The label of an axis of scores, with the direction where less is better."""
    name = _SCORES.get(summary["task"]) or objective_in_words(summary) or "score"
    return f"{name} (lower is better)" if summary.get("minimize") else name


def seeds_in_words(counted: int, seeds: int) -> str:
    """The seeds that a mean is over, such as ``3 seeds``, or ``2 of 3 seeds`` if one is not in
    it."""
    whole = "1 seed" if seeds == 1 else f"{seeds} seeds"
    return f"{counted} of {whole}" if counted < seeds else whole


def title_in_words(summary: Mapping[str, Any]) -> str:
    """The task and the method, such as ``Shapes: weighted retraining``."""
    task = str(summary["task"]).replace("_", " ")
    task = task[:1].upper() + task[1:]
    objective = objective_in_words(summary)
    what = f"{task}, {objective}" if objective else task
    return f"{what}: {method_in_words(summary['method'])}"
