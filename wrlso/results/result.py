"""A run with its table and its figures."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wrlso.methods import Method
from wrlso.results.best import FoundObject, best_objects, to_dataframe
from wrlso.results.html import run_html, svg_of
from wrlso.results.record import RunRecord
from wrlso.results.tables import run_table
from wrlso.tasks.base import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from wrlso.results.figures import Kind
    from wrlso.results.figures.canvas import Format


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
        there is none), predicted and predicted_sd (mean and standard deviation of the score, as the
        surrogate expected it at the ask; NaN without a surrogate), reason, object (as text) and
        latent; then, for each component of the objective, its value, and its desirability.

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
            import matplotlib  # noqa: F401
        except ImportError:
            return run_html(self.summary)
        return run_html(self.summary, svg_of(self.plot()))

    def plot(
        self,
        kind: "Kind" = "best_so_far",
        *,
        ax: "Axes | Iterable[Axes] | None" = None,
        task: Task | None = None,
        method: Method | None = None,
        label: str | None = None,
        color: str | None = None,
        host_samples: int = 0,
    ) -> "Figure":
        """Draw one figure of the run (needs ``wrlso[plots]``).

        Args:
          kind: which one, with the number of axes that it needs:

            - ``"best_so_far"`` (1): the best score against charged queries: seeds, their mean, one
              standard deviation over seeds, the best of the starting data. On axes that have such a
              curve it adds one more, so that runs can be compared.
            - ``"weights"`` (2): weight by score, and cumulative weight, of the first seed.
            - ``"prior_samples"`` (1): the scores of samples of the prior before and after
              retraining.
            - ``"manifold"`` (3): the score over a latent space of two dimensions before and after
              all retrainings of the first seed, and the change.
            - ``"latent_map"`` (1): every charged query where it was proposed, coloured by score.
            - ``"progress"`` (6): the best object so far, from the starting data to the end.
            - ``"best_objects"`` (8): the best objects of all seeds that do not look alike.
          ax: matplotlib axes to draw on, as many as the figure needs; None: a new figure.
          task: the run's task; a run of a built-in task finds it itself. ``best_so_far`` and
            ``latent_map`` need none.
          method: the run's method; only ``weights`` needs it, and only of a weighting of your own.
          label: name of the curve of ``best_so_far``. Default: its method and its mean.
          color: color of the curve. Default: the next one that people with colour blindness tell
            apart.
          host_samples: number of prior samples per seed and stage that a Python objective scores
            for ``prior_samples``; an objective in JAX scores 1,000. No method sees these scores.

        Returns:
          The figure, of matplotlib, without pyplot; ``figure.savefig("curve.pdf")`` writes it as
          vectors.

        Raises:
          ValueError: if the kind is unknown, does not fit the task, or needs other axes.
          ImportError: if matplotlib is not installed.
        """
        from wrlso.results.figures import plot

        return plot(self, kind, ax, task, method, label, color, host_samples)

    def save_figures(
        self,
        task: Task | None = None,
        host_samples: int = 0,
        method: Method | None = None,
        formats: "Sequence[Format]" = ("pdf", "png"),
    ) -> list[Path]:
        """Draw every figure that fits the run into its folder (needs ``wrlso[plots]``).

        Args:
          task: the run's task; a run of a built-in task finds it itself.
          host_samples: number of prior samples per seed and stage that a Python objective scores
            for the figures.
          method: the run's method; it is required only for a weighting of your own.
          formats: formats of the files: ``pdf``, ``svg`` and ``eps`` are vectors, ``png`` is for
            screens.

        Returns:
          The paths of the files.
        """
        from wrlso.results.figures import save_figures

        return save_figures(self, task, host_samples, method, formats)
