"""Reading a file of molecules, whatever its kind."""

from pathlib import Path

from wrlso.chem.files.fields import WHITE
from wrlso.chem.files.layout import Layout, find_layout
from wrlso.chem.files.lines import read_smiles_lines
from wrlso.chem.files.parquet import read_parquet
from wrlso.chem.files.recognise import refuse_other_files, refuse_other_notations
from wrlso.chem.files.records import Columns, Records
from wrlso.chem.files.sdf import is_sdf, read_sdf
from wrlso.chem.files.table import read_table
from wrlso.storage.text import decode, read_lines, unpack


def read_records(path: Path | str, columns: Columns | None = None) -> Records:
    """The records of a file, and an account of all its lines.

    The kinds are SDF, Parquet, tables, and one SMILES per line; plain or compressed by gzip,
    bzip2, xz or zip; in UTF-8, UTF-16 or Latin-1.

    Args:
      path: the file.
      columns: the columns that the caller has named; None: a table has a column 'smiles'.

    Raises:
      ValueError: naming the file and the remedy, if it holds no records.
      OSError: if it cannot be read.
    """
    path, columns = Path(path), columns or Columns()
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give a file of molecules")
    unpacked = unpack(path)
    notes = list(unpacked.notes)
    if unpacked.content.startswith(b"PAR1"):
        records = read_parquet(path, unpacked.content, columns, notes)
    else:
        text, note = decode(path, unpacked.content)
        notes += [note] * bool(note)
        records = _read(path, unpacked.name, read_lines(text), columns, notes)
    records.check()
    if not records.account.records:
        fault = (
            "holds no molecule, but a header or comments"
            if records.account.comments
            else "is empty"
        )
        raise ValueError(f"{path} {fault}: give a file with a SMILES on each line, a table, or SDF")
    refuse_other_notations(path, records.smiles)
    return records


def _read(path: Path, name: str, lines: list[str], columns: Columns, notes: list[str]) -> Records:
    if name.endswith((".sdf", ".sd", ".mol")) or is_sdf(lines):
        return read_sdf(path, lines, columns, notes)
    refuse_other_files(path, lines)
    layout = find_layout(path, name, lines, columns)
    if layout is None:
        return read_smiles_lines(lines, notes)
    return read_table(lines, layout, [*notes, _describe(layout)])


def _describe(layout: Layout) -> str:
    shown = {"\t": "tabs", WHITE: "blanks", ",": "commas", ";": "semicolons"}
    between = shown.get(layout.delimiter, repr(layout.delimiter))
    return f"read as a table: SMILES in {layout.named!r}, columns separated by {between}"
