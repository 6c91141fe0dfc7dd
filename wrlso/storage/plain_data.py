"""Checks of plain data, such as the content of a TOML file.

Each check is a function of a value and of its place, such as ``lead.toml: component 2: weight``. It
returns the value, or raises ValueError with place, value and remedy.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args

Check = Callable[[Any, str], Any]
"""A function from a value and its place to the value."""


def windows(content: Any, where: str) -> dict[str, tuple[float | None, float | None]]:
    """Lowest and highest values by name; None and infinity are no limit."""
    check_table(content, where)
    for name, ends in content.items():
        if not isinstance(ends, Sequence) or isinstance(ends, str) or len(ends) != 2:
            raise ValueError(
                f"{where}.{name} = {ends!r}: give the lowest and the highest value, such as "
                "[0, 3] or [0.5, inf]"
            )
    return {
        name: (_end(low, f"{where}.{name}", -math.inf), _end(high, f"{where}.{name}", math.inf))
        for name, (low, high) in content.items()
    }


def _end(value: Any, where: str, no_limit: float) -> float | None:
    return None if value is None or value == no_limit else number(value, where)


def number(value: Any, where: str) -> float:
    """A finite number."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    try:
        if is_number and math.isfinite(value):
            return float(value)
    except OverflowError:  # a whole number that no float holds
        raise ValueError(f"{where} has {len(str(value))} digits: give a smaller number") from None
    raise ValueError(f"{where} = {value!r}: give a number, without quotes")


def whole(value: Any, where: str) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{where} = {value!r}: give a whole number, without quotes")
    return value


def flag(value: Any, where: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{where} = {value!r}: give true or false")
    return value


def text(value: Any, where: str) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where} = {value!r}: give a text in quotes")
    return value


def texts(value: Any, where: str) -> str | tuple[str, ...]:
    """A text, or a tuple of at least one."""
    if isinstance(value, str):
        return text(value, where)
    if not isinstance(value, Sequence) or not value:
        raise ValueError(f"{where} = {value!r}: give a text, or a list of texts, in quotes")
    return tuple(text(one, where) for one in value)


def choice(value: Any, where: str, choices: Any) -> Any:
    """One of some texts: of a tuple, or of a Literal."""
    choices = choices if isinstance(choices, tuple) else get_args(choices)
    if value not in choices:
        near = difflib.get_close_matches(str(value), choices, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ValueError(f"{where} = {value!r}: give one of {', '.join(choices)}{hint}")
    return value


def numbers_by_number(value: Any, where: str) -> dict[float, float]:
    """Numbers by number, which TOML writes as a text."""
    check_table(value, where)
    pairs = {}
    for key, desirability in value.items():
        try:
            pairs[float(key)] = number(desirability, f"{where}.{key}")
        except ValueError as error:
            raise ValueError(f"{where}: {key} = {desirability!r}: give numbers ({error})") from None
    return pairs


def check_table(content: Any, where: str) -> None:
    """Raise if the content is not a table."""
    if not isinstance(content, Mapping):
        raise ValueError(f"{where} = {content!r}: give keys and values, as in {{key = value}}")


def check_keys(content: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Raise if a table has a key that is not known."""
    known = tuple(known)
    for key, value in content.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(
                f"{where}: there is no key {key} (= {value!r}); keys: {', '.join(known)}{hint}"
            )


def made(where: str, make: Callable[..., Any], *parts: Any, **values: Any) -> Any:
    """The result of a call whose errors are told with their place."""
    try:
        return make(*parts, **values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
