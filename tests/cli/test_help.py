"""The words of the command line: help, versions, completion, folders."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import wrlso
from wrlso.cli.main import _COMMANDS, main
from wrlso.cli.options import new_folder, parse_run_options
from wrlso.storage.bars import bars, bars_shown
from wrlso.tasks import TASKS

HELPS = [
    [],
    *([name] for name in _COMMANDS),
    *(["run", task] for task in TASKS),
    ["train", "molecules"],
]


def printed(capsys, *words):
    with contextlib.suppress(SystemExit):
        main([*words, "--help"])
    return re.sub(r"[ │\n]+", " ", capsys.readouterr().out)


@pytest.mark.parametrize("words", HELPS, ids=lambda words: " ".join(words) or "wrlso")
def test_help_states_one_default_an_option_in_plain_words(capsys, words):
    text = printed(capsys, *words)
    assert "usage: wrlso" in text
    for wrong in ("default: None", "{None}", "default: )", "default: True", "default: False"):
        assert wrong not in text
    for one in re.split(r" (?=--[a-z])", text.partition(" options ")[2])[1:]:
        assert len(re.findall(r"\((?:default: |optional\)|required\))", one)) <= 1, one
        assert "Default:" not in one


@pytest.mark.parametrize("words", HELPS[1:], ids=" ".join)
def test_help_has_an_example(capsys, words):
    assert f"Try: wrlso {' '.join(words)} " in printed(capsys, *words)


@pytest.mark.parametrize("columns", ["1", "3", "39"])
def test_help_ends_in_a_narrow_terminal(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    narrow = printed(capsys, "resume")
    monkeypatch.setenv("COLUMNS", "40")
    assert narrow == printed(capsys, "resume")
    assert "--budget" in narrow


def test_the_version_names_jax_and_its_devices(capsys):
    assert main(["--version"]) == 0
    text = capsys.readouterr().out
    assert f"wrlso {wrlso.__version__}" in text
    assert f"JAX {jax.__version__}" in text
    assert text.count("cpu") >= len(jax.devices())


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_commands_tasks_and_their_options(capsys, shell):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("report", "shapes", "molecules", "retrain-every", "pretrain-epochs", "html"):
        assert word in script
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_out_has_a_default_that_is_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse_run_options("shapes", TASKS["shapes"], []).command["out"] is None
    first = new_folder("shapes")
    assert re.fullmatch(r"runs/shapes-\d{8}-\d{6}", str(first))
    for _ in range(3):  # runs that begin in the same second
        found = new_folder("shapes")
        assert not found.exists()
        found.mkdir(parents=True)
    assert len(list(Path("runs").iterdir())) == 3


def test_blocks_without_progress_bars_stay_so_within():
    assert bars_shown()
    with bars(False):
        assert not bars_shown()
        with bars(True):
            assert not bars_shown()
    assert bars_shown()


def test_no_progress_means_none(tmp_path):
    """Molecules are read, scored and sampled, each with a bar of its own."""
    (tmp_path / "mine.smi").write_text("".join(f"{'C' * n}O\n" for n in range(1, 12)))
    script = (
        "from wrlso.storage.bars import bars\nimport wrlso\n"
        "task = wrlso.tasks.molecules('qed', data='mine.smi', workers=1)\n"
        "with bars(False):\n    task.load_data()"
    )
    environment = os.environ | {"WRLSO_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert "%|" not in done.stderr
