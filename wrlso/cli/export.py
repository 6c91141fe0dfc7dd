"""The command ``wrlso export``: the best objects of a run, for others to read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional


@dataclass(frozen=True)
class Export:
    """Write the best objects of a run to a file: .csv, .sdf or .smi.

    Try:
      wrlso export runs/a best.csv
      wrlso export runs/a best.sdf --top 100 --diverse
    """

    run: Positional[Path]
    """The run's folder."""
    file: Positional[Path]
    """The file. Its ending says what it is: .csv (objects, scores, properties), .sdf or .smi
    (molecules). It is replaced if it exists."""
    top: int = 100
    """Maximum number of objects."""
    diverse: bool = False
    """Choose objects that differ from each other, of the best five times as many."""


def export(command: Export) -> int:
    """Run ``wrlso export``."""
    from wrlso.results.export_best import export_best
    from wrlso.results.result import Result

    if command.top < 1:
        raise ValueError(f"--top must be at least 1, got {command.top}")
    number = export_best(Result(command.run), command.file, command.top, command.diverse)
    fewer = f" (the run has no more than {number})" if number < command.top else ""
    print(f"{number} objects{fewer}: {command.file}")
    return 0
