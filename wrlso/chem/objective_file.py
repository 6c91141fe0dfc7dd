"""Objectives in a TOML file, and as plain data in the record of a run.

    name = "kinase"                  # in records and tables; default: the file's name
    aggregate = "geometric_mean"     # or arithmetic_mean, product, sum

    [[component]]
    property = "molecular_weight"
    transform = {type = "double_sigmoid", low = 200, high = 500, coef_div = 500, coef_si = 20, \
coef_se = 20}
    weight = 0.5

    [filter]                         # a molecule that does not pass is refused
    forbid = ["[N+](=O)[O-]"]
    alerts = ["pains"]

``docs/objectives.md`` explains all keys. Every error names file, key, value and remedy.
"""

import dataclasses
import shlex
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from wrlso.chem.command import Command, Feed, read_command
from wrlso.chem.composite import Aggregate, Component, Composite, Goal, OfSmiles, combine
from wrlso.chem.filters import (
    Alerts,
    Forbidden,
    MoleculeFilter,
    Required,
    Within,
    molecule_filter,
)
from wrlso.chem.measures import AlertCount, Formula, Property, Similarity, Substructure
from wrlso.chem.transforms import TRANSFORMS, ValueMapping
from wrlso.storage import plain_data as data


def read_objective(path: str | Path) -> Composite:
    """The objective of a TOML file.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is not TOML, or a key or value is invalid; it names the file and the key.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"objective = {str(path)!r}: there is no such file")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: save it in that encoding ({error})") from error
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None
    except ValueError as error:  # also numbers of thousands of digits
        raise ValueError(
            f"{path} is not TOML: {error}; put texts in quotes, SMILES and SMARTS in single ones"
        ) from error
    return from_mapping(content, str(path), path.stem)


def from_mapping(
    content: Mapping[str, Any], where: str = "objective", name: str = "composite"
) -> Composite:
    """The objective that plain data describe, as in a TOML file.

    Args:
      content: the keys and values.
      where: the start of every error, such as the name of the file.
      name: name of the objective, if the data have none.

    Raises:
      ValueError: if a key or value is invalid.
    """
    if "scoring" in content or "run_type" in content:
        raise ValueError(
            f"{where} looks like a file of REINVENT: the keys of components differ here; "
            "docs/objectives.md has a table of them"
        )
    data.check_keys(content, ("name", "aggregate", "component", "filter"), where)
    components = content.get("component", [])
    if not isinstance(components, Sequence) or isinstance(components, str) or not components:
        raise ValueError(f"{where}: there is no component: write a table [[component]] for each")
    parts = [_component(one, f"{where}: component {i}") for i, one in enumerate(components, 1)]
    aggregate = data.choice(
        content.get("aggregate", "geometric_mean"), f"{where}: aggregate", Aggregate
    )
    passes = _filter(content["filter"], f"{where}: filter") if "filter" in content else None
    named = data.text(content.get("name", name), f"{where}: name")
    return data.made(where, combine, *parts, aggregate=aggregate, filter=passes, name=named)


def to_mapping(composite: Composite) -> dict[str, Any] | None:
    """The plain data of an objective, as :func:`from_mapping` takes them.

    None if a component or a condition of the filter is a Python function, which data cannot hold.
    """
    components = [_component_data(one) for one in composite.components]
    if None in components:
        return None
    conditions = () if composite.filter is None else composite.filter.conditions
    if not all(isinstance(one, (Required, Forbidden, Alerts, Within)) for one in conditions):
        return None
    content: dict[str, Any] = {"name": composite.name, "aggregate": composite.aggregate}
    content["component"] = components
    if composite.filter is not None:
        content["filter"] = _filter_data(composite.filter)
    return content


def _component(content: Any, where: str) -> Component:
    data.check_table(content, where)
    if isinstance(content.get("name"), str):
        where = f"{where} ({content['name']!r})"
    kinds = [key for key in content if key in _MEASURES]
    if len(kinds) != 1:
        found = f"has {' and '.join(kinds)}" if kinds else "measures nothing"
        raise ValueError(f"{where} {found}: give exactly one of {', '.join(_MEASURES)}")
    kind = _MEASURES[kinds[0]]
    data.check_keys(content, (*kind.keys, *_COMMON), where)
    given = _checked(content, {key: check for key, (_, check) in kind.keys.items()}, where)
    arguments = {kind.keys[key][0]: value for key, value in given.items()}
    measure = data.made(where, kind.make, **arguments)
    return data.made(where, Component, measure, **_checked(content, _COMMON, where))


def _checked(content: Mapping[str, Any], checks: Mapping[str, data.Check], where: str) -> Any:
    """The values of those keys that the content has."""
    present = [key for key in checks if key in content]
    return {key: checks[key](content[key], f"{where}: {key}") for key in present}


def _transform(content: Any, where: str) -> Any:
    content = {"type": content} if isinstance(content, str) else content
    data.check_table(content, where)
    if "type" not in content:
        raise ValueError(f"{where}: there is no type: give one of {', '.join(TRANSFORMS)}")
    made = TRANSFORMS[data.choice(content["type"], f"{where}.type", tuple(TRANSFORMS))]
    names = [field.name for field in dataclasses.fields(made)]
    data.check_keys(content, ("type", *names), where)
    needed = [f.name for f in dataclasses.fields(made) if f.default is dataclasses.MISSING]
    if missing := [name for name in needed if name not in content]:
        raise ValueError(f"{where}: {content['type']} needs {' and '.join(missing)}: give a number")
    check = data.numbers_by_number if made is ValueMapping else data.number
    values = {key: check(content[key], f"{where}.{key}") for key in names if key in content}
    return data.made(where, made, **values)


def _filter(content: Any, where: str) -> MoleculeFilter:
    data.check_table(content, where)
    data.check_keys(content, tuple(_FILTER), where)
    checked = {key: _FILTER[key](value, f"{where}.{key}") for key, value in content.items()}
    return data.made(where, molecule_filter, **checked)


class _Kind(NamedTuple):
    """A kind of measure: its class, what makes it, and its keys with the argument and the check of
    each."""

    type: type
    make: Callable[..., Any]
    keys: dict[str, tuple[str, data.Check]]


def _program(command: str, feed: Feed = "argument") -> OfSmiles:
    return OfSmiles(read_command(command, feed))


def _objective(name: str) -> Property | Goal:
    return Property(name) if name in ("penalized_logp", "qed") else Goal(name)


def _feed(value: Any, where: str) -> Any:
    return data.choice(value, where, get_args(Feed))


_MEASURES: dict[str, _Kind] = {
    "property": _Kind(
        Property, Property, {"property": ("name", data.text), "minus": ("minus", data.text)}
    ),
    "similarity": _Kind(
        Similarity,
        Similarity,
        {
            "similarity": ("target", data.texts),
            "fingerprint": ("fingerprint", data.text),
            "counts": ("counts", data.flag),
        },
    ),
    "substructure": _Kind(
        Substructure,
        Substructure,
        {"substructure": ("smarts", data.text), "count": ("count", data.flag)},
    ),
    "alerts": _Kind(AlertCount, AlertCount, {"alerts": ("names", data.texts)}),
    "formula": _Kind(Formula, Formula, {"formula": ("formula", data.text)}),
    "objective": _Kind(Goal, _objective, {"objective": ("name", data.text)}),
    "command": _Kind(
        OfSmiles, _program, {"command": ("command", data.text), "feed": ("feed", _feed)}
    ),
}
"""Kinds of measures, by the key of a component that says what is measured."""

_COMMON: dict[str, data.Check] = {
    "name": data.text,
    "weight": data.number,
    "factor": data.flag,
    "transform": _transform,
}
"""Keys that every component may have."""

_FILTER: dict[str, data.Check] = {
    "require": data.texts,
    "forbid": data.texts,
    "alerts": data.texts,
    "max_weight": data.number,
    "min_heavy_atoms": data.whole,
    "max_heavy_atoms": data.whole,
    "windows": data.windows,
}
"""Keys of the filter, which are the arguments of ``molecule_filter``."""


def _component_data(component: Component) -> dict[str, Any] | None:
    measure = _measure_data(component.measure)
    transform = _transform_data(component.transform)
    if measure is None or transform is None:
        return None
    return {
        **measure,
        "name": component.name,
        "weight": float(component.weight),
        "factor": component.factor,
        "transform": transform,
    }


def _measure_data(measure: Any) -> dict[str, Any] | None:
    if isinstance(measure, OfSmiles):
        program = measure.function
        if not isinstance(program, Command):
            return None
        return {"command": shlex.join(program.argv), "feed": program.feed}
    for kind in _MEASURES.values():
        if type(measure) is kind.type:
            values = {key: getattr(measure, field) for key, (field, _) in kind.keys.items()}
            plain = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
            return {key: value for key, value in plain.items() if value is not None}
    return None


def _transform_data(transform: Any) -> dict[str, Any] | None:
    name = next((n for n, made in TRANSFORMS.items() if type(transform) is made), None)
    if name is None:
        return None
    if isinstance(transform, ValueMapping):
        return {"type": name, "mapping": {repr(value): to for value, to in transform.mapping}}
    fields = dataclasses.fields(transform)
    return {"type": name, **{f.name: float(getattr(transform, f.name)) for f in fields}}


def _filter_data(passes: MoleculeFilter) -> dict[str, Any]:
    """The conditions as data; limits of weight and size are windows."""
    of = {Required: "require", Forbidden: "forbid", Alerts: "alerts"}
    content: dict[str, Any] = {}
    for condition in passes.conditions:
        if isinstance(condition, Within):
            ends = [condition.low, condition.high]
            content.setdefault("windows", {})[condition.name] = ends
        else:
            value = condition.name if isinstance(condition, Alerts) else condition.smarts  # type: ignore[attr-defined]
            content.setdefault(of[type(condition)], []).append(value)
    return content
