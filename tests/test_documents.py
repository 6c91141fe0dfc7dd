"""The Python of README and docs, run as written but with fewer queries; and the doctests."""

import doctest
import importlib
import inspect
import operator
import re
from pathlib import Path
from typing import get_args

import jax.numpy as jnp
import optax
import pytest

import wrlso
from wrlso.chem.composite import Aggregate
from wrlso.chem.descriptors import DESCRIPTORS
from wrlso.chem.measures import FINGERPRINTS
from wrlso.chem.objective import OBJECTIVES
from wrlso.chem.objective_file import read_objective
from wrlso.chem.transforms import TRANSFORMS
from wrlso.runs.molecule_training import train_molecules
from wrlso.tasks.molecule.training import Settings
from wrlso.tasks.molecule.vae import Sizes

ROOT = Path(__file__).parents[1]
SMALLER = {
    'if __name__ == "__main__":': "if True:",
    "epochs=30": "epochs=5",
    'out="runs/nnx", budget=20': 'out="runs/nnx", budget=10',
    'out="runs/eqx", budget=20': 'out="runs/eqx", budget=10',
    "budget=100, seeds=2": "budget=24, seeds=2",
    "retrain_every=20": "retrain_every=12",
    # A twentieth of the training.
    "task = wrlso.tasks.shapes()\nmethod": "task = wrlso.tasks.shapes()\n"
    "import dataclasses\n"
    "brief = dataclasses.replace(task.retrain, first_epochs=0.05, epochs=0.05)\n"
    "task = dataclasses.replace(task, retrain=brief)\nmethod",
    "for seed in range(2)": "for seed in range(1)",
    "half_prior(task.vae, 10)": "half_prior(task.vae, 12)",
    'hyper={"temperature": 30.0})': 'hyper={"temperature": 30.0}, retrain_every=12)',
}
TINY_WATCHED = 'out="runs/watched", budget=20, seeds=1, progress=False'
WITH_DOCTESTS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "wrlso").rglob("*.py")
    if ">>>" in path.read_text()
)


def code_of(document: str) -> str:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    code = "\n".join(blocks)
    for written, smaller in SMALLER.items():
        code = code.replace(written, smaller)
    return code


def run_code(document: str, tmp_path, monkeypatch) -> dict:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WRLSO_CACHE", str(tmp_path / "cache"))
    names: dict = {"__name__": "example"}
    exec(compile(code_of(document), document, "exec"), names)
    return names


@pytest.mark.slow
def test_the_own_task_finds_strong_promoters(tmp_path, monkeypatch):
    names = run_code("docs/own-task.md", tmp_path, monkeypatch)
    result, base = names["result"], names["load_data"]()
    assert [len(scores) for scores in result.scores()] == [24, 24]
    assert result.best.mean() > base.scores.mean() + 2 * base.scores.std()
    assert "Best of each seed:\nstarting data: " in result.table()
    assert "\nseed 0: " in result.table()


@pytest.mark.slow
def test_models_in_nnx_and_equinox_run(tmp_path, monkeypatch):
    names = run_code("docs/own-model.md", tmp_path, monkeypatch)
    for folder in ("nnx", "eqx"):
        result = wrlso.Result(tmp_path / "runs" / folder)
        assert [len(scores) for scores in result.scores()] == [10]
    assert names["result"].folder.config.task == "bits-equinox"


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path, monkeypatch):
    names = run_code("docs/tutorial.md", tmp_path, monkeypatch)
    assert (names["result"].best > 400).all()  # better than all starting data
    assert (tmp_path / "python.html").stat().st_size > 1_000_000


REFERENCE = "\n".join(path.read_text() for path in sorted((ROOT / "docs" / "api").glob("*.md")))


@pytest.mark.parametrize("name", [n for n in wrlso.__all__ if n != "__version__"])
def test_the_reference_shows_every_public_name(name):
    """A module is shown whole, or by names of its own."""
    assert re.search(rf"^::: wrlso\.{name}\b", REFERENCE, re.MULTILINE)


def test_every_name_of_the_reference_exists_and_is_documented():
    names = re.findall(r"^::: (wrlso\.\S+)$", REFERENCE, re.MULTILINE)
    assert len(names) > 50
    for name in names:
        found = operator.attrgetter(name.removeprefix("wrlso."))(wrlso)
        assert (inspect.getdoc(found) or "").strip(), name
        if inspect.isclass(found):
            for member, value in vars(found).items():
                is_field = member in vars(found).get("__annotations__", {})
                if inspect.isfunction(value) and not member.startswith("_") and not is_field:
                    assert value.__doc__, f"{name}.{member}"


def test_every_page_is_in_the_navigation():
    listed = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert pages <= set(listed)


@pytest.mark.slow
def test_own_parts_run(tmp_path, monkeypatch):
    names = run_code("docs/own-parts.md", tmp_path, monkeypatch)
    for name, proposer in (("own", "half_prior"), ("pi", "bo")):
        result = wrlso.Result(tmp_path / "runs" / name)
        assert result.folder.config.weighting.startswith("softmax_weights ")
        assert result.folder.config.proposer == proposer
        assert [len(scores) for scores in result.scores()] == [24, 24]
    assert isinstance(names["task"].retrain.make_optimizer(1e-3), optax.GradientTransformation)


@pytest.mark.slow
def test_the_loop_of_ones_own_repeats_the_simulation(tmp_path, monkeypatch):
    names = run_code("docs/jax.md", tmp_path, monkeypatch)
    assert int(names["state"].history.used) == 20
    found = names["state"].history.scores.max()
    assert found == names["best"][0]
    assert names["weights"].tolist()[2] == 0


@pytest.mark.usefixtures("rolled_loops")
def small_model(tmp_path, monkeypatch, **changes):
    """A file of molecules and a small model, as the shipped one takes minutes to retrain.

    Args:
      changes: arguments in a document that the name of the small model is added to.
    """
    smiles = [f"{'C' * n}{end}" for n in range(1, 20) for end in ("Cl", "O", "N")]
    (tmp_path / "mine.smi").write_text("".join(f"{one}\n" for one in smiles))
    settings = Settings(steps=20, batch_size=16, held_out=0.2, warmup=5)
    sizes = Sizes(4, 8, 8, 16, 8, 4, properties=2)
    files = tmp_path / "mine.smi", tmp_path / "small.safetensors"
    train_molecules(*files, settings, sizes=sizes, workers=1, progress=False)
    monkeypatch.setitem(SMALLER, "budget=200", "budget=24")
    monkeypatch.setitem(SMALLER, "initial=50", "initial=20")
    monkeypatch.setitem(SMALLER, "weighted_retraining()", "weighted_retraining(retrain_every=2)")
    for name, value in changes.items():
        monkeypatch.setitem(
            SMALLER, f"{name}={value}", f"{name}={value}, workers=1, model={str(files[1])!r}"
        )


@pytest.mark.slow
def test_the_readme_scores_molecules(tmp_path, monkeypatch):
    small_model(tmp_path, monkeypatch, max_heavy_atoms=30)
    monkeypatch.setitem(SMALLER, 'data="mine.csv"', 'data="mine.smi"')
    monkeypatch.setitem(SMALLER, "budget=100, batch=10", "budget=24")
    names = run_code("README.md", tmp_path, monkeypatch)
    assert 1 <= len(names["result"].scores()[0]) <= 4  # so small a model repeats itself
    assert "objective = function score" in names["result"].table()


@pytest.mark.slow
def test_the_executors_of_the_documentation_give_the_same_run(tmp_path, monkeypatch):
    small_model(tmp_path, monkeypatch, timeout=3600)
    run_code("docs/cluster.md", tmp_path, monkeypatch)
    queries = [
        [(q.latent, q.object, q.score) for q in wrlso.Result(tmp_path / "runs" / name).queries()]
        for name in ("dask", "loky", "submitit")
    ]
    assert len(queries[0]) >= 1
    assert queries[1:] == queries[:1] * 2


def test_the_objectives_of_the_documentation(tmp_path, monkeypatch):
    names = run_code("docs/objectives.md", tmp_path, monkeypatch)
    assert 0 < names["score"] < 1
    assert [one.name for one in names["score"].components] == ["similarity", "logp", "oxygens"]
    assert names["task"].stated["objective"] == "function close to the lead"
    document = (ROOT / "docs/objectives.md").read_text()
    whole, windows = re.findall(r"```toml\n(.*?)```", document, re.DOTALL)
    (tmp_path / "lead.toml").write_text(whole + windows)
    objective = read_objective(tmp_path / "lead.toml")
    assert 0.5 < objective("COc1ccc(NC(C)=O)cc1") < 1
    assert objective("CC(=O)NC1CCC(O)CC1") == 0  # without the scaffold
    with pytest.raises(ValueError, match="logp below 0"):
        objective("OCC(O)CO")
    for known in (*DESCRIPTORS, *TRANSFORMS, *FINGERPRINTS, *OBJECTIVES, *get_args(Aggregate)):
        assert known in document


def test_the_laboratory_asks_and_tells(tmp_path, monkeypatch, capsys):
    run_code("docs/laboratory.md", tmp_path, monkeypatch)
    printed = capsys.readouterr().out
    assert "r0q0" in printed
    assert "4 of 16 asked for, 0 open" in printed
    assert "1 measurements made elsewhere" in printed


@pytest.mark.slow
def test_tensorboard_watches_a_run(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.setitem(SMALLER, 'out="runs/watched", budget=100, seeds=2', TINY_WATCHED)
    names = run_code("docs/hooks.md", tmp_path, monkeypatch)
    assert list((tmp_path / "runs" / "tensorboard").iterdir())
    assert callable(names["report"])


@pytest.mark.parametrize("module", WITH_DOCTESTS)
def test_examples_in_docstrings_hold(module):
    loaded = importlib.import_module(module)
    found = doctest.testmod(loaded, extraglobs={"wrlso": wrlso, "jnp": jnp})
    assert found.attempted
    assert not found.failed
