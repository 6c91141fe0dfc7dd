"""The command, or the Python, that makes a run again."""

import inspect
import shlex
from typing import Any

from wrlso.methods import METHODS
from wrlso.resolve import PROPOSERS
from wrlso.runs.config import RunConfig
from wrlso.runs.settings import RunSettings
from wrlso.tasks import TASKS

_SETTINGS = ("budget", "seeds", "first_seed", "batch", "gradient_of", "devices", "seed_mode")


def command_of(config: RunConfig) -> str | None:
    """The command line that makes a run again, into a folder ``again``.

    Options at their defaults are left out. Returns None if no command line can say the run: the
    task, the weighting, the proposer or the objective is a function of the user's own.
    """
    if config.task not in TASKS or config.method not in METHODS or config.own_method() is None:
        return None
    if config.proposer not in PROPOSERS:
        return None
    if str(config.task_options.get("objective", "")).startswith("function "):
        return None
    words = ["wrlso", "run", config.task, "--method", config.method]
    options = {**_method_options(config), **_settings(config), **_task_options(config)}
    for name, value in options.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", _text(value)]
    return shlex.join([*words, "--out", "again"])


def python_of(config: RunConfig) -> str:
    """Python that makes a run of the user's own parts again; these parts are comments."""
    method = METHODS.get(config.method)
    numbers = ", ".join(f"{name}={value!r}" for name, value in _method_options(config).items())
    known = method is not None and config.own_method() is not None
    named = f"wrlso.methods.METHODS[{config.method!r}].with_options({numbers})"
    settings = "".join(f", {name}={value!r}" for name, value in _settings(config).items())
    return (
        "import wrlso\n\n"
        f"task = ...  # your task {config.task!r}\n"
        f"method = {named if known else f'...  # your method {config.method!r}'}\n"
        f"wrlso.run(task, method, out='again'{settings})\n"
    )


def _method_options(config: RunConfig) -> dict[str, Any]:
    method = METHODS.get(config.method)
    if method is None:
        return {}
    chosen_by_task = config.weighting == "rank_adaptive"
    now: dict[str, Any] = {
        **({} if chosen_by_task else config.hyper),
        "retrain_every": config.retrain_every,
        "epochs": config.epochs,
        "beta": config.beta,
    }
    before = {
        **method.hyper,
        "retrain_every": method.retrain_every,
        "epochs": method.epochs,
        "beta": method.beta,
    }
    return {name: v for name, v in now.items() if v is not None and v != before.get(name)}


def _settings(config: RunConfig) -> dict[str, Any]:
    """budget and seeds always, as a reader looks for them; the proposer, as tasks differ in it."""
    defaults = RunSettings()
    found = {name: getattr(config, name) for name in _SETTINGS}
    kept = {
        name: value
        for name, value in found.items()
        if name in ("budget", "seeds") or value != getattr(defaults, name)
    }
    return {**kept, "proposer": config.proposer}


def _task_options(config: RunConfig) -> dict[str, Any]:
    parameters = inspect.signature(TASKS[config.task]).parameters
    kept = {
        name: value
        for name, value in config.task_options.items()
        if name in parameters and value is not None and value != parameters[name].default
    }
    if kept.get("command") is not None:
        kept.pop("objective", None)
    return kept


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
