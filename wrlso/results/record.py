"""A run read from its folder: queries, scores, curves, models."""

from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wrlso.data import Dataset, empty_history
from wrlso.evaluation.components import ComponentValue
from wrlso.loop.algorithm import State
from wrlso.models.sampling import prng_key
from wrlso.results.summary import best_so_far, charged_scores, summarize
from wrlso.runs.base_data import base_of
from wrlso.runs.config import RunConfig
from wrlso.runs.folder import RunFolder
from wrlso.runs.growing import cut, read_state
from wrlso.runs.log import REMEDY, Query
from wrlso.runs.processes import is_running, read_log
from wrlso.runs.rows import PredictedScore
from wrlso.status import Status
from wrlso.storage.sealed import DamagedFile
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
    """A run read from its folder, as far as it has come.

    Attributes:
      folder: the run's folder.
      finished: whether it has spent its budget.
      summary: the content of ``summary.json``; of a run that is not finished, the same from its
        log, and its ``state``.

    Raises:
      ValueError: if the folder holds no run.
    """

    def __init__(self, path: str | Path) -> None:
        self.folder = RunFolder(Path(path))
        whole = self.folder.finished_summary()
        self.finished = whole is not None
        self.summary: dict[str, Any] = self._summary_so_far() if whole is None else whole

    def _summary_so_far(self) -> dict[str, Any]:
        """The summary of a run that is not finished, from its log."""
        config = self.folder.config
        with closing(read_log(self.folder)) as log:
            found = summarize(config, log, {}, stated=config.stated)
        running = is_running(self.folder)
        pending = sum(seed["status"].get("PENDING", 0) for seed in found["seeds"])
        state = "running" if running else f"{pending} open" if pending else "stopped"
        return found | {"state": state}

    @property
    def by_people(self) -> bool:
        """Whether people measure its objects, or have told results: it goes on by ask and tell."""
        if self.folder.config.task_record.get("measured"):
            return True
        with closing(read_log(self.folder)) as log:
            return log.was_told() or any(q.status == Status.PENDING for q in log.queries())

    @property
    def best(self) -> np.ndarray:
        """``[seeds]`` best score of each seed; NaN for a seed without a successful query."""
        return np.array([np.nan if s["best"] is None else s["best"] for s in self.summary["seeds"]])

    def queries(self) -> list[Query]:
        """Every query of every seed, in order."""
        with closing(read_log(self.folder)) as log:
            found = log.queries()
        if self.finished:
            self._compare(found)
        return found

    def _compare(self, queries: list[Query]) -> None:
        """Refuse a log that lacks queries which the summary states, and a summary that lacks those
        of the log."""
        for seed in self.summary["seeds"]:
            stated = sum(seed["status"].values())
            logged = sum(query.seed == seed["seed"] for query in queries)
            if logged > stated:
                raise ValueError(
                    f"{self.folder.summary_file} is out of date: it states {stated} queries of "
                    f"seed {seed['seed']}, and queries.sqlite has {logged}; "
                    f"{self.folder.summary_remedy}"
                )
            if logged < stated:
                raise DamagedFile(
                    self.folder.path / "queries.sqlite",
                    f"it holds {logged} queries of seed {seed['seed']}, summary.json {stated}",
                    REMEDY,
                )

    def components(self) -> dict[tuple[int, int, int], tuple[ComponentValue, ...]]:
        """The components of the scores, by seed, round and index of the query.

        It is empty if the objective has no components.
        """
        with closing(read_log(self.folder)) as log:
            return log.components()

    def predictions(self) -> dict[tuple[int, int, int], PredictedScore]:
        """The scores that the surrogate expected, by seed, round and index of the query.

        It is empty if the proposer has no surrogate of scores.
        """
        with closing(read_log(self.folder)) as log:
            return log.predictions()

    def scores(self) -> list[np.ndarray]:
        """The charged scores of each seed in order; NaN for a query without one."""
        queries = self.queries()
        seeds = self.folder.config.seed_numbers
        return [charged_scores([q for q in queries if q.seed == seed]) for seed in seeds]

    def curves(self) -> list[np.ndarray]:
        """The best score so far of each seed, after every charged query."""
        return [best_so_far(scores, self.folder.config.sign) for scores in self.scores()]

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
          ValueError: if no state after that number of rounds is kept, or no round is done.
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
    if not kept:
        raise ValueError(f"{folder.path} has not ended its first round")
    if rounds not in kept:
        raise ValueError(f"no state is kept after {rounds} rounds; there are: {kept}")

    def one_seed() -> State:
        history = empty_history(config.queries, base.objects[0], task.vae.latent_dim)
        return State(task.vae.init(prng_key(0)), history)

    like = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct((config.seeds, *a.shape), a.dtype),
        jax.eval_shape(one_seed),
    )
    return cut(read_state(folder, rounds, like), config.queries)
