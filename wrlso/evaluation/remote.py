"""The call that an executor's workers make: they evaluate an item in a worker process of their own.

An object that crashes or hangs therefore loses one object on any executor: neither the executor's
worker nor its other tasks notice. Idle processes are kept for the next items, but not for long.
"""

import hashlib
import threading
import time
from typing import Any

from wrlso.evaluation.values import Outcome
from wrlso.evaluation.workers import Sendable, WorkerPool

IDLE = 30.0
"""Number of seconds after which an idle process ends."""

_Key = tuple[bytes, float | None]

_idle: dict[_Key, list[tuple[float, WorkerPool]]] = {}
_lock = threading.Lock()


def evaluate_remotely(
    name: str, function: Sendable, timeout: float | None, item: Any, scored: bool
) -> Outcome:
    """The outcome of an item, in position 0.

    Args:
      name: distinguishes this call from all others, as an executor may reuse results.
      function: the function.
      timeout: maximum number of seconds; None: no limit.
      item: the item.
      scored: whether its value must be a score.

    Raises:
      EvaluationError: if the function cannot be loaded.
    """
    key = hashlib.sha256(function.pickled).digest(), timeout
    pool = _take(key) or WorkerPool(function.found_here(), 1, timeout)
    try:
        (outcome,) = pool.outcomes([item], scored)
    except BaseException:
        pool.close()
        raise
    with _lock:
        _idle.setdefault(key, []).append((time.monotonic(), pool))
    timer = threading.Timer(IDLE + 1, end_idle, [IDLE])
    timer.daemon = True
    timer.start()
    return outcome


def end_idle(idle: float = 0.0) -> None:
    """End the processes of this worker that have been idle for a number of seconds."""
    ended: list[WorkerPool] = []
    with _lock:
        for pools in _idle.values():
            old = [one for one in pools if time.monotonic() - one[0] >= idle]
            ended += [pool for _, pool in old]
            pools[:] = [one for one in pools if one not in old]
    for pool in ended:
        pool.close()


def _take(key: _Key) -> WorkerPool | None:
    with _lock:
        pools = _idle.get(key)
        return pools.pop()[1] if pools else None
