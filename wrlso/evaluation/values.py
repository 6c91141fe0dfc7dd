"""Values of a user's function: as scores, as canonical objects, and as reasons for failures.

Worker processes import this module, so it imports neither JAX nor NumPy.
"""

import math
import struct
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from wrlso.evaluation.components import ComponentScore, ComponentValue

if TYPE_CHECKING:
    import numpy as np

LONGEST_REASON = 500
"""Maximum number of characters of a reason; longer ones lose their middle."""


class EvaluationError(RuntimeError):
    """Objects cannot be evaluated at all, so the run ends. It can be resumed, and loses nothing."""


class NoAnswer(RuntimeError):
    """A program has ended without an answer.

    If this or a time-out is the result of all of the first objects, the run ends early.
    """


class Outcome(NamedTuple):
    """The result of one item.

    Attributes:
      position: index of the item in the batch.
      kind: ``"ok"`` if the function returned a value.
      value: the value; None unless ``kind`` is ``"ok"``.
      reason: the reason for a missing value, or the reasons of the earlier tries of an item that
        was evaluated again; else None.
    """

    position: int
    kind: Literal["ok", "failed", "timeout"]
    value: Any = None
    reason: str | None = None


def describe_error(error: BaseException) -> str:
    """The type and message of an exception, in at most :data:`LONGEST_REASON` characters."""
    try:
        text = str(error)
    except Exception as failure:
        text = f"(its message cannot be shown: {type(failure).__name__})"
    return shorten(f"{type(error).__name__[:80]}: {shorten(text, LONGEST_REASON - 100)}")


def shorten(text: str, most: int = LONGEST_REASON) -> str:
    """A text that any file can hold: without its middle if it is long, without lone surrogates and
    NUL characters."""
    if len(text) > most:
        mark = f" ... ({len(text)} characters) ... "
        half = (most - len(mark)) // 2
        text = text[:half] + mark + text[-half:]
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def as_score(value: Any) -> tuple[float, str | None]:
    """A value as a score and no reason, or NaN and the reason.

    A score is a real number of Python, NumPy or another array library, or an array of one such
    number. A boolean counts as 0 or 1. A text is no score, even if it reads as a number. Neither is
    a complex number, None, NaN, or a number that is not finite in float32.
    """
    try:
        value, refused = _single(value)
        if refused is not None:
            return math.nan, f"the value is not a number: {refused}"
        score = _plain(value) if isinstance(value, ComponentScore) else float(value)
    except Exception as error:
        return math.nan, f"the value is not a number: {describe_error(error)}"
    return (score, None) if _finite_in_float32(score) else (math.nan, f"score is {score}")


def _single(value: Any) -> tuple[Any, str | None]:
    """A number and None, or the value and the reason for which it is no number."""
    if hasattr(value, "dtype") and hasattr(value, "item"):  # of NumPy, JAX, PyTorch, pandas
        kind = getattr(value.dtype, "kind", "f")
        value = value.item()  # raises if there are several
        if kind in "Mm":
            return value, "it is a time"
    if isinstance(value, (str, bytes, bytearray)):
        return value, f"it is the text {value[:40]!r}; return a number, such as float(text)"
    if isinstance(value, complex):
        return value, f"it is the complex number {value}; return a real number"
    if value is None:
        return value, "it is None; the function may lack a return"
    return value, None


def _plain(value: ComponentScore) -> ComponentScore:
    """The score with components that any log can hold: NaN stands for a value that is no number."""
    parts = []
    for name, measured, desirability in value.components:
        made = None if desirability is None else _number(desirability)
        parts.append(ComponentValue(shorten(str(name), 100), _number(measured), made))
    return ComponentScore(float(value), parts)


def _number(value: Any) -> float:
    try:
        single, refused = _single(value)
        return float(single) if refused is None else math.nan
    except Exception:
        return math.nan


def _finite_in_float32(score: float) -> bool:
    try:
        struct.pack("<f", score)  # raises if it is too large
    except OverflowError:
        return False
    return math.isfinite(score)


def as_object(value: Any, like: "np.ndarray") -> "np.ndarray":
    """A canonical object, in the form of the object that it stands for.

    Raises:
      ValueError: if it has another shape, or numbers that the form cannot hold.
    """
    import numpy as np

    try:
        found = np.asarray(value)
    except Exception as error:
        raise ValueError(f"canonical returned no array: {describe_error(error)}") from None
    if found.shape != like.shape:
        raise ValueError(f"canonical returned shape {found.shape}, the object has {like.shape}")
    if found.dtype.kind not in "biuf":
        raise ValueError(f"canonical returned {found.dtype}, the object is {like.dtype}")
    with np.errstate(invalid="ignore", over="ignore"):
        kept = found.astype(like.dtype)
        same = (kept == found) & ((kept < 0) == (found < 0))
    if not same.all():
        raise ValueError(f"canonical returned {found[~same].flat[0]}, which {like.dtype} lacks")
    return kept
