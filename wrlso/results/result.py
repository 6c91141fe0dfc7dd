"""A run with its table and its figures."""

from pathlib import Path
from typing import TYPE_CHECKING

from wrlso.methods import Method
from wrlso.results.best import FoundObject, best_objects, to_dataframe
from wrlso.results.html import run_html, svg_of
from wrlso.results.record import RunRecord
from wrlso.results.tables import run_table
from wrlso.tasks.base import Task

if TYPE_CHECKING:
    from pandas import DataFrame


class Result(RunRecord):
    """A run read from its folder, finished or as far as it has come."""

    def table(self) -> str:
        """The summary as a table with one row per seed."""
        return run_table(self.summary)

    def best_objects(
        self, n: int | None = 10, diverse: bool = False, task: Task | None = None
    ) -> list[FoundObject]:
        """The n different objects of the best scores over all seeds, the best first.

        ``wrlso export`` writes them to a file, and so does
        :func:`wrlso.results.export_best.export_best`.

        Args:
          n: number of objects; fewer if the run has found fewer. None: all.
          diverse: choose objects that differ: of the 5 n best, the best, and then again and again
            the one that is farthest from the nearest of those chosen, by the Tanimoto similarity of
            ECFP4 bits of molecules, and by the latents of other objects.
          task: the run's task, for the texts of objects of a task of your own.

        Returns:
          The objects, each with text, score, seed, query, components and latent.

        Raises:
          ValueError: if n is not positive.
        """
        return best_objects(self, n, diverse, task)

    def to_dataframe(self, task: Task | None = None) -> "DataFrame":
        """Every query as a row of a pandas table.

        The columns are seed, round, index, query (its name within the seed), status, score (NaN if
        there is none), reason, object (as text) and latent; then, for each component of the
        objective, its value, and its desirability.

        Args:
          task: the run's task, for the texts of objects of a task of your own.

        Raises:
          ImportError: if pandas is not installed.
        """
        return to_dataframe(self, task)

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
