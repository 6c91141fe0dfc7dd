"""Pretrained parameters are trained once and found again."""

import jax
import numpy as np
import pytest

from tests.builders import make_tiny_task
from wrlso.data import Dataset
from wrlso.models.elbo import constant_beta, geometric_beta
from wrlso.runs.pretrained import cache_path, pretrained_params
from wrlso.tasks import shapes
from wrlso.tasks.base import PretrainConfig


def test_pretraining_is_cached_by_what_it_depends_on(tmp_path, monkeypatch):
    monkeypatch.setenv("WRLSO_CACHE", str(tmp_path))
    pretraining = PretrainConfig(2, 16, 1e-2, constant_beta(1.0))
    task = make_tiny_task(params=None, pretrain=pretraining)
    done = []
    first = pretrained_params(task, task.load_data(), lambda n, total: done.append((n, total)))
    assert done == [(25, 25)]
    again = pretrained_params(task, task.load_data(), lambda n, total: done.append((n, total)))
    assert len(done) == 1
    jax.tree.map(np.testing.assert_array_equal, first, again)
    data = task.load_data()
    by_beta = [
        cache_path(make_tiny_task(params=None, pretrain=PretrainConfig(2, 16, 1e-2, beta)), data)
        for beta in (1.0, 2.0)
    ]
    assert by_beta[0] == cache_path(task, data) != by_beta[1]
    assert cache_path(task, data._replace(scores=data.scores + 1)) != cache_path(task, data)
    assert cache_path(shapes(pretrain_seed=1), data) != cache_path(shapes(), data)
    with pytest.raises(ValueError, match="at least 1 epoch"):
        shapes(pretrain_epochs=0)

    def path_with(beta, epochs=3000):
        pretraining = PretrainConfig(epochs, 16, 1e-2, beta)
        return cache_path(make_tiny_task(params=None, pretrain=pretraining), data)

    late = [geometric_beta(warmup=warmup) for warmup in (21_000, 30_000)]
    small = [constant_beta(beta) for beta in (0.0, 1e-10)]
    assert len({path_with(beta) for beta in (*late, *small)}) == 4


def test_data_in_numpy_can_be_pretrained_on(tmp_path, monkeypatch):
    monkeypatch.setenv("WRLSO_CACHE", str(tmp_path))
    task = make_tiny_task(params=None, pretrain=PretrainConfig(2, 16, 1e-2, constant_beta(1.0)))
    data = task.load_data()
    ours = pretrained_params(task, Dataset(*map(np.asarray, data)))
    jax.tree.map(np.testing.assert_array_equal, ours, pretrained_params(task, data))
