"""Several methods side by side."""

import numpy as np
import pytest

from tests.builders import METHOD, SWEPT, Killed, host_task, make_tiny_task, tiny_sweep
from wrlso import methods, resume, run
from wrlso.runs.compiled import CompiledOnce
from wrlso.runs.folder import RunFolder

pytestmark = pytest.mark.usefixtures("strict_modes")


@pytest.mark.slow
def test_a_sweep_makes_the_runs_that_its_methods_make_alone(tmp_path, monkeypatch):
    """Three differ in k only: one program; the fourth is another."""
    compiled = []
    original = CompiledOnce.__init__

    def counted(self, name, *args):
        compiled.append(name)
        original(self, name, *args)

    monkeypatch.setattr(CompiledOnce, "__init__", counted)
    results = tiny_sweep(tmp_path / "sweep")
    assert compiled.count("retrain") == 2
    assert [result.summary["side_by_side"] for result in results.values()] == [3, 3, 3, 1]
    assert "of the time of 3 runs side by side" in results["k=1"].table()
    for name, method in SWEPT.items():
        alone = run(
            make_tiny_task(), method, out=tmp_path / name, budget=12, proposer="prior", seeds=3,
            progress=False,
        )  # fmt: skip
        assert results[name].queries() == alone.queries()
        assert results[name].summary["seeds"] == alone.summary["seeds"]
    # Read, not run again.
    again = tiny_sweep(tmp_path / "sweep")
    assert compiled.count("retrain") == 6
    assert again["k=1"].summary == results["k=1"].summary


@pytest.mark.parametrize("saved_before", [0, 1, 2, 3, 4])
def test_a_killed_sweep_goes_on(tmp_path, monkeypatch, saved_before):
    """Also where some of its runs have a checkpoint that others lack."""
    settings = {name: SWEPT[name] for name in ("k=0.01", "k=1", "uniform")}
    whole = tiny_sweep(tmp_path / "whole", settings)
    original = RunFolder.save_checkpoint
    saved = []

    def dies(self, done, state, durable):
        if len(saved) == saved_before:
            raise Killed
        saved.append(done)
        original(self, done, state, durable)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save_checkpoint", dies)
        with pytest.raises(Killed):
            tiny_sweep(tmp_path / "sweep", settings)
    resumed = tiny_sweep(tmp_path / "sweep", settings)
    for name in settings:
        assert resumed[name].queries() == whole[name].queries()


@pytest.mark.slow
def test_runs_of_a_sweep_that_stand_apart_go_on_apart(tmp_path, monkeypatch):
    """One is killed at the end of its second round; then others join. None is begun anew, and
    none keeps a state beyond the queries that its log has."""
    whole = tiny_sweep(tmp_path / "whole", SWEPT)
    original, saved = RunFolder.save_checkpoint, []

    def dies_after(count):
        def save(self, done, state, durable):
            original(self, done, state, durable)
            saved.append((self.path.name, done))
            if len(saved) == count:
                raise Killed

        return save

    for names, count in ((["k=0.01"], 2), (list(SWEPT), 2), (["k=1", "k=0.01"], 1)):
        saved.clear()
        with monkeypatch.context() as patch:
            patch.setattr(RunFolder, "save_checkpoint", dies_after(count))
            with pytest.raises(Killed):
                tiny_sweep(tmp_path / "sweep", {name: SWEPT[name] for name in names})
    assert saved == [("k=1", 2)]
    resumed = tiny_sweep(tmp_path / "sweep", SWEPT)
    for name in SWEPT:
        assert resumed[name].queries() == whole[name].queries()


@pytest.mark.slow
def test_a_sweep_with_an_objective_on_the_host(tmp_path):
    """Every lane is answered into the log of its own run; one run of it can be resumed alone."""
    asked = []

    def objective(thing):
        asked.append(bytes(thing))
        if len(asked) == 31:
            raise Killed
        return float(np.unpackbits(thing).sum())

    settings = {name: SWEPT[name] for name in ("k=0.01", "k=1")}
    whole = tiny_sweep(tmp_path / "whole", settings)
    with pytest.raises(Killed):
        tiny_sweep(tmp_path / "sweep", settings, host_task(objective))
    alone = resume(tmp_path / "sweep" / "k=1", task=host_task(objective), progress=False)
    assert alone.queries() == whole["k=1"].queries()
    rest = tiny_sweep(tmp_path / "sweep", settings, host_task(objective))
    assert rest["k=0.01"].queries() == whole["k=0.01"].queries()
    # Nothing that was answered was asked again.
    assert len(asked) == 2 * 3 * 12 + 1


def test_sweeps_into_folders_of_other_runs_are_refused(tmp_path):
    tiny_sweep(tmp_path / "sweep", {"a": METHOD})
    with pytest.raises(ValueError, match="a holds another run"):
        tiny_sweep(tmp_path / "sweep", {"a": SWEPT["k=1"]})
    with pytest.raises(ValueError, match="a holds another run"):
        tiny_sweep(tmp_path / "sweep", {"a": METHOD}, budget=13)
    with pytest.raises(ValueError, match=r"'\.\./b' cannot name a folder"):
        tiny_sweep(tmp_path / "sweep", {"../b": METHOD})
    with pytest.raises(ValueError, match=r"'\.\.' cannot name a folder"):
        tiny_sweep(tmp_path / "sweep", {"..": METHOD})
    whole_number = methods.weighted_retraining(k=1, retrain_every=4)
    for _ in range(2):
        assert tiny_sweep(tmp_path / "sweep", {"whole": whole_number})["whole"].best.shape == (3,)
    with pytest.raises(ValueError, match="above budget"):
        tiny_sweep(tmp_path / "new", {"a": METHOD, "b": methods.retrain_only(50)})
    assert not (tmp_path / "new").exists()
