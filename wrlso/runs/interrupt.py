"""Ctrl-C during compiled code and callbacks."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def remembered_interrupts(say: bool = False) -> Iterator[Callable[[], None]]:
    """Remember Ctrl-C while the block runs.

    A KeyboardInterrupt that is raised inside a callback from C++, of which JAX has many, is printed
    and forgotten. The yielded function raises it again. The context manager has no effect outside
    the main thread, as Python delivers signals there only, and none if the application has its own
    handler of SIGINT.

    Args:
      say: print at once that the program will stop, as compiled code runs until it returns.
    """
    pending = False

    def check() -> None:
        if pending:
            raise KeyboardInterrupt

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal pending
        if say and not pending:
            os.write(2, b"\nwrlso: stopping after the present step\n")  # safe inside any call
        pending = True
        raise KeyboardInterrupt

    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield check
        return
    signal.signal(signal.SIGINT, handle)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
