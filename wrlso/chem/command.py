"""An external program as an objective: it reads a SMILES and prints a number."""

import hashlib
import os
import select
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wrlso.chem.command_line import split_command
from wrlso.evaluation.programs import Tail, run_program
from wrlso.evaluation.values import NoAnswer, shorten
from wrlso.evaluation.worker_handle import MOST_PRINTED, describe_exit

Feed = Literal["argument", "stdin", "lines", "batch"]

_HINTS = {
    "argument": "The program gets a SMILES as its argument; it must print the score as its last "
    "line and end.",
    "stdin": "The program gets a SMILES as a line on its standard input; it must print the score "
    "as its last line and end.",
    "lines": "With feed = 'lines' the program must flush its output after each line, as with "
    "print(score, flush=True) or python -u.",
    "batch": "With feed = 'batch' the program must read lines until its standard input ends, then "
    "print one score per line and end.",
}

_LONGEST_LINE = 1 << 16


@dataclass(frozen=True)
class Command:
    """A program that scores molecules, as a function of a SMILES.

    In a ``wrlso.evaluation.workers.WorkerPool``, each worker runs its own program. The pool's time
    limit also ends the program and all processes that it has started. Outside a pool there is no
    time limit. A program that prints more than 64 MiB for one molecule is ended.

    Attributes:
      argv: the program and its arguments; no shell reads them.
      feed: the way in which the program gets a SMILES. With ``"argument"`` the program is started
        for each molecule, with the SMILES in place of each ``{}`` within its arguments, or else as
        the last argument. With ``"stdin"`` it is started for each molecule and gets one line on its
        standard input. In both cases the last line that it prints must be the score, and its exit
        code 0. With ``"lines"`` it is started once, reads line after line, and answers each with
        one line, the score. It must flush its output after each line and print nothing else. With
        ``"batch"`` it is started for several molecules, reads one line per molecule until its
        standard input ends, and prints one line per molecule, its score, in the same order.

    Raises:
      ValueError: if the program does not exist, or ``feed`` is unknown or does not fit.
    """

    argv: tuple[str, ...]
    feed: Feed = "argument"

    def __post_init__(self) -> None:
        if isinstance(self.argv, str) or not self.argv:
            raise ValueError(f"argv must be the program and its arguments, not {self.argv!r}")
        if self.feed not in _HINTS:
            raise ValueError(f"feed must be one of {', '.join(_HINTS)}, not {self.feed!r}")
        object.__setattr__(self, "argv", tuple(map(str, self.argv)))
        if shutil.which(self.argv[0]) is None:
            raise ValueError(f"no program {self.argv[0]!r} can be run: give its path")
        if self.feed != "argument" and any("{}" in part for part in self.argv):
            raise ValueError(
                f"{{}} in {' '.join(self.argv)!r} stands for a SMILES, but with feed = "
                f"{self.feed!r} the program reads SMILES from its standard input: leave one out"
            )

    @property
    def hint(self) -> str:
        """The advice for a program that does not answer."""
        return _HINTS[self.feed]

    def __call__(self, smiles: str) -> float:
        """The score that the program gives.

        Raises:
          NoAnswer: if it prints nothing.
          RuntimeError: if it fails; the message has its exit code and the last line of its errors.
          ValueError: if its answer is not a number, or the SMILES is not one line.
        """
        _check_line(smiles)
        if self.feed == "lines":
            return self._query(smiles)
        if self.feed == "batch":
            (score,) = self.scores([smiles])
            if isinstance(score, Exception):
                raise score
            return score
        return self._run(smiles)

    def scores(self, smiles: Sequence[str]) -> list[float | Exception]:
        """The scores that one start of the program gives, for ``feed="batch"``.

        An answer that is no number is an exception in its place.

        Raises:
          NoAnswer: if it prints nothing.
          RuntimeError: if it fails, or does not print one line per molecule.
          ValueError: if a SMILES is not one line.
        """
        for one in smiles:
            _check_line(one)
        output = self._output(self.argv, "".join(f"{one}\n" for one in smiles))
        lines = output.removesuffix("\n").split("\n")  # a blank one is a molecule's, too
        while len(lines) > len(smiles) and not lines[-1].strip():
            lines.pop()
        if len(lines) != len(smiles):
            raise RuntimeError(
                f"{self.argv[0]} printed {len(lines)} lines for {len(smiles)} molecules"
            )
        return [_number_or_error(self.argv[0], line) for line in lines]

    def _run(self, smiles: str) -> float:
        argv, text = list(self.argv), f"{smiles}\n"
        if self.feed == "argument":
            text = ""
            argv = [part.replace("{}", smiles) for part in argv]
            argv += [smiles] if argv == list(self.argv) else []
        return _number(argv[0], _last_line(self._output(argv, text)))

    def _output(self, argv: Sequence[str], text: str) -> str:
        done = run_program(argv, text)
        if done.code:
            raise RuntimeError(_describe_failure(argv[0], done.code, done.errors))
        if not done.output.strip():
            raise NoAnswer(f"{argv[0]} printed nothing")
        return done.output

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
    """The program of a line such as ``python dock.py``, with absolute paths of files.

    A program on the search path keeps its name, as in a shell.

    They are valid in any folder, also when a run is resumed from another one.

    Raises:
      ValueError: if the line cannot be read, or there is no such program.
    """
    argv = split_command(command)
    is_found = os.sep not in argv[0] and shutil.which(argv[0]) is not None
    paths = [os.path.abspath(part) if os.path.isfile(part) else part for part in argv]
    return Command((argv[0] if is_found else paths[0], *paths[1:]), feed)


def command_digest(command: Command) -> str:
    """A digest of the program's arguments, and of the content of those that are files."""
    digest = hashlib.sha256(repr((list(command.argv), command.feed)).encode())
    for part in command.argv:
        if os.path.isfile(part):
            digest.update(Path(part).read_bytes())
    return digest.hexdigest()


class _Program:
    """A running program that answers each line with a line."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        self.name = argv[0]
        self.process = subprocess.Popen(
            argv, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.input = self.process.stdin
        self.output, self.errors = Tail(self.process.stdout), Tail(self.process.stderr, 2000)

    def query(self, line: str) -> str:
        if self.output.read():
            raise RuntimeError(f"{self.name} printed more than one line for one SMILES")
        self.output.content.clear()
        self.errors.content.clear()
        self.errors.total = 0
        with suppress(BrokenPipeError):
            self.input.write(f"{line}\n".encode())
        while b"\n" not in self.output.content:
            self._hear()
        first, _, extra = self.output.content.partition(b"\n")
        if extra:
            raise RuntimeError(f"{self.name} printed more than one line for one SMILES")
        return first.decode(errors="replace")

    def _hear(self) -> None:
        """Wait a little for output; another process may hold it open when the program has ended."""
        ended = self.process.poll() is not None
        heard = [tail.read() for tail in (self.output, self.errors) if tail.open]
        if len(self.output.content) > _LONGEST_LINE or self.errors.total > MOST_PRINTED:
            raise RuntimeError(f"{self.name} prints without end")
        if any(heard):
            return
        if ended or not self.output.open:
            code, errors = self.end()
            if code == 0:
                raise NoAnswer(f"{self.name} exited with code 0 and did not answer")
            raise RuntimeError(_describe_failure(self.name, code, errors))
        open_ = [tail.pipe for tail in (self.output, self.errors) if tail.open]
        select.select(open_, [], [], 0.05)

    def end(self) -> tuple[int, str]:
        """End the program, at the latest after a second; returns its exit code and its errors."""
        with suppress(BrokenPipeError):
            self.input.close()
        try:
            code = self.process.wait(1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        while not self.errors.pipe.closed and self.errors.open and self.errors.read():
            pass
        self.output.pipe.close()
        self.errors.pipe.close()
        return code, self.errors.text()


_programs: dict[Command, _Program] = {}
"""Idle programs of this process that answer lines; the next call uses them."""


def _describe_failure(name: str, code: int, errors: str) -> str:
    last = _last_line(errors)
    return f"{name} {describe_exit(code)}" + (
        f"; it last printed: {shorten(last, 200)}" if last else ""
    )


def _number(name: str, answer: str) -> float:
    try:
        return float(answer)
    except ValueError:
        raise ValueError(f"{name} answered {answer[:200]!r}, which is not a number") from None


def _number_or_error(name: str, answer: str) -> float | Exception:
    try:
        return _number(name, answer)
    except ValueError as error:
        return error


def _check_line(smiles: str) -> None:
    if not smiles.strip() or len(smiles.splitlines()) != 1:
        raise ValueError(f"a command scores one line of SMILES at a time, not {smiles!r}")


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
