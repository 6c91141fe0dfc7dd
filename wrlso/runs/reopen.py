"""Runs that were begun before: continued only with the settings that they began with."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from wrlso.loop.algorithm import Algorithm
from wrlso.methods import Method
from wrlso.proposers.base import Proposer
from wrlso.resolve import algorithm
from wrlso.runs.config import RunConfig, differences
from wrlso.runs.folder import RunFolder
from wrlso.runs.log import Told
from wrlso.runs.settings import RunSettings
from wrlso.tasks.base import Task

_SHOWN = 5
"""Maximum number of differences that a message names."""


def resolve_again(
    folder: RunFolder, task: Task, method: Method | None, proposer: Proposer | None
) -> Algorithm:
    """The algorithm of a run that was begun before.

    Raises:
      ValueError: if its weighting or proposer is a function that no record holds, and is missing.
    """
    config = folder.config
    method = method or config.own_method()
    if method is None:
        raise ValueError(
            f"{folder.path} was begun with a weighting of your own, {config.weighting}, which no "
            "record holds: pass the method that it began with, as in resume(folder, method=...)"
        )
    code = config.algorithm["proposer"]["code"]
    if code is not None and proposer is None:
        raise ValueError(
            f"{folder.path} was begun with a proposer of your own, {config.proposer!r}, which no "
            "record holds: pass the one that it began with, as in resume(folder, proposer=...)"
        )
    return algorithm(
        task,
        method,
        budget=config.queries,
        proposer=proposer or config.proposer,
        batch=config.batch,
        gradient_of=config.gradient_of,  # type: ignore[arg-type]
    )


def check_same(
    folder: RunFolder, name: str, now: Mapping[str, Any], task_now: Mapping[str, Any]
) -> None:
    """Refuse to continue a run with other settings, or with another task, than it began with.

    Raises:
      ValueError: naming the differences.
    """
    config = folder.config
    found = [
        *differences(config.task, name, "name of the task"),
        *differences(config.algorithm, now),
        *differences(config.task_record, task_now, f"task {name!r}"),
    ]
    if found:
        raise ValueError(
            f"{folder.path} was begun with other settings or another task than {name!r} as it is "
            f"now: {'; '.join(found[:_SHOWN])}. Pass the ones that it began with, or begin a new "
            "run"
        )


def first_run(paths: Iterable[Path]) -> RunFolder | None:
    """The first of the folders that holds a run; None if none does."""
    return next((RunFolder(path) for path in paths if (path / "config.json").exists()), None)


def find_run(path: Path, config: RunConfig) -> RunFolder | None:
    """The folder of a run that was begun already; None if there is none.

    Raises:
      ValueError: if the folder holds another run, naming the differences.
    """
    if not (path / "config.json").exists():
        return None
    folder = RunFolder(path)
    stored = replace(folder.config, devices=config.devices, seed_mode=config.seed_mode)
    given = replace(
        config,
        task_record=stored.task_record,
        starting=stored.starting,
        provenance=stored.provenance,
        run=stored.run,
        format=stored.format,
    )
    if found := list(differences(vars(stored), vars(given))):
        raise ValueError(
            f"{path} holds another run ({'; '.join(found[:_SHOWN])}): choose another folder, or "
            "ask for the run that it began with"
        )
    folder.config = stored
    return folder


def check_given(folder: RunFolder, config: RunConfig, given: Iterable[str]) -> None:
    """Refuse the settings that a caller names if the run began with others.

    Args:
      folder: the run.
      config: the record of a run with the settings of the caller.
      given: their names; ``devices``, and those that no record holds, may be any.

    Raises:
      ValueError: naming the differences.
    """
    recorded = {field.name for field in fields(RunConfig)} - {"devices"}
    asked = {name: getattr(config, name) for name in given if name in recorded}
    find_run(folder.path, replace(folder.config, **asked))


def check_start(folder: RunFolder, settings: RunSettings, more: Sequence[Told]) -> None:
    """Refuse settings about the starting data of a run that has other ones.

    Args:
      folder: the run.
      settings: of the caller.
      more: the measurements that ``settings.start_from`` names; it may have grown since.

    Raises:
      ValueError: naming the setting and the remedy.
    """
    if settings.rescore:
        raise ValueError(
            f"rescore = True scores the starting data of a new run, and {folder.path} keeps those "
            "with which it began: leave rescore out, or begin a new run"
        )
    with closing(folder.open_log(read_only=True)) as log:
        joined = {one.object for one in log.elsewhere()}
    if more and joined.isdisjoint(one.object for one in more):
        raise ValueError(
            f"start_from = {settings.start_from}: {folder.path} began without its queries: leave "
            "start_from out, or begin a new run"
        )
