"""Trees of arrays in a file."""

import jax
import numpy as np
import pytest

from wrlso.storage.tensors import load_tree, read_tensors, save_tree


def test_tensors_round_trip_and_say_what_is_wrong(tmp_path):
    tree = {"a": [np.arange(3.0), np.int32(4)], "b": (np.zeros((2, 0), np.uint8),)}
    save_tree(tmp_path / "t.safetensors", tree, {"by": "test"})
    back = load_tree(tmp_path / "t.safetensors", tree)
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    jax.tree.map(np.testing.assert_array_equal, back, tree)
    assert read_tensors(tmp_path / "t.safetensors").metadata == {"by": "test"}
    with pytest.raises(ValueError, match="'c'"):
        load_tree(tmp_path / "t.safetensors", {"c": np.zeros(1)})
    with pytest.raises(ValueError, match=r"float64\[3\], expected float64\[4\]"):
        load_tree(tmp_path / "t.safetensors", {"a": [np.zeros(4), np.int32(0)], "b": tree["b"]})
    assert [p.name for p in tmp_path.iterdir()] == ["t.safetensors"]
