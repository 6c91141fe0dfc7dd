"""Pictures of molecules."""

from collections.abc import Sequence

import numpy as np
from rdkit.Chem import Draw
from rdkit.Chem.rdDepictor import SetPreferCoordGen

from wrlso.chem.molecule import parse


def pictures(smiles: Sequence[str], size: int = 300) -> np.ndarray:
    """Structural formulae.

    Args:
      smiles: SMILES of B molecules.
      size: number of pixels per side.

    Returns:
      ``[B, size, size, 3]`` in [0, 1].

    Raises:
      ValueError: if a SMILES is not a molecule.
    """
    # CoordGen keeps long chains and large rings from overlapping.
    SetPreferCoordGen(True)
    drawn = [Draw.MolToImage(parse(text), size=(size, size)).convert("RGB") for text in smiles]
    return np.array([np.asarray(image) for image in drawn], np.uint8).reshape(
        len(smiles), size, size, 3
    ) / np.float32(255)
