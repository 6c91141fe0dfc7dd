"""Every file of a run's folder, damaged in every way: detected by its name, or without effect."""

import shutil
from contextlib import closing

import jax
import numpy as np
import pytest

import wrlso
from tests.builders import (
    METHOD,
    Killed,
    count_bits_on_host,
    host_task,
    make_tiny_task,
    tiny_bo,
    tiny_run,
)
from tests.damage import damages
from wrlso import resume
from wrlso.runs.folder import RunFolder
from wrlso.runs.rows import COLUMNS, columns_of
from wrlso.runs.session import Session
from wrlso.storage.tensors import read_tensors

LOG = "queries.sqlite"

HOOKS: list = []
"""Called by the objective before it answers; a list is no part of a function's digest."""


def counted(thing):
    for hook in HOOKS:
        hook()
    return count_bits_on_host(thing)


def study_task():
    return host_task(counted, bo=tiny_bo(candidates=120))


def stopped(path, task, seed, **settings):
    """A run of three rounds that was stopped in its third, with its log open: it has a -wal."""
    calls = []
    original = Session._run_round

    def dies(self, check_interrupt):
        calls.append(self.round)
        if self.round == 2:
            self.logs[0].add(self.logs[0].queries()[-1:])
            shutil.copytree(path, path.with_name(f"{path.name}-killed"))
            raise Killed
        original(self, check_interrupt)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "_run_round", dies)
        with pytest.raises(Killed):
            tiny_run(path, task, METHOD, seeds=1, first_seed=seed, **settings)
    return path.with_name(f"{path.name}-killed")


def killed_on_host(path, seed):
    """A run whose objective was killed in its third round, ten answers after the first."""
    asked = []

    def dies():
        asked.append(1)
        if len(asked) == 10:
            shutil.copytree(path, path.with_name(f"{path.name}-killed"))
            raise Killed

    HOOKS.append(dies)
    try:
        with pytest.raises(Killed):
            tiny_run(path, host_task(counted), METHOD, seeds=1, first_seed=seed, proposer="prior")
    finally:
        HOOKS.clear()
    return path.with_name(f"{path.name}-killed")


class Kind:
    """A folder of a kind, another of the same kind, and how a run goes on."""

    def __init__(self, folder, other, go_on):
        self.folder, self.other, self.go_on = folder, other, go_on
        whole = folder.with_name(f"{folder.name}-whole")
        shutil.copytree(folder, whole)
        self.truth = outcome(go_on(whole))
        self.content = everything(shutil.copytree(folder, whole.with_name("read")))
        shutil.rmtree(whole.with_name("read"))
        shutil.rmtree(whole)


def outcome(result):
    return [(q.id, q.seed, q.latent, q.object, q.score, q.status) for q in result.queries()]


def everything(path):
    """All that a run reads from its folder, read as a run does."""
    folder = RunFolder(path)
    found = {"config": folder.config}
    with closing(folder.open_log()) as log:
        for table in COLUMNS:
            rows = log._db.execute(f"SELECT {columns_of(table)} FROM {table}")
            found[table] = sorted(rows, key=repr)
    for done in folder.checkpoints():
        found[done] = bits_of(folder.load_checkpoint(done))
    for name in ("base", "asked"):
        file = getattr(folder, f"{name}_file")
        if file.exists():
            found[name] = bits_of(folder.read_tensors(file, "", folder.about(name)))
    if folder.summary_file.exists():
        found["summary"] = folder.load_summary()
    return found


def bits_of(stored):
    return {name: (a.shape, a.tobytes()) for name, a in stored.arrays.items()}, stored.metadata


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    def in_jax(path):
        return resume(path, task=make_tiny_task(), progress=False)

    def on_host(path):
        return resume(path, task=host_task(counted), progress=False)

    def by_people(path):
        with wrlso.open(path, study_task(), METHOD, progress=False) as study:
            while True:
                study.tell([(c, count_bits_on_host(c.object)) for c in study.pending])
                if not study.ask(4):
                    return study.result()

    def asked(path, seed):
        settings = dict(budget=12, first_seed=seed, proposer="bo", batch=4, progress=False)
        with wrlso.open(path, study_task(), METHOD, **settings) as study:
            for _ in range(2):
                batch = study.ask(4)
                study.tell([(c, count_bits_on_host(c.object)) for c in batch[:3]])
        return path

    path = tmp_path_factory.mktemp("kinds")
    return {
        "in JAX": Kind(*(stopped(path / f"jax{s}", make_tiny_task(), s) for s in (0, 1)), in_jax),
        "on the host": Kind(*(killed_on_host(path / f"host{s}", s) for s in (0, 1)), on_host),
        "by people": Kind(*(asked(path / f"people{s}", s) for s in (0, 1)), by_people),
        "finished": Kind(
            *(tiny_run(path / f"done{s}", seeds=1, first_seed=s).folder.path for s in (0, 1)),
            in_jax,
        ),
    }  # fmt: skip


def verdict(kind, name, content, path):
    """What comes of a damaged file: 'detected', 'none' or 'made again'."""
    shutil.copytree(kind.folder, path)
    file = path / name
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    before = {f: f.read_bytes() for f in path.rglob("*") if f.is_file()}
    try:
        same = everything(path) == kind.content
        if same:
            return "none"
        shutil.rmtree(path)
        shutil.copytree(kind.folder, path)
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)
        same = outcome(kind.go_on(path)) == kind.truth
    except ValueError as error:
        told = str(error)
        kept = all(
            old.read_bytes() == content
            for old, content in before.items()
            if not old.name.startswith((LOG, ".lock"))
        )
    else:
        assert same, "another run, without a word"
        return "made again"
    finally:
        if path.exists():
            shutil.rmtree(path)
    assert file.name in told or (name.startswith(LOG) and LOG in told), told
    assert kept, f"a file was overwritten: {told}"
    return "detected"


def files_of(kind):
    return sorted(str(f.relative_to(kind.folder)) for f in kind.folder.rglob("*") if f.is_file())


def try_all(kinds, names, flips, most, tmp_path, choose):
    counts: dict[str, int] = {}
    for label in names:
        kind = kinds[label]
        for name in files_of(kind):
            content = (kind.folder / name).read_bytes()
            other = kind.other / name
            swapped = other.read_bytes() if other.exists() else None
            tried = list(damages(content, swapped, flips))
            for what, new in choose(tried, most):
                try:
                    found = verdict(kind, name, new, tmp_path / "damaged")
                except Exception as error:
                    raise AssertionError(f"{label}: {name} {what}: {error!r}") from error
                counts[found] = counts.get(found, 0) + 1
    return counts


def a_few(tried, most):
    rng = np.random.default_rng(len(tried))
    chosen = rng.choice(len(tried), min(most, len(tried)), replace=False)
    return [tried[i] for i in sorted({0, 1, *chosen.tolist()})]


def test_some_damage_to_every_file_is_detected_or_without_effect(kinds, tmp_path):
    counts = try_all(kinds, ["in JAX", "by people"], 20, 2, tmp_path, a_few)
    assert counts["detected"] > 20


@pytest.mark.slow
@pytest.mark.parametrize("label", ["in JAX", "on the host", "by people", "finished"])
def test_all_damage_to_every_file_is_detected_or_without_effect(kinds, label, tmp_path):
    """Deleted, emptied, cut at 20 places, swapped, and 200 flipped bits of each file."""
    counts = try_all(kinds, [label], 200, None, tmp_path, lambda tried, _: tried)
    print(label, counts)
    assert counts["detected"] > 200


def test_the_files_that_are_damaged_are_all_that_there_are(kinds):
    found = {name for kind in kinds.values() for name in files_of(kind)}
    assert {"config.json", LOG, f"{LOG}-wal", "summary.json", "base.safetensors"} <= found
    assert {"checkpoints/asked.safetensors", "checkpoints/round00001.safetensors"} <= found


def test_a_log_without_its_last_part_is_refused(kinds, tmp_path):
    """An older copy of the log, beside the newer checkpoint."""
    kind = kinds["in JAX"]
    path = shutil.copytree(kind.folder, tmp_path / "run")
    with closing(RunFolder(path).open_log()) as log:
        log.forget_from(1)
    with pytest.raises(ValueError, match=r"queries\.sqlite is damaged: it holds 4 of the 8 quer"):
        kind.go_on(path)
    shutil.rmtree(path / "checkpoints")
    assert outcome(kind.go_on(path)) == kind.truth
    assert jax.tree.leaves(bits_of(read_tensors(path / "checkpoints/round00003.safetensors")))
