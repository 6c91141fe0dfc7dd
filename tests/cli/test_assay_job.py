"""A chemist's job from the command line only: an assay's CSV file in, an SD file out."""

import csv
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

pytest.importorskip("rdkit")

from rdkit import Chem
from rdkit.Chem import Descriptors

from tests.builders import ROOT
from wrlso.chem.filters import alerts_of
from wrlso.chem.zinc import read_zinc

PROGRAM = """
    import csv, sys
    import numpy as np
    from rdkit import Chem, DataStructs
    from rdkit.Chem import rdFingerprintGenerator
    from rdkit.Chem.MolStandardize import rdMolStandardize

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)

    def prints(smiles):
        mol = Chem.MolFromSmiles(smiles)
        return generator.GetFingerprint(rdMolStandardize.FragmentParent(mol))

    rows = [row for row in csv.DictReader(open(sys.argv[1])) if row["pIC50"]]
    known = [prints(row["structure"]) for row in rows]
    values = np.array([float(row["pIC50"]) for row in rows])
    kernel = np.array([DataStructs.BulkTanimotoSimilarity(one, known) for one in known])
    weights = np.linalg.solve(kernel + 0.05 * np.eye(len(values)), values - values.mean())
    for line in sys.stdin:
        near = np.array(DataStructs.BulkTanimotoSimilarity(prints(line.strip()), known))
        print(values.mean() + near @ weights, flush=True)
"""


def assay(file, count=120):
    """Compounds with names, replicates of every tenth, a salt of every seventh, two bad lines."""
    smiles = [one for one in read_zinc().smiles if "." not in one][:count]
    rng = np.random.default_rng(0)
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["compound", "structure", "pIC50"])
        for i, one in enumerate(smiles):
            activity = 5 + 0.4 * Descriptors.MolLogP(Chem.MolFromSmiles(one))  # type: ignore[attr-defined]
            for _ in range(2 if i % 10 == 0 else 1):
                written = f"{one}.Cl" if i % 7 == 0 else one
                writer.writerow([f"CMPD-{i}", written, round(activity + rng.normal(0, 0.1), 2)])
        writer.writerow(["CMPD-bad", "not a molecule", 7.0])
        writer.writerow(["CMPD-empty", "CCO", ""])


@pytest.mark.slow
def test_from_an_assay_to_the_best_diverse_molecules(tmp_path):
    assay(tmp_path / "assay.csv")
    (tmp_path / "qsar.py").write_text(textwrap.dedent(PROGRAM))

    def wrlso(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "wrlso", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "WRLSO_CACHE": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    columns = ["--column", "structure", "--score-column", "pIC50", "--standardize"]
    examined = wrlso("data", "assay.csv", *columns)
    assert "not a molecule" in examined
    wrlso(
        "run", "molecules", "--data", "assay.csv", *columns, "--feed", "lines",
        "--command", f"{sys.executable} qsar.py assay.csv", "--alerts", "pains",
        "--max-weight", "450", "--budget", "110", "--retrain-every", "55", "--seeds", "1",
        "--out", "run", "--no-figures", "--no-progress",
    )  # fmt: skip
    printed = wrlso("export", "run", "best.sdf", "--top", "100", "--diverse")
    assert "100 objects: best.sdf" in printed
    mols = list(Chem.SDMolSupplier(str(tmp_path / "best.sdf")))
    assert len({Chem.MolToSmiles(mol) for mol in mols}) == len(mols) == 100
    scores = [float(mol.GetProp("score")) for mol in mols]
    assert scores == sorted(scores, reverse=True)
    named = {row["compound"] for row in csv.DictReader((tmp_path / "assay.csv").open())}
    for mol in mols:
        assert Descriptors.MolWt(mol) <= 450  # type: ignore[attr-defined]
        assert alerts_of(mol, "pains") == []
        assert mol.GetProp("start") in named
        assert mol.GetConformer().Is3D() is False
