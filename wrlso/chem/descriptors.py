"""Descriptors of molecules by name, for filters, objectives and exported tables."""

from collections.abc import Callable

from rdkit import Chem
from rdkit.Chem import Descriptors, Mol, rdMolDescriptors
from rdkit.Chem.GraphDescriptors import BertzCT

from wrlso.chem.molecule import parse
from wrlso.chem.scores import penalized_logp, qed, synthetic_accessibility


def _largest_ring(mol: Mol) -> int:
    return max(map(len, mol.GetRingInfo().AtomRings()), default=0)


def _graph_length(mol: Mol) -> float:
    return Chem.GetDistanceMatrix(mol).max()


DESCRIPTORS: dict[str, Callable[[Mol], float]] = {
    "molecular_weight": lambda mol: Descriptors.MolWt(mol),  # type: ignore[attr-defined]
    "heavy_atoms": Mol.GetNumHeavyAtoms,
    "logp": lambda mol: rdMolDescriptors.CalcCrippenDescriptors(mol)[0],
    "tpsa": rdMolDescriptors.CalcTPSA,
    "qed": qed,
    "sa": synthetic_accessibility,
    "penalized_logp": penalized_logp,
    "h_bond_donors": rdMolDescriptors.CalcNumHBD,
    "h_bond_acceptors": rdMolDescriptors.CalcNumHBA,
    "rotatable_bonds": rdMolDescriptors.CalcNumRotatableBonds,
    "rings": rdMolDescriptors.CalcNumRings,
    "aromatic_rings": rdMolDescriptors.CalcNumAromaticRings,
    "aliphatic_rings": rdMolDescriptors.CalcNumAliphaticRings,
    "largest_ring": _largest_ring,
    "fraction_sp3": rdMolDescriptors.CalcFractionCSP3,
    "heteroatoms": rdMolDescriptors.CalcNumHeteroatoms,
    "fluorines": lambda mol: sum(atom.GetAtomicNum() == 9 for atom in mol.GetAtoms()),
    "charge": Chem.GetFormalCharge,
    "bertz": BertzCT,
    "graph_length": _graph_length,
}
"""Descriptors by name, each a function of an RDKit molecule.

molecular_weight is the average one, in g/mol, with hydrogens; logp is Crippen's; tpsa is in square
angstroms; sa is Ertl and Schuffenhauer's, from 1 (easy to make) to 10; largest_ring is the number
of atoms of the largest ring of RDKit's ring set; fraction_sp3 is that of the carbons; charge is the
formal one; bertz is Bertz's complexity; graph_length is the largest number of bonds between two
atoms. The others are counts of RDKit's."""

GROWING = frozenset(
    {
        "molecular_weight", "heavy_atoms", "logp", "tpsa", "penalized_logp", "h_bond_donors",
        "h_bond_acceptors", "rotatable_bonds", "rings", "aromatic_rings", "aliphatic_rings",
        "largest_ring", "heteroatoms", "fluorines", "bertz", "graph_length",
    }
)  # fmt: skip
"""Descriptors that grow with a molecule's size without bound. Whoever maximises one of them alone
finds large molecules."""


def describe(molecule: str | Mol, name: str) -> float:
    """A descriptor of a molecule.

    Args:
      molecule: a SMILES or an RDKit molecule.
      name: one of :data:`DESCRIPTORS`.

    Raises:
      ValueError: if there is no such descriptor, or the molecule is not one.
    """
    return float(DESCRIPTORS[check_descriptor(name)](parse(molecule)))


def check_descriptor(name: str, argument: str = "descriptor") -> str:
    """The name itself, if there is a descriptor of that name.

    Raises:
      ValueError: if there is none; it names the argument.
    """
    if name not in DESCRIPTORS:
        raise ValueError(
            f"{argument} = {name!r}: there is no such property of molecules; there are: "
            f"{', '.join(DESCRIPTORS)}"
        )
    return name
