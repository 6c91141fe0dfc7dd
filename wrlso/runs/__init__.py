"""Durable runs: what a user starts, the query log, checkpoints, results."""
