"""Functions for other processes: what a script imports goes along."""

import pickle
import subprocess
import sys
import textwrap

import cloudpickle
from rdkit.Chem import MolFromSmiles

from wrlso.evaluation.pickling import dumps

SCRIPT = """
import functools
from rdkit.Chem import MolFromSmiles, QED  # one of Boost.Python, by name
from rdkit.Chem.Crippen import MolLogP
from wrlso.evaluation.workers import WorkerPool

def score(smiles):
    return QED.qed(MolFromSmiles(smiles)) + 0 * MolLogP(MolFromSmiles(smiles))

if __name__ == "__main__":
    with WorkerPool(functools.partial(score), 1) as pool:
        print([round(float(one), 4) for one in pool.evaluate(["CCO", "c1ccccc1"])[0]])
"""


def test_a_script_may_import_compiled_functions_by_name(tmp_path):
    file = tmp_path / "script.py"
    file.write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[0.4068, 0.4426]", done.stderr


def test_a_compiled_function_is_sent_by_name():
    assert pickle.loads(dumps(MolFromSmiles)) is MolFromSmiles
    assert pickle.loads(dumps([MolFromSmiles, len])) == [MolFromSmiles, len]


def test_other_functions_have_the_bytes_that_they_had():
    """Digests of objectives, and so kept scores, stay."""
    of_module = pickle.loads
    for one in (len, dumps, of_module, lambda x: x + len(SCRIPT), print):
        assert dumps(one) == cloudpickle.dumps(one)
