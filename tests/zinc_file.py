"""Where ZINC250k is, if it is at hand."""

from pathlib import Path

import pytest

ZINC = Path(__file__).parents[2] / "shared" / "data" / "zinc250k.smi.gz"

needs_zinc = pytest.mark.skipif(
    not ZINC.exists(), reason="ZINC250k (shared/data) is not on this machine"
)
