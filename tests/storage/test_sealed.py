"""Files that say what they held: any damage is noticed."""

import os
import sqlite3
from contextlib import closing

import jax
import numpy as np
import pytest

from tests.builders import make_tiny_task, tiny_data
from tests.damage import damages, full_disk
from wrlso.chem.cache import read_arrays, write_arrays
from wrlso.chem.score_cache import ScoreCache
from wrlso.runs.pretrained import cache_path, pretrained_params
from wrlso.storage.files import sweep_parts
from wrlso.storage.programs import CheckedPrograms, check_programs
from wrlso.storage.sealed import DamagedFile, check_seal, parse_json, sealed_json
from wrlso.tasks.base import PretrainConfig


@pytest.fixture(params=[40, pytest.param(200, marks=pytest.mark.slow)])
def flips(request):
    """Bits that are flipped, one at a time."""
    return request.param


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("{", "Expecting"),
        ("[1]", "it holds a list"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": 1}', "it has no digest"),
        ('{"a": 1, "digest": "0"}', "its digest is that of another content"),
    ],
)
def test_a_record_that_was_not_written_so_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        check_seal(parse_json(text))
    assert check_seal(parse_json(sealed_json({"a": [1, "b"]}))) == {"a": [1, "b"]}


def test_damaged_arrays_are_made_again(tmp_path, flips):
    path, other = tmp_path / "a.arrays", tmp_path / "b.arrays"
    write_arrays(path, {"x": np.arange(50)})
    write_arrays(other, {"x": np.arange(50)})  # of other molecules
    content = path.read_bytes()
    for what, new in damages(content, other.read_bytes(), flips):
        path.unlink(missing_ok=True) if new is None else path.write_bytes(new)
        assert read_arrays(path) is None, what
    path.write_bytes(content)
    np.testing.assert_array_equal(read_arrays(path)["x"], np.arange(50))


def test_damaged_scores_are_refused_by_name_or_computed_again(tmp_path, flips):
    kept = {"C" * n: float(n) for n in range(1, 40)}
    for name in ("a", "b"):
        cache = ScoreCache(tmp_path / f"{name}.sqlite")
        cache.keep({text: score + (name == "b") for text, score in kept.items()})
        cache.close()
    path = tmp_path / "a.sqlite"
    content, refused = path.read_bytes(), 0
    for what, new in damages(content, (tmp_path / "b.sqlite").read_bytes(), flips):
        path.unlink() if new is None else path.write_bytes(new)
        try:
            with closing(ScoreCache(path)) as cache:
                found = cache.read(kept)
            assert found.items() <= kept.items(), what
        except DamagedFile as error:
            refused += 1
            told = str(error)
            assert path.name in told, told
            assert "delete it, and the scores are computed again" in told
        path.write_bytes(content)
    assert refused > flips // 5  # the others fall on parts of pages without content


def test_scores_that_a_full_disk_has_no_room_for_are_kept_later(tmp_path):
    scores = {f"{'C' * 500}{i}": float(i) for i in range(100)}
    with closing(ScoreCache(tmp_path / "scores.sqlite")) as cache:
        cache.keep({"CCO": 1.0})
        for _ in range(2):
            with (
                full_disk(40_000),
                pytest.raises(sqlite3.OperationalError, match=r"scores\.sqlite: .*(full|I/O)"),
            ):
                cache.keep(scores)
        assert cache.read([*scores, "CCO"]) == {"CCO": 1.0}
        cache.keep(scores)
        assert cache.read([*scores, "CCO"]) == {**scores, "CCO": 1.0}


def test_a_damaged_program_is_compiled_again(tmp_path, flips):
    programs = CheckedPrograms(tmp_path)
    programs.put("key", b"program" * 20)
    programs.put("other", b"another" * 20)
    file = tmp_path / "key.program"
    content = file.read_bytes()
    for what, new in damages(content, (tmp_path / "other.program").read_bytes(), flips):
        file.unlink() if new is None else file.write_bytes(new)
        assert programs.get("key") is None, what
        programs.put("key", b"program" * 20)
    assert programs.get("key") == b"program" * 20


def test_jax_keeps_its_programs_with_digests(tmp_path):
    """A damaged one is compiled again without a word from JAX, and replaced."""
    from jax.experimental.compilation_cache import compilation_cache

    before = jax.config.jax_compilation_cache_dir
    try:
        jax.config.update("jax_compilation_cache_dir", str(tmp_path))
        compilation_cache.reset_cache()
        assert check_programs(tmp_path)

        def run():
            jax.clear_caches()
            return float(jax.jit(lambda x: x * 2.0 + 1.25)(3.0))

        assert run() == 7.25
        (file,) = tmp_path.glob("jit__lambda*.program")
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
        assert run() == 7.25
        assert CheckedPrograms(tmp_path).get(file.stem) is not None
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        compilation_cache.reset_cache()


def test_a_damaged_pretrained_model_is_refused_by_name(tmp_path, monkeypatch, flips):
    monkeypatch.setenv("WRLSO_CACHE", str(tmp_path))
    task = make_tiny_task(params=None, pretrain=PretrainConfig(1, batch_size=100))
    other = make_tiny_task(params=None, pretrain=PretrainConfig(1, batch_size=100, seed=1))
    base = tiny_data()
    whole = pretrained_params(task, base)
    pretrained_params(other, base)
    path = cache_path(task, base)
    content = path.read_bytes()
    for what, new in damages(content, cache_path(other, base).read_bytes(), flips):
        if new is None:
            continue  # it is trained again
        path.write_bytes(new)
        try:
            found = pretrained_params(task, base)
        except DamagedFile as error:
            assert path.name in str(error)  # noqa: PT017
            continue
        jax.tree.map(np.testing.assert_array_equal, found, whole)
        assert "flipped" in what


def test_unfinished_files_of_killed_processes_are_swept(tmp_path):
    (tmp_path / "config.json.0a.part").write_text("{")
    (tmp_path / "kept.part.json").write_text("{}")
    sweep_parts(tmp_path, older_than=3600)
    assert len(list(tmp_path.iterdir())) == 2
    old = (tmp_path / "config.json.0a.part").stat().st_mtime - 7200
    os.utime(tmp_path / "config.json.0a.part", (old, old))
    sweep_parts(tmp_path, older_than=3600)
    assert [file.name for file in tmp_path.iterdir()] == ["kept.part.json"]
