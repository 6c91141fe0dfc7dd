"""An external program as an objective: SMILES in, a number out."""

import os
import select
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from wrlso.evaluation.worker_handle import describe_exit

Feed = Literal["argument", "stdin", "lines"]


@dataclass(frozen=True)
class Command:
    """A program that scores molecules; called with a SMILES, returns its score.

    For a ``wrlso.evaluation.workers.WorkerPool``: its time limit ends the program too,
    with all that the program has started in its process group, and each worker
    runs a program of its own. Outside a pool there is no limit.

    Attributes:
      argv: program and arguments; no shell reads them.
      feed: how the program gets a SMILES. ``"argument"``: started for each, with the
        SMILES in place of an argument ``{}``, or as the last one. ``"stdin"``:
        started for each, with one line on its standard input. In both cases the
        last line it prints must be the score, and its exit code 0. ``"lines"``:
        started once, reads line after line, and answers each with one line, the
        score; it must flush its output after each, and print nothing else.

    Raises:
      ValueError: if there is no such program, or no such ``feed``.
    """

    argv: tuple[str, ...]
    feed: Feed = "argument"

    def __post_init__(self) -> None:
        if isinstance(self.argv, str) or not self.argv:
            raise ValueError(f"argv must be the program and its arguments, not {self.argv!r}")
        if self.feed not in ("argument", "stdin", "lines"):
            raise ValueError(f"feed must be argument, stdin or lines, not {self.feed!r}")
        object.__setattr__(self, "argv", tuple(map(str, self.argv)))
        if shutil.which(self.argv[0]) is None:
            raise ValueError(f"no program {self.argv[0]!r} can be run: give its path")

    def __call__(self, smiles: str) -> float:
        """The score that the program gives.

        Raises:
          RuntimeError: if it fails: how it ended, and the last line of its errors.
          ValueError: if it answers no number, or the SMILES is not one line.
        """
        if not smiles.strip() or len(smiles.splitlines()) != 1:
            raise ValueError(f"a command scores one line of SMILES at a time, not {smiles!r}")
        return self._ask(smiles) if self.feed == "lines" else self._run(smiles)

    def _run(self, smiles: str) -> float:
        argv, given = list(self.argv), f"{smiles}\n"
        if self.feed == "argument":
            given = ""
            argv = [smiles if part == "{}" else part for part in argv]
            argv += [] if "{}" in self.argv else [smiles]
        done = subprocess.run(argv, input=given, capture_output=True, text=True, errors="replace")
        if done.returncode:
            raise RuntimeError(_complaint(argv[0], done.returncode, done.stderr))
        return _number(argv[0], _last_line(done.stdout))

    def _ask(self, smiles: str) -> float:
        program = _programs.pop(self, None) or _Program(self.argv)
        try:
            score = _number(self.argv[0], program.ask(smiles))
        except BaseException:  # what it would say next is no answer to the next question
            program.end()
            raise
        _programs[self] = program
        return score


class _Program:
    """A program that answers a line with a line; what it says of errors goes to a file."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        self.name = argv[0]
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  as long as the program
        self.process = subprocess.Popen(
            argv, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.input, self.output = self.process.stdin, self.process.stdout

    def ask(self, line: str) -> str:
        if select.select([self.output], [], [], 0)[0] and self.output.read(1):
            raise RuntimeError(f"{self.name} printed more than one line for one SMILES")
        self.errors.seek(0)  # the place to write at is shared with the program
        self.errors.truncate()
        answer = b""
        with suppress(BrokenPipeError):
            self.input.write(f"{line}\n".encode())
        while b"\n" not in answer:
            part = os.read(self.output.fileno(), 65536)
            if not part:
                raise RuntimeError(_complaint(self.name, *self.end()))
            answer += part
        first, _, more = answer.partition(b"\n")
        if more:
            raise RuntimeError(f"{self.name} printed more than one line for one SMILES")
        return first.decode(errors="replace")

    def end(self) -> tuple[int, str]:
        """Its exit code and what it said of errors; it has a second to leave."""
        with suppress(BrokenPipeError):
            self.input.close()
        try:
            code = self.process.wait(1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.output.close()
        self.errors.seek(max(0, self.errors.seek(0, os.SEEK_END) - 2000))
        return code, self.errors.read().decode(errors="replace")


_programs: dict[Command, _Program] = {}
"""Programs of this process that answer lines, from one call to the next."""


def _complaint(name: str, code: int, errors: str) -> str:
    last = _last_line(errors)
    return f"{name} {describe_exit(code)}" + (f"; it last said: {last[:200]}" if last else "")


def _number(name: str, answer: str) -> float:
    try:
        return float(answer)
    except ValueError:
        raise ValueError(f"{name} answered {answer[:200]!r}, which is no number") from None


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
