"""The cost of keeping everything: a run with its folder against the same run in memory.

    python -m benchmarks.speed.durability [--only NAME ...]

Sections: ``tiny`` (rounds of the tests' task of 16 bits), ``shapes`` (the headline run), and
``rounds`` (2,000 rounds: memory, descriptors, time per round). In memory the same session keeps its
log in ``:memory:`` and writes no checkpoint. The headline run takes a minute, and differs by more
from one time to the next than keeping it costs: there, the time in the log and in checkpoints is
measured, within one run. Writes benchmarks/results/durability.md and .csv.
Ratios carry over, times do not. Run it alone on the machine; ``--only`` measures one section.
"""

import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.speed.harness import Row, main

_REPEATS = 3


def _rounds_seconds(
    task: Any, method: Any, path: Path | None, budget: int, seeds: int, proposer: str
) -> tuple[float, int, list[tuple[float, int, int]]]:
    """Seconds of all rounds without compilation, their number, and after each: its seconds, the
    resident memory in bytes, and the number of open descriptors. ``path`` None: in memory."""
    from tqdm import tqdm

    from wrlso.parallel import request_cpu_devices
    from wrlso.runs.base_data import load_base
    from wrlso.runs.checkpoints import OpenRun
    from wrlso.runs.folder import RunFolder
    from wrlso.runs.log import QueryLog
    from wrlso.runs.plan import begin, create
    from wrlso.runs.pretrained import pretrained_params
    from wrlso.runs.session import Session
    from wrlso.runs.settings import RunSettings

    class InMemory(RunFolder):
        """A folder that keeps nothing."""

        def __init__(self, config: Any) -> None:
            self.path, self.config = Path("in memory"), config

        def checkpoints(self) -> list[int]:
            return []

        def save_checkpoint(self, rounds_done: int, state: Any, durable: bool = True) -> None:
            pass

        def forget_checkpoints(self, rounds_done: int, keep: set[int]) -> None:
            pass

    request_cpu_devices(seeds)
    settings = RunSettings(budget=budget, seeds=seeds, proposer=proposer, progress=False)
    base = load_base(task)
    resolved, config = begin(task, method, settings, base)
    if path is None:
        folder: RunFolder = InMemory(config)
        log = QueryLog(Path(":memory:"))
    else:
        folder = create(path, config, ())
        log = folder.open_log(durable=False)
    after: list[tuple[float, int, int]] = []
    last = [time.perf_counter()]

    def measure() -> None:
        now = time.perf_counter()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        descriptors = len(os.listdir("/proc/self/fd"))
        after.append((now - last[0], pages * resource.getpagesize(), descriptors))
        last[0] = now

    class Measured(Session):
        def end_round(self, done: Any) -> None:
            super().end_round(done)
            measure()

    with closing(log):
        params = pretrained_params(task, base)
        session = Measured([OpenRun(folder, log)], task, resolved, base, params)
        with closing(session), tqdm(disable=True) as bar:
            last[0] = start = time.perf_counter()
            session.run_rounds(bar, lambda: None)
            seconds = time.perf_counter() - start - log.seconds()["compile"]
            return seconds, session.round, after


def _compared(make: Callable[[Path | None], tuple[float, int, Any]]) -> tuple[float, float, int]:
    """Median seconds in memory and in a folder, in turn, and the number of rounds."""
    found: dict[bool, list[float]] = {False: [], True: []}
    rounds = 0
    for _ in range(_REPEATS):
        for durable in (False, True):
            with tempfile.TemporaryDirectory(dir=".") as folder:
                seconds, rounds, _ = make(Path(folder) / "run" if durable else None)
            found[durable].append(seconds)
    return statistics.median(found[False]), statistics.median(found[True]), rounds


def _tiny(path: Path | None, rounds: int) -> tuple[float, int, list[tuple[float, int, int]]]:
    from tests.builders import METHOD, make_tiny_task

    return _rounds_seconds(make_tiny_task(), METHOD, path, 4 * rounds, 1, "prior")


def section_tiny() -> list[Row]:
    """Rounds of the tiny task."""
    memory, folder, rounds = _compared(lambda path: _tiny(path, 300))
    return [
        (
            f"{rounds} rounds of the tiny task, in a folder against in memory",
            f"{folder / memory:.2f} x",
            "<= 2 x",
            f"{1e3 * folder / rounds:.1f} against {1e3 * memory / rounds:.1f} ms per round",
        )
    ]


@contextmanager
def _time_of_keeping() -> Iterator[list[float]]:
    """The seconds of each call that a run makes to its log or for its checkpoints; the outermost
    counts."""
    from wrlso.runs import checkpoints
    from wrlso.runs.log import QueryLog

    taken: list[float] = []
    depth = 0

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **keywords: Any) -> Any:
            nonlocal depth
            start, depth = time.perf_counter(), depth + 1
            try:
                return call(*arguments, **keywords)
            finally:
                depth -= 1
                if not depth:
                    taken.append(time.perf_counter() - start)

        return run

    places: list[tuple[Any, str]] = [(checkpoints, "save"), (checkpoints, "force")]
    places += [(QueryLog, name) for name in ("add", "add_rounds", "add_time", "fold", "find")]
    before = [getattr(owner, name) for owner, name in places]
    for (owner, name), call in zip(places, before, strict=True):
        setattr(owner, name, timed(call))
    try:
        yield taken
    finally:
        for (owner, name), call in zip(places, before, strict=True):
            setattr(owner, name, call)


def section_shapes() -> list[Row]:
    """The headline run on shapes."""
    import wrlso

    task, method = wrlso.tasks.shapes(), wrlso.methods.weighted_retraining(1e-3, 50)
    with tempfile.TemporaryDirectory(dir=".") as folder, _time_of_keeping() as taken:
        seconds, rounds, _ = _rounds_seconds(task, method, Path(folder) / "run", 500, 5, "grid")
    kept = sum(taken)
    return [
        (
            "the headline run on shapes, against itself without log and checkpoints",
            f"{seconds / (seconds - kept):.3f} x",
            "<= 1.03 x",
            f"{kept:.2f} of {seconds:.1f} s without compilation, {rounds} rounds",
        )
    ]


def section_rounds() -> list[Row]:
    """2,000 rounds: the last quarter against the second."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        _, rounds, after = _tiny(Path(folder) / "run", 2000)
    quarter = len(after) // 4
    early, late = after[quarter : 2 * quarter], after[3 * quarter :]
    times = [1e3 * statistics.median(one[0] for one in part) for part in (early, late)]
    memory = [max(one[1] for one in part) / 1e6 for part in (early, late)]
    return [
        (
            f"time per round, last quarter of {rounds} against the second",
            f"{times[1] / times[0]:.2f} x",
            "flat",
            f"{times[1]:.2f} against {times[0]:.2f} ms, medians",
        ),
        (
            "resident memory, the same",
            f"{memory[1] / memory[0]:.3f} x",
            "flat",
            f"{memory[1]:.0f} against {memory[0]:.0f} MB, maxima",
        ),
        (
            "open descriptors, the same",
            f"{max(one[2] for one in late)} against {max(one[2] for one in early)}",
            "equal",
            "maxima",
        ),
    ]


SECTIONS = {"tiny": section_tiny, "shapes": section_shapes, "rounds": section_rounds}

if __name__ == "__main__":
    title = "The cost of keeping everything"
    main("benchmarks.speed.durability", "durability", title, __doc__, SECTIONS)
