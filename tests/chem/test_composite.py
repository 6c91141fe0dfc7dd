"""Objectives of several components: values by hand, what they carry, what is refused."""

import math
import pickle

import pytest

pytest.importorskip("rdkit")

from rdkit.Chem import MolFromSmiles

from wrlso.chem.command import Command
from wrlso.chem.composite import Component, Goal, OfSmiles, combine
from wrlso.chem.descriptors import describe
from wrlso.chem.filters import molecule_filter
from wrlso.chem.guacamol import GOALS, guacamol
from wrlso.chem.measures import AlertCount, Property, Similarity, Substructure
from wrlso.chem.transforms import Gaussian, Inverse, Linear, Plain, Window
from wrlso.storage.digest import code_digest

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
QED = Component(Property("qed"))
WEIGHT = Component(Property("molecular_weight"), Linear(0, 400), weight=3)


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        ("geometric_mean", lambda a, b: (a * b**3) ** 0.25),
        ("arithmetic_mean", lambda a, b: (a + 3 * b) / 4),
        ("product", lambda a, b: a * b**3),
        ("sum", lambda a, b: a + 3 * b),
    ],
)
def test_aggregates_by_hand(aggregate, expected):
    a, b = describe(ASPIRIN, "qed"), describe(ASPIRIN, "molecular_weight") / 400
    score = combine(QED, WEIGHT, aggregate=aggregate)(ASPIRIN)
    assert score == pytest.approx(expected(a, b), rel=1e-12)


def test_a_score_carries_its_components_and_is_a_float_through_a_pickle():
    objective = pickle.loads(pickle.dumps(combine(QED, WEIGHT)))
    score = pickle.loads(pickle.dumps(objective(ASPIRIN)))
    assert isinstance(score, float)
    assert score == objective(MolFromSmiles(ASPIRIN))
    names, values, desirabilities = zip(*score.components, strict=True)
    assert names == ("qed", "molecular_weight")
    assert values[1] == describe(ASPIRIN, "molecular_weight")
    assert desirabilities == (values[0], values[1] / 400)


def test_a_factor_multiplies_the_mean():
    ring = Component(Substructure("c1ccccc1"), factor=True)
    plain, kept = combine(QED, WEIGHT), combine(QED, WEIGHT, ring)
    assert kept(ASPIRIN) == plain(ASPIRIN)
    assert kept("CCO") == 0 < plain("CCO")
    assert combine(ring)(ASPIRIN) == 1
    half = Component(Substructure("c1ccccc1"), Linear(-1, 1), factor=True)
    assert combine(QED, half)("CCO") == pytest.approx(0.5 * describe("CCO", "qed"))


def test_a_weight_of_0_records_and_does_nothing_else():
    noted = Component(Property("logp"), weight=0)
    score = combine(QED, noted)("C")
    assert score == describe("C", "qed")
    assert score.components[1][:2] == ("logp", describe("C", "logp"))


@pytest.mark.parametrize("name", ["osimertinib", "deco_hop"])
def test_an_objective_of_guacamol_is_its_own_composite(name):
    """The same terms, put together here."""
    goal = GOALS[name]
    terms = [Component(m, t, name=str(i)) for i, (m, t) in enumerate(goal.terms)]
    objective = combine(*terms, aggregate=f"{goal.mean}_mean")
    assert objective(ASPIRIN) == guacamol(name)(ASPIRIN) == combine(Component(Goal(name)))(ASPIRIN)


def test_zero_is_zero_under_any_weights():
    absent = Component(Substructure("Br"), weight=0.3)
    assert combine(QED, absent)(ASPIRIN) == 0
    assert combine(QED, absent, aggregate="product")(ASPIRIN) == 0


def test_no_alert_is_1_and_any_is_0_unless_told_otherwise():
    quinone = "O=C1C=CC(=O)C=C1[N+](=O)[O-]"
    assert combine(Component(AlertCount("brenk")))(quinone) == 0
    assert combine(Component(AlertCount("brenk")))("CCO") == 1
    assert combine(Component(AlertCount("brenk"), Linear(6, 0)))(quinone) == 0.5


def test_functions_and_programs_get_the_smiles():
    own = Component(OfSmiles(len), Linear(0, 100), name="length")
    program = Component(OfSmiles(Command(("printf", "0.25 # {}"))), name="program")
    with pytest.raises(ValueError, match=r"answered '0.25 # \S+', which is not a number"):
        combine(own, program)(ASPIRIN)
    assert combine(own)(ASPIRIN) == len(ASPIRIN) / 100
    assert combine(own)(MolFromSmiles(ASPIRIN)) == len(ASPIRIN) / 100


def test_a_molecule_that_the_filter_stops_is_not_scored():
    called = []
    own = Component(OfSmiles(lambda smiles: called.append(smiles) or 1.0), name="own")
    objective = combine(own, filter=molecule_filter(require="c1ccccc1"))
    with pytest.raises(ValueError, match="lacks c1ccccc1"):
        objective("CCO")
    assert called == []
    assert objective(ASPIRIN) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: combine(), "give at least one component"),
        (lambda: combine(Component(Property("qed"), weight=0)), "a weight above 0"),
        (lambda: combine(QED, QED), "two have the name 'qed'"),
        (lambda: combine(QED, aggregate="mean"), "aggregate = 'mean': give one of geometric_mean"),
        (lambda: combine(Component(Property("logp"))), "'logp' has no transform: a geometric mean"),
        (lambda: combine(QED, Component(Property("sa"), factor=True)), "'sa' .* a factor needs"),
        (lambda: combine(Component(Substructure("C", count=True))), "'C' has no transform"),
        (lambda: Component(Property("qed"), weight=-1), "weight = -1: give a number of at least 0"),
        (lambda: Component(Property("qed"), weight=math.nan), "weight = nan"),
        (lambda: combine(Component(Goal("osmb2"))), "no GuacaMol objective 'osmb2'"),
        (
            lambda: combine(Component(OfSmiles(lambda s: -1.0), name="dock"))("C"),
            "'dock' is -1: a geometric mean needs values of at least 0: give it a transform",
        ),
        (
            lambda: combine(Component(OfSmiles(lambda s: math.nan), name="dock"))("C"),
            "component 'dock' is nan",
        ),
    ],
)
def test_what_cannot_be_put_together_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_sum_takes_raw_properties():
    objective = combine(
        Component(Property("logp")), Component(Property("sa"), weight=2), aggregate="sum"
    )
    expected = describe(ASPIRIN, "logp") + 2 * describe(ASPIRIN, "sa")
    assert objective(ASPIRIN) == pytest.approx(expected)


def test_what_is_measured_changes_the_digest_of_an_objective():
    """By which a run that is resumed knows its objective again."""
    objectives = [
        combine(Component(Property(name), Window(0, 1, 1), name="same")) for name in ("logp", "sa")
    ]
    first, second = map(code_digest, objectives)
    again = combine(Component(Property("logp"), Window(0, 1, 1), name="same"))
    assert first != second
    assert code_digest(again) == first


def test_names_come_from_the_measures():
    one = [
        Property("tpsa"),
        Similarity("CCO"),
        Substructure("[OH]"),
        AlertCount("nih"),
        Goal("osmb"),
    ]
    names = [Component(measure, Window(0, 1, 1)).name for measure in one]
    assert names == ["tpsa", "similarity", "[OH]", "nih alerts", "osimertinib"]
    assert Component(OfSmiles(len)).name == "len"
    assert Component(Property("qed")).transform == Plain()
    assert Component(Property("qed"), Gaussian(1, 1)) != Component(Property("qed"))


@pytest.mark.parametrize(
    ("measure", "transform"),
    [
        (Property("logp"), Inverse()),
        (Property("qed", minus="CCO"), None),
        (Property("qed", minus="CCO"), Inverse()),
        (Substructure("[OH]", count=True), Inverse()),
    ],
)
def test_what_is_not_in_0_to_1_needs_a_transform_that_makes_it_so(measure, transform):
    with pytest.raises(ValueError, match=r"needs values in \[0, 1\]: give it one"):
        combine(Component(measure, transform))
    combine(Component(measure, transform), aggregate="sum")
    combine(Component(Property("qed"), Inverse()))
