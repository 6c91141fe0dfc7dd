"""The view of a run while it goes on: the bar, the best scores, a warning if nothing scores."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from tqdm import tqdm

from wrlso.runs.log import QueryLog

_FIRST = 10
"""Number of charged queries over all seeds. If none of the first ones has a score, a warning says
so."""


class Progress:
    """The bar of a run, and what it says."""

    def __init__(self, bar: tqdm, log: QueryLog) -> None:
        self.bar, self._log, self._warned = bar, log, False

    def say(self, text: str) -> None:
        """Put a few words beside the bar."""
        if not self.bar.disable:
            self.bar.set_postfix_str(text)

    def update(self, charged: int, scores: Sequence[np.ndarray]) -> None:
        """Show the number of charged queries, and what each seed's ``scores [C]`` say."""
        self.bar.update(charged - self.bar.n)
        failed = charged - sum(int(np.isfinite(one).sum()) for one in scores)
        best = [s[np.isfinite(s)].max() for s in scores if np.isfinite(s).any()]
        found = [f"best {np.mean(best):.4g} mean, {np.max(best):.4g} max"] if best else []
        found += [f"{failed} without a score"] if failed else []
        self.bar.set_postfix_str(", ".join(found), refresh=False)
        if failed == charged >= _FIRST and not self._warned:
            self._warned = True
            last = next((q.reason for q in reversed(self._log.queries()) if q.reason), "")
            warnings.warn(
                f"none of the first {charged} queries has a score; the last reason: "
                f"{last or 'not a number'}. Ctrl-C stops the run.",
                stacklevel=2,
            )


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
            bars.append(tqdm(total=total, desc="pretraining (once, cached)", unit="step"))
        bars[0].update(done - bars[0].n)
        if done == total:
            bars[0].close()

    return progress
