"""Measures of molecules: properties, similarities, substructures, alerts, formulae.

Each is a frozen dataclass that is called with an RDKit molecule and returns a number. It can be
pickled, so worker processes can call it.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from rdkit import Chem
from rdkit.Chem import Mol
from rdkit.Chem import rdFingerprintGenerator as generators
from rdkit.Chem.Pharm2D import Generate, Gobbi_Pharm2D
from rdkit.DataStructs import TanimotoSimilarity

from wrlso.chem.descriptors import DESCRIPTORS, check_descriptor
from wrlso.chem.filters import alerts_of, check_alerts, check_smarts, pattern
from wrlso.chem.molecule import scorable
from wrlso.chem.transforms import Gaussian


@dataclass(frozen=True)
class Property:
    """A descriptor of the molecule.

    Attributes:
      name: one of :data:`wrlso.chem.descriptors.DESCRIPTORS`.
      minus: SMILES of another molecule, whose value is subtracted; None: nothing is subtracted.

    Raises:
      ValueError: if there is no such descriptor, or ``minus`` is not a molecule.
    """

    name: str
    minus: str | None = None

    def __post_init__(self) -> None:
        check_descriptor(self.name, "property")
        if self.minus is not None:
            scorable(self.minus)

    def __call__(self, mol: Mol) -> float:
        return DESCRIPTORS[self.name](mol) - _property_of(self.minus, self.name)


@dataclass(frozen=True)
class Similarity:
    """Tanimoto similarity to a target, or to the nearest of several; in [0, 1].

    Attributes:
      target: SMILES of the target, or a tuple of several.
      fingerprint: ECFP2, ECFP4, ECFP6, FCFP2, FCFP4, FCFP6 (Morgan's, of radius 1 to 3, the latter
        of pharmacophore features), AP (atom pairs of at most 10 bonds), all of them unfolded, or
        PHCO (Gobbi and Poppinger's two-dimensional pharmacophores, which are bits).
      counts: compare how often a feature occurs, or only whether it occurs.

    Raises:
      ValueError: if a target is not a molecule, or there is no such fingerprint.
    """

    target: str | tuple[str, ...]
    fingerprint: str = "ECFP4"
    counts: bool = True

    def __post_init__(self) -> None:
        if self.fingerprint not in FINGERPRINTS:
            raise ValueError(
                f"fingerprint = {self.fingerprint!r}: there is no such fingerprint; there are: "
                f"{', '.join(FINGERPRINTS)}"
            )
        if not isinstance(self.target, str):
            object.__setattr__(self, "target", tuple(self.target))
        if not self._targets:
            raise ValueError("target is empty: give the SMILES of at least one molecule")
        for one in self._targets:
            scorable(one)

    @property
    def _targets(self) -> tuple[str, ...]:
        return (self.target,) if isinstance(self.target, str) else self.target

    def __call__(self, mol: Mol) -> float:
        own = FINGERPRINTS[self.fingerprint](mol, self.counts)
        return max(
            TanimotoSimilarity(own, _fingerprint_of(one, self.fingerprint, self.counts))
            for one in self._targets
        )


@dataclass(frozen=True)
class Substructure:
    """1 if a SMARTS pattern occurs, else 0; or the number of its occurrences.

    Attributes:
      smarts: the pattern.
      count: count the occurrences.

    Raises:
      ValueError: if it is not a pattern.
    """

    smarts: str
    count: bool = False

    def __post_init__(self) -> None:
        check_smarts(self.smarts, "substructure")

    def __call__(self, mol: Mol) -> float:
        if self.count:
            return float(len(mol.GetSubstructMatches(pattern(self.smarts), maxMatches=100_000)))
        return float(mol.HasSubstructMatch(pattern(self.smarts)))


@dataclass(frozen=True)
class AlertCount:
    """Number of structural alerts of some catalogues.

    Attributes:
      names: of the catalogues, see :data:`wrlso.chem.filters.ALERTS`.

    Raises:
      ValueError: if there is no such catalogue.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        names = (self.names,) if isinstance(self.names, str) else self.names
        object.__setattr__(self, "names", tuple(check_alerts(name) for name in names))

    def __call__(self, mol: Mol) -> float:
        return float(sum(len(alerts_of(mol, name)) for name in self.names))


@dataclass(frozen=True)
class Formula:
    """Closeness to a molecular formula, in [0, 1].

    It is the geometric mean of bells: bells of width 1 around each element's number of atoms, and a
    bell of width 2 around the number of all atoms, including hydrogens.

    Attributes:
      formula: such as ``C16H15F6N5O``.

    Raises:
      ValueError: if it is not a formula.
    """

    formula: str

    def __post_init__(self) -> None:
        read_formula(self.formula)

    def __call__(self, mol: Mol) -> float:
        target = read_formula(self.formula)
        atoms = [atom.GetSymbol() for atom in Chem.AddHs(mol).GetAtoms()]
        terms = [Gaussian(n, 1)(atoms.count(element)) for element, n in target]
        terms.append(Gaussian(sum(n for _, n in target), 2)(len(atoms)))
        return math.prod(terms) ** (1 / len(terms))


@cache
def read_formula(formula: str) -> tuple[tuple[str, int], ...]:
    """Elements and their numbers of atoms.

    Raises:
      ValueError: if it is not a formula.
    """
    table = Chem.GetPeriodicTable()
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    elements = [element for element, _ in parts]
    known = {table.GetElementSymbol(n) for n in range(1, 119)}
    spelled = "".join(element + number for element, number in parts)
    if not parts or spelled != formula or len(set(elements)) < len(elements):
        raise ValueError(f"formula = {formula!r}: give one such as 'C7H8N2O2', each element once")
    if strange := [element for element in elements if element not in known]:
        raise ValueError(f"formula = {formula!r}: there is no element {strange[0]}")
    return tuple((element, int(number or 1)) for element, number in parts)


def _morgan(radius: int, features: bool = False) -> Callable[[Mol, bool], Any]:
    options = {"atomInvariantsGenerator": generators.GetMorganFeatureAtomInvGen()}
    generator = generators.GetMorganGenerator(radius=radius, **(options if features else {}))
    return partial(_unfolded, generator)


def _unfolded(generator: Any, mol: Mol, counts: bool) -> Any:
    return (generator.GetSparseCountFingerprint if counts else generator.GetSparseFingerprint)(mol)


def _pharmacophores(mol: Mol, counts: bool) -> Any:
    return Generate.Gen2DFingerprint(mol, sigFactory=Gobbi_Pharm2D.factory)


FINGERPRINTS: dict[str, Callable[[Mol, bool], Any]] = {
    "ECFP2": _morgan(1),
    "ECFP4": _morgan(2),
    "ECFP6": _morgan(3),
    "FCFP2": _morgan(1, features=True),
    "FCFP4": _morgan(2, features=True),
    "FCFP6": _morgan(3, features=True),
    "AP": partial(_unfolded, generators.GetAtomPairGenerator(maxDistance=10)),
    "PHCO": _pharmacophores,
}
"""Fingerprints by name: functions of a molecule, and of whether features are counted."""


@cache
def _fingerprint_of(smiles: str, fingerprint: str, counts: bool) -> Any:
    return FINGERPRINTS[fingerprint](scorable(smiles), counts)


@cache
def _property_of(smiles: str | None, name: str) -> float:
    return DESCRIPTORS[name](scorable(smiles)) if smiles else 0.0
