"""What is optimised over molecules: an objective by name, a function, or a program."""

import hashlib
import inspect
import os
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cloudpickle

from wrlso.chem.command import Command, Feed
from wrlso.chem.guacamol import GOALS, guacamol
from wrlso.chem.scores import penalized_logp, qed

OBJECTIVES = ("penalized_logp", "qed", *GOALS)
"""Objectives by name."""

_TOGETHER = 100

_FUNCTION = "function "
"""Before the name of a caller's function in records, so that it is never taken for one of ours."""


@dataclass(frozen=True)
class Objective:
    """A score of molecules, higher is better.

    Attributes:
      name: in records and tables.
      score: a canonical SMILES to its score; may raise.
      key: of kept scores: the same only where the scores are.
      penalty: what a failure counts as for a surrogate, unless the user says.
      together: molecules that a worker process is sent at a time where there are many: more where
        scoring takes less than sending.
    """

    name: str
    score: Callable[[str], float]
    key: str
    penalty: float | Literal["lowest"]
    together: int = 1


def make_objective(
    objective: str | Callable[[str], float] = "penalized_logp",
    command: str | None = None,
    feed: Feed = "argument",
) -> Objective:
    """An objective from what a user gives.

    Args:
      objective: one of :data:`OBJECTIVES`, or a function of a canonical SMILES.
      command: instead: a program with its arguments, as in a shell.
      feed: how the program gets a SMILES, see :class:`wrlso.chem.command.Command`.

    Raises:
      ValueError: if there is no such objective or program, or both are given.
    """
    if command is not None:
        if objective != "penalized_logp":
            raise ValueError(
                f"objective = {objective} and command = {command!r}: give one of the two"
            )
        return _program(command, feed)
    if feed != "argument":
        raise ValueError(f"feed = {feed!r} is how a command gets a SMILES: give a command, too")
    if callable(objective):
        name = getattr(objective, "__name__", type(objective).__name__)
        return Objective(_FUNCTION + name, objective, _digest_of_function(objective), "lowest")
    if objective.startswith(_FUNCTION):
        raise ValueError(
            f"this run's objective is the Python {objective!r}, which no record holds: pass the "
            "task that it began with, as in wrlso.resume(folder, task=...) or result.plot(task)"
        )
    if objective == "penalized_logp":
        return Objective(objective, penalized_logp, f"{objective} 1", -4.0, _TOGETHER)
    if objective == "qed":
        return Objective(objective, qed, f"{objective} 1", 0.0, _TOGETHER)
    try:
        return Objective(objective, guacamol(objective), f"{objective} 1", 0.0, _TOGETHER)
    except ValueError as error:
        raise ValueError(
            f"unknown objective {objective!r}; there are: {', '.join(OBJECTIVES)}"
        ) from error


def _program(command: str, feed: Feed) -> Objective:
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"command = {command!r} cannot be read: {error}") from error
    # So that it is found from any folder, as when a run is resumed.
    argv = [os.path.abspath(part) if Path(part).is_file() else part for part in argv]
    digest = hashlib.sha256(repr((argv, feed)).encode())
    for part in argv:
        if Path(part).is_file():
            digest.update(Path(part).read_bytes())
    name = f"command {shlex.join(argv)}"
    return Objective(name, Command(tuple(argv), feed), f"{name} {digest.hexdigest()}", "lowest")


def _digest_of_function(function: Callable[[str], float]) -> str:
    """Changes with the function, what it closes over, and the file that it stands in; what it
    imports or reads is not looked at."""
    digest = hashlib.sha256()
    with suppress(Exception):  # what cannot be sent is refused where it is sent
        digest.update(cloudpickle.dumps(function))
    with suppress(TypeError, OSError):
        digest.update(Path(inspect.getfile(_definition(function))).read_bytes())
    return f"function {digest.hexdigest()}"


def _definition(function: Any) -> Any:
    """What stands in a file: the function within a partial or a wrapper such as a cache, the class
    of a callable object."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    named = inspect.isroutine(function) or inspect.isclass(function)
    return function if named else type(function)
