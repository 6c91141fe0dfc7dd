"""One worker process, seen from its parent: start it, send it an item, end it.

Worker processes import this module, so it imports neither JAX nor NumPy.
"""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from multiprocessing import Pipe
from typing import Any

from wrlso.evaluation import worker_main
from wrlso.evaluation.worker_main import describe_error


class Worker:
    """The parent's side of a worker process.

    Attributes:
      connection: to the process.
      output: a file that holds its standard output and errors.
      process: the process.
      job: position of the item that it evaluates; None if it is idle.
      ready: whether it has loaded the function.
      deadline: time by which it must answer, on the monotonic clock.
    """

    def __init__(self, setup: bytes, startup_timeout: float) -> None:
        self.connection, theirs = Pipe()
        self.output = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        self.process = subprocess.Popen(
            # -P keeps the folder of the script out of sys.path.
            [sys.executable, "-P", worker_main.__file__, str(theirs.fileno())],
            stdin=subprocess.PIPE,  # never written to; it closes when this process ends
            stdout=self.output,
            stderr=self.output,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        self.job: int | None = None
        self.ready = False
        self.deadline = time.monotonic() + startup_timeout
        with suppress(OSError):  # it is dead already; the pool will find out
            self.connection.send_bytes(setup)

    def send(self, position: int, item: Any, timeout: float | None) -> bool:
        """Send an item to the worker; returns False if the worker is dead."""
        try:
            message = pickle.dumps(item)
        except Exception as error:
            raise TypeError(
                f"item {position} cannot be pickled: {describe_error(error)}"
            ) from error
        self.output.seek(0)  # the worker shares the write position
        self.output.truncate()
        if self.process.poll() is not None:
            return False
        try:
            self.connection.send_bytes(message)
        except OSError:
            return False
        self.job = position
        self.deadline = float("inf") if timeout is None else time.monotonic() + timeout
        return True

    def describe_end(self) -> str:
        """The end of the process in words, with the last line that it printed."""
        with suppress(subprocess.TimeoutExpired):  # the connection closes before the process ends
            self.process.wait(1)
        self.output.seek(max(0, self.output.seek(0, os.SEEK_END) - 2000))
        lines = self.output.read().decode(errors="replace").strip().splitlines()
        printed = f"; it last printed: {lines[-1][:200]}" if lines else ""
        return f"the worker process {describe_exit(self.process.returncode)}{printed}"

    def end(self, patience: float = 0.0) -> None:
        """Wait ``patience`` seconds for the process to end, then kill it and its process group."""
        self.connection.close()
        if patience:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
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
