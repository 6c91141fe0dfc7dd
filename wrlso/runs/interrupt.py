"""Ctrl-C that is not lost."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def remembered_interrupts(say: bool = False) -> Iterator[Callable[[], None]]:
    """Remember Ctrl-C while the block runs.

    Raised inside a callback from C++, of which JAX has many, a KeyboardInterrupt is printed
    and forgotten. The function that is yielded raises it again if that happened. Does nothing
    outside the main thread, where Python delivers no signals, or where the application handles
    SIGINT in its own way. As compiled code goes on until it returns, ``say`` so at once.
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
