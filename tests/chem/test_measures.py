"""Measures of molecules: values by hand, and what is refused."""

import math
import pickle

import pytest

pytest.importorskip("rdkit")

from wrlso.chem.measures import (
    FINGERPRINTS,
    AlertCount,
    Formula,
    Property,
    Similarity,
    Substructure,
)
from wrlso.chem.molecule import parse, scorable

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def test_formula_by_hand():
    """Ethanol is C2H6O, and for C2H4F2 off by 2 H, 2 F, and 1 of 8 atoms."""
    assert Formula("C2H6O")(parse("CCO")) == 1
    exponents = [0, 2**2, 2**2, (1 / 2) ** 2]
    expected = math.exp(-0.5 * sum(exponents) / 4)
    assert Formula("C2H4F2")(parse("CCO")) == pytest.approx(expected)


def test_similarity_to_several_targets_is_that_to_the_nearest():
    mol = parse("CCCO")
    each = [Similarity(one)(mol) for one in ("CCO", ASPIRIN)]
    assert Similarity(("CCO", ASPIRIN))(mol) == max(each) > min(each)


def test_counts_matter_where_features_repeat():
    few, many = parse("CCCCC"), "CCCCCCCCCC"
    assert Similarity(many, "ECFP2", counts=False)(few) == 1
    assert Similarity(many, "ECFP2", counts=True)(few) < 1


@pytest.mark.parametrize("fingerprint", FINGERPRINTS)
def test_a_molecule_is_like_itself(fingerprint):
    measure = pickle.loads(pickle.dumps(Similarity(ASPIRIN, fingerprint)))
    assert measure(parse(ASPIRIN)) == 1
    assert 0 <= measure(parse("CCN")) < 1


def test_substructures_are_found_or_counted():
    mol = parse("Clc1ccc(Cl)cc1Cl")
    assert Substructure("Cl")(mol) == 1
    assert Substructure("Cl", count=True)(mol) == 3
    assert Substructure("Br", count=True)(mol) == Substructure("Br")(mol) == 0
    assert Substructure("C", count=True)(parse("C" * 1500)) == 1500  # RDKit stops at 1,000


def test_alerts_of_all_catalogues_count():
    quinone = parse("O=C1C=CC(=O)C=C1[N+](=O)[O-]")
    both = AlertCount(("pains", "BRENK"))
    assert both(quinone) == AlertCount("pains")(quinone) + AlertCount(("brenk",))(quinone) == 4
    assert both(parse("CCO")) == 0


def test_a_property_is_the_descriptor_minus_that_of_another_molecule():
    assert Property("heavy_atoms")(parse("CCO")) == 3
    assert Property("heavy_atoms", minus="CC")(parse("CCO")) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Property("lopg"), "property = 'lopg': there is no such property .* logp"),
        (lambda: Property("logp", minus="C("), "'C\\(' is not a molecule"),
        (lambda: Similarity("C("), "'C\\(' is not a molecule"),
        (lambda: Similarity(()), "target is empty"),
        (lambda: Similarity("CCO", "ECFP5"), "fingerprint = 'ECFP5': .* ECFP4, ECFP6"),
        (lambda: Substructure("c1c"), "substructure = 'c1c' is not a SMARTS"),
        (lambda: AlertCount("pain"), "there is no such catalogue"),
        (lambda: Formula(""), "formula = '': give one such as"),
        (lambda: Formula("c7"), "formula = 'c7': give one such as"),
        (lambda: Formula("C7H8N2O2C"), "each element once"),
        (lambda: Formula("C7Xx2"), "there is no element Xx"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_isotopes_of_a_target_do_not_count():
    labelled, plain = "[2H]C([2H])([2H])Oc1ccc(C#N)cc1", "COc1ccc(C#N)cc1"
    for target in (labelled, plain):
        assert Similarity(target)(scorable(labelled)) == 1.0
    assert Property("molecular_weight", minus="[13CH3]O")(scorable("[13CH3]O")) == 0.0
    for wrong in ("c1ccccc1*", "C[CH2]"):
        with pytest.raises(ValueError, match="no score"):
            Similarity(wrong)
        with pytest.raises(ValueError, match="no score"):
            Property("logp", minus=wrong)
