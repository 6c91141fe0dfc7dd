"""Scores as text: few digits for people, all of them for files."""

import numpy as np


def shown(score: float, digits: int = 4) -> str:
    """A score with some significant digits, and with ten where its whole part has more.

    Energies near -7.6e7 that differ by 1 thus look different. Zero has no sign.
    """
    return f"{score + 0.0:.{digits if abs(score) < 10**digits else 10}g}"


def exact(score: float) -> str:
    """The shortest text that is read as the same score, in float32 if float32 holds it."""
    with np.errstate(over="ignore"):
        single = float(np.float32(score)) == score
    return f"{score:.9g}" if single else repr(float(score))
