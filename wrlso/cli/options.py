"""The options of ``wrlso run TASK``, read from the functions and dataclasses that take them.

Names, types, defaults and help come from signatures and docstrings. An option is therefore written
once, where it is used.
"""

import inspect
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import MISSING, dataclass, field, make_dataclass
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from types import MappingProxyType
from typing import Any

import docstring_parser
import tyro

from wrlso.cli.help import only_in_python, option
from wrlso.methods import Method
from wrlso.runs.settings import RunSettings

_EXAMPLES = {
    "shapes": "  wrlso run shapes --budget 100 --seeds 2\n"
    "  wrlso run shapes --method lso --out runs/lso",
    "expressions": "  wrlso run expressions --seeds 2\n"
    "  wrlso run expressions --target 'sin(x) * x' --budget 200",
    "molecules": "  wrlso run molecules --objective qed --data mine.smi --budget 200\n"
    "  wrlso run molecules --command 'python dock.py' --data mine.csv --seeds 2",
}

_EXAMPLES_OF_OPEN = {
    "molecules": "  wrlso open molecules --data measured.csv --score-column pIC50 \\\n"
    "    --batch 8 --retrain-every 8 --budget 40 --out runs/lab\n"
    "  wrlso ask runs/lab --n 8 > batch.csv",
}

_DEFAULTS_OF_OPEN = {
    "seeds": "1, the only number that a study can have",
    "objective": "measured, by people; their scores are told by 'wrlso tell'",
}
"""Defaults that a study states in place of a run's."""

Field = tuple[str, Any, Any]
"""Name, annotated type and dataclass field, as ``make_dataclass`` takes them."""


@dataclass(frozen=True)
class _CommandLineOnly:
    """Options of the command line itself.

    Attributes:
      out: folder for the run: configuration, queries.sqlite, checkpoints, summary.json, figures.
        It must not exist yet, or be empty. Default: runs/TASK-DATE-TIME.
      method: name of the method; 'wrlso methods' lists them.
      figures: draw figures at the end (needs the extra 'plots').
      distributed: join the processes of a cluster, each of which runs this command and drives a
        share of the seeds; see docs/jax.md.
    """

    out: Path | None = None
    method: str = "weighted_retraining"
    figures: bool = True
    distributed: bool = False


@dataclass(frozen=True)
class Options:
    """The options of one call, sorted by who takes them."""

    command: Mapping[str, Any]
    method: Mapping[str, Any]
    settings: Mapping[str, Any]
    task: Mapping[str, Any]


def parse_run_options(
    name: str, factory: Callable[..., Any], argv: list[str], verb: str = "run"
) -> Options:
    """The options of ``wrlso run NAME``, or of another verb that takes the same."""
    groups = _groups(factory)
    command = run_command(name, factory, verb)
    parsed: Any = tyro.cli(command, prog=f"wrlso {verb} {name}", args=argv)
    return Options(
        **{
            group: {option[0]: getattr(parsed, option[0]) for option in options}
            for group, options in groups.items()
        }
    )


def run_command(name: str, factory: Callable[..., Any], verb: str = "run") -> type:
    """The options of ``wrlso run NAME`` as a dataclass."""
    known = ("seeds", "objective") if name == "molecules" else ("seeds",)
    stated = {one: _DEFAULTS_OF_OPEN[one] for one in known} if verb == "open" else {}
    fields = [option for group in _groups(factory, stated).values() for option in group]
    title = re.sub(r"\W+", "_", name).strip("_").capitalize()
    made = make_dataclass(title, fields, frozen=True, kw_only=True)
    made.__doc__ = summary_of(factory)
    examples = _EXAMPLES_OF_OPEN if verb == "open" else _EXAMPLES
    if name in examples:
        made.__doc__ += f"\n\nTry:\n{examples[name]}"
    return made


def _groups(
    factory: Callable[..., Any], stated: Mapping[str, str] = MappingProxyType({})
) -> dict[str, list[Field]]:
    return {
        "command": options_of(_CommandLineOnly),
        "method": options_of(Method.with_options),
        "settings": options_of(RunSettings, stated),
        "task": options_of(factory, stated),
    }


def options_of(
    function: Callable[..., Any], stated: Mapping[str, str] = MappingProxyType({})
) -> list[Field]:
    """One field per parameter of a function or dataclass, with the help of its docstring.

    ``stated`` are defaults in words, by name, in place of those of the docstring.
    """
    hints = typing.get_type_hints(function)
    documented = docstring_parser.parse(inspect.getdoc(function) or "")
    help_of = {one.arg_name: one.description or "" for one in documented.params}
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "self" or only_in_python(hints[name]):
            continue
        required = parameter.default is inspect.Parameter.empty
        default = MISSING if required else parameter.default
        text = help_of.get(name, "")
        if name in stated:
            text = f"{' '.join(text.split()).partition(' Default: ')[0]} Default: {stated[name]}."
        kind = option(hints[name], text, default)
        found.append((name, kind, field(default=default)))
    return found


def summary_of(function: Callable[..., Any]) -> str:
    """The first sentence of a docstring."""
    return docstring_parser.parse(inspect.getdoc(function) or "").short_description or ""


@contextmanager
def run_folder(command: Mapping[str, Any], task: str) -> Iterator[Path]:
    """The folder that the user has named for a run, or else a new one.

    A new one is made at once, so that of two runs that begin in the same second each has its own;
    it is removed if it stays empty.

    Args:
      command: the options of the command line itself.
      task: the name of the task; a task of one's own gives its file's name.

    Raises:
      ValueError: if several processes are to run, each of which would make a folder of its own.
    """
    if command["out"] is not None:
        yield command["out"]
        return
    if command["distributed"]:
        raise ValueError(
            "--distributed needs --out FOLDER: all processes name the same folder, and one that is "
            "named after the time would differ"
        )
    folder = _new_folder(task)
    try:
        yield folder
    finally:
        with suppress(OSError):  # it holds a run
            folder.rmdir()


def _new_folder(task: str) -> Path:
    """Make a folder that did not exist, named after the task and the time."""
    task = Path(task.partition(":")[0]).stem
    stem = f"{task}-{datetime.now():%Y%m%d-%H%M%S}"
    names = chain([stem], (f"{stem}-{i}" for i in count(2)))
    while True:
        path = Path("runs") / next(names)
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            if path.exists():
                continue
        except OSError:
            pass
        return path  # where it could not be made, the run says why
