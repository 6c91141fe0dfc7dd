"""Base data and history."""

import jax.numpy as jnp
import numpy as np
import pytest

from wrlso.data import Dataset, append, check_dataset, empty_history
from wrlso.fingerprint import Fingerprints


def test_rows_beyond_the_capacity_are_dropped():
    batch = dict(
        objects=jnp.array([[1, 1], [2, 2], [3, 3]], jnp.uint8),
        latents=jnp.ones((3, 2)),
        scores=jnp.array([1.0, 2.0, 3.0]),
        status=jnp.zeros(3, jnp.int32),
        fingerprints=Fingerprints(*jnp.arange(6, dtype=jnp.uint32).reshape(2, 3)),
        decoded_fingerprints=Fingerprints(*jnp.arange(6, 12, dtype=jnp.uint32).reshape(2, 3)),
        charged=jnp.array([True, False, True]),
    )
    small = append(append(empty_history(3, jnp.zeros(2, jnp.uint8), 2), **batch), **batch)
    assert small.scores.tolist() == [1.0, 3.0, 1.0]
    assert small.fingerprints.low.tolist() == [3, 5, 3]
    assert small.decoded_fingerprints.low.tolist() == [9, 11, 9]
    assert int(small.used) == 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Dataset(jnp.zeros((0, 2)), jnp.zeros(0)), "non-empty"),
        (Dataset(jnp.zeros((2, 2), int), jnp.array([1.0, jnp.nan])), "first in row 1"),
        (Dataset(jnp.zeros((3, 2)), jnp.zeros(2)), "3 objects but 2 scores"),
        (Dataset(jnp.zeros((2, 2)), jnp.zeros(2)), "must be integers"),
        (Dataset(np.zeros((2, 2), np.int64), np.zeros(2)), "32 bits at most, got int64"),
    ],
)
def test_base_data_that_cannot_be_weighted_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        check_dataset(data)
