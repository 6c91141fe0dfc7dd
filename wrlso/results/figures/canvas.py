"""The sheet that figures are drawn on: sizes, fonts, files."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Format = Literal["pdf", "svg", "png", "eps"]

FORMATS: tuple[Format, ...] = ("pdf", "png")
"""Formats of saved figures: one for papers, which is vectors, and one for screens."""

NARROW, WIDE = 4.6, 7.0
"""Widths in inches: of one panel, and of a page of text."""

STYLE: Any = {
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "lines.solid_capstyle": "butt",
    "pdf.fonttype": 42,  # text stays text in PDF and EPS: it can be searched and edited
    "ps.fonttype": 42,
    "svg.hashsalt": "wrlso",  # equal figures are equal files
}


class RunFigure(Figure):
    """A figure that a notebook shows, also where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def panels(
    ax: Axes | Iterable[Axes] | None,
    count: int,
    size: tuple[float, float],
    rows: int = 1,
    **options: Any,
) -> tuple[Figure, list[Axes]]:
    """The axes to draw on: the caller's, or those of a new figure.

    The figure is made without pyplot, which would change the backend of a notebook.

    Args:
      ax: the caller's axes; one, or several in any arrangement.
      count: number of axes that are needed.
      size: width and height of a new figure in inches.
      rows: number of rows of axes of a new figure.
      **options: of ``Figure.subplots``.

    Raises:
      ValueError: if the caller gives another number of axes.
    """
    if ax is None:
        figure = RunFigure(figsize=size, layout="constrained")
        made = figure.subplots(rows, -(-count // rows), squeeze=False, **options).ravel()
        for spare in made[count:]:
            spare.set_axis_off()
        return figure, list(made[:count])
    given: list[Axes] = [ax] if isinstance(ax, Axes) else list(np.ravel(np.asarray(ax, object)))
    if len(given) != count:
        raise ValueError(f"ax has {len(given)} axes: this figure needs {count}")
    whole = given[0].get_figure(root=True)
    assert whole is not None
    return whole, given


def save(
    figure: Figure,
    path: Path,
    formats: Sequence[Format] = FORMATS,
    about: str = "",
) -> list[Path]:
    """Write a figure as ``PATH.pdf``, ``PATH.png`` and so on; the same figure gives the same file.

    Args:
      figure: the figure.
      path: without a suffix.
      formats: the files' formats.
      about: settings of the run in one line, for the files' metadata.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    written = []
    with rc_context(STYLE):
        for kind in formats:
            file = path.with_name(f"{path.name}.{kind}")
            figure.savefig(file, dpi=200, metadata=_metadata(kind, about))
            written.append(file)
    return written


def _metadata(kind: Format, about: str) -> dict[str, Any]:
    """The metadata of a file, without a date, which would make equal figures different files."""
    of_kinds: dict[str, dict[str, Any]] = {
        "pdf": {"Subject": about, "CreationDate": None},
        "svg": {"Description": about, "Date": None},
        "png": {"Description": about},
    }
    return of_kinds.get(kind, {})
