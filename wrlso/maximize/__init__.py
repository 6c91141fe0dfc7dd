"""Maximisation of a function within bounds from many starts, and the derivatives of its result."""

from wrlso.maximize.climb import Maxima, ValueAndGrad, maximize, rowwise

__all__ = ["Maxima", "ValueAndGrad", "maximize", "rowwise"]
