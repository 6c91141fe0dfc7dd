"""Labels beside the ends of curves, in place of legends; none lies upon another."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text
from scipy.optimize import isotonic_regression

_NAME = "wrlso end label"
_LINE = 1.3
"""Height of a line of text in units of the font's size."""


def label_end(axis: Axes, y: float, text: str, color: str, size: float = 7.5) -> None:
    """Write a text to the right of the axes at the height of a value.

    Call :func:`spread` once the limits of the axes are final.
    """
    label = axis.text(
        1.015, y, text, transform=axis.get_yaxis_transform(), color=color, fontsize=size,
        va="center", ha="left", linespacing=1.15,
    )  # fmt: skip
    label.set_gid(_NAME)
    label.wanted = float(y)  # type: ignore[attr-defined]


def spread(axis: Axes) -> None:
    """Move the labels of the axes as little as necessary, so that they do not overlap.

    The distances are least squares under the labels' heights: an isotonic regression.
    """
    labels = [text for text in axis.texts if text.get_gid() == _NAME]
    if not labels:
        return
    height = axis.get_window_extent().height
    wanted = np.array([_fraction(axis, label) for label in labels])
    order = np.argsort(wanted, kind="stable")
    heights = np.array([_height(labels[i]) / height for i in order])
    offsets = np.concatenate([[0.0], np.cumsum((heights[:-1] + heights[1:]) / 2)])
    placed = isotonic_regression(wanted[order] - offsets).x + offsets
    for i, place in zip(order, placed, strict=True):
        labels[i].set_transform(axis.transAxes)
        labels[i].set_y(place)


def _fraction(axis: Axes, label: Text) -> float:
    """The wanted height as a fraction of the axes', within them."""
    wanted = label.wanted  # type: ignore[attr-defined]
    pixels = axis.transData.transform((axis.get_xlim()[0], wanted))
    return float(np.clip(axis.transAxes.inverted().transform(pixels)[1], 0.0, 1.0))


def _height(label: Text) -> float:
    """The height of a label in pixels."""
    lines = 1 + label.get_text().count("\n")
    figure = label.get_figure(root=True)
    assert figure is not None
    return lines * _LINE * float(label.get_fontsize()) * figure.dpi / 72
