"""Objectives in TOML files: what is read, what is recorded, and every error by file and key."""

import json
import sys

import pytest

pytest.importorskip("rdkit")

from wrlso.chem.composite import Component, OfSmiles, combine
from wrlso.chem.filters import MoleculeFilter, molecule_filter
from wrlso.chem.measures import AlertCount, Formula, Property, Similarity, Substructure
from wrlso.chem.objective import make_objective
from wrlso.chem.objective_file import from_mapping, read_objective, to_mapping
from wrlso.chem.transforms import DoubleSigmoid, Linear, ReverseSigmoid, ValueMapping

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
FILE = """
aggregate = "arithmetic_mean"

[[component]]
name = "size"
property = "molecular_weight"
transform = {type = "double_sigmoid", low = 200, high = 500, coef_div = 500, coef_si = 20, coef_se = 20}
weight = 0.25

[[component]]
similarity = ['CC(=O)Nc1ccc(O)cc1', 'Oc1ccccc1']
fingerprint = "FCFP6"
counts = false
transform = {type = "linear", at_0 = 0, at_1 = 0.7}

[[component]]
substructure = 'CO'
factor = true
transform = {type = "value_mapping", mapping = {0 = 0.5, 1 = 1.0}}

[[component]]
alerts = ["pains", "Brenk"]

[[component]]
formula = "C9H8O4"

[[component]]
property = "logp"
minus = 'CCO'
transform = {type = "reverse_sigmoid", low = 1, high = 3, k = 0.5}

[[component]]
objective = "osmb"

[filter]
require = "c"
forbid = ['[N+](=O)[O-]', 'Br']
alerts = "nih"
max_weight = 500
min_heavy_atoms = 4

[filter.windows]
tpsa = [20, 140]
qed = [0.2, inf]
"""  # noqa: E501


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "lead.toml"
    path.write_text(FILE)
    return path


def test_a_file_is_the_objective_put_together_in_python(file):
    from wrlso.chem.composite import Goal

    expected = combine(
        Component(
            Property("molecular_weight"), DoubleSigmoid(200, 500, 500, 20, 20), 0.25, name="size"
        ),
        Component(
            Similarity(("CC(=O)Nc1ccc(O)cc1", "Oc1ccccc1"), "FCFP6", counts=False), Linear(0, 0.7)
        ),
        Component(Substructure("CO"), ValueMapping({0: 0.5, 1: 1.0}), factor=True),
        Component(AlertCount(("pains", "brenk"))),
        Component(Formula("C9H8O4")),
        Component(Property("logp", minus="CCO"), ReverseSigmoid(1, 3, 0.5)),
        Component(Goal("osimertinib")),
        aggregate="arithmetic_mean",
        filter=molecule_filter(
            require="c",
            forbid=["[N+](=O)[O-]", "Br"],
            alerts="nih",
            max_weight=500,
            min_heavy_atoms=4,
            windows={"tpsa": (20, 140), "qed": (0.2, None)},
        ),
        name="lead",
    )
    read = read_objective(file)
    assert read == expected
    score = read(ASPIRIN)
    assert score == expected(ASPIRIN) > 0
    assert [one.name for one in score.components] == [
        "size", "similarity", "CO", "pains brenk alerts", "C9H8O4", "logp", "osimertinib",
    ]  # fmt: skip


def test_the_record_of_a_run_makes_the_same_objective(file):
    """Also where the file is gone."""
    made = make_objective(str(file))
    file.unlink()
    stored = json.loads(json.dumps(made.record))
    again = make_objective(stored)
    assert (again.name, again.key, again.penalty) == ("lead", made.key, 0.0)
    assert again.score(ASPIRIN) == made.score(ASPIRIN)
    assert again.filter("CCCO") == made.filter("CCCO") == "lacks c"
    assert to_mapping(from_mapping(stored)) == stored


def test_another_number_is_another_key(file):
    key = make_objective(str(file)).key
    file.write_text(FILE.replace("weight = 0.25", "weight = 0.5"))
    assert make_objective(str(file)).key != key


def test_the_filter_and_the_name_change_no_score(file):
    """So they share the cached scores, and starting molecules that the filter stops keep theirs."""
    made = make_objective(str(file))
    file.write_text(FILE.replace("max_weight = 500", "max_weight = 100") + "\n")
    other = make_objective(str(file.rename(file.with_name("other.toml"))))
    assert (made.key, made.name) == (other.key, "lead")
    assert other.name == "other"
    assert "molecular_weight above 100" in other.filter(ASPIRIN)
    assert other.score(ASPIRIN) == made.score(ASPIRIN)


def test_a_program_is_a_component(tmp_path):
    program = tmp_path / "dock.py"
    program.write_text("import sys; print(-len(sys.argv[1]))")
    file = tmp_path / "dock.toml"
    file.write_text(f"""
[[component]]
command = "{sys.executable} {program}"
transform = {{type = "linear", at_0 = 0, at_1 = -10}}
""")
    made = make_objective(str(file))
    score = made.score("CCO")
    assert (score, score.components) == (0.3, (("dock.py", -3, 0.3),))
    assert make_objective(json.loads(json.dumps(made.record))).key == made.key
    program.write_text("print(-1)")
    assert make_objective(str(file)).key != made.key
    assert made.batch_size == 1


def test_a_python_function_is_known_by_its_code_and_not_recorded():
    def long(smiles):
        return len(smiles)

    made = make_objective(combine(Component(OfSmiles(long), Linear(0, 9))))
    assert made.record == made.name == "function composite"
    with pytest.raises(ValueError, match="which the record of a run cannot hold: pass the task"):
        make_objective(made.record)
    other = make_objective(combine(Component(OfSmiles(lambda s: 1), Linear(0, 9), name="long")))
    assert other.key != made.key


REFUSED = [
    ("", "", "there is no component: write a table"),
    (FILE, "aggregat = 'sum'\n" + FILE, "there is no key aggregat .*did you mean aggregate"),
    ("arithmetic_mean", "mean", "aggregate = 'mean': give one of geometric_mean, .*"),
    ("weight = 0.25", "weight = '0.25'", r"component 1 \('size'\): weight = '0.25': give a number"),
    ("weight = 0.25", "weight = -1", r"component 1 \('size'\): weight = -1: give a number of at"),
    ("weight = 0.25", "weight = inf", "weight = inf: give a number"),
    ("weight = 0.25", "wieght = 1", "there is no key wieght .*did you mean weight"),
    ("low = 200,", "", "transform: double_sigmoid needs low: give a number"),
    ("low = 200", "low = 900", "transform: low = 900 and high = 500: low must not be above"),
    ("low = 200", "low = true", "transform.low = True: give a number"),
    ('"double_sigmoid"', '"dubble"', "transform.type = 'dubble': give one of plain, .*"),
    ("{0 = 0.5, 1 = 1.0}", "{a = 0.5}", "mapping: a = 0.5: give numbers"),
    ('"molecular_weight"', '"mw"', "property = 'mw': there is no such property.* molecular_weight"),
    ("'Oc1ccccc1'", "'Oc1cccc'", "component 2: 'Oc1cccc' is not a molecule"),
    ('"FCFP6"', '"FCFP7"', "component 2: fingerprint = 'FCFP7': there is no such fingerprint"),
    ("counts = false", "counts = 0", "counts = 0: give true or false"),
    ("'CO'", "'C('", r"component 3: substructure = 'C\(' is not a SMARTS pattern"),
    ('"Brenk"', '"Brank"', "component 4: alerts = 'Brank': there is no such catalogue"),
    ("C9H8O4", "C9H8Q4", "component 5: formula = 'C9H8Q4'"),
    ('"osmb"', '"osma"', "component 7: no GuacaMol objective 'osma'"),
    ('objective = "osmb"', "weight = 2", "component 7 measures nothing: give exactly one of"),
    ('objective = "osmb"', 'objective = "osmb"\nformula = "C"', "has formula and objective|has ob"),
    ("max_weight = 500", "max_weigth = 500", "filter: there is no key max_weigth"),
    ("max_weight = 500", "max_weight = -5", "filter: max_weight must be a positive number"),
    ('require = "c"', 'require = "c1"', "filter: require = 'c1' is not a SMARTS"),
    ("[20, 140]", "[140, 20]", "filter: windows: no tpsa is at least 140 and at most 20"),
    ("[20, 140]", "20", r"filter.windows.tpsa = 20: give the lowest and the highest"),
    ("min_heavy_atoms = 4", "min_heavy_atoms = 4.5", "min_heavy_atoms = 4.5: give a whole number"),
    ('aggregate = "arithmetic_mean"', "[scoring]", "looks like a file of REINVENT"),
    ('"arithmetic_mean"', "arithmetic_mean", "is not TOML: .*line 2.*put texts in quotes"),
    ('property = "logp"', 'property = "sa"\nname = "size"', "two have the name 'size'"),
]


@pytest.mark.parametrize(("old", "new", "message"), REFUSED)
def test_errors_name_file_key_value_and_remedy(file, old, new, message):
    text = FILE.replace(old, new) if old else new
    assert text != FILE
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read_objective(file)
    assert str(error.value).startswith(str(file))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        make_objective(str(tmp_path / "none.toml"))


def test_another_encoding_is_named(file):
    file.write_bytes(FILE.replace("size", "Größe").encode("latin-1"))
    with pytest.raises(ValueError, match="is not UTF-8"):
        read_objective(file)


@pytest.mark.parametrize(
    "limits",
    [
        "max_weight = 500\n[filter.windows]\nmolecular_weight = [200, inf]",
        "max_weight = 500\n[filter.windows]\nheavy_atoms = [10, 30]\nlogp = [0, 3]\nqed = [0, 1]",
        "max_heavy_atoms = 30\nmin_heavy_atoms = 4\n[filter.windows]\nheavy_atoms = [10, 40]",
    ],
)
def test_a_filter_is_the_same_after_its_record(limits, tmp_path):
    path = tmp_path / "objective.toml"
    path.write_text(f"[[component]]\nproperty = 'qed'\n[filter]\n{limits}\n")
    one = read_objective(path)
    content = json.loads(json.dumps(to_mapping(one)))
    assert from_mapping(content) == one
    assert to_mapping(from_mapping(content)) == content


def test_a_filter_of_a_function_has_no_record():
    passes = MoleculeFilter((lambda mol: None,))
    assert to_mapping(combine(Component(Property("qed")), filter=passes)) is None
    with pytest.raises(ValueError, match="is no filter: make one with molecule_filter"):
        combine(Component(Property("qed")), filter=lambda smiles: None)
