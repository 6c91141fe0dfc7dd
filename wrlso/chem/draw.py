"""Pictures of molecules, in bounded time.

RDKit's two ways of placing atoms need minutes for some molecules: CoordGen for large rings, the
plain one for long chains; and nothing interrupts them. Small molecules of small rings are drawn
here. All others are drawn in a worker process with a time limit: with CoordGen, else plainly, else
as text. RDKit draws with libraries of the X window system, which bare servers and containers lack:
there every molecule is a text.
"""

import math
import textwrap
import warnings
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw
from rdkit import Chem
from rdkit.Chem import Mol, rdCoordGen, rdDepictor
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from wrlso.chem.molecule import parse
from wrlso.evaluation.workers import WorkerPool

_EASY_ATOMS, _EASY_RING = 80, 18
"""Numbers of heavy atoms, and of atoms of the largest ring, up to which CoordGen is fast."""

_PATIENCE = 3.0
"""Maximum number of seconds for placing the atoms of a molecule, per way."""

Placing = Literal["coordgen", "plain"]


def pictures(smiles: Sequence[str], size: int = 300) -> np.ndarray:
    """Structural formulae; the formula as text for a molecule that takes too long.

    A molecule takes at most seconds. RDKit's settings stay as they are. Where RDKit cannot draw, a
    warning says which library it lacks, and each molecule is its SMILES as text.

    Args:
      smiles: SMILES of B molecules.
      size: number of pixels per side.

    Returns:
      ``[B, size, size, 3]`` in [0, 1].

    Raises:
      ValueError: if a SMILES is not a molecule.
    """
    drawn = [_picture(text, size) for text in smiles]
    return np.array(drawn, np.uint8).reshape(len(smiles), size, size, 3) / np.float32(255)


@lru_cache(1024)
def _picture(smiles: str, size: int) -> np.ndarray:
    mol = parse(smiles)
    if not _can_draw():
        return _as_text(smiles, size)
    if _is_easy(mol):
        return _draw((smiles, size, "coordgen"))
    for placing, hardness in _HARDNESS.items():
        if hardness(mol) >= _too_hard.get(placing, math.inf):
            continue
        (outcome,) = _drawer().outcomes([(smiles, size, placing)])
        if outcome.kind == "ok":
            return outcome.value
        _too_hard[placing] = hardness(mol)
    text = f"{CalcMolFormula(mol)}: drawing takes more than {2 * _PATIENCE:g} s"
    return _as_text(text, size)


def _largest_ring(mol: Mol) -> int:
    return max(map(len, mol.GetRingInfo().AtomRings()), default=0)


_HARDNESS: dict[Placing, Callable[[Mol], int]] = {
    "coordgen": _largest_ring,
    "plain": Mol.GetNumHeavyAtoms,
}
"""The numbers that make a molecule slow to draw, per way."""

_too_hard: dict[Placing, int] = {}
"""The smallest of these numbers that took too long in this process: others are not tried, so that a
page of large molecules takes as long as a few of them."""


def place_atoms(mol: Mol) -> None:
    """Give a molecule plane coordinates, in the way that is fast for its rings.

    No time limit holds: a worker draws what may take long.
    """
    _place(mol, "coordgen" if _largest_ring(mol) <= _EASY_RING else "plain")


def _place(mol: Mol, placing: Placing) -> None:
    if placing == "coordgen":  # it keeps long chains and large rings from overlapping
        rdCoordGen.AddCoords(mol)
    else:
        rdDepictor.Compute2DCoords(mol, forceRDKit=True)


def _is_easy(mol: Mol) -> bool:
    return mol.GetNumHeavyAtoms() <= _EASY_ATOMS and _largest_ring(mol) <= _EASY_RING


@cache
def _can_draw() -> bool:
    """Whether RDKit finds the libraries that it draws with; a warning if not."""
    try:
        from rdkit.Chem import Draw  # noqa: F401
    except ImportError as error:
        warnings.warn(
            f"molecules are shown as text, as RDKit cannot draw on this machine: {error}. Install "
            "that library; on Debian and Ubuntu: apt install libxrender1 libxext6",
            stacklevel=2,
        )
        return False
    return True


@cache
def _drawer() -> WorkerPool:
    """A worker that draws; it ends with this process."""
    return WorkerPool(_draw, 1, _PATIENCE)


def _draw(job: tuple[str, int, Placing]) -> np.ndarray:
    """The picture ``[size, size, 3] uint8`` of a molecule."""
    from rdkit.Chem import Draw

    smiles, size, placing = job
    mol = Chem.Mol(parse(smiles))
    _place(mol, placing)
    return np.asarray(Draw.MolToImage(mol, size=(size, size)).convert("RGB"))


def _as_text(text: str, size: int) -> np.ndarray:
    image = Image.new("RGB", (size, size), "white")
    lines = "\n".join(textwrap.wrap(text, max(size // 7, 8)))
    ImageDraw.Draw(image).multiline_text((6, size // 3), lines, fill="black")
    return np.asarray(image)
