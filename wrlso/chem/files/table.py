"""Tables of molecules: every row is a record, a rejected row, or blank."""

from collections.abc import Sequence

from wrlso.chem.files.fields import WHITE, rows
from wrlso.chem.files.layout import Layout
from wrlso.chem.files.records import Account, Records, Rejection
from wrlso.chem.molecule import atoms_or_none


def read_table(lines: Sequence[str], layout: Layout, notes: list[str]) -> Records:
    """The records of a table.

    A row with more fields than the others is rejected, as its columns cannot be told apart. A row
    with fewer is a record if it reaches to the SMILES.
    """
    smiles, names, scores, numbers = list[str](), list[str](), list[str](), list[int]()
    rejected = list[Rejection]()
    blank = sum(not line.strip() for line in lines[: layout.first])
    comments, continued = layout.first - blank, 0
    at, score_at, name_at, width = layout.smiles, layout.score, layout.name, layout.width

    def fits(fields: list[str]) -> bool:
        return not width or len(fields) == width

    def begins(fields: list[str]) -> bool:
        return fits(fields) and len(fields) > at and bool(atoms_or_none(fields[at].strip()))

    for line, extent, fields in rows(lines, layout.first, layout.delimiter, fits, begins):
        continued += extent - 1
        cell = fields[at].strip() if len(fields) > at else ""
        fitting = not width or len(fields) == width
        if not (fitting and cell and cell[0] != "#"):  # few rows have to be looked at closely
            if not any(map(str.strip, fields)):
                blank += 1
                continue
            if lines[line].lstrip().startswith("#") and (at == 0 or not fits(fields)):
                comments += 1
                continue
            if reason := _why_not(fields, layout):
                rejected.append(Rejection(line + 1, lines[line].strip()[:200], *reason))
                continue
        smiles.append(cell)
        numbers.append(line + 1)
        if score_at is not None:
            scores.append(fields[score_at].strip() if len(fields) > score_at else "")
        if name_at is None or len(fields) <= name_at:
            names.append("")
        else:
            names.append(fields[name_at].strip())
    records = len(smiles) + len(rejected)
    account = Account(len(lines), blank, comments, continued, records)
    found = scores if score_at is not None else None
    return Records(smiles, names, found, numbers, rejected, account, notes)


def _why_not(fields: list[str], layout: Layout) -> tuple[str, str] | None:
    """The kind and the reason of a row that is no record."""
    width = layout.width
    if width and len(fields) > width and any(map(str.strip, fields[width:])):
        last = max(layout.smiles, -1 if layout.score is None else layout.score)
        if layout.delimiter != WHITE or last >= width - 1 > 0:  # else the last is text with blanks
            reason = f"{len(fields)} fields, the others have {width}: quote text that holds {{}}"
            shown = {"\t": "tabs", WHITE: "blanks"}.get(layout.delimiter, repr(layout.delimiter))
            return "too many fields", reason.format(shown)
    if len(fields) <= layout.smiles or not fields[layout.smiles].strip():
        return "without a molecule", f"nothing is in the column of SMILES, {layout.named}"
    return None
