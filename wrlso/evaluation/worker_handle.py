"""One worker process, seen from its parent: start it, send it an item, hear its answer, end it.

Nothing here waits for the worker. It may have stopped in the middle of a message.
Worker processes import this module, so it imports neither JAX nor NumPy.
"""

import os
import pickle
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from wrlso.evaluation import worker_main
from wrlso.evaluation.values import describe_error, shorten
from wrlso.evaluation.worker_main import (
    HEADER,
    LONGEST_ANSWER,
    MARK,
    SETUP,
    TOKEN,
    end_processes,
    frame,
)

MOST_PRINTED = 64 * 2**20
"""Maximum number of bytes that a worker prints per item."""

_TAIL = 2000
_PART = 1 << 18


class BrokenChannel(Exception):
    """The bytes on a worker's channel are not its answers."""


@dataclass
class Job:
    """An item on its way to its outcome.

    Attributes:
      position: of the item in the batch.
      item: the item.
      unbegun: number of workers that were sent the item and died before they read it.
    """

    position: int
    item: Any
    unbegun: int = 0


class Worker:
    """The parent's side of a worker process.

    Attributes:
      channel: the socket to the process.
      process: the process; it marks all that it starts with a token.
      job: the item that it evaluates; None if it is idle.
      begun: whether it has begun to evaluate the item.
      ready: whether it has loaded the function.
      printed: number of bytes that it has printed since it got the item.
      deadline: time by which it must answer, on the monotonic clock.
    """

    def __init__(self, setup: bytes, startup_timeout: float) -> None:
        self.channel, theirs = socket.socketpair()
        self._token = secrets.token_hex(8)
        from_main_thread = threading.current_thread() is threading.main_thread()
        arguments = [str(theirs.fileno()), str(from_main_thread)]
        with theirs:
            self.process = subprocess.Popen(
                # -P keeps the folder of the script out of sys.path.
                [sys.executable, "-P", worker_main.__file__, *arguments],
                bufsize=0,
                stdin=subprocess.PIPE,  # never written to; it closes when this process ends
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env=os.environ | {TOKEN: self._token},
            )
        assert self.process.stdout is not None
        self.output = self.process.stdout
        self.channel.setblocking(False)
        os.set_blocking(self.output.fileno(), False)
        self.job: Job | None = None
        self.begun = self.ready = False
        self.deadline = time.monotonic() + startup_timeout
        self.printed, self._tail, self._muted = 0, b"", False
        self._unsent, self._unread = memoryview(frame(SETUP, setup)), bytearray()
        self._numbers = 0
        self.pump()

    @property
    def sending(self) -> bool:
        """Whether a part of a message has not been sent yet."""
        return len(self._unsent) > 0

    @property
    def sources(self) -> list[int]:
        """File descriptors from which the process may be heard."""
        return [self.channel.fileno(), *([] if self._muted else [self.output.fileno()])]

    def send(self, job: Job, scored: bool, timeout: float | None) -> bool:
        """Send an item to the worker; returns False if the worker is dead.

        Args:
          job: the item.
          scored: whether its value is a score.
          timeout: maximum number of seconds until the answer; None: no limit.

        Raises:
          TypeError: if the item cannot be pickled.
        """
        try:
            message = pickle.dumps((scored, job.item))
        except Exception as error:
            raise TypeError(
                f"item {job.position} cannot be pickled: {describe_error(error)}"
            ) from error
        self.drain()
        self.printed, self._tail = 0, b""
        if self.process.poll() is not None:
            return False
        self._numbers += 1
        self._unsent = memoryview(frame(self._numbers, message))
        self.job, self.begun = job, False
        self.deadline = float("inf") if timeout is None else time.monotonic() + timeout
        self.pump()
        return True

    def pump(self) -> None:
        """Send as much of the waiting message as the socket takes."""
        # A worker that is dead already is found out by whoever waits for its answer.
        with suppress(OSError):
            while self._unsent:
                self._unsent = self._unsent[self.channel.send(self._unsent) :]

    def answers(self) -> Iterator[bytes]:
        """The messages that have arrived in whole: for the function, or for the item.

        Raises:
          BrokenChannel: if something else has arrived.
          EOFError: if the process has closed its end.
        """
        closed = False
        with suppress(BlockingIOError):
            while not closed:
                part = self._receive()
                self._unread += part
                closed = not part
                yield from self._whole_messages()
        if closed:
            raise EOFError

    def _receive(self) -> bytes:
        try:
            return self.channel.recv(_PART)
        except ConnectionError:
            return b""

    def _whole_messages(self) -> Iterator[bytes]:
        while len(self._unread) >= HEADER.size:
            mark, number, length = HEADER.unpack_from(self._unread)
            if mark != MARK or length > LONGEST_ANSWER or number != (self._numbers or SETUP):
                raise BrokenChannel
            end = HEADER.size + length
            if len(self._unread) < end:
                return
            message = bytes(self._unread[HEADER.size : end])
            del self._unread[:end]
            if message:
                yield message
            else:
                self.begun = True

    def drain(self) -> None:
        """Read what the worker has printed; its end is kept."""
        for _ in range(16):
            try:
                part = None if self._muted else self.output.read(_PART)
            except OSError:
                part = b""
            if part == b"":
                self._muted = True
            if not part:
                return
            self.printed += len(part)
            self._tail = (self._tail + part)[-_TAIL:]

    def describe_end(self) -> str:
        """The end of the process in words, with the last line that it printed."""
        with suppress(subprocess.TimeoutExpired):  # the channel closes before the process ends
            self.process.wait(1)
        self.drain()
        lines = self._tail.decode(errors="replace").strip().splitlines()
        printed = f"; it last printed: {shorten(lines[-1], 200)}" if lines else ""
        return f"the worker process {describe_exit(self.process.returncode)}{printed}"

    def end(self, patience: float = 0.0) -> None:
        """Wait ``patience`` seconds for the process to end, then kill it and what it started."""
        self.channel.close()
        if patience:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)
        end_processes(self.process.pid, self._token)
        self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.output.close()


def describe_exit(code: int | None) -> str:
    """The end of a process for a message, such as ``was killed by SIGSEGV``."""
    if code is None:
        return "closed its connection"
    return f"exited with code {code}" if code >= 0 else f"was killed by {_signal_name(-code)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
