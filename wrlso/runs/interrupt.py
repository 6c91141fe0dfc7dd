"""Ctrl-C and SIGTERM during compiled code and callbacks."""

import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Terminated(KeyboardInterrupt):
    """SIGTERM, which stops a run as Ctrl-C does."""


_pending: list[type[KeyboardInterrupt]] = []
"""The interrupts that came while a block of :func:`remembered_interrupts` runs."""

_FORGETFUL = ("_xla_gc_callback",)
"""Callbacks of JAX from C++ in which an exception is printed with its traceback, and forgotten."""

_say = False
"""Whether to print at once that the program will stop."""


def _handle(number: int, frame: FrameType | None) -> None:
    if _say and not _pending:
        os.write(2, b"\nwrlso: stopping after the present step\n")  # safe inside any call
    _pending.append(Terminated if number == signal.SIGTERM else KeyboardInterrupt)
    if frame is None or frame.f_code.co_name not in _FORGETFUL:
        raise _pending[-1]


def _check() -> None:
    if _pending:
        raise _pending[0]


@contextmanager
def remembered_interrupts(say: bool = False) -> Iterator[Callable[[], None]]:
    """Remember Ctrl-C and SIGTERM while the block runs.

    A KeyboardInterrupt that is raised inside a callback from C++, of which JAX has many, is printed
    and forgotten. The yielded function raises it again, and so does the begin of a block in this
    block. The context manager has no effect outside the main thread, as Python delivers signals
    there only, and none on a signal for which the application has its own handler.

    Args:
      say: print at once that the program will stop, as compiled code runs until it returns.
    """
    global _say
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    ours: dict[int, tuple[Any, ...]] = {
        signal.SIGINT: (signal.default_int_handler,),
        signal.SIGTERM: (signal.SIG_DFL, _raise_terminated),
    }
    standing: dict[int, Any] = {number: signal.getsignal(number) for number in ours}
    before = {number: old for number, old in standing.items() if old in ours[number]}
    if _handle not in standing.values():  # the outermost block
        _pending.clear()
    _check()
    said, _say = _say, _say or say
    try:
        for number in before:
            signal.signal(number, _handle)
        yield _check
    finally:
        _say = said
        for number, handler in before.items():
            signal.signal(number, handler)


def interruptible(function: Callable[P, R]) -> Callable[P, R]:
    """A function that ends with the KeyboardInterrupt that came while it ran, also where JAX has
    forgotten it."""

    @functools.wraps(function)
    def call(*arguments: P.args, **keywords: P.kwargs) -> R:
        with remembered_interrupts() as check:
            result = function(*arguments, **keywords)
            check()
            return result

    return call


@contextmanager
def shielded() -> Iterator[None]:
    """Put off Ctrl-C and SIGTERM until the block has ended; their handlers are called then.

    The block must be short. In other threads, to which Python delivers no signals, there is nothing
    to do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] | None = []

    def handle(number: int, frame: FrameType | None) -> None:
        if waiting is not None:
            waiting.append(number)
        else:  # it came while the handlers were put back
            signal.signal(number, before[number])
            signal.raise_signal(number)

    numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}
    ours = {n: old for n, old in before.items() if old not in (None, signal.SIG_IGN)}
    try:
        for number in ours:
            signal.signal(number, handle)
        yield
    finally:
        came, waiting = waiting or [], None
        for number, old in ours.items():
            signal.signal(number, old)
        for number in came:
            signal.raise_signal(number)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Raise :class:`Terminated` at SIGTERM, which would end the process without a word."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _raise_terminated(number: int, frame: FrameType | None) -> None:
    raise Terminated
