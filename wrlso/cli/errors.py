"""Errors in words, for the command line: the one place that knows their types."""

import errno
import os
import sqlite3
import sys
import traceback
from contextlib import suppress

from wrlso.evaluation.values import EvaluationError

EXPECTED = (
    ValueError, FloatingPointError, ImportError, OSError, sqlite3.Error, EvaluationError,
)  # fmt: skip
"""Errors whose messages are meant for the user."""

TRACEBACK = "WRLSO_TRACEBACK"

FAULT = 70
"""Exit status of a fault of the program."""

PIPE = 141
"""Exit status of a program whose output nobody reads, as shells state it: 128 + SIGPIPE."""

_OF_OUTPUT = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EDQUOT)


def have_stderr() -> None:
    """Give the process a standard error that nobody reads, if it has none, as after ``2>&-``.

    ``print`` would write to standard output instead, and the next file that is opened would get
    the number to which libraries write their messages.
    """
    if sys.stderr is not None:
        return
    nothing = os.open(os.devnull, os.O_WRONLY)  # it gets the free number
    os.set_inheritable(nothing, True)  # worker processes need it as much
    sys.stderr = os.fdopen(nothing, "w")


def say_error(error: Exception) -> int:
    """Print an error in words; returns the exit status."""
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    if isinstance(error, OSError) and error.filename is None and error.errno in _OF_OUTPUT:
        return _say_output_failed(error)
    if isinstance(error, EXPECTED):
        print(f"wrlso: error: {error}", file=sys.stderr)
        return 2
    if _is_out_of_memory(error):
        print(
            f"wrlso: error: the memory does not suffice ({_first_line(error)}): lower budget, "
            "seeds, batch or workers",
            file=sys.stderr,
        )
        return 2
    print(
        f"wrlso: a fault of the program: {type(error).__name__}: {_first_line(error)}\n"
        f"Nothing that was scored is lost. {TRACEBACK}=1 shows where it happened; please report it",
        file=sys.stderr,
    )
    return FAULT


def _say_output_failed(error: OSError) -> int:
    """Whoever read the output has gone, such as 'head', or its disk is full."""
    with (
        suppress(Exception),
        open(os.devnull, "w") as nothing,
    ):  # what is left in the buffer has no place to go
        os.dup2(nothing.fileno(), sys.stdout.fileno())
    if error.errno == errno.EPIPE:
        return PIPE
    print(
        f"wrlso: error: the output cannot be written ({error.strerror}). A run keeps its results "
        "in its folder: 'wrlso report' and 'wrlso ask --pending' show them again",
        file=sys.stderr,
    )
    return 2


def _is_out_of_memory(error: Exception) -> bool:
    of_jax = type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError")
    return isinstance(error, MemoryError) or (of_jax and "RESOURCE_EXHAUSTED" in str(error))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else "no message"
