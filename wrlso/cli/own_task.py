"""Tasks of the command line: built in, by name, or one's own, as ``FILE.py:NAME``."""

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from wrlso.evaluation.values import describe_error
from wrlso.runs.config import RunConfig
from wrlso.tasks import TASKS
from wrlso.tasks.base import Task

_SUFFIX = ".py"


def is_own(name: str) -> bool:
    """Whether a name is that of a file and of a thing in it."""
    return name.rpartition(":")[0].endswith(_SUFFIX) or name.endswith(_SUFFIX)


def factory_of(name: str) -> Callable[..., Task]:
    """The function that makes a task.

    Args:
      name: of a built-in task; or ``FILE.py:NAME``, where NAME is a task in the file, or a function
        that returns one. Its annotated parameters are options.

    Raises:
      ValueError: naming the remedy, if there is no such task, or the file fails.
      OSError: if there is no such file.
    """
    if not is_own(name):
        if name not in TASKS:
            raise ValueError(
                f"unknown task {name!r}; there are: {', '.join(TASKS)}; one of your own is "
                "FILE.py:NAME, a task or a function that returns one"
            )
        return TASKS[name]
    file, _, thing = name.rpartition(":")
    if not file.endswith(_SUFFIX):
        raise ValueError(f"task = {name!r}: name the task in the file, as in {name}:make_task")
    module = _load(Path(file))
    found = getattr(module, thing, None)
    if isinstance(found, Task):
        return _constant(found)
    if not callable(found):
        tasks = [key for key, value in vars(module).items() if isinstance(value, Task)]
        shown = f"; its tasks are {', '.join(tasks)}" if tasks else ""
        raise ValueError(f"{file} has no task or function {thing!r}{shown}")
    return _checked(found, name)


def task_of_run(config: RunConfig, name: str | None) -> Task:
    """The task of a run: the one that its record names, or the one that the user names.

    Raises:
      ValueError: if the run's task is the user's own, and they name none.
    """
    if name is None:
        if config.task not in TASKS:
            raise ValueError(
                f"the task of this run, {config.task!r}, is your own: name it by --task "
                "FILE.py:NAME"
            )
        return TASKS[config.task](**config.task_options)
    factory = factory_of(name)
    known = inspect.signature(factory).parameters
    task = factory(**{key: value for key, value in config.task_options.items() if key in known})
    if task.name != config.task:
        raise ValueError(
            f"--task {name} makes the task {task.name!r}, and this run has {config.task!r}"
        )
    return replace(task, options=config.task_options)


def _constant(task: Task) -> Callable[[], Task]:
    def factory() -> Task:
        return task

    factory.__doc__ = f"The task {task.name!r}, which is your own."
    return factory


def _checked(function: Callable[..., Any], name: str) -> Callable[..., Task]:
    """The same function, which records its options in the task."""
    for parameter in inspect.signature(function).parameters.values():
        if parameter.annotation is inspect.Parameter.empty:
            raise ValueError(
                f"{name}: parameter {parameter.name!r} becomes an option, so it needs a type, as "
                f"in {parameter.name}: int = 8"
            )

    def factory(**options: Any) -> Task:
        try:
            task = function(**options)
        except (Exception, SystemExit) as error:
            told = _told(Path(name.rpartition(":")[0]).resolve(), error)
            raise ValueError(f"{name} made no task{told}") from error
        if not isinstance(task, Task):
            raise ValueError(f"{name} returned {type(task).__name__}: return a wrlso.Task")
        plain = {k: str(v) if isinstance(v, Path) else v for k, v in options.items()}
        return replace(task, options={**plain, **task.options})

    factory.__doc__ = inspect.getdoc(function) or f"A task of your own, {name}."
    factory.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
    factory.__annotations__ = inspect.get_annotations(function, eval_str=True)
    return factory


def _load(path: Path) -> ModuleType:
    """The module of a file. Its folder is searched for the modules that it imports.

    It has the name by which Python imports it, unless that is another module's, so that a run may
    be continued in Python.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: give the file that makes your task")
    path = path.resolve()
    name, folder = path.stem, str(path.parent)
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    spec = None if loaded is not None else importlib.util.find_spec(name)
    if loaded is not None or (spec is not None and spec.origin != str(path)):
        name = f"wrlso_task_{name}"
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look for their module there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ValueError(f"{path} cannot be loaded{_told(path, error)}") from error
    cloudpickle.register_pickle_by_value(module)  # worker processes may not find it
    return module


def _told(path: Path, error: BaseException) -> str:
    """An error of the user's file in words, with the line if it is in that file."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines = [error.lineno]
    at = f" (line {lines[-1]})" if lines else ""
    meant = isinstance(error, (ValueError, OSError, ImportError))  # for people to read, whole
    return f"{at}: {error if meant else describe_error(error)}"
