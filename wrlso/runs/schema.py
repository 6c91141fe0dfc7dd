"""The schema of a run's record: names, types and ranges, checked whenever it is read."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from wrlso.parallel import SeedMode
from wrlso.resolve import GradientOf
from wrlso.storage.plain_data import (
    check_keys,
    check_table,
    choice,
    flag,
    number,
    text,
    whole,
)

_Check = Callable[[Any, str], Any]


def check_record(content: Mapping[str, Any], known: Iterable[str], needed: Iterable[str]) -> None:
    """Check the content of ``config.json``.

    Args:
      content: names and values.
      known: the names that there are.
      needed: the names that it must have.

    Raises:
      ValueError: naming the key, its value, and what it must be.
    """
    check_keys(content, known, "it")
    if missing := sorted(set(needed) - content.keys()):
        raise ValueError(f"it lacks the key {missing[0]}")
    for name, value in content.items():
        check = _CHECKS.get(name)
        if check is not None:
            check(value, name)
    _table_of_numbers(content["hyper"], "hyper")
    least = int(content.get("starting", {}).get("initial", 0))
    if content["budget"] <= least:
        raise ValueError(f"budget = {content['budget']} is not above starting.initial = {least}")


def _at_least(least: int, most: float = math.inf) -> _Check:
    def check(value: Any, where: str) -> int:
        if not least <= whole(value, where) <= most:
            above = "" if math.isinf(most) else f" and at most {most:g}"
            raise ValueError(f"{where} = {value!r}: give a number of at least {least}{above}")
        return value

    return check


def _or_none(check: _Check) -> _Check:
    return lambda value, where: None if value is None else check(value, where)


def _not_negative(value: Any, where: str) -> float:
    if number(value, where) < 0:
        raise ValueError(f"{where} = {value!r}: give a number of at least 0")
    return value


def _one_of(choices: Any) -> _Check:
    return lambda value, where: choice(value, where, get_args(choices))


def _table(value: Any, where: str) -> None:
    check_table(value, where)


def _starting(value: Any, where: str) -> None:
    check_table(value, where)
    if not value:
        return
    if missing := {"count", "best", "initial"} - value.keys():
        raise ValueError(f"{where} lacks the key {min(missing)}")
    for name in ("count", "initial"):
        _at_least(0)(value[name], f"{where}.{name}")
    number(value["best"], f"{where}.best")
    if "offset" in value:
        number(value["offset"], f"{where}.offset")


def _table_of_numbers(value: Any, where: str) -> None:
    check_table(value, where)
    for name, one in value.items():
        if one != "inf" and not number(one, f"{where}.{name}") > 0:
            raise ValueError(f"{where}.{name} = {one!r}: give a positive number, or 'inf'")


_TABLES = ("task_options", "algorithm", "task_record", "stated", "provenance")


_CHECKS: dict[str, _Check] = {
    "task": text,
    "method": text,
    "weighting": text,
    "proposer": text,
    "hyper": _table,
    "retrain_every": _or_none(_at_least(1)),
    "epochs": _or_none(_not_negative),
    "beta": _or_none(_not_negative),
    "budget": _at_least(1),
    "seeds": _at_least(1, 2**31),
    "first_seed": _at_least(0, 2**31 - 1),
    "batch": _or_none(_at_least(1)),
    "gradient_of": _or_none(_one_of(GradientOf)),
    "devices": _or_none(_at_least(1)),
    "seed_mode": _one_of(SeedMode),
    "minimize": flag,
    "starting": _starting,
    "run": text,
    "digest": text,
    **{name: _table for name in _TABLES},
}
