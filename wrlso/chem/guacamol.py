"""GuacaMol's goal-directed objectives that papers on latent-space optimisation report.

Each is a mean of terms in [0, 1]. A term is a shape, such as a bell around a target value, applied
to a property of the molecule.

Source: Brown et al., GuacaMol, J. Chem. Inf. Model. 59, 1096 (2019), and its
supplement; definitions as in version 2 of the authors' benchmark suite.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal, NamedTuple

from rdkit import Chem
from rdkit.Chem import Mol, rdMolDescriptors
from rdkit.Chem import rdFingerprintGenerator as generators
from rdkit.Chem.GraphDescriptors import BertzCT
from rdkit.Chem.Pharm2D import Generate, Gobbi_Pharm2D
from rdkit.DataStructs import TanimotoSimilarity

from wrlso.chem.molecule import parse

Fingerprint = Literal["ECFP4", "ECFP6", "FCFP4", "AP", "PHCO"]


@dataclass(frozen=True)
class Similarity:
    """Tanimoto similarity to a target: of counted fingerprints, or of bits for PHCO.

    Attributes:
      target: SMILES of the target.
      fingerprint: name of the fingerprint.
    """

    target: str
    fingerprint: Fingerprint

    def __call__(self, mol: Mol) -> float:
        fingerprint = _FINGERPRINTS[self.fingerprint](mol)
        return TanimotoSimilarity(fingerprint, _fingerprint_of(self.target, self.fingerprint))


@dataclass(frozen=True)
class Substructure:
    """1 if a SMARTS pattern occurs, else 0.

    Attributes:
      smarts: the pattern.
    """

    smarts: str

    def __call__(self, mol: Mol) -> float:
        return float(mol.HasSubstructMatch(_pattern(self.smarts)))


@dataclass(frozen=True)
class Property:
    """A descriptor of the molecule.

    Attributes:
      name: name of the descriptor.
      minus: SMILES of another molecule, whose value is subtracted; None: nothing is subtracted.
    """

    name: str
    minus: str | None = None

    def __call__(self, mol: Mol) -> float:
        return _PROPERTIES[self.name](mol) - _property_of(self.minus, self.name)


@dataclass(frozen=True)
class Formula:
    """Closeness to a molecular formula.

    It is the geometric mean of bells: bells of width 1 around each element's number of atoms, and a
    bell of width 2 around the number of all atoms, including hydrogens.

    Attributes:
      formula: such as ``C16H15F6N5O``.
    """

    formula: str

    def __call__(self, mol: Mol) -> float:
        target = _read_formula(self.formula)
        atoms = [atom.GetSymbol() for atom in Chem.AddHs(mol).GetAtoms()]
        terms = [bell(n, 1)(atoms.count(element)) for element, n in target]
        terms.append(bell(sum(n for _, n in target), 2)(len(atoms)))
        return _geometric(terms)


Shape = Callable[[float], float]


def bell(target: float, width: float) -> Shape:
    """Gaussian with maximum 1 at the target."""
    return lambda x: math.exp(-0.5 * ((x - target) / width) ** 2)


def at_most(limit: float, width: float) -> Shape:
    """1 up to the limit; above it, the flank of a Gaussian ("MinGaussian")."""
    return lambda x: bell(limit, width)(max(x, limit))


def at_least(limit: float, width: float) -> Shape:
    """1 from the limit on; below it, the flank of a Gaussian ("MaxGaussian")."""
    return lambda x: bell(limit, width)(min(x, limit))


def up_to(threshold: float) -> Shape:
    """Proportional from 0 to 1 at the threshold, then 1 ("Thresholded")."""
    return lambda x: min(max(x / threshold, 0.0), 1.0)


def plain(x: float) -> float:
    """The value itself."""
    return x


def absent(x: float) -> float:
    """1 minus the value."""
    return 1.0 - x


class Goal(NamedTuple):
    """An objective: a mean of terms.

    Attributes:
      short: the abbreviation that papers use.
      mean: the kind of mean.
      terms: pairs of a measure of the molecule and the shape applied to it.
    """

    short: str
    mean: Literal["geometric", "arithmetic"]
    terms: tuple[tuple[Callable[[Mol], float], Shape], ...]


_OSIMERTINIB = "COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc2nccc(n2)c3cn(C)c4ccccc34"
_FEXOFENADINE = "CC(C)(C(=O)O)c1ccc(cc1)C(O)CCCN2CCC(CC2)C(O)(c3ccccc3)c4ccccc4"
_RANOLAZINE = "COc1ccccc1OCC(O)CN2CCN(CC(=O)Nc3c(C)cccc3C)CC2"
_PERINDOPRIL = "O=C(OCC)C(NC(C(=O)N1C(C(=O)O)CC2CCCCC12)C)CCC"
_AMLODIPINE = r"Clc1ccccc1C2C(=C(/N/C(=C2/C(=O)OCC)COCCN)C)\C(=O)OC"
_SITAGLIPTIN = "Fc1cc(c(F)cc1F)CC(N)CC(=O)N3Cc2nnc(n2CC3)C(F)(F)F"
_ZALEPLON = "O=C(C)N(CC)C1=CC=CC(C2=CC=NC3=C(C=NN23)C#N)=C1"
_CAMPHOR = "CC1(C)C2CCC1(C)C(=O)C2"
_MENTHOL = "CC(C)C1CCC(C)CC1O"
_TADALAFIL = "O=C1N(CC(N2C1CC3=C(C2C4=CC5=C(OCO5)C=C4)NC6=C3C=CC=C6)=O)C"
_SILDENAFIL = "CCCC1=NN(C2=C1N=C(NC2=O)C3=C(C=CC(=C3)S(=O)(=O)N4CCN(CC4)C)OCC)C"
_HOP_FROM = "CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C"
_HOP_SCAFFOLD = Substructure("[#7]-c1n[c;h1]nc2[c;h1]c(-[#8])[c;h0][c;h1]c12")
_HOP_DECORATION = Substructure("[#6]-[#6]-[#6]-[#8]-[#6]~[#6]~[#6]~[#6]~[#6]-[#7]-c1ccc2ncsc2c1")
_VALSARTAN_PART = Substructure("CN(C=O)Cc1ccc(c2ccccc2)cc1")

GOALS: dict[str, Goal] = {
    "median_1": Goal("med1", "geometric", (
        (Similarity(_CAMPHOR, "ECFP4"), plain),
        (Similarity(_MENTHOL, "ECFP4"), plain),
    )),
    "median_2": Goal("med2", "geometric", (
        (Similarity(_TADALAFIL, "ECFP6"), plain),
        (Similarity(_SILDENAFIL, "ECFP6"), plain),
    )),
    "osimertinib": Goal("osmb", "geometric", (
        (Similarity(_OSIMERTINIB, "FCFP4"), up_to(0.8)),
        (Similarity(_OSIMERTINIB, "ECFP6"), at_most(0.85, 0.1)),
        (Property("tpsa"), at_least(100, 10)),
        (Property("logp"), at_most(1, 1)),
    )),
    "fexofenadine": Goal("fexo", "geometric", (
        (Similarity(_FEXOFENADINE, "AP"), up_to(0.8)),
        (Property("tpsa"), at_least(90, 10)),
        (Property("logp"), at_most(4, 1)),
    )),
    "ranolazine": Goal("rano", "geometric", (
        (Similarity(_RANOLAZINE, "AP"), up_to(0.7)),
        (Property("logp"), at_least(7, 1)),
        (Property("tpsa"), at_least(95, 20)),
        (Property("fluorines"), bell(1, 1)),
    )),
    "perindopril": Goal("pdop", "geometric", (
        (Similarity(_PERINDOPRIL, "ECFP4"), plain),
        (Property("aromatic_rings"), bell(2, 0.5)),
    )),
    "amlodipine": Goal("adip", "geometric", (
        (Similarity(_AMLODIPINE, "ECFP4"), plain),
        (Property("rings"), bell(3, 0.5)),
    )),
    "sitagliptin": Goal("siga", "geometric", (
        (Similarity(_SITAGLIPTIN, "ECFP4"), bell(0, 0.1)),
        (Property("logp", minus=_SITAGLIPTIN), bell(0, 0.2)),
        (Property("tpsa", minus=_SITAGLIPTIN), bell(0, 5)),
        (Formula("C16H15F6N5O"), plain),
    )),
    "zaleplon": Goal("zale", "geometric", (
        (Similarity(_ZALEPLON, "ECFP4"), plain),
        (Formula("C19H17N3O2"), plain),
    )),
    "valsartan": Goal("valt", "geometric", (
        (_VALSARTAN_PART, plain),
        (Property("logp", minus=_SITAGLIPTIN), bell(0, 0.2)),
        (Property("tpsa", minus=_SITAGLIPTIN), bell(0, 5)),
        (Property("bertz", minus=_SITAGLIPTIN), bell(0, 30)),
    )),
    "deco_hop": Goal("dhop", "arithmetic", (
        (Similarity(_HOP_FROM, "PHCO"), up_to(0.85)),
        (Substructure("CS([#6])(=O)=O"), absent),
        (Substructure("[#7]-c1ccc2ncsc2c1"), absent),
        (_HOP_SCAFFOLD, plain),
    )),
    "scaffold_hop": Goal("shop", "arithmetic", (
        (Similarity(_HOP_FROM, "PHCO"), up_to(0.75)),
        (_HOP_DECORATION, plain),
        (_HOP_SCAFFOLD, absent),
    )),
}  # fmt: skip
"""The twelve objectives by name."""


def guacamol(name: str) -> Callable[[str | Mol], float]:
    """The objective of a name or abbreviation: a function from a molecule to a score in [0, 1].

    Worker processes can call it. It raises ValueError if its argument is not a molecule.

    Raises:
      ValueError: if there is no such objective.
    """
    names = {goal.short: long for long, goal in GOALS.items()}
    if name not in GOALS and name not in names:
        raise ValueError(f"no GuacaMol objective {name!r}; there are {', '.join(GOALS)}")
    return partial(score, names.get(name, name))


def score(name: str, molecule: str | Mol) -> float:
    """A molecule's score for one of :data:`GOALS`, in [0, 1].

    Raises:
      ValueError: if it is not a molecule.
    """
    mol, goal = parse(molecule), GOALS[name]
    values = [shape(measure(mol)) for measure, shape in goal.terms]
    return _geometric(values) if goal.mean == "geometric" else math.fsum(values) / len(values)


def _geometric(values: list[float]) -> float:
    return math.prod(values) ** (1 / len(values))


def _morgan(radius: int, features: bool = False) -> Callable[[Mol], Any]:
    options = {"atomInvariantsGenerator": generators.GetMorganFeatureAtomInvGen()}
    generator = generators.GetMorganGenerator(radius=radius, **(options if features else {}))
    return generator.GetSparseCountFingerprint


_FINGERPRINTS: dict[str, Callable[[Mol], Any]] = {
    "ECFP4": _morgan(2),
    "ECFP6": _morgan(3),
    "FCFP4": _morgan(2, features=True),
    "AP": generators.GetAtomPairGenerator(maxDistance=10).GetSparseCountFingerprint,
    "PHCO": partial(Generate.Gen2DFingerprint, sigFactory=Gobbi_Pharm2D.factory),
}

_PROPERTIES: dict[str, Callable[[Mol], float]] = {
    "logp": lambda mol: rdMolDescriptors.CalcCrippenDescriptors(mol)[0],
    "tpsa": rdMolDescriptors.CalcTPSA,
    "bertz": BertzCT,
    "rings": rdMolDescriptors.CalcNumRings,
    "aromatic_rings": rdMolDescriptors.CalcNumAromaticRings,
    "fluorines": lambda mol: sum(atom.GetAtomicNum() == 9 for atom in mol.GetAtoms()),
}


@cache
def _fingerprint_of(smiles: str, fingerprint: Fingerprint) -> Any:
    return _FINGERPRINTS[fingerprint](parse(smiles))


@cache
def _property_of(smiles: str | None, name: str) -> float:
    return _PROPERTIES[name](parse(smiles)) if smiles else 0.0


@cache
def _pattern(smarts: str) -> Mol:
    return Chem.MolFromSmarts(smarts)


@cache
def _read_formula(formula: str) -> list[tuple[str, int]]:
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    return [(element, int(number or 1)) for element, number in parts]
