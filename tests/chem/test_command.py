"""External programs as objectives: real programs, really killed and hung."""

import os
import signal
import stat
import sys
import time

import numpy as np
import pytest

pytest.importorskip("rdkit")

from wrlso import Status
from wrlso.chem.command import Command, command_digest, read_command
from wrlso.chem.command_line import split_command
from wrlso.evaluation.values import NoAnswer
from wrlso.evaluation.workers import WorkerPool

BEHAVE = """
import os, signal, sys, time
def score(smiles):
    if smiles == "C": os._exit(0)
    if smiles == "N": print("no force field", file=sys.stderr, flush=True); os._exit(3)
    if smiles == "O": os.kill(os.getpid(), signal.SIGSEGV)
    if smiles == "S": time.sleep(600)
    if smiles == "P": return "high"
    if smiles == "F": return "nan"
    if smiles == "B": return "1.5\\n2.5"
    return f"{smiles.count('C') / 2} "
"""
FEEDS = {
    "argument": "print('log: docking'); print(score(sys.argv[1]))",
    "stdin": "print('log: docking'); print(score(sys.stdin.read().strip()))",
    "lines": "for line in sys.stdin: print(score(line.strip()), flush=True)",
    "batch": "for line in sys.stdin: print(score(line.strip()))",
}


@pytest.fixture(params=FEEDS)
def command(request, tmp_path):
    script = tmp_path / "score me.py"
    script.write_text(f"#!{sys.executable}\n{BEHAVE}\n{FEEDS[request.param]}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return Command((str(script),), feed=request.param)


def test_scores_and_failures(command):
    """One bad molecule at a time between good ones, in two workers with a time limit."""
    bad = ["C", "N", "O", "S", "P", "F"]
    good = ["CC", "CCC", "CCCC", "CCCCC", "CC(C)C", "CCl", "CC1"]
    items = [item for pair in zip(good, bad, strict=False) for item in pair] + good[-1:]
    with WorkerPool(command, workers=2, timeout=2.0) as pool:
        scores, statuses, reasons = pool.evaluate(items)
        again, _, _ = pool.evaluate(good)
    np.testing.assert_array_equal(scores[::2], [smiles.count("C") / 2 for smiles in good])
    np.testing.assert_array_equal(again, scores[::2])
    assert set(statuses[::2]) == {Status.OK}
    reason = dict(zip(bad, zip(statuses[1::2], reasons[1::2], strict=True), strict=True))
    assert [reason[s][0] for s in bad] == [Status.FAILED] * 3 + [Status.TIMEOUT] + [
        Status.FAILED
    ] * 2
    answer = {"lines": "exited with code 0", "batch": "printed nothing"}.get(
        command.feed, "answered 'log: docking'"
    )
    assert answer in reason["C"][1]
    assert reason["N"][1].endswith("exited with code 3; it last printed: no force field")
    assert reason["O"][1].endswith("was killed by SIGSEGV")
    assert reason["S"][1] == "no answer within 2 s"
    assert reason["P"][1].endswith("answered 'high', which is not a number")
    assert reason["F"][1] == "score is nan"


def test_the_program_that_reads_lines_stays():
    counter = "import itertools, sys\nfor i, _ in enumerate(sys.stdin): print(i, flush=True)"
    command = Command((sys.executable, "-c", counter), feed="lines")
    assert [command("CC") for _ in range(3)] == [0, 1, 2]
    with WorkerPool(command, workers=1, timeout=5) as pool:
        assert list(pool.evaluate(["CC"] * 3)[0]) == [0, 1, 2]
        assert list(pool.evaluate(["CC"] * 2)[0]) == [3, 4]


@pytest.mark.parametrize("extra", ["print('2.0');", "sys.stdout.write('2.0');"])
def test_an_answer_too_many_never_becomes_the_next_molecules_score(extra):
    """At once, or only after the next question was due."""
    program = f"import sys\nfor line in sys.stdin: print('1.0'); {extra} sys.stdout.flush()"
    command = Command((sys.executable, "-c", program), feed="lines")
    answers = []
    for _ in range(4):
        try:
            answers.append(command("CC"))
        except RuntimeError as error:
            answers.append(str(error))
        time.sleep(0.1)
    assert 2.0 not in answers
    assert any("more than one line for one SMILES" in str(answer) for answer in answers)


def test_the_program_dies_with_its_worker(tmp_path):
    note = tmp_path / "pid"
    program = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    with WorkerPool(Command((sys.executable, "-c", program)), workers=1, timeout=1.0) as pool:
        assert pool.evaluate(["CC"])[1] == [Status.TIMEOUT]
        pid = int(note.read_text())
        for _ in range(100):
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                return
            time.sleep(0.05)
    pytest.fail("the program outlived its worker")


def test_the_place_of_the_argument():
    show = "import sys; print(sum(10 ** i for i, a in enumerate(sys.argv[1:]) if a == 'CC'))"
    assert Command((sys.executable, "-c", show, "a", "b"))("CC") == 100
    assert Command((sys.executable, "-c", show, "{}", "b"))("CC") == 1


@pytest.mark.parametrize("smiles", ["", "CC\nCC", " "])
def test_a_molecule_is_one_line(smiles):
    with pytest.raises(ValueError, match="one line of SMILES"):
        Command(("cat",), feed="stdin")(smiles)


@pytest.mark.parametrize(
    ("argv", "feed", "message"),
    [
        ("dock --fast", "lines", "argv must be the program and its arguments"),
        ((), "lines", "argv must be"),
        (("/no/such/program",), "lines", "no program '/no/such/program' can be run"),
        (("cat",), "file", "feed must be one of argument, stdin, lines, batch, not 'file'"),
    ],
)
def test_what_is_no_command(argv, feed, message):
    with pytest.raises(ValueError, match=message):
        Command(argv, feed)


def test_braces_stand_for_the_molecule_within_an_argument_too():
    show = "import sys; print(len(sys.argv[1]) + 100 * (sys.argv[2] == '--smiles=CCO;CCO'))"
    command = Command((sys.executable, "-c", show, "a", "--smiles={};{}"))
    assert command("CCO") == 101
    with pytest.raises(ValueError, match="stands for a SMILES, but with feed = 'lines'"):
        Command(("cat", "{}"), feed="lines")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("python a.py | tail -1", "|"),
        ("python a.py>log", ">"),
        ("python a.py < in", "<"),
        ("a && b", "&"),
        ("a; b", ";"),
        ("a &", "&"),
        ("a 2>&1", ">"),
        ("a\nb", "\\n"),
        ("python $HOME/a.py", "$HOME/a.py"),
        ('python "${HOME}/a.py"', "${HOME}"),
        ("a $(b)", "$(b)"),
        ("a `b`", "`b`"),
        ("~/a.py", "~/a.py"),
        ("python ~/a.py", "~/a.py"),
    ],
)
def test_a_line_that_needs_a_shell_is_refused(line, shown):
    with pytest.raises(ValueError, match="no shell reads the command") as caught:
        split_command(line)
    assert repr(shown)[1:-1].replace("\\\\", "\\") in str(caught.value)


@pytest.mark.parametrize(
    ("line", "argv"),
    [
        ("python 'a b.py' --x=1", ["python", "a b.py", "--x=1"]),
        ("sh -c 'a \"$1\" | b' sh", ["sh", "-c", 'a "$1" | b', "sh"]),
        ('a "b|c;d>e" f\\;g', ["a", "b|c;d>e", "f;g"]),
        ("a --cost=5$ --smarts=[C;R] b~c".replace(";", ","),
         ["a", "--cost=5$", "--smarts=[C,R]", "b~c"]),
        ("a --smiles={}", ["a", "--smiles={}"]),
    ],
)  # fmt: skip
def test_quotes_keep_what_the_program_itself_is_to_get(line, argv):
    assert split_command(line) == argv


@pytest.mark.parametrize(
    ("line", "message"),
    [("", "names no program"), ("  ", "names no program"), ("a 'b", "No closing quotation"),
     ("N=1 python a.py", "begin it with env, as in 'env N=1 python a.py'")],
)  # fmt: skip
def test_a_line_without_a_program_is_refused(line, message):
    with pytest.raises(ValueError, match=message):
        split_command(line)


def test_a_batch_is_one_start_of_the_program(tmp_path):
    starts = tmp_path / "starts"
    program = (
        f"import sys; open({str(starts)!r}, 'a').write('x')\n"
        "for line in sys.stdin: print('none' if 'N' in line else len(line) - 1)"
    )
    command = Command((sys.executable, "-c", program), feed="batch")
    one, two, three = command.scores(["CC", "N", "CCC"])
    assert (one, three) == (2, 3)
    assert "answered 'none', which is not a number" in str(two)
    assert starts.read_text() == "x"
    short = Command((sys.executable, "-c", "print(1)"), feed="batch")
    with pytest.raises(RuntimeError, match="printed 1 lines for 2 molecules"):
        short.scores(["C", "CC"])


def test_a_background_process_on_the_output_is_not_waited_for():
    program = "import subprocess; subprocess.Popen(['sleep', '600']); print(7)"
    start = time.monotonic()
    with WorkerPool(Command((sys.executable, "-c", program)), workers=1, timeout=20) as pool:
        assert pool.evaluate(["CC"])[0] == 7
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("feed", ["argument", "lines"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_without_bound_is_a_failure(feed, stream):
    program = f"import sys\nwhile True: sys.{stream}.write('y' * 100_000)"
    with WorkerPool(Command((sys.executable, "-c", program), feed), 1, timeout=60) as pool:
        ((_, _, status, reason),) = pool.scored(["CC"])
    assert status == Status.FAILED
    assert "printed more than 64 MiB" in reason or "prints without end" in reason


def test_a_program_that_prints_nothing_has_not_answered():
    for feed in ("argument", "stdin", "lines", "batch"):
        with pytest.raises(NoAnswer):
            Command(("true",), feed)("CC")


@pytest.mark.parametrize(
    ("printed", "scores"),
    [
        ("\n3\n4\n", [None, 3.0, 4.0]),
        ("3\n\n4\n", [3.0, None, 4.0]),
        ("3\n4\n\n", [3.0, 4.0, None]),
        ("3\n4\n5\n\n\n", [3.0, 4.0, 5.0]),
        ("3\r\n4\r\n5", [3.0, 4.0, 5.0]),
    ],
)
def test_a_blank_line_of_a_batch_is_the_answer_for_its_molecule(printed, scores):
    program = Command((sys.executable, "-c", f"print({printed!r}, end='')"), "batch")
    found = program.scores(["CCO", "CCN", "CCC"])
    assert [None if isinstance(one, ValueError) else one for one in found] == scores


def test_lines_too_many_are_no_answers():
    program = Command((sys.executable, "-c", "print('\\n3\\n4\\n3 of 4 docked')"), "batch")
    with pytest.raises(RuntimeError, match="printed 4 lines for 3 molecules"):
        program.scores(["CCO", "CCN", "CCC"])


def test_a_long_script_and_a_file_of_the_programs_name(tmp_path, monkeypatch):
    script = "import sys;" * 40 + "print(1)"
    assert read_command(f"{sys.executable} -c '{script}'").argv[2] == script
    command_digest(read_command(f"{sys.executable} -c '{script}'"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat").write_text("data")
    assert read_command("cat", "lines").argv == ("cat",)
    (tmp_path / "dock.sh").write_text("#!/bin/sh\necho 1\n")
    (tmp_path / "dock.sh").chmod(0o755)
    for line in ("dock.sh", "./dock.sh"):
        assert read_command(line).argv == (str(tmp_path / "dock.sh"),)
