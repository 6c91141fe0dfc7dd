"""A finished run read from its folder: queries, scores, curves, models."""

from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wrlso.data import Dataset, empty_history
from wrlso.evaluation.components import ComponentValue
from wrlso.loop.algorithm import State
from wrlso.models.sampling import prng_key
from wrlso.results.summary import best_so_far, charged_scores
from wrlso.runs.base_data import base_of
from wrlso.runs.config import RunConfig
from wrlso.runs.folder import RunFolder
from wrlso.runs.log import Query
from wrlso.tasks import TASKS
from wrlso.tasks.base import Task


def task_of(config: RunConfig) -> Task:
    """The built-in task that a configuration names.

    Raises:
      ValueError: if there is no built-in task of that name.
    """
    if config.task not in TASKS:
        raise ValueError(
            f"unknown task {config.task!r}; there are: {', '.join(TASKS)}. "
            "For a task of your own, pass it as the argument task"
        )
    return TASKS[config.task](**config.task_options)


class RunRecord:
    """A finished run, read from its folder.

    Attributes:
      folder: the run's folder.
      summary: the content of ``summary.json``.

    Raises:
      ValueError: if the folder holds no run, or the run is not finished.
    """

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
        with closing(self.folder.open_log(read_only=True)) as log:
            return log.queries()

    def components(self) -> dict[tuple[int, int, int], tuple[ComponentValue, ...]]:
        """The components of the scores, by seed, round and index of the query.

        It is empty if the objective has no components.
        """
        with closing(self.folder.open_log(read_only=True)) as log:
            return log.components()

    def scores(self) -> list[np.ndarray]:
        """The charged scores of each seed in order; NaN for a query that failed."""
        queries = self.queries()
        seeds = self.folder.config.seed_numbers
        return [charged_scores([q for q in queries if q.seed == seed]) for seed in seeds]

    def curves(self) -> list[np.ndarray]:
        """The best score so far of each seed, after every charged query."""
        return [best_so_far(scores) for scores in self.scores()]

    @property
    def checkpoints(self) -> list[int]:
        """The numbers of rounds after which :meth:`state` is kept.

        The state is kept after the first round, a middle round, and the last round.
        """
        return self.folder.checkpoints()

    def state(self, rounds: int | None = None, task: Task | None = None) -> State:
        """The model and the queries of every seed after a round.

        Args:
          rounds: number of rounds done, one of :attr:`checkpoints`; None: the last.
          task: the run's task; a run of a built-in task finds it itself.

        Returns:
          A state whose arrays have a leading axis ``[seeds]``; ``params`` are the parameters of the
          models. ``jax.tree.map(lambda a: a[0], state)`` is the state of the first seed. It lacks
          the proposer's memory.

        Raises:
          ValueError: if no state after that number of rounds is kept.
        """
        task = task or task_of(self.folder.config)
        return self.load_state(rounds, task, base_of(self.folder, task))

    def load_state(self, rounds: int | None, task: Task, base: Dataset) -> State:
        """As :meth:`state`, with base data that are already loaded."""
        return load_state(self.folder, rounds, task, base)


def load_state(folder: RunFolder, rounds: int | None, task: Task, base: Dataset) -> State:
    """The state of every seed after a round, see :meth:`RunRecord.state`; of any run."""
    kept, config = folder.checkpoints(), folder.config
    rounds = max(kept, default=0) if rounds is None else rounds
    if rounds not in kept:
        raise ValueError(f"no state is kept after {rounds} rounds; there are: {kept}")

    def one_seed() -> State:
        history = empty_history(config.budget, base.objects[0], task.vae.latent_dim)
        return State(task.vae.init(prng_key(0)), history)

    like = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct((config.seeds, *a.shape), a.dtype),
        jax.eval_shape(one_seed),
    )
    return folder.load_checkpoint(rounds, like)
