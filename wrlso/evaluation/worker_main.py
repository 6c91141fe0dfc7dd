"""The script that a worker process runs: it loads a function, then evaluates item after item.

``wrlso.evaluation.worker_handle`` starts it. It runs before the package can be imported, so it
imports the standard library only, and the package's modules one by one.

Parent and worker exchange frames over a socket: a header and a pickled message. Each answer bears
the number of its item, and comes from the process that the parent has started: a child that the
function forks ends in place of answering.
"""

import importlib.util
import os
import pickle
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

HEADER = struct.Struct("<4sqQ")
"""Mark, number of the item, and length of the message in bytes."""

MARK = b"wrl1"
"""Every frame begins with it."""

SETUP = -1
"""Number of the frame that brings the function, and of its answer."""

LONGEST_ANSWER = 2**30
"""Maximum number of bytes of an answer."""

TOKEN = "WRLSO_WORKER"
"""Environment variable that marks a worker and all processes that it starts."""


def frame(number: int, message: bytes) -> bytes:
    """A message with its header."""
    return HEADER.pack(MARK, number, len(message)) + message


def end_processes(group: int, token: str) -> None:
    """Kill a process group, and all processes that bear the token: a program may leave its group.

    This process is killed last, if it is one of them. Tokens are read on Linux only.
    """
    for _ in range(3):  # a process may start another one meanwhile
        found = [pid for pid in _bearers(token) if pid != os.getpid()]
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            break
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _bearers(token: str) -> Iterator[int]:
    mark = f"{TOKEN}={token}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)


def _serve(connection: socket.socket) -> None:
    """Load the function, then answer item after item until the connection closes."""
    own = os.getpid()
    first = _receive(connection)
    assert first is not None
    sys.path[:], function = pickle.loads(first[1])
    loaded: list[Callable[[Any], Any]] = []
    connection.sendall(frame(SETUP, _answer(lambda: loaded.append(pickle.loads(function)))))
    while (received := _receive(connection)) is not None:
        number, message = received
        connection.sendall(frame(number, b""))  # the item is begun
        answer = _answer(lambda: _evaluate(loaded[0], message))  # noqa: B023
        if os.getpid() != own:  # a child that the function has forked
            os._exit(0)
        connection.sendall(frame(number, answer))


def _receive(connection: socket.socket) -> tuple[int, bytes] | None:
    """Number and message of a frame; None once the parent has closed the connection."""
    header = _read(connection, HEADER.size)
    if header is None:
        return None
    _, number, length = HEADER.unpack(header)
    message = _read(connection, length)
    return None if message is None else (number, message)


def _read(connection: socket.socket, size: int) -> bytes | None:
    parts, missing = [], size
    while missing:
        part = connection.recv(min(missing, 1 << 20))
        if not part:
            return None
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _evaluate(function: Callable[[Any], Any], message: bytes) -> Any:
    from wrlso.evaluation.values import as_score

    scored, item = pickle.loads(message)
    value = function(item)
    return as_score(value) if scored else value


def _answer(step: Callable[[], Any]) -> bytes:
    """The pickled result of a step, or the reason for its failure."""
    from wrlso.evaluation.values import describe_error

    try:
        answer = pickle.dumps(("ok", step()))
    except BaseException as error:  # including SystemExit
        return pickle.dumps(("failed", describe_error(error)))
    if len(answer) > LONGEST_ANSWER:
        return pickle.dumps(("failed", f"the value takes {len(answer)} bytes"))
    return answer


def _watch(parent_input: int, token: str) -> None:
    """Start a process that ends this process group as soon as the parent ends, which closes its end
    of a pipe. The function may be busy in C code meanwhile.

    It is no child of this process, so a function that waits for its children does not wait for it.
    """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    if os.fork():
        os._exit(0)
    try:
        os.closerange(0, parent_input)
        os.closerange(parent_input + 1, 1 << 16)
        with suppress(KeyboardInterrupt):
            while os.read(parent_input, 1):
                pass
        end_processes(os.getpgrp(), token)
    finally:
        os._exit(0)


def _end_with_parent() -> None:
    """Have the kernel kill this process as soon as the thread that started it ends (Linux)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _import_without_init(name: str, folder: Path) -> None:
    """Make the modules of a package importable one by one.

    The ``__init__`` of wrlso loads JAX (2 s and 130 MB per worker), so it runs only when the
    function uses one of the package's own names.
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


def _main(descriptor: int, from_main_thread: bool) -> None:
    parent_input = os.dup(0)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    connection = socket.socket(fileno=descriptor)
    connection.set_inheritable(False)  # a program that takes this process's place lets go of it
    _watch(parent_input, os.environ[TOKEN])
    os.close(parent_input)
    if from_main_thread:
        _end_with_parent()
    _import_without_init("wrlso", Path(__file__).parents[1])
    _serve(connection)


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2] == "True")
