"""A finished run with its table and its figures."""

from pathlib import Path

from wrlso.methods import Method
from wrlso.results.record import RunRecord
from wrlso.results.tables import run_table
from wrlso.tasks.base import Task


class Result(RunRecord):
    """A finished run, read from its folder."""

    def table(self) -> str:
        """The summary as a table with one row per seed."""
        return run_table(self.summary)

    def plot(
        self, task: Task | None = None, host_samples: int = 0, method: Method | None = None
    ) -> list[Path]:
        """Draw the run's figures into its folder (needs ``wrlso[plots]``).

        Args:
          task: the run's task; a run of a built-in task finds it itself.
          host_samples: number of prior samples per seed and stage that a Python objective scores
            for the figures.
          method: the run's method; it is required only for a weighting of your own.

        Returns:
          The paths of the figures.
        """
        from wrlso.results.figures import draw_run

        return draw_run(self, task, host_samples, method)
