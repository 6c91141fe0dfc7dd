"""GuacaMol's goal-directed objectives, and those that PMO takes from them.

Each is a mean of terms in [0, 1]. A term is a transform, such as a bell around a target value, of a
measure of the molecule.

Source: Brown et al., GuacaMol, J. Chem. Inf. Model. 59, 1096 (2019), and its supplement;
definitions as in version 2 of the authors' benchmark suite, with the isomers of C7H8N2O2 from their
trivial one. Gao et al., Sample Efficiency Matters (PMO), NeurIPS 2022, chooses 19 of them.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

from rdkit.Chem import Mol

from wrlso.chem.measures import Formula, Property, Similarity, Substructure
from wrlso.chem.molecule import scorable
from wrlso.chem.transforms import AtLeast, AtMost, Gaussian, Inverse, Linear, Plain, Transform


class Goal(NamedTuple):
    """An objective: a mean of terms.

    Attributes:
      aliases: other names: the abbreviation that papers use, and PMO's name where it differs.
      mean: the kind of mean.
      terms: pairs of a measure of the molecule and the transform applied to it.
    """

    aliases: tuple[str, ...]
    mean: Literal["geometric", "arithmetic"]
    terms: tuple[tuple[Callable[[Mol], float], Transform], ...]


_OSIMERTINIB = "COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc2nccc(n2)c3cn(C)c4ccccc34"
_FEXOFENADINE = "CC(C)(C(=O)O)c1ccc(cc1)C(O)CCCN2CCC(CC2)C(O)(c3ccccc3)c4ccccc4"
_RANOLAZINE = "COc1ccccc1OCC(O)CN2CCN(CC(=O)Nc3c(C)cccc3C)CC2"
_PERINDOPRIL = "O=C(OCC)C(NC(C(=O)N1C(C(=O)O)CC2CCCCC12)C)CCC"
_AMLODIPINE = r"Clc1ccccc1C2C(=C(/N/C(=C2/C(=O)OCC)COCCN)C)\C(=O)OC"
_SITAGLIPTIN = "Fc1cc(c(F)cc1F)CC(N)CC(=O)N3Cc2nnc(n2CC3)C(F)(F)F"
_ZALEPLON = "O=C(C)N(CC)C1=CC=CC(C2=CC=NC3=C(C=NN23)C#N)=C1"
_ALBUTEROL = "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1"
_MESTRANOL = "COc1ccc2[C@H]3CC[C@@]4(C)[C@@H](CC[C@@]4(O)C#C)[C@@H]3CCc2c1"
_CELECOXIB = "CC1=CC=C(C=C1)C1=CC(=NN1C1=CC=C(C=C1)S(N)(=O)=O)C(F)(F)F"
_THIOTHIXENE = "CN(C)S(=O)(=O)c1ccc2Sc3ccccc3C(=CCCN4CCN(C)CC4)c2c1"
_TROGLITAZONE = "Cc1c(C)c2OC(C)(COc3ccc(CC4SC(=O)NC4=O)cc3)CCc2c(C)c1O"
_CAMPHOR = "CC1(C)C2CCC1(C)C(=O)C2"
_MENTHOL = "CC(C)C1CCC(C)CC1O"
_TADALAFIL = "O=C1N(CC(N2C1CC3=C(C2C4=CC5=C(OCO5)C=C4)NC6=C3C=CC=C6)=O)C"
_SILDENAFIL = "CCCC1=NN(C2=C1N=C(NC2=O)C3=C(C=CC(=C3)S(=O)(=O)N4CCN(CC4)C)OCC)C"
_HOP_FROM = "CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C"
_HOP_SCAFFOLD = Substructure("[#7]-c1n[c;h1]nc2[c;h1]c(-[#8])[c;h0][c;h1]c12")
_HOP_DECORATION = Substructure("[#6]-[#6]-[#6]-[#8]-[#6]~[#6]~[#6]~[#6]~[#6]-[#7]-c1ccc2ncsc2c1")
_VALSARTAN_PART = Substructure("CN(C=O)Cc1ccc(c2ccccc2)cc1")

GOALS: dict[str, Goal] = {
    "median_1": Goal(("med1", "median1"), "geometric", (
        (Similarity(_CAMPHOR, "ECFP4"), Plain()),
        (Similarity(_MENTHOL, "ECFP4"), Plain()),
    )),
    "median_2": Goal(("med2", "median2"), "geometric", (
        (Similarity(_TADALAFIL, "ECFP6"), Plain()),
        (Similarity(_SILDENAFIL, "ECFP6"), Plain()),
    )),
    "osimertinib": Goal(("osmb", "osimertinib_mpo"), "geometric", (
        (Similarity(_OSIMERTINIB, "FCFP4"), Linear(0, 0.8)),
        (Similarity(_OSIMERTINIB, "ECFP6"), AtMost(0.85, 0.1)),
        (Property("tpsa"), AtLeast(100, 10)),
        (Property("logp"), AtMost(1, 1)),
    )),
    "fexofenadine": Goal(("fexo", "fexofenadine_mpo"), "geometric", (
        (Similarity(_FEXOFENADINE, "AP"), Linear(0, 0.8)),
        (Property("tpsa"), AtLeast(90, 10)),
        (Property("logp"), AtMost(4, 1)),
    )),
    "ranolazine": Goal(("rano", "ranolazine_mpo"), "geometric", (
        (Similarity(_RANOLAZINE, "AP"), Linear(0, 0.7)),
        (Property("logp"), AtLeast(7, 1)),
        (Property("tpsa"), AtLeast(95, 20)),
        (Property("fluorines"), Gaussian(1, 1)),
    )),
    "perindopril": Goal(("pdop", "perindopril_mpo"), "geometric", (
        (Similarity(_PERINDOPRIL, "ECFP4"), Plain()),
        (Property("aromatic_rings"), Gaussian(2, 0.5)),
    )),
    "amlodipine": Goal(("adip", "amlodipine_mpo"), "geometric", (
        (Similarity(_AMLODIPINE, "ECFP4"), Plain()),
        (Property("rings"), Gaussian(3, 0.5)),
    )),
    "sitagliptin": Goal(("siga", "sitagliptin_mpo"), "geometric", (
        (Similarity(_SITAGLIPTIN, "ECFP4"), Gaussian(0, 0.1)),
        (Property("logp", minus=_SITAGLIPTIN), Gaussian(0, 0.2)),
        (Property("tpsa", minus=_SITAGLIPTIN), Gaussian(0, 5)),
        (Formula("C16H15F6N5O"), Plain()),
    )),
    "zaleplon": Goal(("zale", "zaleplon_mpo"), "geometric", (
        (Similarity(_ZALEPLON, "ECFP4"), Plain()),
        (Formula("C19H17N3O2"), Plain()),
    )),
    "valsartan": Goal(("valt", "valsartan_smarts"), "geometric", (
        (_VALSARTAN_PART, Plain()),
        (Property("logp", minus=_SITAGLIPTIN), Gaussian(0, 0.2)),
        (Property("tpsa", minus=_SITAGLIPTIN), Gaussian(0, 5)),
        (Property("bertz", minus=_SITAGLIPTIN), Gaussian(0, 30)),
    )),
    "deco_hop": Goal(("dhop",), "arithmetic", (
        (Similarity(_HOP_FROM, "PHCO"), Linear(0, 0.85)),
        (Substructure("CS([#6])(=O)=O"), Inverse()),
        (Substructure("[#7]-c1ccc2ncsc2c1"), Inverse()),
        (_HOP_SCAFFOLD, Plain()),
    )),
    "scaffold_hop": Goal(("shop",), "arithmetic", (
        (Similarity(_HOP_FROM, "PHCO"), Linear(0, 0.75)),
        (_HOP_DECORATION, Plain()),
        (_HOP_SCAFFOLD, Inverse()),
    )),
    "albuterol_similarity": Goal(("albuterol",), "geometric", (
        (Similarity(_ALBUTEROL, "FCFP4"), Linear(0, 0.75)),
    )),
    "mestranol_similarity": Goal(("mestranol",), "geometric", (
        (Similarity(_MESTRANOL, "AP"), Linear(0, 0.75)),
    )),
    "celecoxib_rediscovery": Goal(("celecoxib",), "geometric", (
        (Similarity(_CELECOXIB, "ECFP4"), Plain()),
    )),
    "thiothixene_rediscovery": Goal(("thiothixene",), "geometric", (
        (Similarity(_THIOTHIXENE, "ECFP4"), Plain()),
    )),
    "troglitazone_rediscovery": Goal(("troglitazone",), "geometric", (
        (Similarity(_TROGLITAZONE, "ECFP4"), Plain()),
    )),
    "isomers_c7h8n2o2": Goal((), "geometric", ((Formula("C7H8N2O2"), Plain()),)),
    "isomers_c9h10n2o2pf2cl": Goal((), "geometric", ((Formula("C9H10N2O2PF2Cl"), Plain()),)),
}  # fmt: skip
"""The objectives by name."""

ALIASES: dict[str, str] = {alias: name for name, goal in GOALS.items() for alias in goal.aliases}
"""Names by other name."""


def guacamol(name: str) -> Callable[[str | Mol], float]:
    """The objective of a name: a function from a molecule to a score in [0, 1].

    Worker processes can call it. It raises ValueError as :func:`score` does.

    Args:
      name: one of :data:`GOALS`, or another name of one, such as osmb or osimertinib_mpo.

    Raises:
      ValueError: if there is no such objective.
    """
    if name not in GOALS and name not in ALIASES:
        raise ValueError(f"no GuacaMol objective {name!r}; there are {', '.join(GOALS)}")
    return partial(score, ALIASES.get(name, name))


def score(name: str, molecule: str | Mol) -> float:
    """A molecule's score for one of :data:`GOALS`, in [0, 1].

    Explicit hydrogens, atom maps and isotopes do not count.

    Raises:
      ValueError: if it is not a molecule, has unpaired electrons, or wildcard atoms.
    """
    mol, goal = scorable(molecule), GOALS[name]
    values = [transform(measure(mol)) for measure, transform in goal.terms]
    if goal.mean == "geometric":
        return math.prod(values) ** (1 / len(values))
    return math.fsum(values) / len(values)
