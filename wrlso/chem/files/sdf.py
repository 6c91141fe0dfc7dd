"""SDF and MOL files, read by RDKit."""

import re
from collections.abc import Sequence
from pathlib import Path

from rdkit import Chem
from rdkit.Chem import Mol
from rdkit.rdBase import BlockLogs

from wrlso.chem.files.records import Account, Columns, Records, Rejection, places
from wrlso.chem.molecule import is_polymer

_END = "$$$$"
_COUNTS = re.compile(r"\s*\d+\s+\d+\s.*V[23]000\s*")
_TITLE_LINES = 3
"""Lines of a record before its counts: title, program, comment."""


def is_sdf(lines: Sequence[str]) -> bool:
    """Whether lines hold the end of a molecule's block, or its first line of counts."""
    return any(
        line.startswith(("M  END", _END)) or line.rstrip().endswith(("V2000", "V3000"))
        for line in lines[:2000]
    )


def read_sdf(path: Path, lines: Sequence[str], columns: Columns, notes: list[str]) -> Records:
    """The records of an SDF file: its molecules, titles, and properties as columns.

    Raises:
      ValueError: if no record has a property that is named as a column.
    """
    if columns.delimiter is not None:
        raise ValueError(f"{path} is an SDF file and has no delimiter: give none")
    smiles, names, scores, numbers = list[str](), list[str](), list[str](), list[int]()
    rejected, seen = list[Rejection](), dict[str, None]()
    blocks, blank = _blocks(lines)
    for first, block in blocks:
        mol, title, properties = _read(block)
        seen |= dict.fromkeys(properties)
        text = _property(properties, columns.column) if columns.column != "smiles" else ""
        if columns.column == "smiles":
            if mol is None:
                rejected.append(Rejection(first + 1, title, "not a molecule", _why_not(block)))
                continue
            text = _written(mol)
        if not text:
            reason = f"no property {columns.column!r}" if mol else "the block has no atoms"
            rejected.append(Rejection(first + 1, title, "without a molecule", reason))
            continue
        smiles.append(text)
        names.append(title)
        numbers.append(first + 1)
        if columns.score_column is not None:
            scores.append(_property(properties, columns.score_column).strip())
    _check(path, columns, list(seen))
    records = len(blocks)
    account = Account(len(lines), blank, 0, len(lines) - blank - records, records)
    found = None if columns.score_column is None else scores
    return Records(smiles, names, found, numbers, rejected, account, [*notes, "read as SDF"])


def _written(mol: Mol) -> str:
    if is_polymer(mol):  # as CXSMILES, for the polymer to be recognised
        fields = Chem.CXSmilesFields.CX_POLYMER
        return Chem.MolToCXSmiles(mol, Chem.SmilesWriteParams(), fields)
    return Chem.MolToSmiles(mol)


def _property(properties: dict[str, str], name: str) -> str:
    """The value of a property, in the same case or else in any; empty if there is none."""
    found = places(name, list(properties))
    return list(properties.values())[found[0]] if found else ""


def _check(path: Path, columns: Columns, seen: list[str]) -> None:
    named = {"column": columns.column, "score_column": columns.score_column}
    for argument, name in named.items():
        if name in (None, "smiles"):
            continue
        found = [seen[i] for i in places(name, seen)]
        if not found:
            shown = ", ".join(seen) or "none"
            raise ValueError(
                f"{path} has no property {name!r}, given as {argument}: its properties are {shown}"
            )
        if len(found) > 1:
            raise ValueError(
                f"{path} has the properties {' and '.join(found)}: give one of them as {argument}, "
                f"not {name!r}"
            )


def _blocks(lines: Sequence[str]) -> tuple[list[tuple[int, str]], int]:
    """The first line of each record and its text, and the number of blank lines after the last.

    A record ends before the next one's counts, too, where the line that ends it is missing.
    """
    starts, first, complete = list[tuple[int, int]](), 0, False
    for i, line in enumerate(lines):
        if line.startswith(_END):
            starts.append((first, i + 1))
            first, complete = i + 1, False
        elif complete and _COUNTS.fullmatch(line) and i - _TITLE_LINES > first:
            starts.append((first, i - _TITLE_LINES))
            first, complete = i - _TITLE_LINES, False
        elif line.startswith("M  END"):
            complete = True
    rest = lines[first:]
    if any(line.strip() for line in rest):
        starts.append((first, len(lines)))
        rest = []
    return [(start, _block(lines[start:end])) for start, end in starts], len(rest)


def _block(lines: Sequence[str]) -> str:
    """The text of a record; a blank line ends its last property, and a line of its own all."""
    content = lines[:-1] if lines[-1].startswith(_END) else lines
    return "\n".join([*content, "", _END])


def _read(block: str) -> tuple[Mol | None, str, dict[str, str]]:
    """The molecule of a record, if it is one, its title and its properties."""
    title = block.split("\n", 1)[0].strip()
    supplier = Chem.SDMolSupplier()
    with BlockLogs():
        try:
            supplier.SetData(block + "\n", sanitize=True, removeHs=True)
            mol = next(iter(supplier), None)
        except (RuntimeError, ValueError, OSError):
            mol = None
    if mol is None or mol.GetNumAtoms() == 0:
        return None, title, _properties(block)
    return mol, title, mol.GetPropsAsDict(False, False, autoConvertStrings=False)


def _properties(block: str) -> dict[str, str]:
    """The properties of a record whose molecule cannot be read."""
    found = dict[str, str]()
    for part in block.split("\n>")[1:]:
        head, _, value = part.partition("\n")
        name = head.partition("<")[2].rpartition(">")[0]
        if name:
            found[name] = value.split("\n\n")[0].strip()
    return found


def _why_not(block: str) -> str:
    """RDKit's reason against a block."""
    with BlockLogs():
        try:
            mol = Chem.MolFromMolBlock(block, sanitize=False, strictParsing=True)
        except (RuntimeError, ValueError) as error:
            return str(error).strip()
        if mol is None:
            return "RDKit cannot read the block"
        if mol.GetNumAtoms() == 0:
            return "it has no atoms"
        try:
            Chem.SanitizeMol(mol)
        except ValueError as error:  # RDKit's own errors are ValueErrors
            return str(error).strip()
    return "RDKit cannot read the block"
