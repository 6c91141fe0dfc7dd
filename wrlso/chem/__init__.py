"""Molecules: SMILES, strings of ring systems, scores, files. Independent of JAX and of models."""

from importlib.util import find_spec

_missing = [name for name in ("rdkit", "networkx") if find_spec(name) is None]
if _missing:
    raise ImportError(
        f"wrlso.chem needs {', '.join(_missing)}, which cannot be imported: "
        f"pip install {' '.join(_missing)}"
    )
