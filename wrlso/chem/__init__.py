"""Molecules: SMILES, SELFIES tokens, scores, data sets. It is independent of JAX and of models."""

from importlib.util import find_spec

_missing = [name for name in ("rdkit", "selfies", "networkx") if find_spec(name) is None]
if _missing:
    raise ImportError(
        f"wrlso.chem needs {', '.join(_missing)}, which cannot be imported: "
        f"pip install {' '.join(_missing)}"
    )
