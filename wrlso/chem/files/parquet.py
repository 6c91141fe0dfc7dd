"""Parquet tables, where pandas is installed."""

import io
import math
from pathlib import Path
from typing import Any

from wrlso.chem.files.records import Account, Columns, Records, Rejection, place, require_one

_NAMES = ("name", "id", "title", "molecule", "compound")


def read_parquet(path: Path, content: bytes, columns: Columns, notes: list[str]) -> Records:
    """The records of a Parquet table; their lines are the numbers of its rows, from 1.

    Raises:
      ValueError: if pandas is not installed, the table is damaged or lacks a column.
    """
    if columns.delimiter is not None:
        raise ValueError(f"{path} is a Parquet table and has no delimiter: give none")
    try:
        import pandas
    except ImportError as error:
        raise ValueError(
            f"{path} is a Parquet table: install pandas and pyarrow to have it read, or save it as "
            "CSV"
        ) from error
    try:
        table = pandas.read_parquet(io.BytesIO(content))
    except ImportError as error:  # pandas reads Parquet by another package
        raise ValueError(f"{path} is a Parquet table: install pyarrow, too") from error
    except Exception as error:  # each of its engines has errors of its own
        raise ValueError(f"{path} is a damaged Parquet table: {error}") from error
    header = [str(name) for name in table.columns]
    found = dict[str, int]()
    for argument, name in (("column", columns.column), ("score_column", columns.score_column)):
        if name is not None:
            require_one(path, argument, name, header)
            at = place(name, header, len(header))
            if at is None:
                raise ValueError(
                    f"{path} has no column {name!r}: give one of {', '.join(header)} as {argument}"
                )
            found[argument] = at
    used = set(found.values())
    ids = next((i for i, n in enumerate(header) if n.lower() in _NAMES and i not in used), None)
    return _records(table, found, ids, [*notes, "read as Parquet"])


def _records(table: Any, found: dict[str, int], ids: int | None, notes: list[str]) -> Records:
    def cells(at: int) -> list[str]:
        return [_text(value) for value in table.iloc[:, at].tolist()]

    every = cells(found["column"])
    kept = [i for i, text in enumerate(every) if text]
    rejected = [
        Rejection(i + 1, "", "without a molecule", "nothing is in the column of SMILES")
        for i, text in enumerate(every)
        if not text
    ]
    names = [""] * len(every) if ids is None else cells(ids)
    scores = cells(found["score_column"]) if "score_column" in found else None
    account = Account(len(every), 0, 0, 0, len(every))
    return Records(
        [every[i] for i in kept],
        [names[i] for i in kept],
        None if scores is None else [scores[i] for i in kept],
        [i + 1 for i in kept],
        rejected,
        account,
        notes,
    )


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = str(value).strip()
    return "" if text in ("<NA>", "NaT") else text
