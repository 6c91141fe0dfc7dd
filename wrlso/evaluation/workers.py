"""Evaluation in worker processes: a crash, a hang or an exception loses one object, no more.

A worker is a fresh interpreter in a session of its own, never a fork of this
process, in which JAX has threads. Killing it kills what it has started as well;
one whose parent died, however that happened, ends itself. POSIX only.

Functions travel by cloudpickle: lambdas, closures and what a script or notebook
defines go by value, and the script is not run again. No pool we know will do:
loky's breaks as a whole when a worker dies, pebble 5.2's when an idle one does,
and it never reports an object that made its worker exit with code 0; both import
the caller's script in each worker, and JAX with it.

Workers run this file as well: its imports are light.
"""

import importlib.util
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from wrlso.status import Status

_POLL = 0.2
"""Seconds between looks at workers that died without closing their connection."""

_STARTS = 3
"""A pool gives up when this many workers in a row die before they are ready."""


class Outcome(NamedTuple):
    """What became of the item at a position of the batch: a value, or why there is none."""

    position: int
    kind: Literal["ok", "failed", "timeout"]
    value: Any = None
    reason: str | None = None


class Scored(NamedTuple):
    """The score of an item, NaN unless the status is OK, and the reason if it is not."""

    position: int
    score: float
    status: "Status"
    reason: str | None


class WorkerPool:
    """Processes that evaluate one function, batch after batch; a context manager.

    They start when a batch first needs them, and again after a loss.

    Args:
      function: of one object; anything that cloudpickle can send.
      workers: processes at most; None: as many as cores this process may use.
      timeout: seconds of wall time for one object; None: no limit.
      startup_timeout: seconds for a worker to load the function.

    Raises:
      TypeError: if the function cannot be pickled.
      ValueError: if a number is out of range.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        workers: int | None = None,
        timeout: float | None = None,
        startup_timeout: float = 120.0,
    ) -> None:
        self.size = available_cores() if workers is None else workers
        if self.size < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        for name, seconds in {"timeout": timeout, "startup_timeout": startup_timeout}.items():
            if seconds is not None and not seconds > 0:
                raise ValueError(f"{name} must be positive seconds, got {seconds}")
        self.timeout, self.startup_timeout = timeout, startup_timeout
        self._setup = pickle.dumps((sys.path, _pickled(function)))
        self._workers: list[_Worker] = []
        self._failed_starts = 0
        self._evaluating = False
        weakref.finalize(self, _end_all, self._workers, os.getpid())

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers, busy ones at once."""
        _end_all(self._workers, os.getpid())

    def evaluate(self, items: Iterable[Any]) -> "tuple[np.ndarray, list[Status], list[str | None]]":
        """Scores ``[n]`` float64 (NaN unless OK), statuses and reasons, in the items' order."""
        import numpy as np

        results = sorted(self.scored(items))
        scores = np.array([result.score for result in results], np.float64)
        return scores, [r.status for r in results], [r.reason for r in results]

    def scored(self, items: Iterable[Any]) -> Iterator[Scored]:
        """Score a batch: each result as soon as it is there, in any order.

        A value that is no number, NaN, or not finite in float32 is FAILED. Leaving
        the loop early kills the workers that are busy.

        Raises:
          RuntimeError: if workers cannot load the function or die before they are
            ready, or another batch is being evaluated.
          TypeError: if an item cannot be pickled.
        """
        from wrlso.status import Status  # a worker process runs this file before it has wrlso

        for position, kind, value, reason in self.outcomes(items):
            score = float("nan")
            if kind == "ok":
                score, reason = as_score(value)
                kind = "ok" if reason is None else "failed"
            yield Scored(position, score, Status[kind.upper()], reason)

    def outcomes(self, items: Iterable[Any]) -> Iterator[Outcome]:
        """As :meth:`scored`, of a function that returns anything picklable."""
        if self._evaluating:
            raise RuntimeError("this pool is evaluating another batch")
        waiting, self._evaluating = deque(enumerate(items)), True
        try:
            while waiting or self._busy():
                self._assign(waiting)
                yield from self._collect()
        finally:
            self._evaluating = False
            for worker in self._busy():
                self._discard(worker)

    def _busy(self) -> "list[_Worker]":
        return [worker for worker in self._workers if worker.job is not None]

    def _assign(self, waiting: deque[tuple[int, Any]]) -> None:
        while len(self._workers) < min(self.size, len(waiting) + len(self._busy())):
            self._workers.append(_Worker(self._setup, self.startup_timeout))
        for worker in list(self._workers):
            if worker.ready and worker.job is None and waiting:
                if worker.send(*waiting[0], self.timeout):
                    waiting.popleft()
                else:  # died idle: nothing is lost
                    self._discard(worker)

    def _collect(self) -> Iterator[Outcome]:
        active = [worker for worker in self._workers if worker.job is not None or not worker.ready]
        now = time.monotonic()
        pause = min([_POLL, *(worker.deadline - now for worker in active)])
        wait([worker.connection for worker in active], max(pause, 0) if active else 0)
        for worker in active:
            outcome = self._look_at(worker)
            if outcome is not None:
                yield outcome

    def _look_at(self, worker: "_Worker") -> Outcome | None:
        connection = worker.connection
        try:
            if connection.poll():
                return self._receive(worker, connection.recv_bytes())
        except (EOFError, OSError):
            return self._lose(worker, "failed", worker.epitaph())
        if worker.process.poll() is not None and not connection.poll():
            return self._lose(worker, "failed", worker.epitaph())
        if time.monotonic() > worker.deadline:
            limit = self.timeout if worker.ready else self.startup_timeout
            return self._lose(worker, "timeout", f"no answer within {limit:g} s")
        return None

    def _receive(self, worker: "_Worker", message: bytes) -> Outcome | None:
        try:
            kind, value = pickle.loads(message)
        except Exception as error:
            kind, value = "failed", f"its answer cannot be read: {_describe(error)}"
        if not worker.ready:
            if kind != "ok":
                self._discard(worker)
                raise RuntimeError(f"the function cannot be loaded in a worker process: {value}")
            worker.ready, self._failed_starts = True, 0
            return None
        job, worker.job = worker.job, None
        assert job is not None
        return Outcome(job, kind, value) if kind == "ok" else Outcome(job, kind, None, value)

    def _lose(
        self, worker: "_Worker", kind: Literal["failed", "timeout"], reason: str
    ) -> Outcome | None:
        self._discard(worker)
        if worker.job is not None:
            return Outcome(worker.job, kind, None, reason)
        self._failed_starts += 1
        if kind == "timeout" or self._failed_starts >= _STARTS:
            raise RuntimeError(f"worker processes fail to start and load the function: {reason}")
        return None

    def _discard(self, worker: "_Worker") -> None:
        if worker in self._workers:
            self._workers.remove(worker)
            worker.end()


class _Worker:
    """A process, the connection to it, and the position of its item, if it has one."""

    def __init__(self, setup: bytes, startup_timeout: float) -> None:
        self.connection, theirs = Pipe()
        self.output = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        self.process = subprocess.Popen(
            # -P: the folder of this file is no place to import from.
            [sys.executable, "-P", __file__, str(theirs.fileno())],
            stdin=subprocess.PIPE,  # never written to; closes when this process ends
            stdout=self.output,
            stderr=self.output,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        self.job: int | None = None
        self.ready = False
        self.deadline = time.monotonic() + startup_timeout
        with suppress(OSError):  # dead already, which will be noticed
            self.connection.send_bytes(setup)

    def send(self, position: int, item: Any, timeout: float | None) -> bool:
        """Set to work on an item; false if the worker is dead."""
        try:
            message = pickle.dumps(item)
        except Exception as error:
            raise TypeError(f"item {position} cannot be pickled: {_describe(error)}") from error
        self.output.seek(0)  # the place to write at is shared with the worker
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

    def epitaph(self) -> str:
        """How the process ended, and the last line it printed."""
        with suppress(subprocess.TimeoutExpired):  # the connection closes first
            self.process.wait(1)
        self.output.seek(max(0, self.output.seek(0, os.SEEK_END) - 2000))
        lines = self.output.read().decode(errors="replace").strip().splitlines()
        printed = f"; it last printed: {lines[-1][:200]}" if lines else ""
        return f"the worker process {describe_exit(self.process.returncode)}{printed}"

    def end(self, patience: float = 0.0) -> None:
        """Let the process leave for some seconds, then kill it and its process group."""
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


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_exit(code: int | None) -> str:
    """``exited with code 1``, ``was killed by SIGSEGV``, for a message."""
    if code is None:
        return "closed its connection"
    return f"exited with code {code}" if code >= 0 else f"was killed by {_signal_name(-code)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def as_score(value: Any) -> tuple[float, str | None]:
    """A value as a score: NaN and the reason if it is no number, or not finite in float32."""
    import numpy as np

    try:
        score = float(value)
    except Exception as error:
        return float("nan"), f"the value is no number: {_describe(error)}"
    with np.errstate(over="ignore"):
        finite = np.isfinite(np.float32(score))
    return (score, None) if finite else (float("nan"), f"score is {score}")


def _pickled(function: Callable[[Any], Any]) -> bytes:
    import cloudpickle

    try:
        return cloudpickle.dumps(function)
    except Exception as error:
        raise TypeError(
            f"{function!r} cannot be sent to a worker process ({_describe(error)}): make open "
            "files, locks, connections and the like inside the function, at its first call"
        ) from error


def _end_all(workers: list[_Worker], owner: int) -> None:
    while workers and os.getpid() == owner:  # a fork of the owner has no right to
        worker = workers.pop()
        worker.end(patience=1.0 if worker.ready and worker.job is None else 0.0)


def _serve(connection: Connection) -> None:
    """A worker's life: load the function, then answer item after item."""
    threading.Thread(target=_end_with_parent, args=(os.dup(0),), daemon=True).start()
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    sys.path[:], pickled = pickle.loads(connection.recv_bytes())
    _import_without_init("wrlso", Path(__file__).parents[1])
    loaded: list[Callable[[Any], Any]] = []
    connection.send_bytes(_answer(lambda: loaded.append(pickle.loads(pickled))))
    while True:
        try:
            item = connection.recv_bytes()
        except EOFError:
            return
        connection.send_bytes(_answer(lambda: loaded[0](pickle.loads(item))))  # noqa: B023


def _answer(step: Callable[[], Any]) -> bytes:
    try:
        return pickle.dumps(("ok", step()))
    except BaseException as error:  # SystemExit too
        return pickle.dumps(("failed", _describe(error)))


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


def _import_without_init(name: str, folder: Path) -> None:
    """Let a package's modules be imported one by one.

    Its ``__init__``, which here loads JAX (2 s and 130 MB for each worker), runs
    only when something asks for one of its names.
    """
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    loader = spec.loader
    assert loader is not None
    package = importlib.util.module_from_spec(spec)

    def run_init(attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        del package.__dict__["__getattr__"]
        loader.exec_module(package)
        return getattr(package, attribute)

    package.__dict__["__getattr__"] = run_init
    sys.modules[name] = package


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
