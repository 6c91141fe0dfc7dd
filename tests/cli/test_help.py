"""The words of the command line: help, versions, completion, folders."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import pytest

import wrlso
from tests.builders import ROOT
from wrlso.chem.objective import OBJECTIVES
from wrlso.cli.main import _COMMANDS, main
from wrlso.cli.options import parse_run_options, run_folder
from wrlso.storage.bars import bars, bars_shown
from wrlso.tasks import TASKS

HELPS = [
    [],
    *([name] for name in _COMMANDS),
    *(["run", task] for task in TASKS),
    ["train", "molecules"],
    ["open", "molecules"],
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


def test_help_of_a_study_states_its_own_defaults_and_an_example_that_it_takes(capsys):
    text = printed(capsys, "open", "molecules")
    assert "(default: measured, by people" in text
    assert re.search(r"--seeds INT [^()]*\(default: 1, the only", text)
    assert "--seeds 2" not in text
    assert "(default: 5;" in printed(capsys, "run", "molecules")


@pytest.mark.parametrize("verb", ["run", "open"])
def test_help_spells_the_names_of_objectives_as_they_are_given(capsys, verb):
    text = printed(capsys, verb, "molecules")
    for name in OBJECTIVES:
        assert re.search(rf"\b{name}\b", text), name


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
    default = {"out": None, "distributed": False}
    with contextlib.ExitStack() as stack:  # runs that begin in the same second
        found = [stack.enter_context(run_folder(default, "shapes")) for _ in range(3)]
        assert re.fullmatch(r"runs/shapes-\d{8}-\d{6}", str(found[0]))
        assert len(set(found)) == 3
        (found[0] / "config.json").touch()
    assert list(Path("runs").iterdir()) == [found[0]]  # empty ones are in nobody's way
    with run_folder(default | {"out": Path("mine")}, "shapes") as named:
        assert not named.exists()
    (tmp_path / "file").mkdir()
    monkeypatch.chdir(tmp_path / "file")
    Path("runs").touch()
    assert main(["run", "shapes", "--budget", "60"]) == 2


def test_folders_that_processes_make_at_once_differ(tmp_path):
    """Looking for a free name would give all of them the same."""
    code = (
        "import sys\nfrom wrlso.cli.options import run_folder\nsys.stdin.readline()\n"
        "with run_folder({'out': None, 'distributed': False}, 'shapes') as folder:\n"
        "    print(folder, flush=True)\n    sys.stdin.readline()"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        for _ in range(4)
    ]  # fmt: skip
    for line in range(2):
        for one in started:
            one.stdin.write("go\n")
            one.stdin.flush()
        if line == 0:
            assert len({one.stdout.readline() for one in started}) == 4
    assert [one.wait(60) for one in started] == [0] * 4


def test_processes_of_one_run_need_a_folder_that_all_of_them_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"out": None, "distributed": True}
    with pytest.raises(ValueError, match="--distributed needs --out FOLDER"):
        run_folder(options, "shapes").__enter__()


def test_without_a_standard_error_nothing_is_shown_and_nothing_fails(tmp_path):
    """As after ``2>&-``: a line for people is not printed among the results, and no file gets the
    number of the standard error."""
    code = """
        import os, sys
        from wrlso.storage.bars import bars_shown
        from wrlso.runs.progress import pretrain_bar, say
        assert sys.stderr is None and not bars_shown()
        pretrain_bar()(1, 2)
        say("a line", True)
        from tests.builders import host_task, tiny_run, count_bits_on_host
        run = tiny_run("run", host_task(count_bits_on_host), budget=4, seeds=1,
                       proposer="prior", progress=True)
        from wrlso.cli.main import main
        assert main(["report", "nowhere"]) == 2
        assert main(["resume", "run"]) == 2
        print("done", os.readlink("/dev/fd/2") if os.path.exists("/dev/fd/2") else os.devnull)
    """
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(textwrap.dedent(code))} 2>&-"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    last = done.stdout.strip().splitlines()[-1:]
    assert last == [f"done {os.devnull}"], done.stdout
    assert "error" not in done.stdout
    assert done.returncode == 0


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
