"""``make torture``: kill runs of all kinds until the number of kills is reached."""

import argparse
import tempfile
import time
from pathlib import Path

from tests.torture.kills import Case, Lost, torture
from tests.torture.work import CASES


def main() -> int:
    """Returns the exit status: 0 if no kill has changed anything."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="number of SIGKILLs")
    parser.add_argument("--seed", type=int, default=0, help="of the instants, and of the order")
    parser.add_argument("--cases", nargs="*", default=list(CASES), help=f"of: {', '.join(CASES)}")
    parser.add_argument("--out", type=Path, help="folder of the runs; those that fail stay there")
    chosen = parser.parse_args()
    if unknown := set(chosen.cases) - set(CASES):
        parser.error(f"unknown case {unknown.pop()!r}; there are: {', '.join(CASES)}")
    out = chosen.out or Path(tempfile.mkdtemp(prefix="wrlso-torture-"))
    print(f"{chosen.kills} kills, seed {chosen.seed}, in {out}", flush=True)
    cases = []
    for name in chosen.cases:
        case = Case(name, out / name.replace(", ", "-").replace(" ", "-"))
        case.begin()
        print(f"{name}: {case.seconds:.1f} s uninterrupted, twice the same", flush=True)
        cases.append(case)
    kills, number, failed = dict.fromkeys(chosen.cases, 0), 0, 0
    start = time.monotonic()
    while (total := sum(kills.values())) < chosen.kills:
        case = cases[number % len(cases)]
        try:
            new = torture(case, number, chosen.seed, chosen.kills - total)
            told = f"{new} kills, the uninterrupted run bit by bit"
        except Lost as error:
            new, failed, told = 1, failed + 1, f"FAILED: {error}"
        kills[case.name] += new
        number += 1
        done = f"{total + new} of {chosen.kills} kills, {time.monotonic() - start:.0f} s"
        print(f"[{done}] trial {number - 1}, {case.name}: {told}", flush=True)
    shown = ", ".join(f"{name} {count}" for name, count in kills.items())
    print(f"{sum(kills.values())} kills ({shown}) in {number} trials: {failed} trials failed")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
