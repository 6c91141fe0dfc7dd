"""Rows of symbols and the molecules that they spell; scores of rows. Worker processes use it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wrlso.chem.fragments import Fragments
from wrlso.chem.molecule import heavy_atoms, parse
from wrlso.chem.tokens import to_smiles, tokenize


@dataclass(frozen=True)
class Spelling:
    """Translates a model's rows of symbols to molecules and back.

    Attributes:
      fragments: the symbols.
      max_tokens: maximum number of SELFIES tokens of a molecule.
    """

    fragments: Fragments
    max_tokens: int

    def smiles(self, row: np.ndarray) -> str:
        """The canonical SMILES of the molecule that a row ``[L]`` spells.

        Raises:
          ValueError: if the molecule has no atoms.
        """
        smiles = to_smiles(self.fragments.expand(row), self.fragments.alphabet)
        if not smiles:
            raise ValueError("the row spells a molecule without atoms")
        return smiles

    def pictures(self, rows: np.ndarray) -> np.ndarray:
        """Structural formulae of rows ``[B, L]``: ``[B, H, W, 3]`` in [0, 1]."""
        from wrlso.chem.draw import pictures

        return pictures([self.smiles(row) for row in rows])

    def row(self, smiles: str) -> np.ndarray:
        """The canonical row ``[max_tokens]`` of a molecule.

        Raises:
          ValueError: if the molecule needs tokens outside the alphabet, or more than
            ``max_tokens``.
        """
        tokens = tokenize([smiles], self.fragments.alphabet, self.max_tokens)
        merged = self.fragments.merge(tokens)[0]
        return np.pad(merged, (0, self.max_tokens - len(merged)))

    def canonical(self, row: np.ndarray) -> np.ndarray:
        """The canonical row of the molecule that a row spells.

        The row itself is returned if its molecule has no canonical row: the canonical SMILES may
        need tokens outside the alphabet.

        Raises:
          ValueError: if the molecule has no atoms.
        """
        smiles = self.smiles(row)
        try:
            return self.row(smiles)
        except ValueError:
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
