"""SIGKILL at random instants of a run, again while it is resumed, and the comparison at the end."""

import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.builders import ROOT
from tests.torture.objective import JOURNAL
from wrlso.runs.folder import RunFolder
from wrlso.runs.rows import columns_of
from wrlso.storage.tensors import read_tensors

MARK = "WRLSO_TORTURE"
"""Marks all processes of one trial."""

_PATIENCE = 20.0
"""Maximum number of seconds that what a killed process has started may live."""

_LIMIT = 1200.0
"""Maximum number of seconds of one process."""

_AGAIN = 0.7
"""Probability that a resumed process is killed, too."""


FAULTS = ("failed", "different", "lost", "repeated", "processes left", "files left")
"""What may come of a kill, beside the end of the uninterrupted run."""


_LATE = 0.5
"""Share of the kills whose time counts from the first committed row, as compiling takes longest."""


class Lost(AssertionError):
    """A kill has changed something.

    Args:
      kind: one of ``FAULTS``.
      message: what exactly.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Kills:
    """The kills of one trial.

    Attributes:
      begun: number of kills of the process that began the run.
      resumed: number of kills of processes that resumed it.
      committed: number of rows that the log had at each kill.
    """

    begun: int
    resumed: int
    committed: tuple[int, ...]

    @property
    def number(self) -> int:
        """Of all kills."""
        return self.begun + self.resumed


@dataclass
class Case:
    """A run that is killed.

    Attributes:
      name: in ``tests.torture.work.CASES``.
      folder: the folder of all its trials.
      seconds: wall seconds of the uninterrupted run, without the loading of modules.
      first: wall seconds until its first row is committed.
      truth: its contents.
    """

    name: str
    folder: Path
    seconds: float = 0.0
    first: float = 0.0
    truth: dict = field(default_factory=dict)

    def begin(self) -> None:
        """Make the uninterrupted run twice, unless the folder has both."""
        taken = self.folder / "seconds"
        if taken.exists():
            self.seconds, self.first = map(float, taken.read_text().split())
            self.truth = contents(self.folder / "warm" / "run")
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        for attempt in ("cold", "warm"):  # the first one compiles
            trial = Trial(self, attempt)
            start = trial.start()
            self.first = trial.await_row() - start
            trial.finish()
            self.seconds = time.monotonic() - start
            found = contents(trial.run)
            if self.truth and found != self.truth:
                differs = different(found, self.truth)
                raise Lost("different", f"{self.name}: two uninterrupted runs differ: {differs}")
            self.truth = found
        taken.write_text(f"{self.seconds} {self.first}")


class Trial:
    """One run of a case that is killed."""

    def __init__(self, case: Case, name: str) -> None:
        self.case, self.token = case, secrets.token_hex(8)
        self.folder = case.folder / name
        self.run, self.journal = self.folder / "run", self.folder / "journal"
        self.errors = self.folder / "errors"
        cache = self.folder / "cache"
        shutil.rmtree(self.folder, ignore_errors=True)  # of a trial that was interrupted
        cache.mkdir(parents=True)
        shared = case.folder.parent / "compiled"
        shared.mkdir(exist_ok=True)
        (cache / "compiled").symlink_to(shared)
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "WRLSO_CACHE": str(cache),
            "OPENBLAS_NUM_THREADS": "1",
            # Otherwise the folder's name is a part of the key of each compiled program.
            "JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES": "none",
            JOURNAL: str(self.journal),
            MARK: self.token,
        }

    def start(self) -> float:
        """Start a process; the time at which it has loaded everything."""
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.torture.work", self.case.name, str(self.run)],
                cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        assert self.process.stdout is not None
        self.process.stdout.readline()
        return time.monotonic()

    def await_row(self) -> float:
        """Wait for the first row, or for the end of the process; the time."""
        while self.process.poll() is None:
            with suppress(OSError, sqlite3.Error):  # the files change while they are copied
                if any(committed_rows(self.run).values()):
                    break
            time.sleep(0.1)
        return time.monotonic()

    def finish(self) -> None:
        """Wait for the process to end by itself."""
        assert self.process.stdout is not None
        self.process.stdout.read()
        if self.process.wait(_LIMIT):
            said = self.errors.read_text(errors="replace")
            exit = f"{self.case.name}: exit {self.process.returncode}: {said[-3000:]}"
            raise Lost("failed", exit)

    def kill_after(self, seconds: float) -> bool:
        """Kill the process; False if it has ended before."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
            self.finish()
            return False
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        deadline = time.monotonic() + _PATIENCE
        while left := processes_with(self.token):
            if time.monotonic() > deadline:
                raise Lost("processes left", f"{self.case.name}: processes are left: {left}")
            time.sleep(0.05)
        return True

    def end(self) -> None:
        """End what still runs, as after an interrupt of the harness."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def noted(self) -> list[str]:
        """The evaluations so far."""
        return self.journal.read_text().split() if self.journal.exists() else []


def torture(case: Case, number: int, seed: int, most: int) -> Kills:
    """Kill a run up to ``most`` times, let it end, and compare it.

    The instants depend on the seed, the case's name, and the trial's number alone.

    Raises:
      Lost: if a committed row is lost or changed, an object is evaluated again after its commit, a
        process is left, or the end differs from that of the uninterrupted run.
    """
    rng = np.random.default_rng([seed, *case.name.encode(), number])
    trial = Trial(case, f"{number:04d}")
    kills: list[bool] = []
    committed: list[tuple[dict, int]] = []
    try:
        while len(kills) < most and (not kills or rng.random() < _AGAIN):
            begun = (trial.run / "config.json").exists() or any(trial.run.glob("*/config.json"))
            trial.start()
            seconds = case.seconds
            if rng.random() < _LATE:
                trial.await_row()
                seconds -= case.first
            if not trial.kill_after(float(rng.uniform(0, seconds))):
                break
            kills.append(begun)
            committed.append((committed_rows(trial.run), len(trial.noted())))
        trial.start()
        trial.finish()
    finally:
        trial.end()
    found = contents(trial.run)
    for rows, noted in committed:
        check_committed(trial, rows, noted, found)
    if found != case.truth:
        differs = different(found, case.truth)
        raise Lost("different", f"{trial.folder}: the run differs: {differs}")
    if parts := [str(p) for p in trial.run.rglob("*.part")]:
        raise Lost("files left", f"{trial.folder}: unfinished files are left: {parts}")
    shutil.rmtree(trial.folder)
    counts = tuple(sum(map(len, rows.values())) for rows, _ in committed)
    return Kills(kills.count(False), kills.count(True), counts)


def check_committed(trial: Trial, rows: dict, noted: int, found: dict) -> None:
    """Refuse lost rows, and evaluations of objects whose result was committed."""
    later = Counter(trial.noted()[noted:])
    for folder, before in rows.items():
        after = found[folder]["queries"]
        settled = [row for row in before if row[6] != "PENDING"]
        if lost := [row for row in settled if row not in after]:
            told = f"{trial.folder}: {len(lost)} committed rows are lost or changed"
            raise Lost("lost", told)
        if trial.case.name.startswith("ask"):
            continue  # whoever tells decides what is measured
        done, in_all = evaluated(settled), evaluated(after)
        again = [name for name in done if done[name] == in_all[name] and later[name]]
        if again:
            told = f"{trial.folder}: evaluated again after the commit: {again}"
            raise Lost("repeated", told)


def evaluated(rows: list[tuple]) -> Counter[str]:
    """The number of evaluations of each object, by its bytes and by its text, over all seeds."""
    done = [row for row in rows if row[6] in ("OK", "FAILED")]
    return Counter(name for row in done for name in (row[4].hex(), row[8]) if name)


def folders_of(run: Path) -> list[Path]:
    """The run folders of a run or of a sweep."""
    return sorted(file.parent for file in run.rglob("config.json"))


def committed_rows(run: Path) -> dict:
    """The queries of each folder, read from a copy, as whoever reads may change the files."""
    found = {}
    with tempfile.TemporaryDirectory() as copy:
        for folder in folders_of(run):
            files = sorted(folder.glob("queries.sqlite*"))
            for file in files:
                shutil.copy(file, copy)
            if files:
                found[str(folder.relative_to(run))] = rows_of(Path(copy), "queries")
            for file in Path(copy).iterdir():
                file.unlink()
    return found


def rows_of(folder: Path, table: str) -> list[tuple]:
    """The rows of a table of a log, in order; none if it has not been made."""
    with closing(sqlite3.connect(folder / "queries.sqlite")) as db:
        try:
            return sorted(db.execute(f"SELECT {columns_of(table)} FROM {table}"), key=repr)
        except sqlite3.OperationalError:
            return []


def contents(run: Path) -> dict:
    """All that must be equal between two runs: rows, and all arrays of all checkpoints."""
    found = {}
    for folder in folders_of(run):
        opened = RunFolder(folder)
        parts = {table: rows_of(folder, table) for table in ("queries", "components", "rounds")}
        for done in opened.checkpoints():
            arrays = read_tensors(opened.checkpoint_file(done)).arrays
            parts[f"round {done}"] = {n: (a.shape, a.tobytes()) for n, a in arrays.items()}
        assert opened.load_summary()["seeds"]
        found[str(folder.relative_to(run))] = parts
    return found


def different(found: dict, truth: dict) -> str:
    """The names of the parts that differ."""
    if found.keys() != truth.keys():
        return f"folders {sorted(found)} instead of {sorted(truth)}"
    return ", ".join(
        f"{folder}: {name}"
        for folder in truth
        for name in truth[folder].keys() | found[folder].keys()
        if found[folder].get(name) != truth[folder].get(name)
    )


def processes_with(token: str) -> list[str]:
    """The processes that a trial has started, directly or not: their commands."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{MARK}={token}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
                if state != "Z":
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found
