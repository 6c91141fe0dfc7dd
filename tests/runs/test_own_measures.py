"""What a proposer of one's own measures and predicts, in a run."""

from contextlib import closing

import jax
import numpy as np
import pytest

import wrlso
from tests.builders import count_bits_on_host, host_task, make_tiny_task

METHOD = wrlso.methods.weighted_retraining(retrain_every=4)


def proposer(measures) -> wrlso.Proposer:
    return wrlso.Proposer(
        "measuring",
        lambda key, view, surrogate: wrlso.proposers.Pool(0.5 * jax.random.normal(key, (16, 2))),
        4,
        fit=lambda key, view, memory: (memory, jax.random.uniform(key, (3,))),
        measures=measures,
    )


@pytest.mark.parametrize(
    "measures",
    [
        lambda fitted: {"fit_r2": fitted.mean(), "fit_spearman": fitted[2]},
        lambda fitted: {"fit_r2": 0.5},
    ],
    ids=["of the surrogate", "a constant"],
)
def test_each_seeds_surrogate_is_measured_alone(tmp_path, measures):
    """Also where the objective is in Python, and no program measures."""
    found = []
    for name, task in (
        ("jax", make_tiny_task()), ("host", host_task(count_bits_on_host)),
    ):  # fmt: skip
        result = wrlso.run(
            task, METHOD, out=tmp_path / name, budget=4, seeds=2, proposer=proposer(measures),
            progress=False,
        )  # fmt: skip
        with closing(result.folder.open_log(read_only=True)) as log:
            found.append([(one.fit_r2, one.fit_spearman) for one in log.rounds()])
    np.testing.assert_allclose(np.array(found[0], float), np.array(found[1], float), rtol=1e-6)
