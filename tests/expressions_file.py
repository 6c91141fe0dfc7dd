"""Where the paper's 100,000 expressions are, if they are at hand."""

from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "shared" / "data" / "expressions.txt.gz"

needs_file = pytest.mark.skipif(
    not FILE.exists(), reason="the paper's expressions (shared/data) are not on this machine"
)
