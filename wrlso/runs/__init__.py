"""Durable runs: the only part, with ``cli``, that touches a disk or a clock."""
