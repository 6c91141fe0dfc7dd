"""A finished run with its table and its figures."""

from pathlib import Path

from wrlso.methods import Method
from wrlso.results.html import run_html, svg_of
from wrlso.results.record import RunRecord
from wrlso.results.tables import run_table
from wrlso.tasks.base import Task


class Result(RunRecord):
    """A finished run, read from its folder."""

    def table(self) -> str:
        """The summary as a table with one row per seed."""
        return run_table(self.summary)

    def report(self, file: str | Path, task: Task | None = None) -> Path:
        """Write one HTML page of the run, which works offline (needs ``wrlso[plots]``).

        :func:`wrlso.report` does the same for several runs, and for runs under way.

        Args:
          file: the page; it is replaced if it exists.
          task: the run's task; a run of a built-in task finds it itself.

        Returns:
          The path of the page.
        """
        from wrlso.results.report import report

        return report(self, file, task=task)

    def _repr_html_(self) -> str:
        """The table and, with matplotlib, the curves; notebooks show it."""
        try:
            from wrlso.results.figures import best_so_far
        except ImportError:
            return run_html(self.summary)
        return run_html(self.summary, svg_of(best_so_far(self)))

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
