"""Arithmetic expressions of x (the paper's second task): grammar, evaluation, data, models."""
