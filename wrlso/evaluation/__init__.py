"""Evaluation of Python objectives, in this process or in worker processes.

Worker processes import this package, so it does not load JAX.
"""
