"""Work on many molecules in parallel: in order, and errors reach the caller."""

import pytest

from wrlso.chem.chunks import map_chunks, map_parts
from wrlso.chem.properties import PROPERTIES, properties_of, standard_properties
from wrlso.chem.scores import penalized_logp

MOLECULES = ["C" * (1 + i % 50) + "O" * (i // 50) for i in range(2300)]


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_in_order(workers):
    found = map_chunks(lambda chunk: [len(one) for one in chunk], MOLECULES, workers=workers)
    assert [one for part in found for one in part] == [len(one) for one in MOLECULES]
    assert map_parts(len, [MOLECULES[:5], MOLECULES[:3]], workers=workers) == [5, 3]


def test_an_error_in_a_worker_reaches_the_caller():
    with pytest.raises(RuntimeError, match=r"ZeroDivisionError.*in the thousand from"):
        map_chunks(lambda chunk: 1 / 0, MOLECULES, workers=2)


def test_properties_are_standardised_and_kept(tmp_path, monkeypatch):
    smiles = MOLECULES[:60]
    found = standard_properties(smiles, tmp_path, workers=1, progress=False)
    assert found.shape == (60, len(PROPERTIES))
    atoms = found[:, PROPERTIES.index("heavy atoms")]
    assert atoms.mean() == pytest.approx(0, abs=1e-5)
    assert atoms.std() == pytest.approx(1, abs=1e-5)
    # Rings are the same for all, so nothing of them is left.
    assert not found[:, PROPERTIES.index("rings")].any()
    assert properties_of("CCO")[0] == penalized_logp("CCO")
    monkeypatch.setattr("wrlso.chem.properties.map_chunks", None)
    again = standard_properties(smiles, tmp_path, workers=1, progress=False)
    assert (again == found).all()
