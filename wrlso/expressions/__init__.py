"""Arithmetic expressions of x: grammar, evaluation, data, models (the paper's second task)."""
