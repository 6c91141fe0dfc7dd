"""The options of ``wrlso run TASK``, read from the functions and dataclasses that take them.

Names, types, defaults and help come from signatures and docstrings. An option is therefore written
once, where it is used.
"""

import functools
import inspect
import operator
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import docstring_parser
import tyro

from wrlso.methods import Method
from wrlso.runs.settings import RunSettings

_SIMPLE = (str, int, float, bool, Path, type(None))

Field = tuple[str, Any, Any]
"""Name, annotated type and dataclass field, as ``make_dataclass`` takes them."""


@dataclass(frozen=True)
class _CommandLineOnly:
    """Options of the command line itself.

    Attributes:
      out: folder for the run: configuration, queries.sqlite, checkpoints, summary.json, figures.
        It must not exist yet, or be empty.
      method: name of the method; 'wrlso methods' lists them.
      figures: draw figures at the end (needs the extra 'plots').
      distributed: join the processes of a cluster, each of which runs this command and drives a
        share of the seeds; see docs/jax.md.
    """

    out: Path
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


def parse_run_options(name: str, factory: Callable[..., Any], argv: list[str]) -> Options:
    """The options of ``wrlso run NAME``."""
    groups = {
        "command": options_of(_CommandLineOnly),
        "method": options_of(Method.with_options),
        "settings": options_of(RunSettings),
        "task": options_of(factory),
    }
    fields = [option for group in groups.values() for option in group]
    made = make_dataclass(name.capitalize(), fields, frozen=True, kw_only=True)
    made.__doc__ = summary_of(factory)
    parsed: Any = tyro.cli(made, prog=f"wrlso run {name}", args=argv)
    return Options(
        **{
            group: {option[0]: getattr(parsed, option[0]) for option in options}
            for group, options in groups.items()
        }
    )


def options_of(function: Callable[..., Any]) -> list[Field]:
    """One field per parameter of a function or dataclass, with the help of its docstring."""
    hints = typing.get_type_hints(function)
    documented = docstring_parser.parse(inspect.getdoc(function) or "")
    help_of = {one.arg_name: one.description or "" for one in documented.params}
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "self":
            continue
        simple: Any = _simple(hints[name])
        kind = Annotated[simple, _argument(help_of.get(name, ""))]
        default = parameter.default
        required = default is inspect.Parameter.empty
        found.append((name, kind, field() if required else field(default=default)))
    return found


def _argument(description: str) -> Any:
    """Help from a docstring; its last sentence may state a default that no value says."""
    text = " ".join(description.split())
    text, _, default = text.partition(" Default: ")
    if text[:2].isalpha():  # not "r, the number of ..."
        text = text[0].upper() + text[1:]
    if not default:
        return tyro.conf.arg(help=text)
    hint = f"(default: {default.removesuffix('.')})"
    return tyro.conf.arg(help=text, help_behavior_hint=hint)


def summary_of(function: Callable[..., Any]) -> str:
    """The first sentence of a docstring."""
    return docstring_parser.parse(inspect.getdoc(function) or "").short_description or ""


def _simple(hint: Any) -> Any:
    """A type without what no command line can give, such as functions."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    kept = [part for part in get_args(hint) if part in _SIMPLE or get_origin(part) is Literal]
    return functools.reduce(operator.or_, kept)
