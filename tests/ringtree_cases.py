"""Molecules of every kind that the ring-system strings must handle, and a small vocabulary."""

from functools import cache

from wrlso.chem.molecule import canonical
from wrlso.chem.ringtree.learn import learn_vocabulary

MOLECULES = [
    "C",
    "CC",
    "CCO",
    "OCC(O)CO",
    "C=CC=C",
    "C#CC",
    "N#Cc1ccccc1",
    "c1ccccc1",
    "Cc1ccccc1C",
    "Cc1cccc(C)c1",
    "O=C(O)c1ccccc1",
    "CC(=O)Nc1ccc(O)cc1",
    "O=S(=O)(Nc1nccs1)c1ccc(N)cc1",
    "C[N+](=O)[O-]",
    "O=[N+]([O-])c1ccccc1",
    "FC(F)(F)c1ccccc1",
    "C1CC1",
    "C1CCC2(CC1)OCCO2",
    "c1ccc2ccccc2c1",
    "c1ccc2[nH]ccc2c1",
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "CN1CCC[C@H]1c1cccnc1",
    "C[NH+](C)CC(=O)[O-]",
    "O=C1NC(=O)c2ccccc21",
    "CC(C)(C)OC(=O)N1CCNCC1",
    "CC=NNC(=O)c1ccncc1",
    "CSc1nnc(N)s1",
    "C1CC2CCC1CC2",
    "CC1(C)C2CCC1(C)C(=O)C2",
    "c1ccc(-c2ccccc2-c2ccccc2)cc1",
    "BrCCCl",
    "CCS(=O)CC",
    "COP(=O)(OC)OC",
    "O=C(Nc1ccccc1)C1CCCCC1",
    "Cc1cc(-c2ccccc2)nc(SCC(=O)NN2C(=O)NC3(CCCCC3)C2=O)n1",
    "CCN=[N+]=[N-]",
]


def plain(smiles):
    """Canonical, without stereochemistry: what a string stands for."""
    return canonical(canonical(smiles, stereo=False))


@cache
def vocabulary():
    """Of the molecules, twice over, so that nothing of them is too rare."""
    return learn_vocabulary([plain(smiles) for smiles in MOLECULES] * 2)
