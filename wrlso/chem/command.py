"""An external program as an objective: it reads a SMILES and prints a number."""

import hashlib
import os
import select
import shlex
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wrlso.evaluation.worker_handle import describe_exit

Feed = Literal["argument", "stdin", "lines"]


@dataclass(frozen=True)
class Command:
    """A program that scores molecules, as a function of a SMILES.

    In a ``wrlso.evaluation.workers.WorkerPool``, each worker runs its own program. The pool's time
    limit also ends the program and all processes of its process group. Outside a pool there is no
    time limit.

    Attributes:
      argv: the program and its arguments; no shell reads them.
      feed: the way in which the program gets a SMILES. With ``"argument"`` the program is started
        for each molecule, with the SMILES in place of an argument ``{}``, or else as the last
        argument. With ``"stdin"`` it is started for each molecule and gets one line on its standard
        input. In both cases the last line that it prints must be the score, and its exit code 0.
        With ``"lines"`` it is started once, reads line after line, and answers each with one line,
        the score. It must flush its output after each line and print nothing else.

    Raises:
      ValueError: if the program does not exist, or ``feed`` is unknown.
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
          RuntimeError: if the program fails; the message has its exit code and the last line of its
            errors.
          ValueError: if its answer is not a number, or the SMILES is not one line.
        """
        if not smiles.strip() or len(smiles.splitlines()) != 1:
            raise ValueError(f"a command scores one line of SMILES at a time, not {smiles!r}")
        return self._query(smiles) if self.feed == "lines" else self._run(smiles)

    def _run(self, smiles: str) -> float:
        argv, text = list(self.argv), f"{smiles}\n"
        if self.feed == "argument":
            text = ""
            argv = [smiles if part == "{}" else part for part in argv]
            argv += [] if "{}" in self.argv else [smiles]
        done = subprocess.run(argv, input=text, capture_output=True, text=True, errors="replace")
        if done.returncode:
            raise RuntimeError(_describe_failure(argv[0], done.returncode, done.stderr))
        return _number(argv[0], _last_line(done.stdout))

    def _query(self, smiles: str) -> float:
        program = _programs.pop(self, None) or _Program(self.argv)
        try:
            score = _number(self.argv[0], program.query(smiles))
        except BaseException:  # its next line could still belong to this molecule
            program.end()
            raise
        _programs[self] = program
        return score


def read_command(command: str, feed: Feed = "argument") -> Command:
    """The program of a line such as ``python dock.py``, with absolute paths.

    They are valid in any folder, also when a run is resumed from another one.

    Raises:
      ValueError: if the line cannot be read, or there is no such program.
    """
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"command = {command!r} cannot be read: {error}") from error
    return Command(
        tuple(os.path.abspath(part) if Path(part).is_file() else part for part in argv), feed
    )


def command_digest(command: Command) -> str:
    """A digest of the program's arguments, and of the content of those that are files."""
    digest = hashlib.sha256(repr((list(command.argv), command.feed)).encode())
    for part in command.argv:
        if Path(part).is_file():
            digest.update(Path(part).read_bytes())
    return digest.hexdigest()


class _Program:
    """A running program that answers each line with a line; its standard error goes to a file."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        self.name = argv[0]
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the program
        self.process = subprocess.Popen(
            argv, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.input, self.output = self.process.stdin, self.process.stdout

    def query(self, line: str) -> str:
        if select.select([self.output], [], [], 0)[0] and self.output.read(1):
            raise RuntimeError(f"{self.name} printed more than one line for one SMILES")
        self.errors.seek(0)  # the program shares the write position
        self.errors.truncate()
        answer = b""
        with suppress(BrokenPipeError):
            self.input.write(f"{line}\n".encode())
        while b"\n" not in answer:
            part = os.read(self.output.fileno(), 65536)
            if not part:
                raise RuntimeError(_describe_failure(self.name, *self.end()))
            answer += part
        first, _, extra = answer.partition(b"\n")
        if extra:
            raise RuntimeError(f"{self.name} printed more than one line for one SMILES")
        return first.decode(errors="replace")

    def end(self) -> tuple[int, str]:
        """End the program, at the latest after a second; returns its exit code and its errors."""
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
"""Idle programs of this process that answer lines; the next call uses them."""


def _describe_failure(name: str, code: int, errors: str) -> str:
    last = _last_line(errors)
    return f"{name} {describe_exit(code)}" + (f"; it last printed: {last[:200]}" if last else "")


def _number(name: str, answer: str) -> float:
    try:
        return float(answer)
    except ValueError:
        raise ValueError(f"{name} answered {answer[:200]!r}, which is not a number") from None


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
