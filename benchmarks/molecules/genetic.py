"""Reference points that have no latent space: a genetic algorithm, and molecules of the data.

Both know the base data with its scores, as every other row does, and are charged for each molecule
that they score. ``mol-ga`` is the genetic algorithm of the package of that name with its defaults
but for the sizes: it starts from the best 1,000 molecules of the base data and breeds 25 at a time.
``random`` scores molecules of the data in random order, as if none was known.
"""

import csv
import logging
import random
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
from rdkit import Chem

from wrlso.chem.objective import make_objective

POPULATION, OFFSPRING = 1000, 25

Charged = list[tuple[str, float]]


class _Spent(Exception):
    pass


class Charging:
    """An objective for lists of SMILES that knows some scores, and charges the others.

    Args:
      objective: name of the objective.
      known: scores by canonical SMILES.
      budget: number of molecules that may be charged; then ``_Spent`` is raised.
      max_heavy_atoms: larger molecules, and those that cannot be scored, are refused at no charge:
        they score -inf.
    """

    def __init__(
        self, objective: str, known: Mapping[str, float], budget: int, max_heavy_atoms: int
    ) -> None:
        self.score, self.known, self.budget = make_objective(objective).score, dict(known), budget
        self.max_heavy_atoms, self.charged = max_heavy_atoms, Charged()

    def __call__(self, smiles: list[str]) -> list[float]:
        return [self.one(s) for s in smiles]

    def one(self, smiles: str) -> float:
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None or molecule.GetNumHeavyAtoms() > self.max_heavy_atoms:
            return -np.inf
        canonical = Chem.MolToSmiles(molecule, isomericSmiles=False)
        if canonical not in self.known:
            if len(self.charged) == self.budget:
                raise _Spent
            try:
                self.known[canonical] = float(self.score(canonical))
            except ValueError:  # a radical, which no other row can propose
                self.known[canonical] = -np.inf
                return -np.inf
            self.charged.append((canonical, self.known[canonical]))
        return self.known[canonical]


def genetic_algorithm(
    objective: str, known: Mapping[str, float], budget: int, max_heavy_atoms: int, seed: int
) -> Charged:
    """The molecules that mol-ga pays for, in order, with their scores."""
    from mol_ga import default_ga

    charging = Charging(objective, known, budget, max_heavy_atoms)
    best = sorted(known, key=known.__getitem__, reverse=True)[:POPULATION]
    quiet = logging.getLogger("mol_ga.quiet")
    quiet.setLevel(logging.WARNING)
    # It breeds in sets of strings, whose order follows PYTHONHASHSEED.
    with suppress(_Spent):
        default_ga(
            best,
            charging,
            max_generations=100 * budget,
            offspring_size=OFFSPRING,
            population_size=POPULATION,
            rng=random.Random(seed),
            logger=quiet,
        )
    return charging.charged


def random_molecules(known: Mapping[str, float], budget: int, seed: int) -> Charged:
    """Molecules of the data in random order."""
    smiles = sorted(known)
    rows = np.random.default_rng(seed).choice(len(smiles), budget, replace=False)
    return [(smiles[i], known[smiles[i]]) for i in rows]


@cache
def known_scores(data: str, objective: str) -> dict[str, float]:
    """The base data's scores by canonical SMILES."""
    column = read_scores(data)[objective]
    return dict(zip(canonical_smiles(data), column, strict=True))


@cache
def read_scores(data: str) -> dict[str, list[float]]:
    """Scores of a file with a column per objective."""
    with open(data, newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0] if name != "smiles"}


@cache
def canonical_smiles(data: str) -> list[str]:
    """The file's molecules, without stereochemistry."""
    with open(data, newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Chem.MolToSmiles(Chem.MolFromSmiles(row["smiles"]), isomericSmiles=False) for row in rows
    ]


def save(path: Path, charged: Charged) -> None:
    """Write a finished search; a file that is there is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("w", newline="") as file:
        csv.writer(file).writerows([("smiles", "score"), *charged])
    part.replace(path)


def read(path: Path) -> Charged:
    """The molecules of a finished search."""
    with path.open(newline="") as file:
        return [(row["smiles"], float(row["score"])) for row in csv.DictReader(file)]
