"""Rows of symbols and the molecules that they spell; scores of rows. Worker processes use it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wrlso.chem.molecule import heavy_atoms, parse
from wrlso.chem.ringtree.graph import Unwritable
from wrlso.chem.ringtree.text import to_smiles
from wrlso.chem.ringtree.vocabulary import END, Vocabulary


@dataclass(frozen=True)
class Spelling:
    """Translates a model's rows of symbols to molecules and back.

    Attributes:
      vocabulary: the symbols.
      length: L, the maximum number of symbols of a molecule.
    """

    vocabulary: Vocabulary
    length: int

    def smiles(self, row: np.ndarray) -> str:
        """The canonical SMILES of the molecule that a row ``[L]`` spells.

        Raises:
          ValueError: if the row is no complete string, such as an empty one.
        """
        numbers = np.asarray(row).tolist()
        if not numbers or numbers[0] == END:
            raise ValueError("the row spells a molecule without atoms")
        return to_smiles(numbers, self.vocabulary)

    def pictures(self, rows: np.ndarray) -> np.ndarray:
        """Structural formulae of rows ``[B, L]``: ``[B, H, W, 3]`` in [0, 1]."""
        from wrlso.chem.draw import pictures

        return pictures([self.smiles(row) for row in rows])

    def row(self, smiles: str) -> np.ndarray:
        """The molecule's own row ``[L] uint16``.

        Raises:
          Unwritable: with the reason, if the molecule has no string of at most L symbols.
        """
        numbers = self.vocabulary.write(smiles)
        if len(numbers) > self.length:
            raise Unwritable("too long", f"{len(numbers)} symbols, more than {self.length}")
        return np.pad(np.array(numbers, np.uint16), (0, self.length - len(numbers)))

    def canonical(self, row: np.ndarray) -> np.ndarray:
        """The own row of the molecule that a row spells.

        The row itself is returned if its molecule has none, such as one whose own string is longer
        than L.

        Raises:
          ValueError: if the row is no complete string.
        """
        smiles = self.smiles(row)
        try:
            return self.row(smiles)
        except Unwritable:
            return row


@dataclass(frozen=True)
class RowScore:
    """Scores a row by the canonical SMILES of its molecule, within a size limit.

    Attributes:
      spelling: translates rows to molecules.
      objective: function from a SMILES to a number.
      max_heavy_atoms: maximum number of atoms other than hydrogen; None: no limit.
    """

    spelling: Spelling
    objective: Callable[[str], float]
    max_heavy_atoms: int | None = None

    def __call__(self, row: np.ndarray) -> float:
        """The score of a row. Exceptions of the objective pass through.

        Raises:
          ValueError: if the molecule is too large or has no atoms.
        """
        smiles = self.spelling.smiles(row)
        self.check_size(smiles)
        return self.objective(smiles)

    def check_size(self, smiles: str) -> None:
        """Raise ValueError if a molecule is too large."""
        atoms = heavy_atoms(parse(smiles))
        if self.max_heavy_atoms is not None and atoms > self.max_heavy_atoms:
            raise ValueError(f"{atoms} heavy atoms, more than {self.max_heavy_atoms}")
