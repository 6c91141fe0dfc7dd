"""Reading a run back: scores, table, curves."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from wrlso import loop
from wrlso.data import Dataset
from wrlso.runs.build import make_algorithm, task_of
from wrlso.runs.folder import RunFolder
from wrlso.runs.log import Query
from wrlso.runs.summary import best_so_far, charged_scores
from wrlso.tasks.base import Task


def load_state(folder: RunFolder, rounds: int, task: Task, base: Dataset) -> loop.State:
    """All seeds' states after so many rounds, with an axis ``[seeds]`` in front."""
    config = folder.config
    one = jax.eval_shape(
        lambda: loop.init(make_algorithm(task, config), task.vae.init(jax.random.key(0)), base)
    )
    like = jax.tree.map(lambda a: jax.ShapeDtypeStruct((config.seeds, *a.shape), a.dtype), one)
    return folder.load_checkpoint(rounds, like)


class Result:
    """A finished run, read from its folder."""

    def __init__(self, path: str | Path) -> None:
        self.folder = RunFolder(Path(path))
        if not self.folder.summary_file.exists():
            raise ValueError(
                f"{path} is not finished: continue it with 'wrlso resume {path}', or, if its task "
                f"was made in Python, with wrlso.resume({str(path)!r}, task=...)"
            )
        self.summary: dict[str, Any] = self.folder.load_summary()

    @property
    def best(self) -> np.ndarray:
        """``[seeds]`` best score of each seed; NaN for a seed without a successful query."""
        return np.array([np.nan if s["best"] is None else s["best"] for s in self.summary["seeds"]])

    def queries(self) -> list[Query]:
        """Every query of every seed, in order."""
        log = self.folder.open_log(read_only=True)
        try:
            return log.queries()
        finally:
            log.close()

    def scores(self) -> list[np.ndarray]:
        """Each seed's charged scores in order, NaN where a query failed."""
        queries = self.queries()
        seeds = self.folder.config.seed_numbers
        return [charged_scores([q for q in queries if q.seed == seed]) for seed in seeds]

    def curves(self) -> list[np.ndarray]:
        """Each seed's best so far after every charged query."""
        return [best_so_far(scores) for scores in self.scores()]

    @property
    def kept(self) -> list[int]:
        """Numbers of rounds after which :meth:`state` is kept: the first, one in the middle, the
        last."""
        return self.folder.checkpoints()

    def state(self, rounds: int | None = None, task: Task | None = None) -> loop.State:
        """Every seed's model and queries as they stood after a round.

        Args:
          rounds: one of :attr:`kept`; None: the last.
          task: of the run, if it is your own.

        Returns:
          A state in which every array has an axis ``[seeds]`` in front; ``params`` are the
          models' parameters. ``jax.tree.map(lambda a: a[0], state)`` is that of the first seed.

        Raises:
          ValueError: if no state of that round is kept.
        """
        rounds = self.kept[-1] if rounds is None else rounds
        if rounds not in self.kept:
            raise ValueError(f"no state is kept after {rounds} rounds; there are: {self.kept}")
        task = task or task_of(self.folder.config)
        return load_state(self.folder, rounds, task, task.load_data())

    def table(self) -> str:
        """The summary as a table, a row a seed."""
        from wrlso.report.tables import run_table

        return run_table(self.summary)

    def plot(self, task: Task | None = None, host_samples: int = 0) -> list[Path]:
        """Draw the run's figures into its folder (needs ``wrlso[plots]``); of prior samples only
        with as many ``host_samples`` where the objective is on the host."""
        from wrlso.report.figures import draw_run

        return draw_run(self, task, host_samples)
