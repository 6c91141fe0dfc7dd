"""Trees of arrays in a file."""

import tracemalloc
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

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


@dataclass(frozen=True)
class Made:
    """An array that is made when it is asked for."""

    value: float
    shape: tuple[int, ...] = (1_000_000,)

    @property
    def dtype(self):
        return np.dtype(np.float32)

    def __array__(self, dtype=None, copy=None):
        return np.full(self.shape, self.value, self.dtype)


def test_a_large_state_is_never_in_memory_as_a_whole(tmp_path):
    tree = [Made(float(i)) for i in range(10)]  # 4 MB each
    tracemalloc.start()
    save_tree(tmp_path / "t.safetensors", tree)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10e6
    back = load_tree(tmp_path / "t.safetensors", tree)
    assert [float(a[-1]) for a in back] == [float(i) for i in range(10)]


def test_other_programs_read_every_type(tmp_path):
    kinds = [jnp.bfloat16, bool, *(f"float{bits}" for bits in (16, 32, 64))]
    kinds += [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    tree = {np.dtype(kind).name: np.arange(-3, 3).reshape(2, 3).astype(kind) for kind in kinds}
    tree |= {"none": np.zeros((0, 2)), "number": np.float32(2.5), "turned": np.ones((3, 4)).T}
    tree |= {
        "jax": jnp.arange(3),
        "big": np.arange(3, dtype=">i4"),
        "every other": np.arange(9)[::2],
    }
    path = tmp_path / "t.safetensors"
    save_tree(path, tree, {"about": "ä"})
    found = load_file(path)  # the format's own library
    assert found.keys() == tree.keys() == read_tensors(path).arrays.keys()
    for name, array in tree.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.asarray(array).dtype.newbyteorder("=")
    with safe_open(path, "numpy") as file:
        assert file.metadata()["about"] == "ä"
    mode = (tmp_path / "plain").open("x").close() or (tmp_path / "plain").stat().st_mode
    assert path.stat().st_mode == mode


def test_a_type_that_no_file_holds_is_named(tmp_path):
    with pytest.raises(TypeError, match="a: files of tensors hold no complex64"):
        save_tree(tmp_path / "t.safetensors", {"a": np.zeros(2, np.complex64)})
    assert not list(tmp_path.iterdir())
