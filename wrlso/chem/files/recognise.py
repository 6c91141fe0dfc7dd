"""Texts that are no SMILES, by the names that people know them by."""

import re
from collections.abc import Sequence
from pathlib import Path

from wrlso.chem.molecule import atoms_or_none

_SELFIES = re.compile(r"(?:\[[^\[\]\s]+\]|\.)+")
_SYMBOL = re.compile(
    r"\[(?:[=#/\\-]*(?:Branch|Ring|Expl)[=#]?\w*|[=#/\\][A-Z][^\]]*|[CNOSPF]|Cl|Br|I|nop)\]"
)
_MARKED = (
    (re.compile(r"@<TRIPOS>"), "a MOL2 file"),
    (re.compile(r"(ATOM  |HETATM)[ \d]{5} "), "a PDB file"),
    (re.compile(r"\$(RXN|RDFILE)"), "a file of reactions"),
    (re.compile(r"\s*<(\?xml|cml)"), "an XML file"),
    (re.compile(r"\s*<(!doctype )?html", re.IGNORECASE), "a web page, not the file it links to"),
    (re.compile(r"data_\S*$"), "a CIF file"),
    (re.compile(r">[A-Za-z]\S*"), "a FASTA file"),
    (re.compile(r"\s*(\[\s*)?[{]|\s*\[\s*$"), "a JSON file"),
)
_SAMPLE = 100


def kind_of(text: str) -> str | None:
    """The notation of a text that is no SMILES, as ``SELFIES``; None if it is not recognised."""
    if text.startswith("InChI="):
        return "InChI: convert it by RDKit's MolFromInchi"
    if re.fullmatch(r"[A-Z]{14}-[A-Z]{10}-[A-Z]", text):
        return "an InChI key, from which no molecule can be made: look up its SMILES"
    if is_selfies(text):
        return "SELFIES: convert it by selfies.decoder"
    if re.fullmatch(r"\S*>\S*>\S*", text):
        return "a reaction: give the molecule itself"
    return None


def is_selfies(text: str) -> bool:
    """Whether a text is SELFIES: nothing but brackets, some of which no SMILES would have.

    ``[C]`` is a naked carbon in SMILES, and methane in SELFIES.
    """
    return bool(_SELFIES.fullmatch(text)) and bool(_SYMBOL.search(text))


def refuse_other_files(path: Path, lines: Sequence[str]) -> None:
    """Raise ValueError if lines are those of a kind of file that holds no SMILES."""
    some = [line for line in lines[:_SAMPLE] if line.strip()]
    if not some:
        return
    for pattern, kind in _MARKED:
        if pattern.match(some[0]) or (kind.startswith(("a PDB", "a MOL2")) and any(
            pattern.match(line) for line in some
        )):  # fmt: skip
            raise ValueError(f"{path} is {kind}: give SMILES, a table or SDF")


def refuse_other_notations(path: Path, texts: Sequence[str]) -> None:
    """Raise ValueError if texts are in another notation, such as SELFIES: most of the first ones
    are, and none of all is a molecule. Else each is rejected by itself."""
    kinds = [kind_of(text.strip('"')) for text in texts[:_SAMPLE]]
    named = [kind for kind in kinds if kind is not None]
    if not named or len(named) < 0.5 * len(kinds):
        return
    bare = (text.strip('"') for text in texts)
    if not any(kind_of(text) is None and atoms_or_none(text) for text in bare):
        kind = max(set(named), key=named.count)
        raise ValueError(f"{path} holds no SMILES, but {kind}")
