"""Rows of symbols and the molecules that they spell; scores of rows, in worker processes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wrlso.chem.fragments import Fragments
from wrlso.chem.molecule import heavy_atoms, parse
from wrlso.chem.tokens import to_smiles, tokenize


@dataclass(frozen=True)
class Spelling:
    """Rows of symbols of a model as molecules.

    Attributes:
      fragments: the symbols.
      max_tokens: SELFIES tokens of a molecule, at most.
    """

    fragments: Fragments
    max_tokens: int

    def smiles(self, row: np.ndarray) -> str:
        """The canonical SMILES of a row ``[L]``.

        Raises:
          ValueError: if it has no atoms.
        """
        smiles = to_smiles(self.fragments.expand(row), self.fragments.alphabet)
        if not smiles:
            raise ValueError("a molecule without atoms")
        return smiles

    def pictures(self, rows: np.ndarray) -> np.ndarray:
        """Structural formulae of rows ``[B, L]``: ``[B, H, W, 3]`` in [0, 1]."""
        from wrlso.chem.draw import pictures

        return pictures([self.smiles(row) for row in rows])

    def row(self, smiles: str) -> np.ndarray:
        """The one row of ``max_tokens`` places that stands for a molecule.

        Raises:
          ValueError: if it needs other tokens than the alphabet's, or more.
        """
        tokens = tokenize([smiles], self.fragments.alphabet, self.max_tokens)
        merged = self.fragments.merge(tokens)[0]
        return np.pad(merged, (0, self.max_tokens - len(merged)))

    def canonical(self, row: np.ndarray) -> np.ndarray:
        """The row that stands for the molecule of a row; the row itself if there is none, as
        the alphabet may lack what the molecule's own spelling needs.

        Raises:
          ValueError: if it has no atoms.
        """
        smiles = self.smiles(row)
        try:
            return self.row(smiles)
        except ValueError:
            return row


@dataclass(frozen=True)
class RowScore:
    """The score of a row: of its molecule's canonical SMILES, within a size limit.

    Attributes:
      spelling: what rows mean.
      objective: SMILES to a number.
      max_heavy_atoms: atoms other than hydrogen, at most; None: no limit.
    """

    spelling: Spelling
    objective: Callable[[str], float]
    max_heavy_atoms: int | None = None

    def __call__(self, row: np.ndarray) -> float:
        """The score.

        Raises:
          ValueError: if the molecule is too large or has no atoms; and what the objective raises.
        """
        smiles = self.spelling.smiles(row)
        self.check_size(smiles)
        return self.objective(smiles)

    def check_size(self, smiles: str) -> None:
        """Raise ValueError if a molecule is too large."""
        atoms = heavy_atoms(parse(smiles))
        if self.max_heavy_atoms is not None and atoms > self.max_heavy_atoms:
            raise ValueError(f"{atoms} heavy atoms, more than {self.max_heavy_atoms}")
