"""The chemistry is not loaded with the library, and missed with advice."""

import subprocess
import sys


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_the_library_loads_no_chemistry():
    chemistry = {"rdkit", "networkx", "wrlso.chem"}
    code = f"import sys, wrlso.cli.main; print({chemistry} & {{*sys.modules}})"
    assert run(code).stdout == "set()\n"


def test_missing_packages_are_named_with_the_remedy():
    done = run(
        "import sys; sys.modules['rdkit'] = sys.modules['networkx'] = None; import wrlso.chem.load"
    )
    assert done.stderr.strip().splitlines()[-1] == (
        "ImportError: wrlso.chem needs rdkit, networkx, which cannot be imported: "
        "pip install rdkit networkx"
    )
