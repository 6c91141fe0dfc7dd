"""Every task keeps the contract."""

import jax
import numpy as np
import pytest

from wrlso.data import check_dataset
from wrlso.tasks import TASKS

SLOW = pytest.param("expressions", marks=pytest.mark.slow)


# Molecules: see test_molecule.
@pytest.mark.parametrize("name", [*sorted({*TASKS} - {"molecules", "expressions"}), SLOW])
def test_every_task_keeps_the_contract(name):
    task = TASKS[name]()
    data = task.load_data()
    check_dataset(data)
    params = task.vae.init(jax.random.key(0))
    objects = data.objects[:3]
    mean, log_std = task.vae.encode(params, objects)
    assert mean.shape == log_std.shape == (3, task.vae.latent_dim)
    decoded = task.vae.decode(params, mean)
    assert decoded.shape == objects.shape
    assert decoded.dtype == objects.dtype
    assert task.vae.log_likelihood(params, mean, objects).shape == (3,)
    # A decode does not depend on what else is in the batch.
    np.testing.assert_array_equal(task.vae.decode(params, mean[1:2])[0], decoded[1])
    if task.objective is not None:
        np.testing.assert_allclose(task.objective(objects), data.scores[:3], rtol=1e-5)
