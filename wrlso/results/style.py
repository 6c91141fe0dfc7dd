"""Colours that figures and reports share."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Colours that people with colour blindness tell apart, and that differ in print.

Source: Okabe and Ito, Color Universal Design, 2008, without the yellow, which is lost on paper.
"""

GREY = "#767676"
"""The colour of what is given: starting data, limits, failures."""


def color_of(number: int) -> str:
    """The colour of the curve of this number, from 0; colours repeat."""
    return PALETTE[number % len(PALETTE)]
