"""Pictures of molecules."""

from collections.abc import Sequence

import numpy as np
from rdkit.Chem import Draw
from rdkit.Chem.rdDepictor import SetPreferCoordGen

from wrlso.chem.molecule import parse


def pictures(smiles: Sequence[str], size: int = 300) -> np.ndarray:
    """Structural formulae.

    Args:
      smiles: of B molecules.
      size: pixels of a side.

    Returns:
      ``[B, size, size, 3]`` in [0, 1].

    Raises:
      ValueError: if one is no molecule.
    """
    # Long chains and large rings lie apart instead of on one another.
    SetPreferCoordGen(True)
    drawn = [Draw.MolToImage(parse(one), size=(size, size)).convert("RGB") for one in smiles]
    return np.array([np.asarray(image) for image in drawn], np.uint8).reshape(
        len(smiles), size, size, 3
    ) / np.float32(255)
