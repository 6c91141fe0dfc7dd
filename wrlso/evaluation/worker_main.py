"""The script that a worker process runs: it loads a function, then evaluates item after item.

``wrlso.evaluation.worker_handle`` starts it. It runs before the package can be imported, so it
imports the standard library only.
"""

import importlib.util
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


def describe_error(error: BaseException) -> str:
    """The type and message of an exception."""
    return f"{type(error).__name__}: {error}"


def _serve(connection: Connection) -> None:
    """Load the function, then answer item after item until the connection closes."""
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
    """The pickled result of a step, or the reason for its failure."""
    try:
        return pickle.dumps(("ok", step()))
    except BaseException as error:  # including SystemExit
        return pickle.dumps(("failed", describe_error(error)))


def _end_with_parent(parent_input: int) -> None:
    """Kill this process group as soon as the parent ends, which closes its end of the pipe."""
    os.read(parent_input, 1)
    os.killpg(0, signal.SIGKILL)


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


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
