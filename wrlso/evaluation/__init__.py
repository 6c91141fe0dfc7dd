"""Objectives on the host: Python functions, evaluated here or in worker processes.

Nothing here loads JAX, as worker processes import it.
"""
