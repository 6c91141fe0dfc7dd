"""Running programs whose output is bounded, and whose background processes may outlive them."""

import os
import select
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, NamedTuple

from wrlso.evaluation.worker_handle import MOST_PRINTED

KEPT = 16 * 2**20
"""Maximum number of bytes of output that are kept: the last ones."""

_PART = 1 << 16
_POLL = 0.05
"""Seconds between looks whether a program has ended while another process holds its output."""


class Finished(NamedTuple):
    """A program that has ended.

    Attributes:
      code: its exit code; negative: the signal that killed it.
      output: the end of its standard output.
      errors: the end of its standard error.
    """

    code: int
    output: str
    errors: str


class Tail:
    """The end of what a pipe has brought.

    Args:
      pipe: the end of a pipe from which is read.
      kept: maximum number of bytes that are kept.
    """

    def __init__(self, pipe: IO[bytes], kept: int = KEPT) -> None:
        self.pipe, self.content, self._kept = pipe, bytearray(), kept
        self.total, self.open = 0, True
        os.set_blocking(pipe.fileno(), False)

    def read(self) -> bool:
        """Read what is there; returns whether there was something."""
        try:
            part = os.read(self.pipe.fileno(), _PART)
        except BlockingIOError:
            return False
        self.open = bool(part)
        self.total += len(part)
        self.content += part
        if len(self.content) > 2 * self._kept:
            del self.content[: -self._kept]
        return self.open

    def text(self) -> str:
        """The end of the output."""
        return self.content[-self._kept :].decode(errors="replace")


def run_program(argv: Sequence[str], text: str = "") -> Finished:
    """Run a program with a text as its standard input until it ends.

    Other processes that it leaves behind may hold its output open: nothing waits for them.

    Raises:
      OSError: if it cannot be started.
      RuntimeError: if it prints more than 64 MiB.
    """
    with subprocess.Popen(
        argv, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        tails = [Tail(process.stdout), Tail(process.stderr, 1 << 16)]
        try:
            _feed_and_read(argv[0], process, memoryview(text.encode()), tails)
            code = process.wait()
        except BaseException:
            process.kill()
            raise
    return Finished(code, tails[0].text(), tails[1].text())


def _feed_and_read(
    name: str, process: subprocess.Popen, unsent: memoryview, tails: list[Tail]
) -> None:
    pipe = process.stdin
    assert pipe is not None
    os.set_blocking(pipe.fileno(), False)
    while any(tail.open for tail in tails):
        ended = process.poll() is not None
        if not pipe.closed:
            unsent = _feed(pipe, unsent)
        heard = [tail.read() for tail in tails if tail.open]
        if sum(tail.total for tail in tails) > MOST_PRINTED:
            raise RuntimeError(f"{name} printed more than {MOST_PRINTED >> 20} MiB")
        if ended and not any(heard):
            return
        if not any(heard):
            _wait(tails, None if pipe.closed else pipe)


def _feed(pipe: IO[bytes], unsent: memoryview) -> memoryview:
    with suppress(BlockingIOError):
        try:
            while unsent:
                unsent = unsent[os.write(pipe.fileno(), unsent) :]
        except BrokenPipeError:
            unsent = memoryview(b"")
        if not unsent:
            pipe.close()
    return unsent


def _wait(tails: list[Tail], pipe: IO[bytes] | None) -> None:
    poll = select.poll()
    for tail in tails:
        if tail.open:
            poll.register(tail.pipe, select.POLLIN)
    if pipe is not None:
        poll.register(pipe, select.POLLOUT)
    poll.poll(_POLL * 1000)
