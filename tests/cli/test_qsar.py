"""A job as people have it, from the command line only: a table of measured molecules with
identifiers, salts and replicates, to an SDF file of the 100 best diverse ones."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

pytestmark = pytest.mark.slow

MODEL = '''
"""A ridge regression on Morgan counts, trained on a table; it scores a SMILES per line."""
import csv, sys
import numpy as np
from rdkit.Chem import MolFromSmiles
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

generator = GetMorganGenerator(2, fpSize=512)


def features(smiles):
    return generator.GetCountFingerprintAsNumPy(MolFromSmiles(smiles)).astype(float)


with open(sys.argv[1], newline="") as file:
    rows = list(csv.DictReader(file))
x = np.stack([features(row["smiles"]) for row in rows])
y = np.array([float(row["score"]) for row in rows])
weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ (y - y.mean()))
for line in sys.stdin:
    print(y.mean() + features(line.strip()) @ weights, flush=True)
'''
RINGS = ("c1ccccc1", "c1ccncc1", "C1CCNCC1", "c1ccc2[nH]ccc2c1", "C1CCOCC1", "c1ccsc1")
LINKS = ("", "C", "CC", "CC(=O)N", "COC", "CNC(=O)")
ENDS = ("C", "O", "N", "Cl", "F", "N#C", "FC(F)(F)", "CO")


def wrlso(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "wrlso", *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, timeout=1800,
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def measured():
    """SMILES, a score, and a form of salt for 288 molecules, some of them twice."""
    molecules = [f"{end}{link}{ring}" for ring in RINGS for link in LINKS for end in ENDS]
    rng = np.random.default_rng(0)
    lines = []
    for i, smiles in enumerate(molecules):
        score = 5 + smiles.count("c") / 6 + smiles.count("F") / 3 + rng.normal() / 10
        salt = (".Cl", ".OC(=O)C(F)(F)F", "")[min(i % 10, 2)]
        lines.append((f"CPD-{i}", smiles + salt, f"{score:.2f}".replace(".", ",")))
        if i % 12 == 5:
            lines += [(f"CPD-{i}-{n}", smiles, f"{score + n:.2f}".replace(".", ","))
                      for n in (1, 5)]  # fmt: skip
    lines.append(("CPD-X", "not measured", "n.d."))
    return molecules, lines


def test_from_a_table_to_an_sdf_of_diverse_molecules(tmp_path):
    molecules, lines = measured()
    (tmp_path / "qsar.py").write_text(MODEL)
    with (tmp_path / "assay.csv").open("w", newline="", encoding="utf-16") as file:
        file.write("sep=;\r\n")
        writer = csv.writer(file, delimiter=";")
        writer.writerows([("ID", "Smiles", "pIC50"), *lines])
    reading = ["--column", "Smiles", "--score-column", "pIC50", "--replicates", "median",
               "--standardize"]  # fmt: skip
    said = wrlso(tmp_path, "data", "assay.csv", *reading, "--used", "used.csv")
    different = len({Chem.CanonSmiles(one) for one in molecules})
    assert (
        f"{different} different molecules in {len(lines)} records on {len(lines) + 2} lines" in said
    )
    assert "24 molecules with different scores: the median is used" in said
    assert "1 line rejected" in said
    with (tmp_path / "used.csv").open(newline="") as file:
        used = list(csv.DictReader(file))
    assert len(used) == different
    assert not any("." in row["smiles"] for row in used)
    scores = {row["name"]: float(row["score"]) for row in used}
    written = {name: float(score.replace(",", ".")) for name, _, score in lines[:-1]}
    assert scores["CPD-5"] == pytest.approx(written["CPD-5-1"])  # the median of three

    wrlso(tmp_path, "run", "molecules", "--out", "run", "--data", "assay.csv", *reading,
          "--command", f"{sys.executable} qsar.py used.csv", "--feed", "lines", "--budget", 150,
          "--retrain-every", 75, "--epochs", 1, "--seeds", 1, "--workers", 1,
          "--no-figures", "--no-progress")  # fmt: skip
    wrlso(tmp_path, "export", "run", "best.sdf", "--top", 100, "--diverse")
    found = list(Chem.SDMolSupplier(str(tmp_path / "best.sdf")))
    smiles = [Chem.MolToSmiles(mol) for mol in found]
    assert len(set(smiles)) == len(smiles) == 100
    assert not {row["smiles"] for row in used} & set(smiles)
    model = subprocess.run(
        [sys.executable, "qsar.py", "used.csv"], cwd=tmp_path, input="\n".join(smiles) + "\n",
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    predicted = [float(line) for line in model.stdout.split()]
    exported = [mol.GetDoubleProp("score") for mol in found]
    np.testing.assert_allclose(exported, predicted, rtol=1e-5)
    assert Path(tmp_path / "run" / "summary.json").exists()
