"""Run tests with pretrained parameters as another processor's rounding might have made them.

``python -m tests.perturbed [arguments of pytest]`` copies the tracked files to a temporary folder.
It multiplies every parameter that the package ships by ``1 + 1e-4 N(0, 1)``, as rounding over
13,000 training steps does, and those of the tiny task of ``tests.builders`` too. It runs pytest
there, with a cache of its own. A test that fails asserts a trajectory: derive from the log what it
asserts.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

RELATIVE = 1e-4
ROOT = Path(__file__).parents[1]


def copy_tracked(root: Path, to: Path) -> None:
    """Copy the files that git tracks, as they are in the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, to / name)
    if (root.parent / "shared").exists():
        (to.parent / "shared").symlink_to((root.parent / "shared").resolve())


def perturb(path: Path, rng: np.random.Generator) -> float:
    """Perturb the floats of a file in place; the largest relative change."""
    with safe_open(path, "np") as file:
        metadata = file.metadata()
        arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
    largest = 0.0
    for name, array in arrays.items():
        if np.issubdtype(array.dtype, np.floating):
            noise = RELATIVE * rng.standard_normal(array.shape)
            arrays[name] = (array * (1 + noise)).astype(array.dtype)
            largest = max(largest, float(np.abs(noise).max(initial=0.0)))
    save_file(arrays, path, metadata)
    return largest


def main(arguments: list[str]) -> int:
    """Copy, perturb, test."""
    with tempfile.TemporaryDirectory(prefix="wrlso-perturbed-") as folder:
        copy = Path(folder) / "repository"
        copy.mkdir()
        copy_tracked(ROOT, copy)
        rng = np.random.default_rng(0)
        shipped = sorted(copy.glob("wrlso/tasks/*/pretrained.safetensors"))
        for path in shipped:
            print(f"perturbed {path.relative_to(copy)} by up to {perturb(path, rng):.1e}")
        environment = os.environ | {
            "PYTHONPATH": str(copy),
            "WRLSO_CACHE": str(Path(folder) / "cache"),
            "WRLSO_TESTS_PERTURBED": str(RELATIVE),
        }
        command = [sys.executable, "-m", "pytest", *arguments]
        return subprocess.run(command, cwd=copy, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
