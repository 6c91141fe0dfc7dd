"""Scores as people write them: checked while a file is read, never guessed."""

import math
import re
from collections.abc import Sequence

import numpy as np

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+", re.ASCII)
_CENSORED = re.compile(r"[<>~=≤≥±]")
_WITH_UNIT = re.compile(r"([+-]?\d+(?:[.,]\d+)?)\s*([^\d\s.,].*)", re.ASCII)
_LARGEST = float(np.finfo(np.float32).max)


def decimal_comma(texts: Sequence[str]) -> bool:
    """Whether the numbers of a column have decimal commas: some have a comma that cannot separate
    thousands, none a point."""
    with_comma = [text for text in texts if "," in text]
    return any(
        _COMMA.fullmatch(text) and not _THOUSANDS.fullmatch(text) for text in with_comma
    ) and not any("." in text and _NUMBER.fullmatch(text) for text in texts)


def read_numbers(texts: Sequence[str]) -> tuple[np.ndarray, dict[int, str]]:
    """The numbers that texts spell, and the reasons for those that are none.

    Args:
      texts: N texts without white space around them.

    Returns:
      ``[N]`` float64, NaN where there is a reason; the reasons by place.
    """
    comma = decimal_comma(texts)
    values, reasons = np.full(len(texts), math.nan), dict[int, str]()
    for i, text in enumerate(texts):
        written = text.replace(",", ".") if comma and _COMMA.fullmatch(text) else text
        if not _NUMBER.fullmatch(written):
            reasons[i] = _why_not(text)
        elif not abs(value := float(written)) <= _LARGEST:
            reasons[i] = f"{text!r} is beyond {_LARGEST:.3g}, the largest number of 32 bits"
        else:
            values[i] = value
    return values, reasons


def _why_not(text: str) -> str:
    if not text:
        return "there is none"
    if _CENSORED.match(text):
        return f"{text!r} is a bound, not a number: drop its sign or the line"
    if _THOUSANDS.fullmatch(text):
        return f"{text!r} may be a decimal or thousands: write it without the comma"
    if _COMMA.fullmatch(text):
        return f"{text!r} has a decimal comma, which others of its column lack: write a point"
    if "_" in text:
        return f"{text!r} is not a finite number: write it without '_'"
    if found := _WITH_UNIT.fullmatch(text):
        return f"{text!r} is not a finite number: write {found[1]} without {found[2]!r}"
    return f"{text!r} is not a finite number"
