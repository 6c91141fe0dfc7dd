"""Objectives over molecules: by name, as a function, or as a program."""

import hashlib
import inspect
import json
import os
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from wrlso.chem.command import Command, Feed, command_digest, read_command
from wrlso.chem.composite import Composite, OfSmiles
from wrlso.chem.descriptors import GROWING
from wrlso.chem.filters import MoleculeFilter
from wrlso.chem.guacamol import ALIASES, GOALS, guacamol
from wrlso.chem.keys import builtin_digest
from wrlso.chem.objective_file import from_mapping, read_objective, to_mapping
from wrlso.chem.scores import penalized_logp, qed
from wrlso.evaluation.objective import measured
from wrlso.evaluation.pickling import dumps

OBJECTIVES = ("penalized_logp", "qed", *GOALS)
"""Objectives by name."""

_SCORES: dict[str, Callable[..., float]] = {"penalized_logp": penalized_logp, "qed": qed}

_BATCH = 100
"""Number of molecules that a worker process is sent at once, for fast objectives."""

_PROGRAM_BATCH = 1000
"""Maximum number of molecules that a program gets at once, if the user states no other."""

_FUNCTION = "function "
"""Precedes the name of a caller's function in records, to tell it from a built-in objective."""


@dataclass(frozen=True)
class Objective:
    """A score of molecules; higher is better.

    Attributes:
      name: the name in records and tables.
      score: function from a canonical SMILES to its score; it may raise.
      key: key of the cached scores; it changes whenever the scores may change.
      penalty: default of the score that a surrogate uses for a failure.
      record: what a run's record holds of it: its name; of an objective of several components
        without Python functions, the plain data that describe it.
      filter: the condition that a molecule must meet to be scored; None: there is none.
      batch_size: maximum number of molecules that a worker process is sent at once. A large number
        pays off if scoring a molecule takes less time than sending it.
      together: whether ``score`` is a function from a list of up to ``batch_size`` SMILES to as
        many scores.
      built_in: whether the key holds all that the score depends on. Kept scores of others are
        checked.
      hint: advice for a program that does not answer.
      grows: the property that lets the score grow with a molecule's size without bound; empty if
        there is none, or none is known.
    """

    name: str
    score: Callable[[Any], Any]
    key: str
    penalty: float | Literal["lowest"]
    record: str | Mapping[str, Any] = ""
    filter: MoleculeFilter | None = None
    batch_size: int = 1
    together: bool = False
    built_in: bool = False
    hint: str = ""
    grows: str = ""

    def __post_init__(self) -> None:
        if not self.record:
            object.__setattr__(self, "record", self.name)


def make_objective(
    objective: str
    | os.PathLike[str]
    | Mapping[str, Any]
    | Callable[[str], float] = "penalized_logp",
    command: str | None = None,
    feed: Feed = "argument",
    batch_size: int | None = None,
) -> Objective:
    """Make an objective from the arguments of a task.

    Args:
      objective: one of :data:`OBJECTIVES`, another name of one (such as osmb or osimertinib_mpo),
        a TOML file or the plain data of an objective of several components
        (:mod:`wrlso.chem.objective_file`), a function of a canonical SMILES, or ``"measured"``,
        which people measure.
      command: a program with its arguments, as in a shell; it replaces ``objective``.
      feed: the way in which the program gets a SMILES, see :class:`wrlso.chem.command.Command`.
      batch_size: maximum number of molecules that a function or a program gets at once. A function
        gets a list then. None: one, or with ``feed="batch"`` 1,000.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if there is no such objective or program, both are given, or a file is invalid.
    """
    if command is not None:
        if objective != "penalized_logp":
            raise ValueError(
                f"objective = {objective} and command = {command!r}: give one of the two"
            )
        return _program(command, feed, batch_size)
    if feed != "argument":
        raise ValueError(f"feed = {feed!r} applies to a command only: give a command, too")
    if batch_size is not None and (batch_size < 1 or not callable(objective)):
        raise ValueError(
            f"batch_size = {batch_size} must be at least 1, and applies to a function or to a "
            "command with feed = 'batch' only"
        )
    if isinstance(objective, os.PathLike):
        objective = os.fspath(objective)
    if isinstance(objective, str) and objective.lower().endswith(".toml"):
        objective = read_objective(objective)
    elif isinstance(objective, Mapping):
        objective = from_mapping(objective)
    if isinstance(objective, Composite):
        return _composite(objective)
    if callable(objective):
        name = getattr(objective, "__name__", type(objective).__name__)
        made = Objective(_FUNCTION + name, objective, _digest_of_function(objective), "lowest")
        return made if batch_size is None else replace(made, batch_size=batch_size, together=True)
    if objective.startswith(_FUNCTION):
        raise ValueError(
            f"the objective is the Python {objective!r}, which the record of a run cannot hold: "
            "pass the task that it began with, as in wrlso.resume(folder, task=...) or "
            "result.plot(task=task)"
        )
    objective = ALIASES.get(objective, objective)  # one name a thing: also one cache
    if objective == "measured":
        return Objective(objective, measured, objective, "lowest")
    try:
        score = _SCORES.get(objective) or guacamol(objective)
    except ValueError as error:
        raise ValueError(
            f"unknown objective {objective!r}; there are: {', '.join(OBJECTIVES)}"
        ) from error
    key = f"{objective} {builtin_digest(score)}"
    penalty = -4.0 if objective == "penalized_logp" else 0.0
    grows = objective if objective in GROWING else ""
    return Objective(objective, score, key, penalty, batch_size=_BATCH, built_in=True, grows=grows)


def _program(command: str, feed: Feed, batch_size: int | None) -> Objective:
    program = read_command(command, feed)
    name = f"command {shlex.join(program.argv)}"
    key = f"{name} {command_digest(program)}"
    made = Objective(name, program, key, "lowest", hint=program.hint)
    if feed == "batch":
        size = _PROGRAM_BATCH if batch_size is None else batch_size
        return replace(made, score=program.scores, batch_size=size, together=True)
    if batch_size is not None:
        raise ValueError(f"batch_size = {batch_size} goes with feed = 'batch' only, not {feed!r}")
    return made


def _composite(composite: Composite) -> Objective:
    """An objective of several components; slow ones are sent molecule by molecule.

    The filter is asked before the objective is, so the score goes without it: molecules of the
    starting data that it stops keep their scores, from which a model learns.
    """
    alone = replace(composite, filter=None, name="composite")
    own = [
        one.measure.function for one in composite.components if isinstance(one.measure, OfSmiles)
    ]
    plain = to_mapping(composite)
    digest = hashlib.sha256(json.dumps(to_mapping(alone), sort_keys=True).encode())
    for function in own:
        if isinstance(function, Command):
            digest.update(command_digest(function).encode())
        else:
            digest.update(_digest_of_function(function).encode())
    if plain is None:
        digest.update(_digest_of_function(alone).encode())
    return Objective(
        name=composite.name if plain is not None else _FUNCTION + composite.name,
        score=alone,
        key=f"composite {digest.hexdigest()} {builtin_digest(alone)}",
        penalty="lowest" if composite.aggregate == "sum" else 0.0,
        record=plain or "",
        filter=composite.filter,
        grows=composite.grows,
        batch_size=1 if own else _BATCH,
        built_in=not own and plain is not None,
    )


def _digest_of_function(function: Callable[[str], float]) -> str:
    """A digest of the function, the values it closes over, and the file that defines it.

    The digest does not cover the modules that the function imports and the files that it reads.
    """
    digest = hashlib.sha256()
    with suppress(Exception):  # the worker pool refuses a function that cannot be sent
        digest.update(dumps(function))
    with suppress(TypeError, OSError):
        digest.update(Path(inspect.getfile(_definition(function))).read_bytes())
    return f"function {digest.hexdigest()}"


def _definition(function: Any) -> Any:
    """The function or class whose source file matters.

    It is the function inside a partial or a wrapper such as a cache, or the class of a callable
    object.
    """
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    named = inspect.isroutine(function) or inspect.isclass(function)
    return function if named else type(function)
