"""The best objects of a run in a file for others: CSV, SDF, or SMILES."""

import csv
import io
import logging
from pathlib import Path
from typing import Any

from wrlso.results.best import FoundObject, best_objects, component_columns
from wrlso.results.record import RunRecord
from wrlso.runs.config import RunConfig
from wrlso.runs.outputs import check_output, files_named
from wrlso.storage.files import write_text
from wrlso.storage.numbers import exact
from wrlso.tasks.base import Task

FORMATS = (".csv", ".sdf", ".smi")
"""Endings of the names of files."""

_logger = logging.getLogger(__name__)


def export_best(
    record: RunRecord,
    path: Path | str,
    top: int | None = 100,
    diverse: bool = False,
    task: Task | None = None,
) -> int:
    """Write the best objects of a run, the best first; a file of that name is replaced.

    A row has a name (``seed 0 r2q7`` is query 7 of round 2), the object as text, its score, seed
    and query, and the components of the score. A molecule also has properties and, if the run
    began with a file, the nearest molecule there: its name or line, its SMILES and the
    similarity. ``.smi`` has the SMILES and the name.

    Args:
      record: the run.
      path: the file; its ending is one of :data:`FORMATS`.
      top: maximum number of objects; None: all.
      diverse: choose objects that differ, see :func:`wrlso.results.best.best_objects`.
      task: the run's task, for the texts of objects of a task of your own.

    Returns:
      The number of objects.

    Raises:
      ValueError: if the ending is none of them, the file is an input or a file of a run, the run
        has scored nothing, or SMILES are asked of a task without molecules.
    """
    path, config = Path(path), record.folder.config
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path}: give a file that ends in {', '.join(FORMATS)}")
    molecules = config.task == "molecules"
    if not molecules and path.suffix.lower() != ".csv":
        raise ValueError(
            f"{path}: task {config.task!r} has no molecules, which {path.suffix} holds: give a "
            "file that ends in .csv"
        )
    check_output(path, files_named(config.task_options))
    found = best_objects(record, top, diverse, task)
    if not found:
        raise ValueError(f"{record.folder.path} has no object with a score yet")
    rows = [_row(one, "smiles" if molecules else "object") for one in found]
    if molecules:
        _add_properties(rows)
        _add_starts(rows, config)
    _WRITERS[path.suffix.lower()](path, rows)
    return len(rows)


def _row(found: FoundObject, column: str) -> dict[str, Any]:
    return {
        "name": f"seed {found.seed} {found.query}",
        column: found.text,
        "score": found.score,
        "seed": found.seed,
        "query": found.query,
        **component_columns(found.components),
    }


def _add_properties(rows: list[dict[str, Any]]) -> None:
    from wrlso.chem.export import properties_of

    for row in rows:
        if row["smiles"]:
            row.update({k: v for k, v in properties_of(row["smiles"]).items() if k not in row})


def _add_starts(rows: list[dict[str, Any]], config: RunConfig) -> None:
    """Add the nearest molecule of the file that the run began with."""
    from wrlso.chem.export import nearest
    from wrlso.tasks.molecule.starting import starting_molecules

    try:
        starts = starting_molecules(config.task_options)
    except (ValueError, OSError) as error:
        _logger.warning("the molecules that the run began with cannot be read: %s", error)
        return
    with_text = [row for row in rows if row["smiles"]]
    if not starts:
        return
    near = nearest([row["smiles"] for row in with_text], [one.smiles for one in starts])
    for row, (position, similarity) in zip(with_text, near, strict=True):
        start = starts[position]
        row |= {"start": start.name, "start smiles": start.smiles, "start similarity": similarity}


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: exact(v) if isinstance(v, float) else v for k, v in row.items()})
    write_text(path, stream.getvalue())


def _write_sdf(path: Path, rows: list[dict[str, Any]]) -> None:
    from wrlso.chem.export import write_sdf

    write_sdf(path, [row["smiles"] for row in rows], rows)


def _write_smi(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = (f"{row['smiles']}\t{row['name']}\n" for row in rows)
    write_text(path, "".join(lines))


_WRITERS = {".csv": _write_csv, ".sdf": _write_sdf, ".smi": _write_smi}
