"""Found molecules for others to read: properties, the nearest of some molecules, SDF."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rdkit.Chem import Mol, SDWriter
from rdkit.Chem import rdFingerprintGenerator as generators
from rdkit.DataStructs import BulkTanimotoSimilarity, ExplicitBitVect

from wrlso.chem.descriptors import describe
from wrlso.chem.draw import place_atoms
from wrlso.chem.molecule import parse
from wrlso.storage.files import write_text

PROPERTIES = (
    "molecular_weight", "heavy_atoms", "logp", "tpsa", "qed", "sa", "h_bond_donors",
    "h_bond_acceptors", "rotatable_bonds", "rings",
)  # fmt: skip
"""Descriptors of an exported molecule."""

_FINGERPRINT = generators.GetMorganGenerator(radius=2, fpSize=2048)


class Nearest(NamedTuple):
    """The nearest of some molecules.

    Attributes:
      position: its index.
      similarity: Tanimoto similarity of ECFP4 bits, in [0, 1].
    """

    position: int
    similarity: float


def properties_of(smiles: str) -> dict[str, float]:
    """The :data:`PROPERTIES` of a molecule; NaN where it has none, as a radical has no QED.

    Raises:
      ValueError: if it is not a molecule.
    """
    mol, found = parse(smiles), {}
    for name in PROPERTIES:
        try:
            found[name] = describe(mol, name)
        except ValueError:
            found[name] = math.nan
    return found


def distances(smiles: Sequence[str]) -> np.ndarray:
    """1 minus Tanimoto similarity of ECFP4 bits, between all pairs of N molecules, ``[N, N]``."""
    prints = _fingerprints(smiles)
    rows = [BulkTanimotoSimilarity(one, prints) for one in prints]
    return 1.0 - np.array(rows, float).reshape(len(prints), len(prints))


def nearest(smiles: Sequence[str], others: Sequence[str]) -> list[Nearest]:
    """The nearest of at least one other molecule, for each molecule; the first of equals."""
    prints = _fingerprints(others)
    found = []
    for one in _fingerprints(smiles):
        similarities = np.array(BulkTanimotoSimilarity(one, prints))
        best = int(similarities.argmax())
        found.append(Nearest(best, float(similarities[best])))
    return found


def write_sdf(path: Path, smiles: Sequence[str], fields: Sequence[Mapping[str, Any]]) -> None:
    """Write molecules with plane coordinates to an SD file.

    Args:
      path: the file; it is replaced whole or not at all.
      smiles: of N molecules.
      fields: the data of each; ``name`` is its title.
    """
    stream = io.StringIO()
    with SDWriter(stream) as writer:
        for text, data in zip(smiles, fields, strict=True):
            writer.write(_with_data(text, data))
    write_text(path, stream.getvalue())


def _with_data(smiles: str, data: Mapping[str, Any]) -> Mol:
    mol = Mol(parse(smiles))
    place_atoms(mol)
    for name, value in data.items():
        mol.SetProp("_Name" if name == "name" else re.sub("[<>\\s]+", " ", name), _text(value))
    return mol


def _text(value: Any) -> str:
    text = f"{value:.9g}" if isinstance(value, float) else str(value)
    return " ".join(text.split())  # an empty line would end the field


def _fingerprints(smiles: Sequence[str]) -> list[ExplicitBitVect]:
    return [_FINGERPRINT.GetFingerprint(parse(one)) for one in smiles]
