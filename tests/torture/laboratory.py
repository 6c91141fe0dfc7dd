"""Weeks in a laboratory, for ``tests.test_study``: each ask is a process that may be killed.

Its objective has the same name in all processes, so none of them runs it as a script.
"""

from pathlib import Path

import wrlso
from tests.builders import count_bits_on_host, host_task, tiny_bo
from wrlso import methods

METHOD = methods.weighted_retraining(k=1e-2, retrain_every=8)
SETTINGS = dict(budget=40, batch=8, proposer="bo", progress=False)


def objective(thing):
    """Some objects fail."""
    if thing[0] % 5 == 3:
        raise ValueError("insoluble")
    return count_bits_on_host(thing)


def task(scored=objective):
    """So many draws that some are always new."""
    return host_task(scored, bo=tiny_bo(candidates=120))


def lab(path, **settings):
    """The laboratory's study."""
    return wrlso.open(path, task(), METHOD, **(SETTINGS | settings))


def ask_once(path):
    """Ask for the next batch, unless one is open."""
    print("go", flush=True)
    with lab(Path(path)) as study:
        if not study.pending:
            study.ask(8)
    print("asked", flush=True)
