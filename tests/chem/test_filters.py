"""Filters of molecules: what passes, what fails and why, what is refused."""

import pickle

import pytest

pytest.importorskip("rdkit")

from rdkit.Chem import MolFromSmiles

from wrlso.chem.descriptors import DESCRIPTORS, describe
from wrlso.chem.filters import ALERTS, alerts_of, molecule_filter

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
QUINONE = "O=C1C=CC(=O)C=C1[N+](=O)[O-]"


@pytest.mark.parametrize(
    ("conditions", "passes", "fails", "reason"),
    [
        ({"require": "c1ccccc1"}, ASPIRIN, "CCO", "lacks c1ccccc1"),
        ({"require": ["[OH]", "C=O"]}, ASPIRIN, "CCO", "lacks C=O"),
        ({"forbid": "[N+]"}, ASPIRIN, QUINONE, "holds [N+]"),
        ({"alerts": "pains"}, ASPIRIN, QUINONE, "pains alert (quinone_A(370))"),
        ({"alerts": ("BRENK",)}, "CCO", QUINONE, "brenk alert (chinone_1)"),
        ({"max_weight": 181}, ASPIRIN, "C" * 13, "molecular_weight above 181 (184.4)"),
        ({"max_heavy_atoms": 13}, ASPIRIN, "C" * 14, "heavy_atoms above 13 (14)"),
        ({"min_heavy_atoms": 4}, ASPIRIN, "CCO", "heavy_atoms below 4 (3)"),
        ({"windows": {"logp": (1, 2)}}, ASPIRIN, "CCO", "logp below 1 (-0.0014)"),
        ({"windows": {"qed": (0.5, None)}}, ASPIRIN, "C", "qed below 0.5 (0.3598)"),
        ({"windows": {"sa": (None, 3)}}, ASPIRIN, "C", "sa above 3 (7.328)"),
    ],
)  # fmt: skip
def test_a_condition_passes_or_says_why_not(conditions, passes, fails, reason):
    accept = pickle.loads(pickle.dumps(molecule_filter(**conditions)))
    assert accept(passes) is None
    assert accept(MolFromSmiles(passes)) is None
    assert accept(fails) == reason


def test_the_ends_of_windows_pass():
    weight = describe(ASPIRIN, "molecular_weight")
    assert molecule_filter(max_weight=weight)(ASPIRIN) is None
    assert molecule_filter(windows={"rings": (1, 1)}, min_heavy_atoms=13)(ASPIRIN) is None


def test_all_conditions_must_hold_and_the_cheap_ones_are_asked_first():
    accept = molecule_filter(require="F", alerts="brenk", max_heavy_atoms=12)
    assert accept(QUINONE) == "lacks F"
    assert accept(QUINONE + "F") is not None
    assert accept("CF") is None
    assert accept(ASPIRIN) == "heavy_atoms above 12 (13)"


def test_no_condition_passes_every_molecule_and_no_other_text():
    accept = molecule_filter()
    assert accept.conditions == ()
    assert accept(ASPIRIN) is None
    assert "is not a molecule" in accept("C(")


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"require": "c1cc"}, "require = 'c1cc' is not a SMARTS pattern: give one such as"),
        ({"require": ""}, "require = '' is not a SMARTS"),
        ({"forbid": ["CC", "[N+"]}, r"forbid = '\[N\+' is not a SMARTS"),
        ({"alerts": "pain"}, "alerts = 'pain': there is no such catalogue .* pains, brenk, nih"),
        ({"max_weight": -1}, "max_weight must be a positive number of g/mol, got -1"),
        ({"max_weight": float("nan")}, "max_weight must be a positive number of g/mol, got nan"),
        ({"max_heavy_atoms": 0}, "max_heavy_atoms must be at least 1, got 0"),
        ({"min_heavy_atoms": 9, "max_heavy_atoms": 8}, "no heavy_atoms is at least 9 and at most"),
        ({"windows": {"loqp": (0, 1)}}, "windows = 'loqp': there is no such property .* logp"),
        ({"windows": {"logp": (3, 1)}}, "no logp is at least 3 and at most 1: give the lowest"),
        ({"windows": {"logp": (float("nan"), 1)}}, "a limit of logp is not a number"),
        ({"windows": {"logp": 3}}, r"logp needs a lowest and a highest .* got 3"),
        ({"windows": {"logp": (1, 2, 3)}}, r"logp needs a lowest and a highest"),
    ],
)
def test_wrong_conditions_are_refused_by_name(conditions, message, capfd):
    with pytest.raises(ValueError, match=message):
        molecule_filter(**conditions)
    assert capfd.readouterr() == ("", "")  # RDKit's own complaints do not tear progress bars


def test_every_catalogue_can_be_asked():
    assert {"pains", "brenk", "nih", "chembl", "chembl_glaxo"} <= set(ALERTS)
    assert all(alerts_of("CCO", name) == [] for name in ALERTS)
    assert alerts_of(QUINONE, "ChEMBL-Dundee")[:2] == ["chinone", "nitro group"]


def test_every_descriptor_is_a_number_of_the_molecule():
    expected = {
        "molecular_weight": 180.159, "heavy_atoms": 13, "logp": 1.3101, "tpsa": 63.6,
        "h_bond_donors": 1, "h_bond_acceptors": 3, "rotatable_bonds": 2, "rings": 1,
        "aromatic_rings": 1, "aliphatic_rings": 0, "largest_ring": 6, "fraction_sp3": 1 / 9,
        "heteroatoms": 4, "fluorines": 0, "charge": 0, "graph_length": 6,
    }  # fmt: skip
    for name, value in expected.items():
        assert describe(ASPIRIN, name) == pytest.approx(value, abs=1e-3), name
    assert all(isinstance(describe("C", name), float) for name in DESCRIPTORS)


def test_limits_of_one_property_are_one_window():
    both = molecule_filter(
        max_weight=500, max_heavy_atoms=30,
        windows={"molecular_weight": (200, None), "heavy_atoms": (None, 20), "qed": (0.2, None)},
    )  # fmt: skip
    assert [(c.name, c.low, c.high) for c in both.conditions] == [
        ("heavy_atoms", None, 20.0), ("molecular_weight", 200.0, 500.0), ("qed", 0.2, None),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no molecular_weight is at least 600 and at most 500"):
        molecule_filter(max_weight=500, windows={"molecular_weight": (600, None)})
