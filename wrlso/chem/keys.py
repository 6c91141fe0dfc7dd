"""Digests of what the built-in objectives depend on, for the keys of kept scores."""

import hashlib
import importlib
import os
import sys
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import rdkit
from rdkit import RDConfig

_PACKAGES = ("numpy", "networkx")
_CONTRIB = ("sascorer.py", "fpscores.pkl.gz")


def builtin_digest(score: Callable[..., Any]) -> str:
    """A digest of the modules of wrlso that define a built-in score, and of RDKit and other parts
    that these use.

    Args:
      score: a function of a module of ``wrlso.chem``, or a partial of one.
    """
    while isinstance(score, partial):
        score = score.func
    return _digest(getattr(score, "__module__", None) or type(score).__module__)


@cache
def _digest(module: str) -> str:
    digest = hashlib.sha256(repr((rdkit.__version__, [*map(version, _PACKAGES)])).encode())
    for name in sorted(own_modules(module)):
        file = sys.modules[name].__file__
        digest.update(name.encode() + (Path(file).read_bytes() if file else b""))
    for name in _CONTRIB:
        path = Path(os.path.join(RDConfig.RDContribDir, "SA_Score", name))
        digest.update(path.read_bytes() if path.is_file() else b"absent")
    return digest.hexdigest()[:24]


def own_modules(module: str) -> set[str]:
    """A module and all modules of wrlso whose names it uses, and so on."""
    found: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name.split(".")[0] == "wrlso" and name not in found:
            found.add(name)
            for value in vars(importlib.import_module(name)).values():
                used = getattr(value, "__module__", None) or getattr(value, "__name__", None)
                if isinstance(used, str):
                    todo.append(used)
    return found
