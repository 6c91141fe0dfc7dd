"""Whether progress bars are shown."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SHOWN: ContextVar[bool] = ContextVar("bars", default=True)


def bars_shown() -> bool:
    """Whether progress bars are shown here: nowhere without a standard error."""
    return _SHOWN.get() and sys.stderr is not None


@contextmanager
def bars(shown: bool) -> Iterator[None]:
    """Show progress bars in this block, or none; a block within a block without bars has none."""
    token = _SHOWN.set(shown and _SHOWN.get())
    try:
        yield
    finally:
        _SHOWN.reset(token)
