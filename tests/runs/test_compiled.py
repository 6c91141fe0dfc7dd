"""Every function of a run compiles once."""

import jax.numpy as jnp
import pytest

from tests.builders import tiny_run
from wrlso.runs.compiled import CompiledOnce


@pytest.mark.parametrize("changes", [{}, {"seeds": 1}, {"seeds": 5, "devices": 2}, {"budget": 10}])
def test_each_function_compiles_once_per_run(tmp_path, changes):
    """Whatever the seeds, the rounds and the remainder of the budget."""
    summary = tiny_run(tmp_path / "run", **changes).summary
    assert summary["compilations"] == {"retrain": 1, "search": 1}


def test_a_compiled_function_refuses_other_shapes():
    double = CompiledOnce("double", lambda x: 2 * x, lambda phase, seconds: None, donate=False)
    assert double(jnp.ones(3)).tolist() == [2, 2, 2]
    assert double(jnp.zeros(3)).tolist() == [0, 0, 0]
    assert double.compilations == 1
    with pytest.raises(TypeError):
        double(jnp.ones(4))
