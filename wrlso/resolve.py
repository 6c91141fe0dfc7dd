"""From a task and a method to an algorithm: the one place where every default is decided."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import jax
import numpy as np

from wrlso import proposers
from wrlso.data import Dataset
from wrlso.evaluation.objective import HostObjective
from wrlso.loop.algorithm import TRAINING_NUMBERS, Algorithm
from wrlso.methods import Method, check_numbers
from wrlso.models.checks import check_storable
from wrlso.proposers.base import Proposer
from wrlso.proposers.gradient import GRADIENT_METHODS
from wrlso.scores import relative, score_offset
from wrlso.scores.checks import as_number, as_whole, check_kind, shown
from wrlso.storage.digest import array_digest, code_digest, describe, is_library
from wrlso.tasks.base import Task
from wrlso.weighting.registry import (
    CURRENT_ONLY,
    WEIGHTINGS,
    Weighting,
    check_form,
    weighting_named,
)

PROPOSERS = ("grid", "prior", "bo", *GRADIENT_METHODS)
"""Names of the proposers."""

_REFIT_EVERY = 50
"""Queries between fits of the surrogate where the model is never retrained: the paper's r."""

GradientOf = Literal["regressor", "objective"]


def algorithm(
    task: Task,
    method: Method,
    *,
    budget: int = 500,
    proposer: str | Proposer | None = None,
    batch: int | None = None,
    gradient_of: GradientOf | None = None,
) -> Algorithm:
    """One method on one task, with every setting resolved.

    ``run``, ``sweep`` and the command line call this function and decide nothing else. The result
    states every number; :func:`record` writes them down.

    Args:
      task: such as ``wrlso.tasks.shapes()``, or your own.
      method: such as ``wrlso.methods.weighted_retraining(k=1e-3)``.
      budget: maximum number of charged queries per seed.
      proposer: a name in :data:`PROPOSERS`, or a proposer of your own; None: the method's, else the
        task's.
      batch: q, the number of queries that ``"bo"`` chooses together, a divisor of r; None: 1.
      gradient_of: what the gradient proposers follow: ``"regressor"``, learned from charged scores,
        or ``"objective"``, which is then read without being charged; None: ``"regressor"``.

    Returns:
      The algorithm, for ``wrlso.simulate`` or a loop of your own.

    Raises:
      TypeError: if task, method or proposer is of another kind.
      ValueError: if a name is unknown, a number is out of range, or the proposer cannot work with
        the task.

    Example:
      >>> import wrlso
      >>> task = wrlso.tasks.shapes()
      >>> algorithm = wrlso.algorithm(task, wrlso.methods.weighted_retraining(), budget=100)
      >>> algorithm.retrain_every, algorithm.retraining.epochs, algorithm.hyper
      (50, 0.1, {'k': 0.001})
    """
    check_arguments(task, method, proposer)
    method, budget, batch = _checked(method, budget, batch)
    direction, task = task.direction, task.maximized()
    chosen = proposer or method.proposer or task.proposer
    check_proposer(chosen)
    method = _with_task_rows(task, method)
    weighting = method.weighting
    if isinstance(weighting, str):
        current_only = weighting in CURRENT_ONLY
        weighting = weighting_named(weighting)
    else:
        current_only = False
    retrain_every = _retrain_every(method, chosen, budget)
    if isinstance(chosen, str):
        chosen = _make_proposer(task, chosen, retrain_every, batch, gradient_of)
    else:
        _refuse(batch, "batch", chosen.name, ("bo",))
        _refuse(gradient_of, "gradient_of", chosen.name, GRADIENT_METHODS)
    retraining = task.retrain
    if method.epochs is not None:
        passes = method.epochs
        retraining = replace(
            retraining, first_epochs=passes, epochs=passes, first_steps=None, steps=None
        )
    if method.beta is not None:
        retraining = replace(retraining, beta=method.beta)
    retraining.make_optimizer(retraining.learning_rate)  # a function may return anything
    made = Algorithm(
        vae=task.vae,
        weighting=weighting,
        proposer=chosen,
        retraining=retraining,
        budget=budget,
        retrain_every=retrain_every,
        retrain_after_first=method.retrain_every is not None,
        current_only=current_only,
        dedup_key=task.dedup_key,
        accept=task.accept,
        hyper={name: float(value) for name, value in method.hyper.items()},
        direction=direction,
    )
    check_form(weighting, made.numbers())
    return made


def check_arguments(task: Any, method: Any, proposer: Any) -> None:
    """Refuse a task, method or proposer that is none.

    Raises:
      TypeError: naming the argument and the remedy.
    """
    check_kind("task", task, Task, "wrlso.tasks.shapes()")
    check_kind("method", method, Method, "wrlso.methods.weighted_retraining()")
    check_proposer(proposer)


def check_proposer(proposer: Any) -> None:
    """Refuse what is neither a proposer nor a name nor None.

    Raises:
      TypeError: naming the value and the remedy.
    """
    if not (proposer is None or isinstance(proposer, (str, Proposer))):
        raise TypeError(
            f"proposer must be a name ({', '.join(PROPOSERS)}) or a Proposer, such as "
            f"wrlso.proposers.prior(task.vae, 10), got {shown(proposer)}"
        )


def _with_task_rows(task: Task, method: Method) -> Method:
    """The method with the task's effective sample size in place of k, unless k was chosen."""
    k = method.hyper.get("k", math.inf)
    if task.effective_rows is None or not method.adaptive_k or math.isinf(k):
        return method
    hyper = {"effective_rows": task.effective_rows}
    return replace(method, weighting="rank_adaptive", hyper=hyper)


def _checked(method: Method, budget: int, batch: int | None) -> tuple[Method, int, int | None]:
    """Method, budget and batch with all whole numbers as Python's; refused if no run can have
    them."""
    counts: dict[str, Any] = {"budget": budget}
    optional = {"retrain_every": method.retrain_every, "batch": batch}
    counts |= {name: value for name, value in optional.items() if value is not None}
    for name, value in counts.items():
        counts[name] = as_whole(name, value)
        if counts[name] < 1:
            raise ValueError(f"{name} must be at least 1 query, got {value}")
    budget, r = counts["budget"], counts.get("retrain_every")
    if r is not None and r > budget:
        raise ValueError(
            f"retrain_every = {r} is above budget = {budget}, so the model "
            "would never be retrained on a query: lower it, raise the budget, or choose a method "
            "that never retrains (lso, weight_only)"
        )
    rules = {"epochs": "0 or more passes over the data", "beta": "0 or more, and finite"}
    for name, rule in rules.items():
        value = getattr(method, name)
        if value is not None and not 0 <= as_number(name, value) < float("inf"):
            raise ValueError(f"{name} must be {rule}, got {value:g}")
    check_numbers(method)
    return replace(method, retrain_every=r), budget, counts.get("batch")


def _retrain_every(method: Method, proposer: str | Proposer, budget: int) -> int:
    """r; where the model is never retrained, the queries between two fits of the surrogate."""
    surrogate = not isinstance(proposer, str) or proposer in ("bo", *GRADIENT_METHODS)
    return min(method.retrain_every or (_REFIT_EVERY if surrogate else budget), budget)


def _make_proposer(
    task: Task,
    name: str,
    retrain_every: int,
    batch: int | None,
    gradient_of: GradientOf | None,
) -> Proposer:
    if name not in PROPOSERS:
        raise ValueError(f"unknown proposer {name!r}; there are: {', '.join(PROPOSERS)}")
    if gradient_of not in (None, "regressor", "objective"):
        raise ValueError(f"gradient_of must be 'regressor' or 'objective', got {gradient_of!r}")
    if name != "bo":
        _refuse(batch, "batch", name, ("bo",))
    if name not in GRADIENT_METHODS:
        _refuse(gradient_of, "gradient_of", name, GRADIENT_METHODS)
    if name == "bo":
        return _bo(task, retrain_every, batch or 1)
    if name == "prior":
        return proposers.prior(task.vae, retrain_every)
    if name == "grid":
        if task.objective is None:
            raise ValueError(
                "proposer 'grid' ranks by an objective that is written in JAX, but that of task "
                f"{task.name!r} {'is measured' if task.measured else 'is a Python function'}: "
                "choose 'bo' or 'prior'"
            )
        return proposers.grid(task.vae, task.objective, retrain_every)
    if gradient_of != "objective":
        return proposers.gradient_ascent(name, task.vae, retrain_every)  # type: ignore[arg-type]
    if task.soft_objective is None:
        raise ValueError(
            f"task {task.name!r} has no differentiable objective to follow: leave gradient_of out"
        )
    return proposers.gradient_ascent(name, task.vae, retrain_every, task.soft_objective)  # type: ignore[arg-type]


def _bo(task: Task, retrain_every: int, batch: int) -> Proposer:
    batch = min(batch, retrain_every)
    if retrain_every % batch:
        raise ValueError(
            f"batch = {batch} does not divide retrain_every = {retrain_every}, so the model "
            "could not be retrained in time: choose one that does"
        )
    return proposers.bo(task.vae, batch, max_observations=retrain_every, config=task.bo)


def _refuse(value: Any, argument: str, proposer: str, owners: Sequence[str]) -> None:
    if value is not None:
        raise ValueError(
            f"{argument} = {value} has no meaning for proposer {proposer!r}: leave it out, or "
            f"choose proposer {' or '.join(owners)}"
        )


def record(algorithm: Algorithm) -> dict[str, Any]:
    """Every resolved setting as plain data, for ``config.json``.

    Functions of your own appear with a digest of their code, so that a changed one is noticed.
    """
    proposer = algorithm.proposer
    functions = (proposer.propose, proposer.fit, proposer.observe)
    rates = {name: getattr(algorithm.retraining, name) for name in TRAINING_NUMBERS}
    retraining = {
        name: value for name, value in vars(algorithm.retraining).items() if name not in rates
    }
    return {
        "weighting": weighting_name(algorithm.weighting),
        "hyper": describe(algorithm.numbers()),
        "retraining": describe(retraining),
        "proposer": {
            "name": proposer.name,
            "batch": proposer.batch,
            "uncharged": proposer.uncharged,
            "decode_first": proposer.decode_first,
            "max_duplicates": proposer.max_duplicates,
            "settings": describe(proposer.settings),
            "code": None if all(map(is_library, functions)) else code_digest(functions),
        },
        "budget": algorithm.budget,
        "retrain_every": algorithm.retrain_every,
        "retrain_after_first": algorithm.retrain_after_first,
        "current_only": algorithm.current_only,
    }


def _used_scores(base: Dataset) -> tuple[Any, ...]:
    """The scores as compiled programs read them, and their offset if it is not zero."""
    offset = score_offset(base.scores)
    used = relative(base.scores, offset)
    return (used, np.float64(offset)) if offset else (used,)


def weighting_name(weighting: str | Weighting) -> str:
    """The name of a weighting of ours; of your own, its name and the digest of its code."""
    if isinstance(weighting, str):
        return weighting
    digest = code_digest(weighting)
    ours = (name for name, make in WEIGHTINGS.items() if code_digest(make()) == digest)
    return next(ours, None) or describe(weighting)


def task_record(task: Task, base: Dataset) -> dict[str, Any]:
    """The parts of a task that a run's queries depend on, as digests in plain data."""
    host = task.host_objective
    if isinstance(host, HostObjective):
        host = (host.score, host.canonical, host.accept)  # type: ignore[assignment]
    check_storable(task.params)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(task.params)]
    return {
        "objective": code_digest((task.objective, host)),
        "model": code_digest(task.vae),
        "dedup_key": None if task.dedup_key is None else code_digest(task.dedup_key),
        "accept": None if task.accept is None else code_digest(task.accept),
        "base_data": array_digest(base.objects, *_used_scores(base)),
        "params": array_digest(*leaves) if leaves else None,
        **({"minimize": True} if task.minimize else {}),
        **({"measured": True} if task.measured else {}),
    }
