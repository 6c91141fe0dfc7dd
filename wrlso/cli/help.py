"""The words of the command line's help: one default a line, plain names of values."""

import argparse
import operator
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import docstring_parser
import tyro

_NAMES = {str: "TEXT", int: "INT", float: "NUMBER", Path: "PATH"}
_SIMPLE = (str, int, float, bool, Path, type(None))


def option(hint: Any, description: str, default: Any) -> Any:
    """A type as an option of the command line, with its help.

    Args:
      hint: the type; what no command line can give, such as a function, is left out.
      description: its help; a last sentence ``Default: ...`` states a default that no value says.
      default: its value, or ``dataclasses.MISSING``.
    """
    simple = _simple(hint)
    text = " ".join(description.split())
    text, _, stated = text.partition(" Default: ")
    if text[:2].isalpha():  # not "r, the number of ..."
        text = text[0].upper() + text[1:]
    words: dict[str, Any] = {"help": text}
    if metavar := _metavar(simple):
        words["metavar"] = metavar
    if stated:
        words["help_behavior_hint"] = f"(default: {stated.removesuffix('.')})"
    elif default is None or default == ():
        words["help_behavior_hint"] = "(optional)"
    elif isinstance(default, bool):
        words["help_behavior_hint"] = f"(default: {'yes' if default else 'no'})"
    return Annotated[simple, tyro.conf.arg(**words)]


def describe(command: type) -> type:
    """Give the options of a command, a dataclass, their help; done once, it stays.

    Its docstring keeps its lines: examples are not joined to one paragraph.
    """
    if not is_dataclass(command) or "_described" in vars(command):
        return command
    hints = typing.get_type_hints(command, include_extras=True)
    parsed = docstring_parser.parse_from_object(command)
    help_of = {one.arg_name: one.description or "" for one in parsed.params}
    for one in fields(command):
        hint: Any = hints[one.name]
        marks: tuple[Any, ...] = ()
        if get_origin(hint) is Annotated:
            hint, *rest = get_args(hint)
            marks = tuple(rest)
        made = option(hint, help_of.get(one.name, ""), one.default)
        if any(getattr(mark, "metavar", None) for mark in marks):
            made = Annotated[hint, get_args(made)[1]]
        command.__annotations__[one.name] = reduce(
            lambda kind, mark: Annotated[kind, mark], marks, made
        )
    command._described = True  # type: ignore[attr-defined]
    return command


def _add_options(parser: argparse.ArgumentParser, command: type) -> None:
    """The names of a command's options and their choices, as far as completion needs them."""
    hints = typing.get_type_hints(command)
    for one in fields(command):
        hint = _simple(hints[one.name])
        parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        choices = [value for p in parts if get_origin(p) is Literal for value in get_args(p)]
        flag = one.name.replace("_", "-")
        if hint is bool:
            parser.add_argument(f"--{flag}", action=argparse.BooleanOptionalAction)
        else:
            parser.add_argument(f"--{flag}", choices=choices or None)


def only_in_python(hint: Any) -> bool:
    """Whether no command line can give a value of this type."""
    return _simple(hint) is type(None)


def _simple(hint: Any) -> Any:
    """A type without what no command line can give, such as functions."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    kept = [part for part in get_args(hint) if part in _SIMPLE or get_origin(part) is Literal]
    return reduce(operator.or_, kept)


def _metavar(hint: Any) -> str | None:
    """The name of an option's value in its help; None: a flag, or what tyro names well."""
    union = get_origin(hint) in (Union, types.UnionType)
    parts = [p for p in (get_args(hint) if union else (hint,)) if p is not type(None)]
    names = [
        "{" + ",".join(map(str, get_args(part))) + "}"
        if get_origin(part) is Literal
        else _NAMES.get(part, "")
        for part in parts
    ]
    return "|".join(names) if all(names) else None


def completion(commands: Mapping[str, Mapping[str, Any] | type], shell: str, about: str) -> str:
    """The script that completes ``wrlso`` in a shell.

    Args:
      commands: dataclasses by name of the command; a mapping holds commands of a command.
      shell: bash, zsh or tcsh.
      about: one line about the program.
    """
    import shtab

    def add(
        parser: argparse.ArgumentParser, group: Mapping[str, Mapping[str, Any] | type]
    ) -> argparse.ArgumentParser:
        found = parser.add_subparsers()
        for name, command in group.items():
            if isinstance(command, Mapping):
                add(found.add_parser(name, help=name), command)
            else:
                first = (command.__doc__ or name).splitlines()[0]  # without help shtab skips it
                _add_options(found.add_parser(name, help=first), command)
        return parser

    root = argparse.ArgumentParser("wrlso", description=about)
    return shtab.complete(add(root, commands), shell)
