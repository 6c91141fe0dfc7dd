"""Rows of symbols and the molecules that they spell; scores of rows. Worker processes use it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rdkit import Chem

from wrlso.chem.molecule import heavy_atoms, parse, parse_extended
from wrlso.chem.ringtree.graph import Unwritable
from wrlso.chem.ringtree.text import to_smiles
from wrlso.chem.ringtree.vocabulary import END, Vocabulary
from wrlso.chem.standardize import standardize
from wrlso.status import refusal

AcceptMolecule = Callable[[str], bool | str | None]
"""A test of a canonical SMILES: True or None if it may be evaluated, False or a reason if not."""


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

    def standard_row(self, smiles: str) -> np.ndarray:
        """The row ``[L] uint16`` of a molecule's standard form, as files are read with
        ``standardize``.

        Raises:
          Unwritable: with the reason, as :meth:`row` does.
        """
        return self.row(Chem.MolToSmiles(standardize(parse_extended(smiles))[0]))

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
    """Scores a row by the canonical SMILES of its molecule.

    Attributes:
      spelling: translates rows to molecules.
      objective: function from a SMILES to a number.
    """

    spelling: Spelling
    objective: Callable[[str], float]

    def __call__(self, row: np.ndarray) -> float:
        """The score of a row. Exceptions of the objective pass through.

        Raises:
          ValueError: if the molecule has no atoms.
        """
        return self.objective(self.spelling.smiles(row))


@dataclass(frozen=True)
class RowScores:
    """Scores several rows at once.

    Attributes:
      spelling: translates rows to molecules.
      objective: function from a list of SMILES to as many numbers or exceptions.
    """

    spelling: Spelling
    objective: Callable[[list[str]], Sequence[Any]]

    def __call__(self, rows: Sequence[np.ndarray]) -> Sequence[Any]:
        """The scores of rows. Exceptions of the objective pass through.

        Raises:
          ValueError: if a molecule has no atoms.
        """
        return self.objective([self.spelling.smiles(row) for row in rows])


@dataclass(frozen=True)
class RowAccept:
    """The accept test of a row: no unpaired electrons, its molecule's size, then further tests.

    Attributes:
      spelling: translates rows to molecules.
      max_heavy_atoms: maximum number of atoms other than hydrogen; None: no limit.
      tests: further tests, which must all accept it.
    """

    spelling: Spelling
    max_heavy_atoms: int | None = None
    tests: tuple[AcceptMolecule, ...] = ()

    def __call__(self, row: np.ndarray) -> str | None:
        """None if the molecule of a row may be evaluated, else the reason why not."""
        return self.judge(self.spelling.smiles(row))

    def judge(self, smiles: str) -> str | None:
        """The same of a molecule's canonical SMILES."""
        mol = parse(smiles)
        atoms = heavy_atoms(mol)
        if any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()):
            return "unpaired electrons"  # the shipped model spells none, another one might
        if self.max_heavy_atoms is not None and atoms > self.max_heavy_atoms:
            return f"{atoms} heavy atoms, more than {self.max_heavy_atoms}"
        reasons = (refusal(test(smiles)) for test in self.tests)
        return next((reason for reason in reasons if reason is not None), None)
