"""Gaussian processes: kernels, exact and sparse posteriors, hyperparameter fits."""

from wrlso.gp import exact, fit, kernels, linalg, sparse, standardize

__all__ = ["exact", "fit", "kernels", "linalg", "sparse", "standardize"]
