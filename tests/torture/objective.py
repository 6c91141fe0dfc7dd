"""Objectives of the tortured runs: slow enough to be killed in, and each call leaves a line."""

import os
import time

JOURNAL = "WRLSO_TORTURE_JOURNAL"
"""Names the file to which each evaluation adds a line; a line is one write, so that it is whole."""


def noted(thing):
    """Number of set bits; objects of one kind fail. Each call is noted."""
    stored = bytes(thing)
    file = os.open(os.environ[JOURNAL], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, stored.hex().encode() + b"\n")
    os.close(file)
    time.sleep(0.01)
    if stored[0] % 5 == 3:
        raise ValueError("insoluble")
    return float(sum(byte.bit_count() for byte in stored))
