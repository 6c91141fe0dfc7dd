"""PMO's 20 oracles that need no downloaded model, beside the definitions' own code.

    python -m benchmarks.molecules.oracles --guacamol FOLDER --tdc FOLDER --data SMILES --out FOLDER

``--guacamol`` is a checkout of BenevolentAI/guacamol, or its unpacked wheel; ``--tdc`` is a
checkout of mims-harvard/TDC. Neither can be imported as it is in a present environment: stand-ins
replace the names that they import for other purposes (``scipy.histogram``, ``fcd``,
``pkg_resources``, ``rdkit.six``, downloads). TDC's oracles change each other's globals in one
process, so each has a fresh copy of its module. Writes ``oracles.md``.

The molecules are half of the file's, half the targets of the oracles with 1 to 4 random changes of
an atom, so that every oracle takes high and low values.
"""

import argparse
import importlib.util
import random
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rdkit
from rdkit import Chem
from rdkit.rdBase import BlockLogs

from wrlso.chem.guacamol import GOALS, guacamol
from wrlso.chem.measures import Similarity
from wrlso.chem.scores import qed
from wrlso.results.tables import markdown

PMO = {
    "albuterol_similarity": "albuterol_similarity",
    "amlodipine": "amlodipine_mpo",
    "celecoxib_rediscovery": "celecoxib_rediscovery",
    "deco_hop": "deco_hop",
    "fexofenadine": "fexofenadine_mpo",
    "isomers_c7h8n2o2": "isomers_c7h8n2o2",
    "isomers_c9h10n2o2pf2cl": "isomers_c9h10n2o2pf2cl",
    "median_1": "median1",
    "median_2": "median2",
    "mestranol_similarity": "mestranol_similarity",
    "osimertinib": "osimertinib_mpo",
    "perindopril": "perindopril_mpo",
    "qed": "qed",
    "ranolazine": "ranolazine_mpo",
    "scaffold_hop": "scaffold_hop",
    "sitagliptin": "sitagliptin_mpo",
    "thiothixene_rediscovery": "thiothixene_rediscovery",
    "troglitazone_rediscovery": "troglitazone_rediscovery",
    "valsartan": "valsartan_smarts",
    "zaleplon": "zaleplon_mpo",
}
"""Our names, and TDC's."""

Oracle = Callable[[str], float]


def guacamol_oracles(folder: Path) -> dict[str, Oracle]:
    """GuacaMol's own objectives, by our names."""
    import scipy

    scipy.histogram = np.histogram  # type: ignore[attr-defined]
    names = ("get_fcd", "load_ref_model", "canonical_smiles", "get_predictions")
    fcd: Any = _module("fcd", **dict.fromkeys((*names, "calculate_frechet_distance")))
    sys.modules["fcd"] = fcd
    sys.path.insert(0, str(folder))
    from guacamol import standard_benchmarks as made
    from guacamol.benchmark_suites import goal_directed_suite_v2

    by_name = {one.name: one for one in goal_directed_suite_v2()}
    by_name |= {one.name: one for one in (made.isomers_c7h8n2o2(), made.qed_benchmark())}
    titles = {
        "albuterol_similarity": "Albuterol similarity",
        "celecoxib_rediscovery": "Celecoxib rediscovery",
        "deco_hop": "Deco Hop",
        "isomers_c7h8n2o2": "C7H8N2O2",
        "isomers_c9h10n2o2pf2cl": "C9H10N2O2PF2Cl",
        "median_1": "Median molecules 1",
        "median_2": "Median molecules 2",
        "mestranol_similarity": "Mestranol similarity",
        "qed": "QED",
        "scaffold_hop": "Scaffold Hop",
        "thiothixene_rediscovery": "Thiothixene rediscovery",
        "troglitazone_rediscovery": "Troglitazone rediscovery",
        "valsartan": "Valsartan SMARTS",
    }
    return {
        name: by_name[titles.get(name, f"{name.capitalize()} MPO")].objective.score for name in PMO
    }


def tdc_oracles(folder: Path) -> dict[str, Oracle]:
    """TDC's own oracles, by our names."""
    sys.modules["pkg_resources"] = _module(
        "pkg_resources",
        get_distribution=lambda name: types.SimpleNamespace(version="1.4"),  # for other oracles
    )
    sys.modules["rdkit.six"] = _module("rdkit.six", iteritems=lambda mapping: mapping.items())
    for package in ("tdc", "tdc.chem_utils", "tdc.chem_utils.oracle"):
        sys.modules[package] = _module(package, __path__=[])
    sys.modules["tdc.utils"] = _module("tdc.utils", oracle_load=None, print_sys=print, install=None)
    path = folder / "tdc/chem_utils/oracle/oracle.py"

    def fresh(name: str) -> Oracle:
        spec = importlib.util.spec_from_file_location("tdc.chem_utils.oracle.oracle", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return getattr(module, PMO[name])

    return {name: fresh(name) for name in PMO}


def molecules(file: Path, count: int, seed: int = 0) -> list[str]:
    """Half of a file's molecules, half variants of the oracles' targets; all different."""
    rng = random.Random(seed)
    found = dict.fromkeys(rng.sample(file.read_text().split(), count - count // 2))
    while len(found) < count:
        mol = Chem.MolFromSmiles(rng.choice(_targets()))
        for _ in range(rng.randint(1, 4)):
            mol = _changed(mol, rng) or mol
        found[Chem.MolToSmiles(mol)] = None
    return list(found)


def _targets() -> list[str]:
    measures = [measure for goal in GOALS.values() for measure, _ in goal.terms]
    return [one.target for one in measures if isinstance(one, Similarity)] + [  # type: ignore[misc]
        "CCCCC(=O)N(Cc1ccc(cc1)-c1ccccc1-c1nnn[nH]1)C(C(C)C)C(=O)O",  # valsartan
        "COc1ccccc1NC(N)=O",  # near C7H8N2O2
        "NC(=O)c1ccc(cc1)P(F)(F)OCCCl",  # near C9H10N2O2PF2Cl
    ]


def _changed(mol: Chem.Mol, rng: random.Random) -> Chem.Mol | None:
    """The molecule with another element, one atom fewer, or one more; None if there is no such."""
    edited = Chem.RWMol(mol)
    atom = rng.randrange(mol.GetNumAtoms())
    element = rng.choice([6, 6, 7, 8, 9, 15, 16, 17])
    kind = rng.choice(("replace", "remove", "add"))
    if kind == "replace":
        edited.GetAtomWithIdx(atom).SetAtomicNum(element)
    elif kind == "remove":
        edited.RemoveAtom(atom)
    else:
        edited.AddBond(atom, edited.AddAtom(Chem.Atom(element)), Chem.BondType.SINGLE)
    with BlockLogs():
        changed = Chem.MolFromSmiles(Chem.MolToSmiles(edited))
    one_piece = changed is not None and len(Chem.GetMolFrags(changed)) == 1
    return changed if one_piece and changed.GetNumAtoms() > 3 else None


def _module(name: str, **content: Any) -> Any:
    module = types.ModuleType(name)
    module.__dict__.update(content)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("--guacamol", "--tdc", "--data", "--out"):
        parser.add_argument(option, type=Path, required=True)
    parser.add_argument("--count", type=int, default=2000)
    given = parser.parse_args()
    smiles = molecules(given.data, given.count)
    ours: dict[str, Oracle] = {name: qed if name == "qed" else guacamol(name) for name in PMO}
    others = {"GuacaMol": guacamol_oracles(given.guacamol), "TDC": tdc_oracles(given.tdc)}
    rows, worst = [], 0.0
    for name, score in ours.items():
        values = np.array([score(one) for one in smiles])
        errors = []
        for oracles in others.values():
            with np.errstate(divide="ignore"):
                theirs = np.array([float(oracles[name](one)) for one in smiles])
            errors.append(np.abs(values - theirs).max())
        worst = max(worst, *errors)
        low, high = f"{values.min():.3g}", f"{values.max():.3g}"
        rows.append([name, low, high, *(f"{error:.1e}" for error in errors)])
        print(rows[-1], flush=True)
    header = ["oracle", "lowest", "highest", *(f"from {name}'s code" for name in others)]
    text = f"""# PMO's oracles beside the definitions' own code

`python -m benchmarks.molecules.oracles --guacamol FOLDER --tdc FOLDER --data FILE --out FOLDER`:
{len(smiles):,} molecules, half of them of ZINC250k, half near the oracles' targets; largest
absolute difference of a score, with RDKit {rdkit.__version__}. Largest of all: {worst:.1e}.

{markdown(header, rows)}
"""
    (given.out / "oracles.md").write_text(text)


if __name__ == "__main__":
    main()
