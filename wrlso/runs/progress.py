"""The view of a run while it goes on: the bar, the best scores, a warning if nothing scores."""

import logging
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from tqdm import tqdm

from wrlso.runs.log import QueryLog
from wrlso.storage.bars import bars_shown
from wrlso.storage.numbers import shown

_TIMED = 4
"""Number of evaluations after which a run says how long the others will take."""

_FIRST = 10
"""Number of charged queries over all seeds. If none of the first ones has a score, a warning says
so."""


_logger = logging.getLogger("wrlso")


class Progress:
    """The bar of a run, and what it says.

    Args:
      bar: the bar.
      log: the log, for the last reason of a failure.
      round_size: number of charged queries of a round over all seeds, to say how long the run will
        take, once the first evaluations have been timed; None: do not say it.
    """

    def __init__(self, bar: tqdm, log: QueryLog, round_size: int | None = None) -> None:
        self.bar, self._log, self._warned = bar, log, False
        self._round_size, self._start, self._before = round_size, time.monotonic(), bar.n
        self._spent: Counter[str] = Counter()

    def spend(self, phase: str, seconds: float) -> None:
        """Count the seconds of a phase. The rest of the run does not take all of them per query."""
        self._spent[phase] += seconds  # type: ignore[assignment]

    def say(self, text: str) -> None:
        """Put a few words beside the bar."""
        if not self.bar.disable:
            self.bar.set_postfix_str(text)

    def update(self, charged: int, scores: Sequence[np.ndarray], sign: float = 1.0) -> None:
        """Show the number of charged queries, and what each seed's ``scores [C]`` say.

        They are what the loop maximises: the objective's scores times ``sign``.
        """
        self.bar.update(charged - self.bar.n)
        failed = charged - sum(int(np.isfinite(one).sum()) for one in scores)
        best = [s[np.isfinite(s)].max() for s in scores if np.isfinite(s).any()]
        top = "max" if sign > 0 else "min"
        found = []
        if best:
            found = [f"best {shown(sign * np.mean(best))} mean, {shown(sign * np.max(best))} {top}"]
        found += [f"{failed} without a score"] if failed else []
        self.bar.set_postfix_str(", ".join(found), refresh=False)
        self._say_how_long(charged)
        if failed == charged >= _FIRST and not self._warned:
            self._warned = True
            last = next((q.reason for q in reversed(self._log.queries()) if q.reason), "")
            warnings.warn(
                f"none of the first {charged} queries has a score; the last reason: "
                f"{last or 'not a number'}. Ctrl-C stops the run.",
                stacklevel=2,
            )

    def _say_how_long(self, charged: int) -> None:
        """Say once how long the rest will take: queries, and retrainings and fits once a round."""
        new, left = charged - self._before, (self.bar.total or 0) - charged
        if self._round_size is None or new < _TIMED or left <= 0:
            return
        elapsed, compiling = time.monotonic() - self._start, self._spent["compile"]
        per_round = self._spent["retrain"] + self._spent["fit"]
        each = max(elapsed - compiling - per_round, 0.0) / new
        rest = each * left + per_round * left / max(self._round_size, new)
        once = f", {duration(compiling)} of them to compile programs" * (compiling > elapsed / 10)
        self._round_size = None
        say(
            f"{new} queries took {duration(elapsed)}{once}, {each:.3g} s each: "
            f"the other {left} will take about {duration(rest)}",
            not self.bar.disable,
        )


def say(text: str, progress: bool) -> None:
    """Log a line for people; without a handler of the application's it goes to standard error."""
    _logger.info(text)
    if progress and sys.stderr is not None and not _logger.isEnabledFor(logging.INFO):
        tqdm.write(text, file=sys.stderr)


def duration(seconds: float) -> str:
    """A duration in words, such as ``3 h``."""
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


@contextmanager
def timed(clock: Callable[[str, float], None], phase: str) -> Iterator[None]:
    """Record the wall time of a block, also if it is interrupted."""
    start = time.perf_counter()
    try:
        yield
    finally:
        clock(phase, time.perf_counter() - start)


def pretrain_bar() -> Callable[[int, int], None]:
    """A progress bar for pretraining: call it with steps done and steps in all."""
    bars: list[tqdm] = []

    def progress(done: int, total: int) -> None:
        if not bars:
            what = "pretraining (once, cached)"
            bars.append(tqdm(total=total, desc=what, unit="step", disable=not bars_shown()))
        bars[0].update(done - bars[0].n)
        if done == total:
            bars[0].close()

    return progress
