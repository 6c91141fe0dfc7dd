"""Gaussian processes: kernels, exact and sparse posteriors, hyperparameter fits."""
