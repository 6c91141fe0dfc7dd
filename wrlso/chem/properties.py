"""Properties of molecules that order a model's latent space while it is trained."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rdkit.Chem.rdMolDescriptors import (
    CalcCrippenDescriptors,
    CalcFractionCSP3,
    CalcNumRings,
    CalcTPSA,
)

from wrlso.chem.cache import cache_path, read_arrays, write_arrays
from wrlso.chem.chunks import map_chunks
from wrlso.chem.molecule import scorable
from wrlso.chem.scores import penalized_logp, qed, synthetic_accessibility

PROPERTIES = (
    "penalised logP",
    "QED",
    "SA",
    "logP",
    "heavy atoms",
    "TPSA",
    "rings",
    "fraction of sp3 carbon",
)
"""Names of the properties, in order."""

_FORMAT = 1
"""Version of the cached files, part of their names."""

_MOST = 5.0
"""Standard deviations at which standardised properties are cut off."""


def standard_properties(
    smiles: Sequence[str],
    directory: Path | str,
    workers: int | None = None,
    progress: bool = True,
) -> np.ndarray:
    """Standardised :data:`PROPERTIES` of molecules, ``[N, 8] float32``, between -5 and 5.

    Args:
      smiles: of N molecules.
      directory: the cache, in which the properties of these molecules are kept.
      workers: number of processes; None: one per core.
      progress: show a bar.
    """
    path = cache_path(directory, "properties", smiles, _FORMAT)
    cached = read_arrays(path)
    if cached is None:
        label = "properties" if progress else None
        cached = {"values": np.concatenate(map_chunks(_of_all, smiles, workers, label))}
        write_arrays(path, cached)
    values = cached["values"]
    deviation = values.std(0)
    standard = (values - values.mean(0)) / np.where(deviation > 0, deviation, 1)
    return np.clip(standard, -_MOST, _MOST).astype(np.float32)


def properties_of(smiles: str) -> tuple[float, ...]:
    """The :data:`PROPERTIES` of a molecule.

    Raises:
      ValueError: if it is not a molecule.
    """
    mol = scorable(smiles)
    return (
        penalized_logp(mol),
        qed(mol),
        synthetic_accessibility(mol),
        CalcCrippenDescriptors(mol)[0],
        float(mol.GetNumHeavyAtoms()),
        CalcTPSA(mol),
        float(CalcNumRings(mol)),
        CalcFractionCSP3(mol),
    )


def _of_all(smiles: list[str]) -> np.ndarray:
    return np.array([properties_of(one) for one in smiles])
