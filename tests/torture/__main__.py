"""``make torture``: kill runs of all kinds until the number of kills is reached.

The kills of a case depend on ``--seed`` and ``--kills`` alone. ``--cases`` chooses a part of that
plan, and ``--minutes`` stops between two trials. With ``--results`` and ``--out``, the same command
goes on where the last one stopped.
"""

import argparse
import csv
import tempfile
import time
from pathlib import Path

from tests.torture.kills import FAULTS, Case, Kills, Lost, torture
from tests.torture.work import CASES
from wrlso.results.tables import markdown

_FIELDS = ("case", "trial", "seed", "begun", "resumed", "rows at each kill", "outcome")

_PAGE = """# Runs that were killed

`{command}` ends processes by SIGKILL at random
instants: runs, and processes that resume a run after a kill. Each run then goes on to its end. An
*identical* run has all rows and all checkpoints of the uninterrupted one, bit by bit. *Lost* are
rows that had been committed. *Repeated* are evaluations of objects whose result had been committed.
[torture.csv](torture.csv) has every run. {done} of the plan's {kills} kills have run.

{table}
"""


def plan(kills: int) -> dict[str, int]:
    """The number of kills of each case."""
    return {name: kills // len(CASES) + (i < kills % len(CASES)) for i, name in enumerate(CASES)}


class Rows:
    """The trials so far, one row each, also in a file.

    Args:
      file: the CSV file, and beside it a page with the same name and the ending ``.md``; None: no
        file.
      seed: of the trials; rows of another seed are left out.
      kills: number of kills in the plan.
    """

    def __init__(self, file: Path | None, seed: int, kills: int) -> None:
        self.file, self.seed, self.kills = file, seed, kills
        self.rows: list[dict[str, str]] = []
        if file is not None and file.exists():
            with file.open(newline="") as opened:
                self.rows = [row for row in csv.DictReader(opened) if row["seed"] == str(seed)]

    def of(self, name: str) -> list[dict[str, str]]:
        """The trials of a case."""
        return [row for row in self.rows if row["case"] == name]

    def kills_of(self, name: str) -> int:
        """The number of kills of a case."""
        return sum(int(row["begun"]) + int(row["resumed"]) for row in self.of(name))

    def add(self, name: str, trial: int, kills: Kills, outcome: str) -> None:
        """Keep a trial."""
        shown = " ".join(map(str, kills.committed))
        values = (name, trial, self.seed, kills.begun, kills.resumed, shown, outcome)
        self.rows.append({f: str(v) for f, v in zip(_FIELDS, values, strict=True)})
        if self.file is not None:
            order = {name: i for i, name in enumerate(CASES)}
            self.rows.sort(key=lambda row: (order[row["case"]], int(row["trial"])))
            with self.file.open("w", newline="") as opened:
                writer = csv.DictWriter(opened, _FIELDS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(self.rows)
            self.file.with_suffix(".md").write_text(self.page())

    def page(self) -> str:
        """The counts of each case as a page."""
        command = f"python -m tests.torture --kills {self.kills} --seed {self.seed}"
        done = sum(map(self.kills_of, CASES))
        return _PAGE.format(command=command, table=self.table(), done=done, kills=self.kills)

    def table(self) -> str:
        """The counts of each case, and of all."""
        lines = [self._counts(name, self.of(name)) for name in CASES if self.of(name)]
        header = ("case", "kills", "while resuming", "after the first commit", "runs",
                  "identical", *FAULTS)  # fmt: skip
        return markdown(header, [*lines, self._counts("all", self.rows)])

    def _counts(self, name: str, rows: list[dict[str, str]]) -> tuple[str, ...]:
        resumed = sum(int(row["resumed"]) for row in rows)
        kills = sum(int(row["begun"]) for row in rows) + resumed
        late = sum(int(n) > 0 for row in rows for n in row["rows at each kill"].split())
        came = [sum(row["outcome"] == kind for row in rows) for kind in ("identical", *FAULTS)]
        return (name, *map(str, (kills, resumed, late, len(rows), *came)))


def main() -> int:
    """Returns the exit status: 0 if no kill has changed anything."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.torture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kills", type=int, default=100, help="number of SIGKILLs of all cases")
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    parser.add_argument("--cases", nargs="*", default=list(CASES), help=f"of: {', '.join(CASES)}")
    parser.add_argument("--out", type=Path, help="folder of the runs; those that fail stay there")
    parser.add_argument("--results", type=Path, help="CSV file of the trials; read and written")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no trial later")
    chosen = parser.parse_args()
    if unknown := set(chosen.cases) - set(CASES):
        parser.error(f"unknown case {unknown.pop()!r}; there are: {', '.join(CASES)}")
    out = chosen.out or Path(tempfile.mkdtemp(prefix="wrlso-torture-"))
    print(f"{chosen.kills} kills in all, seed {chosen.seed}, in {out}", flush=True)
    rows, start = Rows(chosen.results, chosen.seed, chosen.kills), time.monotonic()
    wanted = {name: plan(chosen.kills)[name] for name in chosen.cases}
    for name, most in wanted.items():
        if rows.kills_of(name) >= most:
            continue
        if time.monotonic() - start > 60 * chosen.minutes:
            break
        case = Case(name, out / name.replace(", ", "-").replace(" ", "-"))
        case.begin()
        took = f"{case.seconds:.1f} s, the first row after {case.first:.1f} s"
        print(f"{name}: uninterrupted {took}, twice the same", flush=True)
        while rows.kills_of(name) < most and time.monotonic() - start < 60 * chosen.minutes:
            _try(case, rows, most)
    print(rows.table())
    if left := sum(max(0, most - rows.kills_of(name)) for name, most in wanted.items()):
        print(f"{left} kills are left: the same command goes on")
    return int(any(row["outcome"] != "identical" for row in rows.rows))


def _try(case: Case, rows: Rows, most: int) -> None:
    """One trial of a case."""
    number, start = len(rows.of(case.name)), time.monotonic()
    try:
        kills = torture(case, number, rows.seed, most - rows.kills_of(case.name))
        outcome = told = "identical"
    except Lost as error:
        kills, outcome, told = Kills(1, 0, (0,)), error.kind, f"FAILED: {error}"
    rows.add(case.name, number, kills, outcome)
    done = f"{rows.kills_of(case.name)} of {most} kills, {time.monotonic() - start:.0f} s"
    print(f"{case.name}, trial {number} [{done}]: {told}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
