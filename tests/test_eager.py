"""Outside of ``jit``, a function compiles what it needs at its first call only."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.test_transformations import CASES, COVARIANCE, POINTS, cast, key
from wrlso import acquisition, fingerprint
from wrlso.gp import linalg, sparse

MODULES = ("acquisition", "exact", "sparse", "linalg", "kernels", "standardize")
PRINTS = fingerprint.fingerprint(np.arange(12).reshape(6, 2))
KNOWN = fingerprint.sort_fingerprints(PRINTS)
BOTH = jnp.stack([jnp.asarray(COVARIANCE, jnp.float32)] * 2)


def of_the_table(case):
    arrays = cast(case, jnp.float32)
    return lambda: case.function(*arrays)


def rows_of_a_batch(covariance):
    return acquisition.thompson(key(), jnp.zeros(3), covariance, 2)


def centres(points):
    return sparse.k_means(key(), points, 2)


CALLS = {
    **{name: of_the_table(CASES[name]) for name in CASES if name.split(".")[0] in MODULES},
    "fingerprint.fingerprint": lambda: fingerprint.fingerprint(np.arange(12).reshape(6, 2)),
    "fingerprint.sort_fingerprints": lambda: fingerprint.sort_fingerprints(PRINTS),
    "fingerprint.find": lambda: fingerprint.find(KNOWN, PRINTS),
    "fingerprint.first_occurrence": lambda: fingerprint.first_occurrence(PRINTS),
    "fingerprint.first_fresh": lambda: fingerprint.first_fresh(PRINTS, [KNOWN], 3),
    "a slope": lambda: jax.grad(acquisition.log_improvement)(jnp.float32(-3)),
    "batches of matrices": lambda: jax.vmap(linalg.whiten)(BOTH),
    "batches of samples": lambda: jax.vmap(rows_of_a_batch)(BOTH),
    "batches of points": lambda: jax.vmap(centres)(jnp.asarray(POINTS, jnp.float32)[None]),
}


@pytest.fixture(scope="module")
def compilations():
    """A list that grows by one for each program that is compiled."""
    found = []

    def note(event, *_, **__):
        if event.endswith("backend_compile_duration"):
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    yield found
    jax.monitoring.unregister_event_duration_listener(note)


def test_compilations_are_counted(compilations):
    before = len(compilations)
    jax.jit(lambda x: x + 41)(jnp.ones(3))
    assert len(compilations) > before


@pytest.mark.parametrize("name", CALLS)
def test_the_second_call_compiles_nothing(name, compilations):
    CALLS[name]()
    before = len(compilations)
    CALLS[name]()
    assert len(compilations) == before
