"""Molecules from a file to a trained model to a run: small, and real in every part."""

import csv
import dataclasses
import json
import re
import shlex
import shutil
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("rdkit")

from rdkit import Chem

import wrlso
from wrlso import methods, run
from wrlso.chem.composite import Component, OfSmiles, combine
from wrlso.chem.descriptors import describe
from wrlso.chem.export import distances
from wrlso.chem.measures import Property
from wrlso.chem.molecule import canonical
from wrlso.chem.ringtree.learn import learn_vocabulary
from wrlso.chem.scores import penalized_logp
from wrlso.chem.spelling import RowAccept, Spelling
from wrlso.cli.main import main
from wrlso.cli.options import parse_run_options
from wrlso.models.vae import decode_all
from wrlso.results.record import task_of
from wrlso.results.tables import comparison_table
from wrlso.runs import molecule_training
from wrlso.runs.folder import RunFolder
from wrlso.runs.molecule_training import train_molecules
from wrlso.status import Status
from wrlso.tasks import TASKS
from wrlso.tasks.molecule import base_data
from wrlso.tasks.molecule.model import load_model, model_digest, save_model
from wrlso.tasks.molecule.task import SHIPPED, _warn_once, molecules
from wrlso.tasks.molecule.training import Settings
from wrlso.tasks.molecule.vae import Sizes

pytestmark = pytest.mark.usefixtures("rolled_loops")

SMALL = Sizes(
    latent_dim=4, embedding=8, encoder_units=8, decoder_units=16, rank=8, category=4, properties=2
)


def series():
    """Alcohols, amines, chlorides and aromatics of all lengths."""
    chains = [f"{'C' * n}{end}" for n in range(1, 13) for end in ("O", "N", "Cl", "C(=O)O")]
    return chains + [f"c1ccccc1{'C' * n}{end}" for n in range(8) for end in ("", "O", "N")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("molecules")
    (folder / "series.smi").write_text("\n".join([*series(), "no molecule", "OCC"]) + "\n")
    settings = Settings(steps=30, batch_size=16, held_out=0.2, warmup=5, beta=0.3)
    arguments = folder / "series.smi", folder / "model.safetensors", settings
    card = train_molecules(*arguments, sizes=SMALL, workers=1, progress=False)
    return folder, card, arguments


def spelling_of(folder):
    model = load_model(folder / "model.safetensors")
    return Spelling(model.vocabulary, model.length)


def test_a_model_file_holds_all_that_a_task_needs(trained):
    folder, card, arguments = trained
    assert card["molecules"] == len(series())
    assert card["held_out"] == int(0.2 * len(series()))
    assert 0 <= card.pop("held_out_reconstructed") <= 1
    model = load_model(folder / "model.safetensors")
    assert {name: json.loads(text) for name, text in model.card.items()} == card
    assert model.sizes == SMALL
    assert model.kl_weight == 0.3
    task = small_task(folder)
    assert task.retrain.beta == 0.3
    assert task.load_data().objects.dtype == np.uint16
    # Trained to the end: the same again, in no time.
    again = train_molecules(*arguments, sizes=SMALL, workers=1, progress=False)
    assert again == {**card, "held_out_reconstructed": again["held_out_reconstructed"]}
    assert model_digest(load_model(folder / "model.safetensors")) == model_digest(model)


def small_task(folder, **changes):
    arguments = dict(
        model=str(folder / "model.safetensors"),
        data=str(folder / "series.smi"),
        max_heavy_atoms=14,
        workers=2,
    )
    task = molecules(**(arguments | changes))
    surrogate = dataclasses.replace(task.bo.surrogate, best=20, random=20, inducing=10)
    bo = dataclasses.replace(
        task.bo, surrogate=surrogate, starts=4, candidates=24, candidates_per_query=0, evaluations=5
    )
    return dataclasses.replace(task, bo=bo)


def small_run(task, out, budget, seeds):
    method = methods.weighted_retraining(k=1e-2, retrain_every=4)
    return run(task, method, out=out, budget=budget, seeds=seeds, progress=False)


def test_a_run_finds_different_molecules_within_the_limits(trained, tmp_path):
    folder, *_ = trained
    task = small_task(folder)
    result = small_run(task, tmp_path / "run", budget=8, seeds=2)
    spelling = spelling_of(folder)
    base = {spelling.smiles(row) for row in np.asarray(task.load_data().objects)}
    assert len(base) == len(task.load_data().scores)
    for seed in range(2):
        queries = [q for q in result.queries() if q.seed == seed]
        scored = [q for q in queries if q.status == Status.OK]
        smiles = [spelling.smiles(np.frombuffer(q.object, np.uint16)) for q in scored]
        assert len({*smiles} | base) == len(smiles) + len(base)
        assert [q.score for q in scored] == pytest.approx([penalized_logp(s) for s in smiles])
        failed = [q for q in queries if q.status == Status.FAILED]
        assert all("heavy atoms" in q.reason for q in failed)
        assert result.summary["seeds"][seed]["best_object"] in smiles
    said = "molecules (objective = penalized_logp, max_heavy_atoms = 14)"
    assert said in result.table()
    assert said in comparison_table([result.summary])
    drawn = {path.stem for path in result.save_figures(task, host_samples=5)}
    assert {"best_objects", "prior_samples"} <= drawn


@pytest.mark.slow
def test_without_a_file_a_run_begins_with_samples_of_the_prior(trained, monkeypatch):
    folder, *_ = trained
    monkeypatch.setattr(base_data, "_SAMPLED", 24)
    task = small_task(folder, data=None)
    base = task.load_data()
    spelling = spelling_of(folder)
    smiles = [spelling.smiles(row) for row in np.asarray(base.objects)]
    assert 0 < len(smiles) == len(set(smiles)) <= 24
    np.testing.assert_allclose(base.scores, [penalized_logp(s) for s in smiles], rtol=1e-6)
    again = task.load_data()
    np.testing.assert_array_equal(again.objects, base.objects)


@pytest.mark.slow
def test_base_molecules_that_cannot_be_scored_are_left_out(trained, tmp_path, caplog):
    folder, *_ = trained

    def objective(smiles):
        if "Cl" in smiles:
            raise KeyError("no chlorine")
        return -100.0 - len(smiles)

    assert len(small_task(folder, objective=objective).load_data().scores) < 50
    task = small_task(folder, objective=objective, initial=71)
    base = task.load_data()
    fits = [s for s in series() if s != "C" * 13 + "(=O)O"]  # within the limit of 14 atoms
    assert len(base.scores) == len([s for s in fits if "Cl" not in s])
    assert "12 of 71 molecules have no score" in caplog.text
    assert task.options["objective"] == "function objective"
    # A failure is no better than the worst of them.
    assert task.bo.surrogate.penalty == "lowest"
    with pytest.raises(ValueError, match="initial = 71 evaluations of starting data leave nothing"):
        small_run(task, tmp_path / "run", budget=71, seeds=1)
    result = small_run(task, tmp_path / "run", budget=75, seeds=1)
    assert result.summary["charged_evaluations"] == 71 + result.summary["seeds"][0]["charged"] <= 75
    with pytest.raises(ValueError, match="pass the task that it began with"):
        result.plot("weights")
    with pytest.raises(ValueError, match="none of the 71 molecules of the base data has a score"):
        small_task(folder, objective=lambda smiles: None, initial=71).load_data()


QED_ALONE = combine(Component(Property("qed")))
FILE = """[[component]]
property = "qed"
"""


@pytest.mark.parametrize(
    ("objective", "initial"),
    [
        ("qed", 0),
        (FILE, 0),
        (QED_ALONE, 0),
        (FILE + "[[component]]\ncommand = 'echo 1'\n", 50),
        (combine(Component(Property("qed")), Component(OfSmiles(len))), 50),
        (len, 50),
    ],
    ids=["a name", "a file", "in Python", "a file with a program", "with a function", "a function"],
)
def test_starting_data_are_charged_where_anything_is_the_users_own(objective, initial, tmp_path):
    if isinstance(objective, str) and "component" in objective:
        (tmp_path / "objective.toml").write_text(objective)
        objective = str(tmp_path / "objective.toml")
    task = wrlso.tasks.molecules(objective)
    assert task.initial == initial
    assert ("built in, not charged" in task.starting) == (initial == 0)


def test_scores_of_a_table_are_taken_as_they_are(trained, tmp_path):
    table = tmp_path / "measured.csv"
    lines = [f"{i},{smiles},{i / 2}" for i, smiles in enumerate(series())]
    table.write_text("\n".join(["id,canonical_smiles,pIC50", *lines]))
    task = small_task(
        trained[0],
        data=str(table),
        column="canonical_smiles",
        score_column="pic50",
        objective=lambda smiles: 1 / 0,
    )
    fits = [i for i, s in enumerate(series()) if s != "C" * 13 + "(=O)O"]
    np.testing.assert_array_equal(task.load_data().scores, np.array(fits) / 2)
    with pytest.raises(ValueError, match="say how a table is read: give it as data"):
        small_task(trained[0], data=None, column="canonical_smiles")


def test_the_task_is_found_by_name(trained):
    """Also after its module was imported, which is not of that name."""
    task = TASKS["molecules"](model=str(trained[0] / "model.safetensors"))
    assert task.name == "molecules"
    assert task.options["max_heavy_atoms"] == 38


@pytest.fixture(scope="module")
def spelling():
    return Spelling(learn_vocabulary([*series(), *series()]), 12)


def test_every_spelling_becomes_one(spelling):
    own = spelling.row("OCC")
    number = spelling.vocabulary.number
    spelled = [number[part] for part in ("C", (0, 0, 1), "C", (5, 0, 1), (0, 0, 1), "O", (5, 0, 1))]
    # Every node is spelled: its template, entry and children, and the symbol that closes it.
    row = np.zeros(12, np.uint16)
    row[:10] = [*spelled[:2], 1, *spelled[2:5], 1, *spelled[5:], 1]
    assert spelling.smiles(row) == spelling.smiles(own) == "CCO"
    assert (row != own).any()
    np.testing.assert_array_equal(spelling.canonical(row), own)
    np.testing.assert_array_equal(spelling.canonical(own), own)
    with pytest.raises(ValueError, match="without atoms"):
        spelling.canonical(np.zeros(12, np.uint16))
    # What has no row of its own stays as it is.
    short = Spelling(spelling.vocabulary, 1)
    np.testing.assert_array_equal(short.canonical(row), row)
    with pytest.raises(ValueError, match="symbols, more than 1"):
        short.row("CCO")
    with pytest.raises(ValueError, match=r"no template for \[SiH4\]"):
        spelling.row("C[SiH3]")


def test_molecules_are_drawn_in_ink_on_white(spelling):
    images = spelling.pictures(np.stack([spelling.row("CCO"), spelling.row("c1ccccc1")]))
    assert images.shape == (2, 300, 300, 3)
    # White with some ink; another molecule is another picture.
    assert 0.8 < images.mean() < 1
    assert np.abs(images[0] - images[1]).max() > 0.5
    assert spelling.pictures(np.zeros((0, 12), np.uint16)).shape == (0, 300, 300, 3)


@pytest.fixture(scope="module")
def composite_run(trained, tmp_path_factory):
    """A run of an objective of a file that is gone when the run begins."""
    folder, out = trained[0], tmp_path_factory.mktemp("composite")
    named = [f"{smiles}\tID{i}" for i, smiles in enumerate(series())]
    (out / "named.smi").write_text("\n".join(named) + "\n")
    file = out / "sizes.toml"
    file.write_text("""
        [[component]]
        property = "heavy_atoms"
        transform = {type = "linear", at_0 = 0, at_1 = 40}
        [[component]]
        substructure = 'O'
        weight = 0
        [filter]
        max_heavy_atoms = 12
    """)
    task = small_task(folder, objective=str(file), data=str(out / "named.smi"))
    file.unlink()
    return task, small_run(task, out / "run", budget=8, seeds=1)


@pytest.mark.slow
def test_the_components_of_an_objective_of_a_file_are_logged(composite_run):
    task, result = composite_run
    components = result.components()
    scored = [q for q in result.queries() if q.status == Status.OK]
    assert len(scored) == len(components) > 0
    for query in scored:
        mol = Chem.MolFromSmiles(task.to_text(np.frombuffer(query.object, np.uint16)))
        size, oxygen = components[query.seed, query.round, query.index]
        assert size == ("heavy_atoms", mol.GetNumHeavyAtoms(), mol.GetNumHeavyAtoms() / 40)
        found = float(mol.HasSubstructMatch(Chem.MolFromSmarts("O")))
        assert oxygen == ("O", found, found)
        assert query.score == pytest.approx(size.desirability)
        assert size.value <= 12
    assert task_of(result.folder.config).stated == task.stated
    assert "objective = sizes" in result.table()


@pytest.mark.slow
def test_the_best_molecules_are_exported(composite_run, tmp_path, capsys):
    _, result = composite_run
    run_folder = str(result.folder.path)
    best = result.best_objects(None)
    assert best == sorted(best, key=lambda one: -one.score)
    assert len({one.text for one in best}) == len(best) > 2
    for ending in ("csv", "sdf", "smi"):
        assert main(["export", run_folder, str(tmp_path / f"best.{ending}"), "--top", "2"]) == 0
    assert "2 objects: " in capsys.readouterr().out
    with (tmp_path / "best.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["smiles"] for row in rows] == [one.text for one in best[:2]]
    mols = list(Chem.SDMolSupplier(str(tmp_path / "best.sdf")))
    lines = (tmp_path / "best.smi").read_text().splitlines()
    starts = {name: smiles for smiles, name in (x.split("\t") for x in named_lines(result))}
    for row, mol, line in zip(rows, mols, lines, strict=True):
        assert Chem.MolToSmiles(mol) == row["smiles"]
        assert line == f"{row['smiles']}\t{row['name']}"
        assert mol.GetProp("_Name") == row["name"]
        assert float(row["logp"]) == pytest.approx(describe(mol, "logp"), rel=1e-6)
        assert float(mol.GetProp("heavy_atoms")) == mol.GetNumHeavyAtoms()
        assert canonical(starts[row["start"]]) == row["start smiles"] == mol.GetProp("start smiles")
        assert 0 < float(row["start similarity"]) <= 1


def named_lines(result):
    return open(result.folder.config.task_options["data"]).read().splitlines()


@pytest.mark.slow
def test_diverse_molecules_are_farther_apart_and_hold_the_best(composite_run):
    _, result = composite_run
    plain, diverse = result.best_objects(3), result.best_objects(3, diverse=True)
    assert len(diverse) == 3
    assert diverse[0].text == plain[0].text

    def closest(found):
        apart = distances([one.text for one in found])
        return apart[~np.eye(3, dtype=bool)].min()

    assert closest(diverse) >= closest(plain)


@pytest.mark.slow
def test_a_table_of_pandas_has_every_query(composite_run):
    _, result = composite_run
    table = result.to_dataframe()
    assert len(table) == len(result.queries())
    scored = table[table.status == "OK"]
    assert (scored["heavy_atoms desirability"] * 40 == scored["heavy_atoms"]).all()
    atoms = [Chem.MolFromSmiles(smiles).GetNumHeavyAtoms() for smiles in scored.object]
    assert (scored["heavy_atoms"] == atoms).all()
    assert scored.latent.iloc[0].shape == (SMALL.latent_dim,)


@pytest.mark.slow
def test_objects_are_exported_where_the_objective_is_a_function_and_the_data_have_moved(
    composite_run, tmp_path, capsys
):
    _, result = composite_run
    moved = tmp_path / "moved"
    shutil.copytree(result.folder.path, moved)
    folder = RunFolder(moved)
    gone = {"objective": "function chlorines", "data": "/gone/mine.smi"}
    options = {**folder.config.task_options, **gone}
    folder.config = dataclasses.replace(folder.config, task_options=options)
    folder.save_config()
    assert main(["report", str(moved), "--csv", str(tmp_path / "all.csv")]) == 0
    with (tmp_path / "all.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(result.queries())
    expected = result.to_dataframe()
    assert [row["object"] for row in rows] == expected.object.tolist()
    assert all(row["object"] for row in rows)
    assert {row["heavy_atoms"] for row in rows if row["status"] == "OK"} == {
        f"{value}" for value in expected["heavy_atoms"].dropna()
    }
    assert main(["export", str(moved), str(tmp_path / "best.csv")]) == 0
    assert "start" not in (tmp_path / "best.csv").read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("file", "message"),
    [("best.xlsx", "give a file that ends in .csv, .sdf, .smi"), ("best", "give a file that ends")],
)
@pytest.mark.slow
def test_what_cannot_be_exported_is_refused(composite_run, tmp_path, capsys, file, message):
    _, result = composite_run
    assert main(["export", str(result.folder.path), str(tmp_path / file)]) == 2
    assert message in capsys.readouterr().err
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        result.best_objects(0)


@pytest.mark.parametrize(
    ("changes", "caution"),
    [
        ({"max_heavy_atoms": None}, "penalized_logp"),
        ({"max_heavy_atoms": None, "max_weight": 500}, None),
        ({"max_heavy_atoms": None, "objective": "qed"}, None),
        ({}, None),
        (
            {
                "max_heavy_atoms": None,
                "objective": {"aggregate": "sum", "component": [{"property": "bertz"}]},
            },
            "bertz",
        ),
        (
            {
                "max_heavy_atoms": None,
                "objective": {
                    "aggregate": "sum",
                    "component": [{"property": "bertz"}],
                    "filter": {"windows": {"molecular_weight": [None, 500]}},
                },
            },
            None,
        ),
    ],
)
def test_a_score_that_grows_with_size_without_limit_is_warned_of(trained, caplog, changes, caution):
    _warn_once.cache_clear()
    task = small_task(trained[0], **changes)
    text = f"{caution} grows with a molecule's size, which has no limit"
    assert task.stated.get("caution") == (text if caution else None)
    assert (text in caplog.text) == (caution is not None)
    assert ("grows" in caplog.text) == (caution is not None)


def test_limits_refuse_with_a_reason(spelling):
    accept = RowAccept(spelling, max_heavy_atoms=3, tests=(lambda smiles: "O" in smiles,))
    assert accept(spelling.row("CCO")) is None
    assert accept(spelling.row("CCCO")) == "4 heavy atoms, more than 3"
    assert accept(spelling.row("CCC")) == "not accepted"


def test_radicals_are_refused(spelling):
    accept = RowAccept(spelling)
    assert accept.judge("CCO") is None
    assert [accept.judge(one) for one in ("C[CH2]", "[O]C", "C[N]C")] == ["unpaired electrons"] * 3


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_no_sample_of_the_prior_is_a_radical(scale):
    """Neither in the prior's shell nor far outside."""
    task = wrlso.tasks.molecules()
    decode = jax.jit(lambda z: decode_all(task.vae, task.params, z))
    for number in range(10):
        key = jax.random.fold_in(jax.random.key(17), number)
        latents = scale * jax.random.normal(key, (1000, task.vae.latent_dim))
        for row in np.asarray(decode(latents)):
            mol = Chem.MolFromSmiles(task.to_text(row))
            assert not any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())


def test_the_size_limit_in_jax_counts_atoms_as_rdkit_does():
    task = wrlso.tasks.molecules(max_heavy_atoms=20)
    latents = jax.random.normal(jax.random.key(5), (64, task.vae.latent_dim))
    rows = np.asarray(decode_all(task.vae, task.params, latents))
    atoms = [Chem.MolFromSmiles(task.to_text(row)).GetNumHeavyAtoms() for row in rows]
    np.testing.assert_array_equal(task.accept(jnp.asarray(rows)), np.array(atoms) <= 20)
    assert 5 < sum(np.array(atoms) <= 20) < 60
    by_host = [task.host_objective.accept(row) for row in rows]
    assert [reason is None for reason in by_host] == [n <= 20 for n in atoms]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "magic"}, "unknown objective 'magic'; there are: penalized_logp, qed"),
        ({"max_heavy_atoms": 0}, "max_heavy_atoms must be at least 1"),
        ({"command": "no-such-program"}, "no program 'no-such-program'"),
        ({"penalty": np.nan}, "penalty must be a finite number"),
        ({"timeout": -1.0}, "timeout must be positive seconds"),
        ({"workers": -1}, "workers must be 0, positive or None"),
    ],
)
def test_arguments_out_of_range_are_refused(trained, changes, message):
    with pytest.raises(ValueError, match=message):
        small_task(trained[0], **changes)


def test_data_that_are_not_there_are_named_at_once(trained):
    with pytest.raises(FileNotFoundError, match=r"data = 'none\.smi': there is no such file"):
        small_task(trained[0], data="none.smi")


def test_a_file_of_another_kind_is_not_taken_for_a_model(trained, tmp_path):
    with pytest.raises(FileNotFoundError, match="no model of molecules at"):
        load_model(tmp_path / "none")
    model = load_model(trained[0] / "model.safetensors")
    save_model(tmp_path / "other", dataclasses.replace(model, params={"a": np.zeros(2)}))
    with pytest.raises(ValueError, match="another model"):
        load_model(tmp_path / "other")
    (tmp_path / "text").write_text("CCO\n")
    with pytest.raises(ValueError, match="is not a model of molecules"):
        load_model(tmp_path / "text")


def test_the_shipped_model_is_small_and_retrained_as_it_was_trained():
    assert SHIPPED.stat().st_size <= 10e6
    task = molecules()
    assert task.retrain.beta == load_model(SHIPPED).kl_weight
    assert (task.retrain.first_steps, task.retrain.steps) == (75, 30)
    assert task.bo.max_norm == pytest.approx(1.4 * np.sqrt(task.vae.latent_dim))


def test_the_command_line_says_what_a_file_holds(trained, capsys):
    path = trained[0] / "series.smi"
    assert main(["data", str(path), "--rejected", str(path.with_suffix(".csv"))]) == 0
    printed = capsys.readouterr().out
    assert f"{len(series())} different molecules in {len(series()) + 2} records" in printed
    assert "1 line repeats a molecule\n1 line rejected" in printed
    assert path.with_suffix(".csv").read_text().split("\n")[1].startswith("73,no,not a molecule,")
    # The model that comes along has no symbol for selenium.
    path.with_name("selenium.smi").write_text("C[Se]C\nCCO\n")
    assert main(["data", str(path.with_name("selenium.smi"))]) == 0
    assert "1 not writable: piece" in capsys.readouterr().out
    assert main(["data", str(path.with_name("selenium.smi")), "--any-model"]) == 0
    assert "2 different molecules" in capsys.readouterr().out
    for words, message in (
        (["--any-model", "--model", str(trained[0] / "model.safetensors")], "give one of the two"),
        (["--max-heavy-atoms", "0"], "max_heavy_atoms must be at least 1, got 0"),
        (["--any-model", "--max-heavy-atoms", "-1"], "max_heavy_atoms must be at least 1, got -1"),
    ):
        assert main(["data", str(path), *words]) == 2
        assert message in capsys.readouterr().err
    assert main(["data", str(path.with_name("none.smi"))]) == 2
    assert "there is no file or folder" in capsys.readouterr().err
    assert main(["data"]) == 0
    assert "249,455" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "C\n",
            r"none of the 1 molecule of data = .*few\.smi can be written; the first, C: .* give",
        ),
        ("CCO\nCC\n", r"data = .*few\.smi has 1 molecule to learn from, .* batch_size = 16: give"),
    ],
)
def test_too_few_molecules_to_train_on_are_refused_by_their_number(tmp_path, content, message):
    (tmp_path / "few.smi").write_text(content)
    with pytest.raises(ValueError, match=message):
        train_molecules(
            tmp_path / "few.smi", tmp_path / "m", Settings(batch_size=16), workers=1, progress=False
        )
    assert not (tmp_path / "m.training").exists()


def test_what_training_drops_can_be_listed_afterwards(tmp_path, caplog):
    data, model = tmp_path / "mine.csv", tmp_path / "model.safetensors"
    large = "C" * 39  # more than a run takes, and no more than a training
    data.write_text("\n".join(["structure", *series(), "C[Se]C", large, large + "O"]) + "\n")
    settings = Settings(steps=1, batch_size=16, warmup=1)
    train_molecules(
        data, model, settings, sizes=SMALL, column="structure", workers=1, progress=False
    )
    dropped, command = re.search(
        r"(\d+) of \d+ molecules .* lists all: wrlso (.*)", caplog.text
    ).groups()
    words = shlex.split(command)
    assert (
        main([str(tmp_path / "list.csv") if one == "rejected.csv" else one for one in words]) == 0
    )
    assert len((tmp_path / "list.csv").read_text().splitlines()) - 1 == int(dropped) > 0


@pytest.mark.slow
def test_the_command_line_trains_and_continues(trained, tmp_path, monkeypatch, capsys):
    small = partial(train_molecules, sizes=SMALL, workers=1)
    monkeypatch.setattr(molecule_training, "train_molecules", small)
    out = tmp_path / "own.safetensors"
    command = ["train", "molecules", "--data", str(trained[0] / "series.smi"), "--out", str(out)]
    command += ["--batch-size", "16", "--beta", "0.5", "--no-progress", "--steps"]
    assert main([*command, "3"]) == 0
    assert "of 3 held-out molecules are reconstructed exactly" in capsys.readouterr().out
    assert load_model(out).kl_weight == 0.5
    assert main([*command, "5"]) == 0
    log = (tmp_path / "own.safetensors.training" / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in log] == ["step", "3", "5"]
    assert main([*command, "5", "--seed", "1"]) == 2
    assert "of another training" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"steps": 1e18}, "steps must be at least 1 and at most 1e.09"),
        ({"decay": 1.5}, "decay must be at least 0 and at most 1, got 1.5"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive and finite, got 0"),
        ({"learning_rate": np.inf}, "learning_rate must be positive and finite, got inf"),
        ({"beta": -0.1}, "beta must be at least 0"),
        ({"beta": np.nan}, "beta must be at least 0.*got nan"),
        ({"held_out": 1.0}, "held_out must be at least 0 and at most 0.9, got 1"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_settings_of_training_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Settings(**settings)


@pytest.mark.parametrize("sizes", [{"latent_dim": 0}, {"rank": 2.5}, {"properties": -1}])
def test_sizes_out_of_range_are_refused(sizes):
    with pytest.raises(ValueError, match="must be a whole number of at least"):
        Sizes(**sizes)


def test_filters_on_the_command_line_are_recorded_and_refuse(spelling):
    argv = ["--out", "none", "--alerts", "pains", "brenk", "--require", "c1ccccc1", "--forbid", "I",
            "[N+](=O)[O-]", "--max-weight", "300"]  # fmt: skip
    options = parse_run_options("molecules", molecules, argv).task
    task = molecules(**options)
    recorded = {name: task.options[name] for name in ("alerts", "require", "forbid", "max_weight")}
    assert recorded == {
        "alerts": ["pains", "brenk"],
        "require": ["c1ccccc1"],
        "forbid": ["I", "[N+](=O)[O-]"],
        "max_weight": 300.0,
    }
    again = molecules(**task.options)
    for smiles, reason in (
        ("CCO", "lacks c1ccccc1"),
        ("Cc1ccccc1", None),
        ("Cc1ccccc1I", "holds I"),
        ("CCCCCCCCCCCCCCCCc1ccccc1", "molecular_weight above 300"),
        ("O=CCc1ccccc1", "brenk alert"),
    ):
        for one in (task, again):
            found = one.host_objective.accept.judge(smiles)
            assert found is None if reason is None else found.startswith(reason)


def test_a_learned_prior_is_recorded_and_made_again():
    task = molecules("qed", learned_prior=True)
    assert task.options["learned_prior"] is True
    assert set(task.params) == {"vae", "flow"}
    again = wrlso.tasks.TASKS["molecules"](**task.options)
    assert set(again.params) == {"vae", "flow"}
    assert "learned_prior" not in molecules("qed").options
    z = jax.random.normal(jax.random.key(0), (3, task.vae.latent_dim))
    plain = molecules("qed")
    found, expected = task.vae.decode(task.params, z), plain.vae.decode(plain.params, z)
    np.testing.assert_array_equal(found, expected)


def test_what_is_told_is_read_in_the_form_of_the_file(tmp_path):
    path = tmp_path / "salts.csv"
    path.write_text("smiles,score\nCC(=O)[O-].[Na+],5\nCS(=O)c1ccccc1,6\n")
    given = dict(objective="measured", data=str(path), score_column="score", workers=1)
    task = molecules(**given, standardize=True)
    known = np.asarray(task.load_data().objects)
    for text in ("CC(=O)[O-].[Na+]", "CC(=O)[O-]", "CC(=O)O", "[2H]OC(C)=O"):
        assert (task.from_text(text) == known).all(1).any()
    for text in ("CS(=O)c1ccccc1", "C[S+]([O-])c1ccccc1"):
        assert (task.from_text(text) == known).all(1).any()
    with pytest.raises(ValueError, match="molecule"):
        task.from_text("no molecule")
    with pytest.raises(ValueError, match="several molecules"):
        molecules(**given).from_text("CC(=O)[O-].[Na+]")
